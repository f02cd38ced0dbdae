from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.shared_data import ORACLE
from PIL import Image

from soco_datasets.data.images import open_rgb
from soco_datasets.errors import DatasetFolderError, UsageError
from soco_datasets.features.preprocess import NAMED_STATISTICS, NO_STATISTICS, normalize
from soco_datasets.features.transforms import soco_transform


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def test_exif_orientation_is_not_applied() -> None:
    image = Image.new("RGB", (40, 20), (200, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    decoded = open_rgb(jpeg(image, exif=exif.tobytes()), "rotated")
    assert decoded.size == (40, 20)
    assert np.array_equal(np.asarray(decoded), np.asarray(open_rgb(jpeg(image), "plain")))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_modes_become_rgb(mode: str) -> None:
    decoded = open_rgb(jpeg(Image.new(mode, (9, 7))), mode)
    assert (decoded.mode, decoded.size) == ("RGB", (9, 7))


@pytest.mark.parametrize(
    "data", [b"", b"not an image", jpeg(Image.effect_noise((64, 64), 80))[:-600]], ids=["empty", "text", "truncated"]
)
def test_damaged_image_is_named(data: bytes) -> None:
    with pytest.raises(DatasetFolderError, match=r"car/car_7\.JPEG does not decode"):
        open_rgb(data, "car/car_7.JPEG").load()


def test_padding_is_white_at_right_and_bottom() -> None:
    tall = np.asarray(soco_transform(40).apply(Image.new("RGB", (10, 40))))
    assert (tall[:, :10] == 0).all()
    assert (tall[:, 10:] == 255).all()
    wide = np.asarray(soco_transform(40).apply(Image.new("RGB", (40, 10))))
    assert (wide[:10] == 0).all()
    assert (wide[10:] == 255).all()


def test_normalize_is_float32_arithmetic() -> None:
    pixels = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    statistics = NAMED_STATISTICS["imagenet"]
    result = normalize(pixels, statistics)
    assert (result.shape, result.dtype) == ((2, 3, 4, 4), np.float32)
    value = np.float32(pixels[1, 2, 3, 0]) / np.float32(255)
    assert result[1, 0, 2, 3] == (value - np.float32(0.485)) / np.float32(0.229)
    assert np.array_equal(
        normalize(pixels, NO_STATISTICS)[0, 2], pixels[0, :, :, 2].astype(np.float32) / np.float32(255)
    )


def test_wrong_pixels_are_refused() -> None:
    with pytest.raises(UsageError, match="uint8 or float32"):
        normalize(np.zeros((1, 4, 4, 3)), NO_STATISTICS)


def test_tensors_of_all_oracle_images() -> None:
    expected = json.loads((ORACLE / "expected" / "images_dinov2_tiny_p14.json").read_text())
    size = expected["effective_image_size"]
    assert len(expected["rows"]) == 48
    for row in expected["rows"]:
        path: Path = ORACLE / "SOCOv1" / "Images" / row["image"]
        image = open_rgb(path.read_bytes(), row["image"])
        assert max(image.size) == row["square"]
        tensor = normalize(soco_transform(size).apply(image)[None], NAMED_STATISTICS["imagenet"])[0]
        exact = tensor.astype(np.float64)
        np.testing.assert_allclose(exact.mean(axis=(1, 2)), row["tensor_mean"], atol=2e-6)
        np.testing.assert_allclose(exact.std(axis=(1, 2), ddof=1), row["tensor_std"], atol=2e-6)
        samples = [tensor[:, 0, 0], tensor[:, size // 3, size // 2], tensor[:, -1, -1]]
        # The samples are stored with nine digits, which tells every float32 apart.
        assert np.array_equal(np.array(samples), np.array(row["tensor_at"], dtype=np.float32)), row["image"]
