"""Stable Diffusion pipelines as checkpoints: what is refused, and the way from the Hub's cache."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_map_models import make_map_model
from safetensors.torch import load_file, save_file

from soco_datasets.errors import BackboneError, MissingExtraError
from soco_datasets.features.backbones import load_backbone, preflight
from soco_datasets.features.diffusion_checkpoint import FILES, PART_WEIGHTS

HUB_ID, COMMIT = "someone/sd", "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_map_model("stable_diffusion", tmp_path_factory.mktemp("pipeline") / "sd")


@pytest.fixture
def pipeline(whole: Path, tmp_path: Path) -> Path:
    """A pipeline that may be changed."""
    return Path(shutil.copytree(whole, tmp_path / "sd"))


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_identity(whole: Path, pipeline: Path) -> None:
    backbone = load_backbone(whole)  # of this family not the last up block, but the one that is used
    assert (backbone.name, backbone.family, backbone.layer, backbone.num_layers) == ("sd", "stable_diffusion", 1, 4)
    assert backbone.details()["prompt"] == ""
    same = load_backbone(pipeline, layer=1)
    assert (same.weights_hash, same.config_hash) == (backbone.weights_hash, backbone.config_hash)
    change_json(pipeline / "scheduler" / "scheduler_config.json", beta_end=0.02)
    other = load_backbone(pipeline, layer=1)
    assert other.weights_hash == backbone.weights_hash
    assert other.config_hash != backbone.config_hash
    pixels = torch.rand(1, 3, 96, 96)
    assert not torch.equal(other.forward(pixels), backbone.forward(pixels))


@pytest.mark.parametrize("name", FILES[1:])
def test_half_downloaded(pipeline: Path, name: str) -> None:
    (pipeline / name).unlink()
    with pytest.raises(BackboneError, match=f"half downloaded.*missing: {name}"):
        load_backbone(pipeline)


def test_no_tokenizer(pipeline: Path) -> None:
    shutil.rmtree(pipeline / "tokenizer")
    with pytest.raises(BackboneError, match="missing: tokenizer/"):
        load_backbone(pipeline)


def test_another_kind_of_pipeline(pipeline: Path) -> None:
    change_json(pipeline / "model_index.json", _class_name="StableDiffusionXLPipeline")
    with pytest.raises(
        BackboneError, match="is a StableDiffusionXLPipeline of diffusers; only StableDiffusionPipeline"
    ):
        load_backbone(pipeline)


@pytest.mark.parametrize("part", PART_WEIGHTS)
def test_truncated_weights(pipeline: Path, part: str) -> None:
    path = pipeline / part / PART_WEIGHTS[part]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(BackboneError, match="truncated or damaged"):
        load_backbone(pipeline)


@pytest.mark.parametrize("part", PART_WEIGHTS)
def test_a_missing_and_a_surplus_weight(pipeline: Path, part: str) -> None:
    path = pipeline / part / PART_WEIGHTS[part]
    tensors = load_file(path)
    lost = next(name for name in tensors if name.endswith("bias"))
    tensors["from.elsewhere"] = tensors.pop(lost)
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=rf"(?s){part}.*disagrees with the weights in 2 place.*{lost}"):
        load_backbone(pipeline)


def test_parts_of_two_pipelines(pipeline: Path) -> None:
    change_json(pipeline / "unet" / "config.json", cross_attention_dim=24)
    with pytest.raises(BackboneError, match="unet"):
        load_backbone(pipeline)


def test_no_final_norm(whole: Path) -> None:
    with pytest.raises(BackboneError, match="has no final norm"):
        load_backbone(whole, norm="final")


def test_without_diffusers(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingExtraError, match=r"soco-datasets\[diffusion\]"):
        load_backbone(whole)


def test_from_the_hubs_cache(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    repository = tmp_path / "models--someone--sd"
    shutil.copytree(whole, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = preflight(HUB_ID)
    assert (found.commit, found.download) == (COMMIT, 0)
    assert found.weights == tuple(f"{part}/{name}" for part, name in PART_WEIGHTS.items())
    backbone = load_backbone(HUB_ID, layer=1)
    assert (backbone.name, backbone.revision) == (HUB_ID, COMMIT)
    pixels = torch.rand(1, 3, 96, 96)
    assert torch.equal(backbone.forward(pixels), load_backbone(whole, layer=1).forward(pixels))
    (repository / "snapshots" / COMMIT / "vae" / PART_WEIGHTS["vae"]).unlink()
    with pytest.raises(BackboneError, match="not in the local cache"):
        load_backbone(HUB_ID)
