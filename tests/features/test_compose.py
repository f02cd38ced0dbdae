"""Compositions: each part sees what it would see alone; weights, grids, layers, upsampling; and expressions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from soco_datasets.errors import BackboneError, UsageError
from soco_datasets.features.backbones import Backbone, load_backbone
from soco_datasets.features.compose import CompositeBackbone, UpsampledBackbone, resample, several_layers
from soco_datasets.features.derived import backbone_identity
from soco_datasets.features.expression import load_model_expression, parse_expression, parse_layers
from soco_datasets.features.extractor import DenseFeatureExtractor, l2_normalize
from soco_datasets.features.heads import Head, HeadBackbone, save_head
from soco_datasets.features.plugin import load_plugin, plugin

SaveModel = Callable[..., Path]


def noise(width: int, height: int, seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


IMAGES = [noise(90, 60, 1), noise(50, 110, 2), noise(70, 70, 3)]


@plugin(stride=8, statistics="half")
def averages(images: torch.Tensor) -> torch.Tensor:
    """Mean and brightest value of every 8 x 8 cell: 6 channels."""
    mean = torch.nn.functional.avg_pool2d(images, 8)
    return torch.cat([mean, torch.nn.functional.max_pool2d(images, 8)], dim=1)


@plugin(stride=4, name="fine")
def fine(images: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(images, 4) + 0.1


@pytest.fixture
def parts(save_model: SaveModel) -> list[Backbone]:
    """Three parts that differ in stride (14, 8, 8), size, statistics and width (32, 32, 6)."""
    return [
        load_backbone(save_model("dinov2_reg", name="a")),
        load_backbone(save_model("vit", name="b"), norm="final"),
        load_plugin(averages),
    ]


def test_a_composite_of_one_part_is_that_part_bit_for_bit(parts: list[Backbone]) -> None:
    for part in parts:
        composite = CompositeBackbone([part], weights=[3.0])
        alone = DenseFeatureExtractor(part, 100, batch_size=2)
        extractor = DenseFeatureExtractor(composite, 100, batch_size=2)
        assert torch.equal(extractor.extract(IMAGES), alone.extract(IMAGES))
        assert torch.equal(extractor.extract_normalized(IMAGES), alone.extract_normalized(IMAGES))
        assert (extractor.size, extractor.grid, extractor.channels) == (alone.size, alone.grid, alone.channels)
        pixels = torch.rand(1, 3, 56, 112)
        assert torch.equal(composite.forward(pixels), part.forward(pixels))
        assert (composite.layer, composite.norm, composite.weights_hash) == (part.layer, part.norm, part.weights_hash)


def test_every_part_sees_its_own_size_and_statistics(parts: list[Backbone]) -> None:
    weights = [1.0, 0.5, 2.0]
    extractor = DenseFeatureExtractor(CompositeBackbone(parts, weights), 100)
    alone = [DenseFeatureExtractor(part, 100) for part in parts]
    assert [part.size for part in alone] == [98, 96, 96]
    assert [part.grid for part in alone] == [7, 12, 12]
    assert (extractor.size, extractor.grid, extractor.channels) == (96, 12, 70)
    found = extractor.extract(IMAGES).split([32, 32, 6], dim=1)
    for own, part, weight in zip(found, alone, weights, strict=True):
        expected = l2_normalize(resample(part.extract(IMAGES), (12, 12))) * weight
        assert torch.equal(own, expected)
        torch.testing.assert_close(own.norm(dim=1), torch.full((3, 12, 12), weight))


def test_similarity_is_the_weighted_mean_of_the_parts_similarities(parts: list[Backbone]) -> None:
    weights = [1.0, 0.5, 2.0]
    maps = DenseFeatureExtractor(CompositeBackbone(parts, weights), 100).extract_normalized(IMAGES[:2])
    alone = [l2_normalize(resample(DenseFeatureExtractor(part, 100).extract(IMAGES[:2]), (12, 12))) for part in parts]
    mean = sum(w**2 * (own[0] * own[1]).sum(dim=0) for w, own in zip(weights, alone, strict=True)) / sum(
        w**2 for w in weights
    )
    torch.testing.assert_close((maps[0] * maps[1]).sum(dim=0), mean)


@pytest.mark.parametrize("grid", [5, 12, 20])
def test_a_given_grid(parts: list[Backbone], grid: int) -> None:
    extractor = DenseFeatureExtractor(CompositeBackbone(parts, grid=grid), 100)
    assert (extractor.grid, extractor.size) == (grid, 96)
    assert extractor.extract(IMAGES).shape == (3, 70, grid, grid)
    single = DenseFeatureExtractor(CompositeBackbone(parts[:1], grid=grid), 100)
    assert single.extract(IMAGES).shape == (3, 32, grid, grid)


def test_forward_at_one_size_normalizes_for_each_part(parts: list[Backbone]) -> None:
    composite = CompositeBackbone(parts)
    assert (composite.statistics.source, composite.size_multiple) == ("none", 56)
    pixels = torch.rand(1, 3, 56, 112)
    maps = composite.forward(pixels)
    assert maps.shape == (1, 70, 7, 14)
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1) for values in (parts[1].statistics.mean, parts[1].statistics.std)
    )
    assert torch.equal(maps[:, 32:64], l2_normalize(parts[1].forward((pixels - mean) / std)))
    with pytest.raises(BackboneError, match="multiples of 56"):
        composite.forward(torch.rand(1, 3, 64, 64))


def test_batches_and_order_do_not_matter(parts: list[Backbone]) -> None:
    composite = CompositeBackbone(parts)
    together = DenseFeatureExtractor(composite, 100, batch_size=3).extract(IMAGES)
    alone = torch.cat([DenseFeatureExtractor(composite, 100).extract([image]) for image in IMAGES])
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=1e-4)
    assert torch.equal(together, DenseFeatureExtractor(composite, 100, batch_size=3).extract(IMAGES))
    assert DenseFeatureExtractor(composite, 100).extract([]).shape == (0, 70, 12, 12)


def test_images_are_resized_once_a_size(parts: list[Backbone]) -> None:
    extractor = DenseFeatureExtractor(HeadBackbone(CompositeBackbone(parts), identity_head(70)), 100)
    prepared = extractor.prepare(IMAGES[0])
    assert {size: pixels.shape for size, pixels in prepared.items()} == {96: (96, 96, 3), 98: (98, 98, 3)}


def test_the_record_says_everything(parts: list[Backbone]) -> None:
    extractor = DenseFeatureExtractor(CompositeBackbone(parts, [1, 2, 3], grid=9), 100)
    record = json.loads(json.dumps(extractor.describe()))
    assert record["composition"] == {"weights": [1.0, 2.0, 3.0], "grid": 9, "resampling": "bilinear"}
    assert (record["name"], record["family"], record["layer"]) == ("a+b+averages", "composite", None)
    assert (record["grid"], record["effective_size"], record["channels"]) == (9, 96, 70)
    assert record["parts"] == [DenseFeatureExtractor(part, 100).describe() for part in parts]
    assert [part["statistics"]["source"] for part in record["parts"]] == ["checkpoint", "checkpoint", "half"]
    other = CompositeBackbone(parts[:2])
    assert len({record["weights_hash"], other.weights_hash, parts[0].weights_hash}) == 3


def test_damaged_parts_are_named_with_the_image(save_model: SaveModel, parts: list[Backbone]) -> None:
    broken: Any = load_backbone(save_model("vit", name="broken"), norm="final")
    broken.final_norm.weight.data[0] = float("nan")
    extractor = DenseFeatureExtractor(CompositeBackbone([parts[0], broken]), 56)
    with pytest.raises(BackboneError, match=r"broken gave NaN .* for image car_2"):
        extractor.extract(IMAGES[:1], ["car_2"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"weights": [1.0]}, "one weight above 0 for each of the 3"),
        ({"weights": [1.0, 0.0, 1.0]}, "one weight above 0"),
        ({"weights": [1.0, float("nan"), 1.0]}, "one weight above 0"),
        ({"grid": 0}, "positive number of cells"),
    ],
)
def test_wrong_options(parts: list[Backbone], options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        CompositeBackbone(parts, **options)


def test_no_parts_and_other_devices(parts: list[Backbone]) -> None:
    with pytest.raises(BackboneError, match="at least one"):
        CompositeBackbone([])
    parts[1].device = "cuda:0"
    with pytest.raises(BackboneError, match="one device, got cpu, cuda:0"):
        CompositeBackbone(parts)


def ramp(rows: int, columns: int) -> torch.Tensor:
    """(1, 2, rows, columns): the unit coordinates (y, x) of every cell's center."""
    y, x = (torch.arange(count) + 0.5 for count in (rows, columns))
    return torch.stack(torch.meshgrid(y / rows, x / columns, indexing="ij"))[None]


@settings(max_examples=40)
@given(rows=st.integers(2, 9), columns=st.integers(2, 9), factor=st.integers(2, 5))
def test_finer_maps_lie_where_they_should(rows: int, columns: int, factor: int) -> None:
    """A map that holds its own coordinates still does after it is made finer, away from the border."""
    fine_map = resample(ramp(rows, columns), (rows * factor, columns * factor))
    expected = ramp(rows * factor, columns * factor)
    inner_y = (expected[0, 0, :, 0] >= 0.5 / rows) & (expected[0, 0, :, 0] <= 1 - 0.5 / rows)
    inner_x = (expected[0, 1, 0, :] >= 0.5 / columns) & (expected[0, 1, 0, :] <= 1 - 0.5 / columns)
    difference = (fine_map - expected)[0][:, inner_y][:, :, inner_x]
    assert difference.abs().max() < 1e-6


@settings(max_examples=25)
@given(cells=st.integers(1, 6), factor=st.integers(1, 4))
def test_coarser_maps_average(cells: int, factor: int) -> None:
    """Where the grid is a whole number of times coarser, the mean of the map stays."""
    maps = ramp(cells * factor, cells * factor)
    coarse = resample(maps, (cells, cells))
    assert coarse.shape == (1, 2, cells, cells)
    torch.testing.assert_close(coarse.mean(), maps.mean())


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_upsampling(parts: list[Backbone], mode: Any) -> None:
    part = parts[0]
    alone = DenseFeatureExtractor(part, 100)
    extractor = DenseFeatureExtractor(UpsampledBackbone(part, 3, mode), 100)
    assert (extractor.size, extractor.grid, extractor.channels) == (98, 21, 32)
    maps, coarse = extractor.extract(IMAGES), alone.extract(IMAGES)
    expected = torch.nn.functional.interpolate(coarse, scale_factor=3, mode=mode, align_corners=False)
    torch.testing.assert_close(maps, expected)
    torch.testing.assert_close(maps[:, :, 1::3, 1::3], coarse)  # a cell's own center keeps its feature
    record = extractor.describe()
    assert (record["upsampling"], record["grid"]) == ({"factor": 3, "mode": mode}, 21)
    assert (record["weights_hash"], record["parts"]) == (part.weights_hash, [alone.describe()])
    assert extractor.backbone.check_pixels(torch.rand(1, 3, 28, 56)) == (6, 12)


def test_upsampling_keeps_half_precision(save_model: SaveModel) -> None:
    backbone = load_backbone(save_model("vit"), dtype="float16")
    extractor = DenseFeatureExtractor(UpsampledBackbone(backbone, 2), 48)
    assert extractor.extract(IMAGES).dtype == torch.float16
    mixed = CompositeBackbone([backbone, load_plugin(averages)])
    assert DenseFeatureExtractor(mixed, 48).extract(IMAGES).dtype == torch.float32


@pytest.mark.parametrize("factor", [1, 0, -2, 1.5, True])
def test_wrong_factors(parts: list[Backbone], factor: Any) -> None:
    with pytest.raises(UsageError, match="whole factor of 2 or more"):
        UpsampledBackbone(parts[0], factor)
    with pytest.raises(UsageError, match="Unknown upsampling 'cubic'"):
        UpsampledBackbone(parts[0], 2, "cubic")  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize("kind", ["vit", "dinov2_reg"])
@pytest.mark.parametrize("layers", [(0, 2), (2, 0, 1), (-1,), (1, -3)])
def test_several_layers_are_those_of_single_loads(save_model: SaveModel, kind: str, layers: Sequence[int]) -> None:
    folder = save_model(kind)
    for norm in ("none", "final"):
        backbone = several_layers(load_backbone(folder, norm=norm), layers)
        pixels = torch.rand(2, 3, 56, 56)
        expected = torch.cat([load_backbone(folder, layer=layer, norm=norm).forward(pixels) for layer in layers], dim=1)
        assert torch.equal(backbone.forward(pixels), expected)
        assert backbone.channels == 32 * len(layers)
        assert DenseFeatureExtractor(backbone, 56).describe()["layers"] == list(layers)


def test_several_layers_take_one_forward(save_model: SaveModel) -> None:
    loaded: Any = load_backbone(save_model("vit"))
    calls: list[int] = []
    loaded.module.register_forward_hook(lambda module, inputs, output: calls.append(1))
    backbone = several_layers(loaded, "quarters")
    assert backbone.layers == (0, 1, 2)
    backbone.forward(torch.rand(1, 3, 48, 48))
    assert len(calls) == 1
    assert not any(block._forward_hooks for block in loaded.blocks)


def test_layers_that_cannot_be(save_model: SaveModel) -> None:
    loaded = load_backbone(save_model("vit"))
    with pytest.raises(BackboneError, match="no layer 3: it has 3 blocks"):
        several_layers(loaded, (0, 3))
    with pytest.raises(UsageError, match="different layers"):
        several_layers(loaded, (2, -1))
    with pytest.raises(UsageError, match="different layers"):
        several_layers(loaded, ())
    with pytest.raises(BackboneError, match=r"dense_sift.*one layer only"):
        several_layers(load_backbone("dense_sift"), (0, 1))


def identity_head(channels: int) -> Head:
    return Head(layers=((torch.eye(channels), None),), name="eye")


def test_compositions_nest(parts: list[Backbone]) -> None:
    inner = CompositeBackbone(parts[:2])
    outer = CompositeBackbone([UpsampledBackbone(HeadBackbone(inner, identity_head(64)), 2), load_plugin(fine)])
    extractor = DenseFeatureExtractor(outer, 100)
    assert (extractor.grid, extractor.size) == (25, 100)
    maps = extractor.extract(IMAGES)
    expected = resample(DenseFeatureExtractor(inner, 100).extract(IMAGES), (24, 24))
    torch.testing.assert_close(maps[:, :64], l2_normalize(resample(expected, (25, 25))), atol=1e-5, rtol=1e-5)
    assert extractor.describe()["parts"][0]["parts"][0]["parts"][0]["parts"][1]["name"] == "b"


def test_identity_tells_features_apart(parts: list[Backbone]) -> None:
    made = [
        parts[0],
        UpsampledBackbone(parts[0], 2),
        several_layers(parts[0], (0, 1)),
        several_layers(parts[0], (1, 2)),
        CompositeBackbone(parts[:2]),
        CompositeBackbone(parts[:2], [1, 2]),
        CompositeBackbone(parts[1::-1]),
    ]
    assert len({json.dumps(backbone_identity(backbone), sort_keys=True) for backbone in made}) == len(made)


class TestExpressions:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("dinov2_b14", [("dinov2_b14", 1.0, {})]),
            ("a+facebook/dinov2-base", [("a", 1.0, {}), ("facebook/dinov2-base", 1.0, {})]),
            ("0.5*a + 2*b", [("a", 0.5, {}), ("b", 2.0, {})]),
            ("a[layer=-2,norm=final]", [("a", 1.0, {"layer": -2, "norm": "final"})]),
            ("my.dune:features+./x y/dune.py:load", [("my.dune:features", 1.0, {}), ("./x y/dune.py:load", 1.0, {})]),
            (
                "a[layers=2/5/8]+b[layers=quarters]",
                [("a", 1.0, {"layers": (2, 5, 8)}), ("b", 1.0, {"layers": "quarters"})],
            ),
            ("a[revision=refs/pr/1+2]+b", [("a", 1.0, {"revision": "refs/pr/1+2"}), ("b", 1.0, {})]),
        ],
    )
    def test_reading(self, text: str, expected: list[Any]) -> None:
        assert [(part.model, part.weight, part.options) for part in parse_expression(text)] == expected

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a++b", "cannot be read at ''"),
            ("a+", "cannot be read at ''"),
            ("a[layer=1", "cannot be read"),
            ("-1*a+b", "cannot be read at '-1"),
            ("two*a", "cannot be read"),
            ("a[layr=1]", "Unknown option 'layr'. Did you mean 'layer'"),
            ("a[layer]", "give layer one value"),
            ("a[layer=1,layer=2]", "give layer one value"),
            ("a[layer=last]", "'last' is not a value for layer"),
            ("a[layers=1/x]", "Layers are numbers"),
        ],
    )
    def test_what_cannot_be_read(self, text: str, message: str) -> None:
        with pytest.raises(UsageError, match=message.replace("[", r"\[").replace("*", r"\*")):
            parse_expression(text)

    def test_one_model_is_that_model(self, save_model: SaveModel) -> None:
        folder = save_model("vit")
        backbone = load_model_expression(str(folder), layer=1, norm="final")
        assert type(backbone) is type(load_backbone(folder))
        assert (backbone.layer, backbone.norm) == (1, "final")
        assert load_model_expression(folder).name == load_model_expression(averages).name.replace("averages", "model")

    def test_a_plugins_file_may_come_first(self, tmp_path: Path) -> None:
        (tmp_path / "dune.py").touch()
        first, second = parse_expression(f"{tmp_path}/dune.py:load+b")
        assert (first.model, second.model) == (f"{tmp_path}/dune.py:load", "b")
        assert len(parse_expression(f"{tmp_path}/dune.py:load")) == 1

    def test_a_folder_with_a_plus_is_one_model(self, save_model: SaveModel) -> None:
        assert load_model_expression(str(save_model("vit", name="a+b"))).name == "a+b"

    def test_everything_at_once(self, save_model: SaveModel, tmp_path: Path) -> None:
        first, second = save_model("vit", name="first"), save_model("dinov2", name="second")
        save_head(tmp_path / "eye.safetensors", identity_head(96))
        backbone = load_model_expression(
            f"2*{first}[layers=0/2]+{second}[norm=final]",
            grid=10,
            head=tmp_path / "eye.safetensors",
            upsample=2,
            upsample_mode="bicubic",
            layer=1,
        )
        extractor = DenseFeatureExtractor(backbone, 64)
        assert (extractor.grid, extractor.channels) == (20, 96)
        composite = CompositeBackbone(
            [several_layers(load_backbone(first), (0, 2)), load_backbone(second, layer=1, norm="final")], [2, 1], 10
        )
        expected = DenseFeatureExtractor(composite, 64).extract(IMAGES)
        torch.testing.assert_close(extractor.extract(IMAGES), resample(expected, (20, 20), "bicubic"))

    def test_layers_are_for_every_part_that_names_none(self, save_model: SaveModel) -> None:
        first, second = save_model("vit", name="first"), save_model("dinov2", name="second")
        backbone: Any = load_model_expression(f"{first}+{second}[layer=1]", layers=(0, 2))
        assert [backbone_identity(part).get("layers") for part in backbone.parts] == [[0, 2], None]
        assert backbone.parts[1].layer == 1

    def test_contradictions(self, save_model: SaveModel) -> None:
        folder = save_model("vit")
        with pytest.raises(UsageError, match="not both"):
            load_model_expression(str(folder), layer=1, layers=(0, 1))
        with pytest.raises(UsageError, match="common grid is for several"):
            load_model_expression(str(folder), grid=10)
        with pytest.raises(UsageError, match="ambiguous"):
            load_model_expression("dinov2_b14+dino_b16", revision="main")
        with pytest.raises(BackboneError, match="There is no head file"):
            load_model_expression(str(folder), head="absent.safetensors")

    def test_a_missing_part_is_said_before_any_is_loaded(self, tmp_path: Path) -> None:
        ran = tmp_path / "ran"
        (tmp_path / "mine.py").write_text(f"open({str(ran)!r}, 'w')\n")
        with pytest.raises(BackboneError, match="There is no model folder"):
            load_model_expression(f"{tmp_path}/mine.py:f+{tmp_path}/absent/model")
        assert not ran.exists()

    def test_layers_as_text(self) -> None:
        assert parse_layers("2/5/-1") == (2, 5, -1)
        with pytest.raises(UsageError, match="Layers are numbers such as"):
            parse_layers("all")
