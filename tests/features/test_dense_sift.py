from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image

from soco_datasets.errors import BackboneError, UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor

CELLS = 16


def test_shape_and_identity() -> None:
    extractor = DenseFeatureExtractor(load_backbone("dense_sift"), 133)
    record = extractor.describe()
    assert (extractor.size, extractor.grid, extractor.channels) == (136, 17, 128)
    assert extractor.extract([Image.new("RGB", (20, 10))]).shape == (1, 128, 17, 17)
    assert (record["weights_hash"], record["layer"], record["norm"]) == (None, None, "none")
    assert record["statistics"]["source"] == "none"
    assert record["revision"].startswith("kornia ")


@pytest.mark.parametrize("cell", [(5, 5), (8, 4), (10, 11)])
def test_descriptors_are_centered_on_cells(cell: tuple[int, int]) -> None:
    """A point-symmetric spot in the middle of a cell moves the descriptors around that cell, symmetrically."""
    backbone = load_backbone("dense_sift")
    row, column = cell
    x = torch.arange(8 * CELLS) - (8 * column + 3.5)
    y = torch.arange(8 * CELLS) - (8 * row + 3.5)
    spot = torch.clamp(1 - (x[None, :] ** 2 + y[:, None] ** 2) / 36, min=0)  # zero beyond 6 pixels
    flat = torch.zeros(1, 3, 8 * CELLS, 8 * CELLS)
    moved = (backbone.forward(flat + spot) - backbone.forward(flat)).norm(dim=1)[0]
    reach = 4
    window = moved[row - reach : row + reach + 1, column - reach : column + reach + 1]
    torch.testing.assert_close(window, window.flip(0), atol=1e-4, rtol=0)
    torch.testing.assert_close(window, window.flip(1), atol=1e-4, rtol=0)
    assert window[reach, reach] > 0.1
    far = moved.clone()
    far[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = 0
    assert far.max() < 1e-3


def test_shifting_the_image_by_a_cell_shifts_the_map() -> None:
    backbone = load_backbone("dense_sift")
    pixels = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    maps = backbone.forward(pixels)
    shifted = backbone.forward(pixels.roll((8, 16), dims=(2, 3)))
    torch.testing.assert_close(shifted[:, :, 5:-4, 6:-4], maps[:, :, 4:-5, 4:-6], atol=1e-5, rtol=0)


def test_flat_cells_are_zero_and_match_nothing() -> None:
    pixels = torch.full((1, 3, 128, 128), 0.7)
    pixels[..., :64] = torch.rand(3, 128, 64, generator=torch.Generator().manual_seed(0))
    lengths = load_backbone("dense_sift").forward(pixels).norm(dim=1)[0]
    torch.testing.assert_close(lengths[:, :8], torch.ones(16, 8), atol=1e-3, rtol=0)
    assert torch.equal(lengths[:, 11:], torch.zeros(16, 5))


@pytest.mark.parametrize(
    "options", [{"layer": 2}, {"norm": "final"}, {"statistics": "imagenet"}, {"dtype": "float16"}], ids=str
)
def test_options_without_meaning_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BackboneError, match="leave"):
        load_backbone("dense_sift", **options)
    with pytest.raises(UsageError, match="not from the Hub"):
        load_backbone("dense_sift", revision="main")
