"""A checkpoint saved as another class of its family than the one that is loaded, or with options of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from helpers.tiny_map_models import make_map_model
from helpers.tiny_models import HALF, IMAGENET, VISION, save

from soco_datasets.features.backbones import load_backbone


def noise(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_beit_with_a_segmentation_head(tmp_path: Path) -> None:
    layers = {"num_hidden_layers": 4, "out_indices": [1, 2, 3, 4], "pool_scales": [1], "use_mean_pooling": True}
    model = tf.BeitForSemanticSegmentation(tf.BeitConfig(**{**VISION, **layers}))
    pixels = noise(56, 72)
    with torch.inference_mode():
        found = load_backbone(save(model, tmp_path / "model", HALF)).forward(pixels)
        tokens = model.beit(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
    torch.testing.assert_close(found, tokens.transpose(1, 2).unflatten(2, (7, 9)), rtol=1e-5, atol=1e-5)


def test_swin_saved_as_a_backbone(tmp_path: Path) -> None:
    """Its norms of stages are left out: no checkpoint of a model has them."""
    config = tf.SwinConfig(
        embed_dim=8, depths=[2, 2], num_heads=[1, 2], window_size=3, image_size=48, out_features=["stage1", "stage2"]
    )
    model = tf.SwinBackbone(config)
    pixels = noise(48, 48)
    with torch.inference_mode():
        found = load_backbone(save(model, tmp_path / "model", IMAGENET)).forward(pixels)
        whole = tf.SwinModel(config, add_pooling_layer=False).eval()
        whole.load_state_dict(model.swin.state_dict())
        tokens = whole(pixels, output_hidden_states=True).hidden_states[-1]
    torch.testing.assert_close(found, tokens.transpose(1, 2).unflatten(2, (6, 6)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "whole"), [("qwen2_5_vl", "Qwen2_5_VL"), ("qwen3_vl", "Qwen3VL")])
def test_qwen_saved_without_its_language_head(tmp_path: Path, kind: str, whole: str) -> None:
    folder = make_map_model(kind, tmp_path / "model")
    without = getattr(tf, f"{whole}ForConditionalGeneration").from_pretrained(folder).model
    save_again(without, folder, tmp_path / "base")
    pixels = noise(224, 224)
    with torch.inference_mode():
        assert torch.equal(load_backbone(tmp_path / "base").forward(pixels), load_backbone(folder).forward(pixels))


@pytest.mark.parametrize(
    ("kind", "options"), [("qwen2_5_vl", {}), ("qwen3_vl", {}), ("sam2_vision_model", {"layer": 0})]
)
def test_a_config_that_asks_for_plain_tuples(tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    folder = make_map_model(kind, tmp_path / "model")
    pixels = noise(224, 224)
    with torch.inference_mode():
        expected = load_backbone(folder, norm="final", **options).forward(pixels)
        config = json.loads((folder / "config.json").read_text())
        for part in (config, config.get("vision_config", {}), config.get("backbone_config", {})):
            part["return_dict"] = False
        (folder / "config.json").write_text(json.dumps(config))
        assert torch.equal(load_backbone(folder, norm="final", **options).forward(pixels), expected)


def save_again(model: Any, source: Path, folder: Path) -> None:
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_bytes((source / "preprocessor_config.json").read_bytes())
