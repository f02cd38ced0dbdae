"""Published checkpoints to ViTModel folders: the same numbers, and nothing in a pickle is ever run."""

from __future__ import annotations

import argparse
import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.original_vit import OriginalViT
from safetensors.torch import save_file

from soco_datasets.cli import main
from soco_datasets.errors import BackboneError, UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.convert import convert_checkpoint

Weights = Mapping[str, torch.Tensor]


def prefixed(weights: Weights, prefix: str, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in {**weights, **more}.items()}


def assert_same(folder: Path, original: OriginalViT, side: int = 48, tolerance: float = 1e-5) -> None:
    """Every block's output and the final norm's equal the original's."""
    pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = original.block_outputs(pixels)
    cells = side // original.patch
    for layer, tokens in enumerate(expected):
        normed = layer == len(original.blocks)
        backbone = load_backbone(folder, layer=-1 if normed else layer, norm="final" if normed else "none")
        maps = tokens[:, 1:].transpose(1, 2).unflatten(2, (cells, cells))
        torch.testing.assert_close(backbone.forward(pixels), maps, atol=tolerance, rtol=0)


HEAD = {"head.mlp.0.weight": torch.ones(3, 3), "head.last_layer.weight_g": torch.ones(3, 1)}


def published(layout: str, weights: Weights) -> Any:
    """The layouts in which iBOT, DINO and timm publish."""
    masked = {"masked_embed": torch.ones(1, 128)}
    if layout == "ibot release":
        return {"state_dict": {**weights, **masked}}
    if layout == "ibot training":
        noise = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
        return {
            "student": prefixed({**noise, **masked}, "module.backbone.") | prefixed(HEAD, "module."),
            "teacher": prefixed({**weights, **masked}, "backbone.") | HEAD,
            "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 0.1}]},
            "epoch": 100,
            "args": argparse.Namespace(arch="vit_base", patch_size=8, lr=0.1),
        }
    if layout == "student only":
        return {"student": prefixed({**weights, **masked}, "module.backbone."), "epoch": 3}
    if layout == "dino":
        return dict(weights)
    return {"model": {**weights, "head.weight": torch.ones(5, 128), "head.bias": torch.ones(5)}}


@pytest.mark.parametrize("layout", ["ibot release", "ibot training", "student only", "dino", "timm classifier"])
def test_every_published_layout_gives_the_original_numbers(layout: str, tmp_path: Path) -> None:
    original = OriginalViT()
    torch.save(published(layout, original.state_dict()), tmp_path / "model.pth")
    folder = convert_checkpoint("ibot", tmp_path / "model.pth", tmp_path / "converted")
    assert_same(folder, original)


@pytest.mark.parametrize("qkv_bias", [True, False])
def test_other_shapes(qkv_bias: bool, tmp_path: Path) -> None:
    original = OriginalViT(channels=192, depth=1, heads=3, patch=4, table=3, qkv_bias=qkv_bias)
    torch.save(original.state_dict(), tmp_path / "model.pth")
    assert_same(convert_checkpoint("dino", tmp_path / "model.pth", tmp_path / "converted"), original, side=12)


def test_heads_other_than_64_wide_must_be_named(tmp_path: Path) -> None:
    original = OriginalViT(channels=48, heads=4)
    torch.save(original.state_dict(), tmp_path / "model.pth")
    with pytest.raises(BackboneError, match=r"48 channels, no multiple of 64: give its heads \(--heads\)"):
        convert_checkpoint("dino", tmp_path / "model.pth", tmp_path / "converted")
    with pytest.raises(BackboneError, match="48 channels, which 5 heads do not divide"):
        convert_checkpoint("dino", tmp_path / "model.pth", tmp_path / "converted", heads=5)
    assert_same(convert_checkpoint("dino", tmp_path / "model.pth", tmp_path / "converted", heads=4), original)


def test_safetensors_and_old_pickles_and_half_precision(tmp_path: Path) -> None:
    original = OriginalViT()
    weights = original.state_dict()
    save_file(weights, tmp_path / "model.safetensors")
    assert_same(convert_checkpoint("vit", tmp_path / "model.safetensors", tmp_path / "a", statistics="half"), original)
    assert load_backbone(tmp_path / "a").statistics.mean == (0.5, 0.5, 0.5)
    torch.save(weights, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_same(convert_checkpoint("dino", tmp_path / "old.pth", tmp_path / "b"), original)
    torch.save({name: tensor.half() for name, tensor in weights.items()}, tmp_path / "half.pth")
    assert_same(convert_checkpoint("dino", tmp_path / "half.pth", tmp_path / "c"), original.half().float())


def test_positions_for_another_size_are_the_originals(tmp_path: Path) -> None:
    """The original scales by (cells + 0.1) / table; transformers by cells / table, which is close, not equal."""
    original = OriginalViT()
    torch.save(original.state_dict(), tmp_path / "model.pth")
    exact = convert_checkpoint("ibot", tmp_path / "model.pth", tmp_path / "exact", image_size=88)
    assert_same(exact, original, side=88)
    plain = convert_checkpoint("ibot", tmp_path / "model.pth", tmp_path / "plain")
    with pytest.raises(AssertionError):
        assert_same(plain, original, side=88)
    pixels = torch.randn(1, 3, 88, 88, generator=torch.Generator().manual_seed(1))
    similarity = torch.cosine_similarity(load_backbone(exact).forward(pixels), load_backbone(plain).forward(pixels))
    assert similarity.min() > 0.99
    with pytest.raises(UsageError, match="multiple of the patch, 8 pixels; got 90"):
        convert_checkpoint("ibot", tmp_path / "model.pth", tmp_path / "other", image_size=90)


def test_the_folder_says_where_it_comes_from(tmp_path: Path) -> None:
    torch.save(published("ibot training", OriginalViT().state_dict()), tmp_path / "model.pth")
    convert_checkpoint("ibot", tmp_path / "model.pth", tmp_path / "converted")
    record = json.loads((tmp_path / "converted" / "conversion.json").read_text())
    assert (record["key"], record["prefix"], record["kind"]) == ("teacher", "backbone.", "ibot")
    assert record["not_used"] == ["backbone.masked_embed", "head.last_layer.weight_g", "head.mlp.0.weight"]
    assert len(record["source_sha256"]) == 64
    assert json.loads((tmp_path / "converted" / "config.json").read_text())["layer_norm_eps"] == 1e-6
    backbone = load_backbone(tmp_path / "converted")
    assert (backbone.patch_size, backbone.num_layers, backbone.channels) == (8, 3, 128)
    assert backbone.statistics.mean == (0.485, 0.456, 0.406)


def test_another_entry_can_be_asked_for(tmp_path: Path) -> None:
    original = OriginalViT()
    content = published("ibot training", original.state_dict())
    content["teacher"], content["student"] = content["student"], content["teacher"]
    torch.save(content, tmp_path / "model.pth")
    assert_same(convert_checkpoint("ibot", tmp_path / "model.pth", tmp_path / "a", key="student"), original)
    with pytest.raises(BackboneError, match=r"no weights under 'state_dict'; it has student, teacher, optimizer"):
        convert_checkpoint("ibot", tmp_path / "model.pth", tmp_path / "b", key="state_dict")


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("way", "text"),
    [
        ("torch", r"would run code when read \(it calls posix\.mkdir\)"),
        (2, r"posix\.mkdir"),
        (5, "without running code"),
    ],
)
def test_a_pickle_with_code_is_refused_and_never_run(way: str | int, text: str, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    content = {"state_dict": OriginalViT().state_dict(), "extra": Payload(trap)}
    if isinstance(way, int):
        (tmp_path / "model.pth").write_bytes(pickle.dumps(Payload(trap), protocol=way))
    else:
        torch.save(content, tmp_path / "model.pth")
    with pytest.raises(BackboneError, match=text):
        convert_checkpoint("ibot", tmp_path / "model.pth", tmp_path / "converted")
    assert not trap.exists()
    assert not (tmp_path / "converted").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04 half a zip"])
def test_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(BackboneError, match="is not a checkpoint of torch, or a damaged one"):
        convert_checkpoint("ibot", path, tmp_path / "converted")


def test_truncated_and_absent(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    with pytest.raises(BackboneError, match="There is no checkpoint file"):
        convert_checkpoint("ibot", path, tmp_path / "converted")
    torch.save(OriginalViT().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BackboneError, match="damaged"):
        convert_checkpoint("ibot", path, tmp_path / "converted")
    (tmp_path / "model.safetensors").write_bytes(b"12345678")
    with pytest.raises(BackboneError, match="not a safetensors file"):
        convert_checkpoint("ibot", tmp_path / "model.safetensors", tmp_path / "converted")


def changed(**changes: torch.Tensor | None) -> Any:
    weights = {**OriginalViT().state_dict(), **{name.replace("__", "."): new for name, new in changes.items()}}
    return {name: tensor for name, tensor in weights.items() if tensor is not None}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([torch.zeros(2)], "holds list, no weights by name"),
        ({"epoch": 3}, "holds no tensors where weights are expected; its entries: epoch"),
        ({"layers.0.blocks.0.norm1.weight": torch.ones(3)}, r"no patch_embed\.proj\.weight"),
        (changed(pos_embed=None), "lacks pos_embed"),
        (changed(pos_embed=torch.zeros(1, 36, 128)), r"pos_embed is \(1, 36, 128\)"),
        (changed(pos_embed=torch.zeros(1, 41, 128)), r"pos_embed is \(1, 41, 128\)"),
        (changed(patch_embed__proj__weight=torch.zeros(128, 1, 8, 8)), r"expected \(C, 3, patch, patch\)"),
        (changed(norm__weight=None), r"layernorm\.weight is missing"),
        (changed(blocks__1__attn__qkv__weight=None), r"layers\.1\.attention\.k_proj\.weight is missing"),
        (changed(blocks__2__attn__qkv__weight=torch.zeros(256, 128)), "expected 384 rows: queries"),
        (changed(blocks__0__mlp__fc2__weight=torch.zeros(128, 9)), r"fc2\.weight is \(128, 9\), expected \(128, 256\)"),
        (changed(blocks__0__gamma_1=torch.zeros(128)), r"no place for \(blocks\.0\.gamma_1\).*layer scale"),
        (changed(register_tokens=torch.zeros(1, 4, 128)), "no place for"),
        (changed(fc_norm__weight=torch.zeros(128)), "pooling norm"),
        (changed(blocks__9__norm1__weight=torch.zeros(128)), "and [0-9]+ more"),
    ],
)
def test_other_files_are_refused_whole(content: Any, text: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(BackboneError, match=f"(?s){text}"):
        convert_checkpoint("ibot", tmp_path / "model.pth", tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


def test_wrong_use(tmp_path: Path) -> None:
    torch.save(OriginalViT().state_dict(), tmp_path / "model.pth")
    with pytest.raises(UsageError, match=r"Unknown kind of checkpoint 'ibott'\. Did you mean 'ibot'"):
        convert_checkpoint("ibott", tmp_path / "model.pth", tmp_path / "a")
    with pytest.raises(UsageError, match="give --statistics"):
        convert_checkpoint("vit", tmp_path / "model.pth", tmp_path / "a")
    with pytest.raises(UsageError, match="Did you mean 'imagenet'"):
        convert_checkpoint("vit", tmp_path / "model.pth", tmp_path / "a", statistics="imagnet")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        convert_checkpoint("ibot", tmp_path / "model.pth", tmp_path / "full")
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(published("ibot release", OriginalViT().state_dict()), tmp_path / "model.pth")
    out = str(tmp_path / "converted")
    assert main(["convert", "ibot", str(tmp_path / "model.pth"), "--out", out]) == 0
    assert f"soco evaluate --model {out}" in capsys.readouterr().out
    assert main(["convert", "ibot", str(tmp_path / "model.pth"), "--out", out]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["convert", "ibot", str(tmp_path / "model.pth"), "--out", out, "--overwrite"]) == 0
    assert main(["convert", "ibot", str(tmp_path / "none.pth"), "--out", out, "--overwrite"]) == 1
