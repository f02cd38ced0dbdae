"""Features of small random models of each family: where they lie, which layer, which norm; and the oracle's numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.shared_data import ORACLE
from PIL import Image
from safetensors.torch import load_file, save_file

from soco_datasets.data.images import open_rgb
from soco_datasets.errors import BackboneError, UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.cache.memory import MemoryFeatureCache
from soco_datasets.features.extractor import DenseFeatureExtractor, l2_normalize

SaveModel = Callable[..., Path]
KINDS = {"vit": 1, "dinov2": 1, "dinov2_reg": 5}


def test_a_wrong_token_count_is_refused(save_model: SaveModel) -> None:
    backbone = load_backbone(save_model("dinov2_reg"))
    backbone.num_prefix_tokens = 1  # what forgetting the registers would do
    with pytest.raises(BackboneError, match="gave 21 tokens for 56x56 pixels; expected 17 = 1 prefix"):
        backbone.forward(torch.rand(1, 3, 56, 56))


@pytest.mark.parametrize("shape", [(1, 3, 57, 56), (1, 1, 56, 56), (3, 56, 56), (1, 3, 0, 56)])
def test_forward_refuses_other_shapes(save_model: SaveModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(BackboneError, match="multiples of 14"):
        load_backbone(save_model("dinov2")).forward(torch.rand(shape))


@pytest.mark.parametrize(("requested", "size", "grid"), [(100, 98, 7), (3, 14, 1), (105, 98, 7), (106, 112, 8)])
def test_sizes_snap_to_the_patch(save_model: SaveModel, requested: int, size: int, grid: int) -> None:
    extractor = DenseFeatureExtractor(load_backbone(save_model("dinov2")), requested)
    assert (extractor.size, extractor.grid) == (size, grid)
    assert extractor.extract([Image.new("RGB", (30, 90))]).shape == (1, 32, grid, grid)


def noise(width: int, height: int, seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("model", ["vit", "dinov2_reg", "dense_sift"])
def test_two_runs_are_bit_equal_and_batches_agree(save_model: SaveModel, model: str) -> None:
    images = [noise(40 + 13 * index, 70, index) for index in range(5)]
    source: Any = model if model == "dense_sift" else save_model(model)
    first = DenseFeatureExtractor(load_backbone(source), 112, batch_size=2).extract(images)
    second = DenseFeatureExtractor(load_backbone(source), 112, batch_size=2).extract(images)
    assert torch.equal(first, second)
    assert first.std(dim=0).max() > 0.01  # the images differ, so an order mixed up would show
    alone = torch.cat([DenseFeatureExtractor(load_backbone(source), 112).extract([image]) for image in images])
    torch.testing.assert_close(first, alone, atol=2e-5, rtol=1e-4)


def test_statistics_are_used(save_model: SaveModel) -> None:
    folder = save_model("vit")
    image = noise(48, 48, 0)
    extractor = DenseFeatureExtractor(load_backbone(folder, statistics="half"), 48)
    by_hand = torch.from_numpy(np.asarray(image).astype(np.float32) / 255).permute(2, 0, 1)[None]
    expected = extractor.backbone.forward((by_hand - 0.5) / 0.5)
    assert torch.equal(extractor.extract([image]), expected)
    other = DenseFeatureExtractor(load_backbone(folder, statistics="clip"), 48).extract([image])
    assert not torch.allclose(other, expected, atol=1e-2)


def test_normalized_features(save_model: SaveModel) -> None:
    extractor = DenseFeatureExtractor(load_backbone(save_model("dinov2")), 56)
    maps = extractor.extract_normalized([noise(20, 30, 1)])
    torch.testing.assert_close(maps.norm(dim=1), torch.ones(1, 4, 4))
    zeros = l2_normalize(torch.zeros(1, 3, 2, 2))
    assert torch.equal(zeros, torch.zeros(1, 3, 2, 2))


def test_maps_go_into_a_store_and_come_back(save_model: SaveModel, tmp_path: Path) -> None:
    extractor = DenseFeatureExtractor(load_backbone(save_model("vit")), 48)
    maps = extractor.extract_normalized([noise(20, 30, 1), noise(20, 30, 2)])
    with MemoryFeatureCache(
        2, (extractor.channels, extractor.grid, extractor.grid), memory_budget=0, directory=tmp_path
    ) as store:
        for index, features in enumerate(maps):
            store.put(index, features)
        assert torch.equal(torch.stack([store.get(0), store.get(1)]), maps)


def test_damaged_weights_name_the_images(save_model: SaveModel) -> None:
    folder = save_model("dinov2")
    tensors = load_file(folder / "model.safetensors")
    tensors["layernorm.weight"][3] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    extractor = DenseFeatureExtractor(load_backbone(folder, norm="final"), 56, batch_size=1)
    with pytest.raises(BackboneError, match=r"NaN or infinite features \(float32\) for image car/car_2"):
        extractor.extract([noise(9, 9, 1), noise(9, 9, 2)], ["car/car_2", "car/car_3"])


def test_the_record_is_json_and_whole(save_model: SaveModel) -> None:
    extractor = DenseFeatureExtractor(load_backbone(save_model("dinov2_reg"), layer=1, norm="final"), 100)
    record = json.loads(json.dumps(extractor.describe()))
    assert record["statistics"] == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "source": "checkpoint"}
    del record["statistics"], record["weights_hash"], record["config_hash"]
    assert record == {
        "name": "model",
        "family": "dinov2_with_registers",
        "revision": None,
        "layer": 1,
        "num_layers": 3,
        "norm": "final",
        "recipe": "checkpoint",
        "num_prefix_tokens": 5,
        "patch_size": 14,
        "channels": 32,
        "requested_size": 100,
        "effective_size": 98,
        "grid": 7,
        "dtype": "float32",
        "device": "cpu",
    }


def test_wrong_use(save_model: SaveModel) -> None:
    backbone = load_backbone(save_model("vit"))
    with pytest.raises(UsageError, match="batch size"):
        DenseFeatureExtractor(backbone, 48, batch_size=0)
    extractor = DenseFeatureExtractor(backbone, 48)
    with pytest.raises(UsageError, match="1 images but 2 names"):
        extractor.extract([noise(5, 5, 0)], ["a", "b"])
    assert extractor.extract([]).shape == (0, 32, 6, 6)


def test_oracle_features() -> None:
    extractor = DenseFeatureExtractor(load_backbone(ORACLE / "models" / "dinov2_tiny_p14"), 285, batch_size=4)
    assert (extractor.size, extractor.grid, extractor.channels) == (280, 20, 64)
    saved = load_file(ORACLE / "expected" / "features_dinov2_tiny_p14.safetensors")
    rows = json.loads((ORACLE / "expected" / "images_dinov2_tiny_p14.json").read_text())["rows"]
    names = [row["image"] for row in rows]
    images = [open_rgb((ORACLE / "SOCOv1" / "Images" / name).read_bytes(), name) for name in names]
    maps = dict(zip(names, extractor.extract(images, names), strict=True))
    assert len(saved) == 2  # one with an EXIF rotation, one in CMYK
    for name, expected in saved.items():
        torch.testing.assert_close(maps[name], expected, atol=1e-4, rtol=0)
    for row in rows:
        found = maps[row["image"]]
        assert float(found.mean()) == pytest.approx(row["feat_mean"], abs=1e-5)
        assert float(found.std()) == pytest.approx(row["feat_std"], abs=1e-4)
        samples = [found[:8, 0, 0], found[:8, 10, 6], found[:8, -1, -1]]
        torch.testing.assert_close(torch.stack(samples), torch.tensor(row["feat_first8_at"]), atol=1e-4, rtol=0)
