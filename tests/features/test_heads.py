"""Head files and heads on backbones: the arithmetic, the round trip, and what is refused."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.shared_data import ORACLE
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from soco_datasets.errors import BackboneError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.heads import Head, HeadBackbone, load_head, save_head

SaveModel = Callable[..., Path]


def linear(out: int = 5, inputs: int = 32, bias: bool = True, **options: Any) -> Head:
    generator = torch.Generator().manual_seed(out)
    weight = torch.randn(out, inputs, generator=generator)
    return Head(layers=((weight, torch.randn(out, generator=generator) if bias else None),), **options)


def mlp(widths: tuple[int, ...], activation: Any = "gelu", **options: Any) -> Head:
    layers = tuple(linear(out, inputs).layers[0] for inputs, out in itertools.pairwise(widths))
    return Head(layers=layers, activation=activation, **options)


def in_torch(head: Head) -> nn.Module:
    """The head as its author would write it."""
    modules: list[nn.Module] = []
    for weight, bias in head.layers:
        if modules:
            modules.append(nn.GELU() if head.activation == "gelu" else nn.ReLU())
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        layer.weight.data = weight
        if bias is not None:
            layer.bias.data = bias
        modules.append(layer)
    return nn.Sequential(*modules)


@pytest.mark.parametrize(
    "head",
    [linear(), linear(bias=False), mlp((32, 64, 7)), mlp((32, 16, 16, 32), "relu"), mlp((32, 8, 32), residual=True)],
    ids=["linear", "no bias", "gelu", "relu", "residual"],
)
def test_a_head_is_its_network_at_every_cell(head: Head) -> None:
    maps = torch.randn(2, 32, 3, 4, generator=torch.Generator().manual_seed(0))
    network = in_torch(head)
    projected = head.apply(maps)
    assert projected.shape == (2, head.out_channels, 3, 4)
    for image, row, column in [(0, 0, 0), (1, 2, 3), (0, 1, 2)]:
        cell = maps[image, :, row, column]
        expected = network(cell) + (cell if head.residual else 0)
        torch.testing.assert_close(projected[image, :, row, column], expected, atol=1e-5, rtol=1e-5)


def test_normalized_input() -> None:
    head = linear(input="normalised")
    maps = torch.randn(1, 32, 2, 2)
    torch.testing.assert_close(head.apply(maps), head.apply(7 * maps))
    unit = maps / maps.norm(dim=1, keepdim=True)
    torch.testing.assert_close(head.apply(maps), linear().apply(unit))
    assert not torch.allclose(linear().apply(maps), linear().apply(7 * maps))


@settings(max_examples=25)
@given(
    widths=st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple),
    activation=st.sampled_from(["gelu", "relu"]),
    data=st.data(),
)
def test_what_is_saved_is_what_is_loaded(
    widths: tuple[int, ...], activation: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    residual = widths[0] == widths[-1] and data.draw(st.booleans())
    options: dict[str, Any] = {"input": data.draw(st.sampled_from(["raw", "normalised"])), "residual": residual}
    options["metadata"] = {"trained_on": data.draw(st.text(max_size=9).filter(lambda text: "\x00" not in text))}
    head = mlp(widths, activation if len(widths) > 2 else None, **options)
    path = tmp_path_factory.mktemp("heads") / "my head.safetensors"
    save_head(path, head)
    loaded = load_head(path)
    maps = torch.randn(1, widths[0], 2, 2)
    assert torch.equal(loaded.apply(maps), head.apply(maps))
    assert (loaded.type, loaded.name) == ("linear" if len(widths) == 2 else "mlp", "my head")
    assert loaded.metadata == options["metadata"]
    assert (loaded.activation, loaded.residual, loaded.input) == (head.activation, residual, options["input"])


def test_the_same_head_is_the_same_file(tmp_path: Path) -> None:
    written = set()
    for number in range(8):  # the library alone gives one order of eight entries in so many thousand
        save_head(tmp_path / f"{number}.safetensors", mlp((32, 8, 5), metadata={"b": "é", "a": "1"}))
        written.add((tmp_path / f"{number}.safetensors").read_bytes())
    assert len(written) == 1
    assert load_head(tmp_path / "0.safetensors").metadata["b"] == "é"


def test_a_plain_linear_probe_loads_without_metadata(tmp_path: Path) -> None:
    probe = nn.Linear(32, 6)
    save_file(probe.state_dict(), tmp_path / "probe.safetensors")
    head = load_head(tmp_path / "probe.safetensors")
    maps = torch.randn(1, 32, 2, 3)
    with torch.no_grad():
        torch.testing.assert_close(head.apply(maps), probe(maps.movedim(1, -1)).movedim(-1, 1))


def test_the_oracles_trained_probe_is_a_head(tmp_path: Path) -> None:
    tensors = load_file(ORACLE / "expected" / "probe_linear.safetensors")
    probe = {"weight": tensors["best.linear.weight"], "bias": tensors["best.linear.bias"]}
    save_file(probe, tmp_path / "probe.safetensors")
    backbone = HeadBackbone(
        load_backbone(ORACLE / "models" / "dinov2_tiny_p14"), load_head(tmp_path / "probe.safetensors")
    )
    raw = load_file(ORACLE / "expected" / "features_dinov2_tiny_p14.safetensors")
    maps = next(iter(raw.values()))[None]
    expected = torch.nn.functional.conv2d(maps, probe["weight"][:, :, None, None], probe["bias"])
    torch.testing.assert_close(backbone.combine([maps]), expected, atol=1e-5, rtol=1e-5)


def test_a_backbone_with_a_head(save_model: SaveModel) -> None:
    backbone = load_backbone(save_model("dinov2"))
    head = linear(bias=False, name="probe", metadata={"trained_on": "soco_probe train"})
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8))
    plain = DenseFeatureExtractor(backbone, 56)
    extractor = DenseFeatureExtractor(HeadBackbone(backbone, head), 56)
    assert (extractor.size, extractor.grid, extractor.channels) == (56, 4, 5)
    assert torch.equal(extractor.extract([image]), head.apply(plain.extract([image])))
    pixels = torch.rand(1, 3, 28, 42)
    assert torch.equal(extractor.backbone.forward(pixels), head.apply(backbone.forward(pixels)))
    record = json.loads(json.dumps(extractor.describe()))
    assert (record["name"], record["channels"], record["layer"], record["norm"]) == ("model+probe", 5, -1, "none")
    assert record["statistics"] == plain.describe()["statistics"]
    assert record["head"]["trained_on"] == "soco_probe train"
    assert record["parts"] == [plain.describe()]
    assert record["weights_hash"] not in (backbone.weights_hash, head.hash, None)


def test_another_head_is_another_model(save_model: SaveModel) -> None:
    backbone = load_backbone(save_model("vit"))
    hashes = {HeadBackbone(backbone, head).weights_hash for head in (linear(), linear(6), linear(bias=False))}
    assert len(hashes) == 3
    assert HeadBackbone(backbone, linear()).weights_hash in hashes


def test_half_precision_backbones_keep_their_dtype(save_model: SaveModel) -> None:
    backbone = HeadBackbone(load_backbone(save_model("vit"), dtype="bfloat16"), linear())
    maps = DenseFeatureExtractor(backbone, 48).extract([Image.new("RGB", (9, 9))])
    assert maps.dtype == torch.bfloat16


def test_widths_that_do_not_fit_name_both(save_model: SaveModel) -> None:
    with pytest.raises(BackboneError, match=r"takes features of 24 channels, but model gives 32"):
        HeadBackbone(load_backbone(save_model("vit")), linear(inputs=24))


class TestTrainedOn:
    """A head that says what it was trained on is refused on anything else: equal widths hide such mistakes."""

    @pytest.fixture
    def path(self, save_model: SaveModel, tmp_path: Path) -> Path:
        save_head(tmp_path / "head.safetensors", linear(), load_backbone(save_model("vit", name="mine"), layer=2))
        return tmp_path / "head.safetensors"

    def test_the_same_features_by_another_name(self, path: Path, save_model: SaveModel) -> None:
        backbone = load_backbone(save_model("vit", name="copy"), layer=-1, dtype="float16")
        assert HeadBackbone(backbone, load_head(path)).name == "copy+head"

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"layer": 1}, "trained on mine with layer 2, here 1"),
            ({"norm": "final"}, 'norm "none", here "final"'),
            ({"statistics": "half"}, "statistics .*here"),
        ],
    )
    def test_other_options(self, path: Path, save_model: SaveModel, options: dict[str, Any], text: str) -> None:
        with pytest.raises(BackboneError, match=text):
            HeadBackbone(load_backbone(save_model("vit"), **options), load_head(path))

    def test_other_weights(self, path: Path, save_model: SaveModel) -> None:
        backbone = load_backbone(save_model("vit", hidden_act="relu", initializer_range=0.3))
        with pytest.raises(BackboneError, match=r"was trained on other features than those of model.*weights_hash"):
            HeadBackbone(backbone, load_head(path))
        freed = dataclasses.replace(load_head(path), backbone=None)
        assert HeadBackbone(backbone, freed).channels == 5

    def test_saving_again_keeps_it(self, path: Path, tmp_path: Path) -> None:
        save_head(tmp_path / "again.safetensors", load_head(path))
        assert load_head(tmp_path / "again.safetensors").backbone == load_head(path).backbone


W, B = torch.ones(3, 2), torch.ones(3)
OK = {"format": "soco_head", "version": "1", "type": "linear"}


@pytest.mark.parametrize(
    ("tensors", "metadata", "text"),
    [
        ({"weight": W}, {"format": "other"}, "of format 'other'"),
        ({"weight": W}, {**OK, "version": "7"}, "version 7; only 1"),
        ({"weight": W}, {**OK, "type": "conv"}, "type 'conv'; known: linear, mlp"),
        ({"bias": B}, OK, "lacks weight"),
        ({"weight": W, "scale": B}, None, "has besides scale"),
        ({"weight": W, "bias": torch.ones(2)}, OK, r"`bias` must be \(3,\), got \(2,\)"),
        ({"weight": B}, OK, r"`weight` must be \(out, in\), got \(3,\)"),
        ({"weight": W * float("nan")}, OK, "not finite"),
        ({"weight": W.int()}, OK, "not finite floating-point"),
        ({"weight": W}, {**OK, "in_channels": "768"}, "says in_channels 768, but its tensors have 2"),
        ({"weight": W}, {**OK, "activation": "relu"}, "has no place"),
        ({"weight": W}, {**OK, "residual": "yes"}, "residual 'yes'"),
        ({"weight": W}, {**OK, "residual": "true"}, "takes 2 channels and gives 3"),
        ({"weight": W}, {**OK, "input": "centered"}, "input 'centered'; known: raw, normalised"),
        ({"weight": W}, {**OK, "backbone": "{"}, "no JSON"),
        ({"weight": W}, {**OK, "backbone": "[1]"}, "no JSON object"),
        ({"layers.0.weight": W}, {**OK, "type": "mlp", "activation": "gelu"}, r"lacks layers\.1\.weight"),
        ({"layers.0.weight": W, "layers.1.weight": W}, {**OK, "type": "mlp"}, "layer 1 takes 2 channels.*gives 3"),
        ({"layers.0.weight": W, "layers.1.weight": W.T}, {**OK, "type": "mlp"}, "activation None; known: gelu, relu"),
    ],
)
def test_bad_files(tensors: Any, metadata: Any, text: str, tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, metadata=metadata)
    with pytest.raises(BackboneError, match=text):
        load_head(path)


def test_no_such_file_and_no_safetensors(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="There is no head file"):
        load_head(tmp_path / "head.safetensors")
    torch.save({"weight": W}, tmp_path / "head.pth")
    with pytest.raises(BackboneError, match="not a safetensors file"):
        load_head(tmp_path / "head.pth")
