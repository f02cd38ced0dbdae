"""The self-check passes on a model of every family and catches every kind of broken one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers.tiny_map_models import MAP_MODELS
from helpers.tiny_models import TOKEN_MODELS

from soco_datasets.errors import BackboneError, UsageError
from soco_datasets.features.backbones import load_backbone, own_statistics
from soco_datasets.features.families.base import Backbone
from soco_datasets.features.model_list import BACKBONES, listed
from soco_datasets.features.preprocess import NAMED_STATISTICS, NO_STATISTICS, Statistics
from soco_datasets.features.selfcheck.check_model import SelfCheckReport, check_backbone, check_model, default_sizes
from soco_datasets.features.selfcheck.checks import Check
from soco_datasets.features.selfcheck.expected import agrees_with_recipe, known_statistics
from soco_datasets.features.selfcheck.locality import measure, probe_cells

TinyModel = Callable[[str], Path]
BUILDERS = {**TOKEN_MODELS, **MAP_MODELS}
SLOW = ("stable_diffusion",)  # eight forwards an image


def detail_of(report: SelfCheckReport, name: str) -> str:
    return next(check.detail for check in report.checks if check.name == name)


def status(report: SelfCheckReport) -> dict[str, str]:
    return {check.name: check.status for check in report.checks}


@pytest.mark.parametrize("kind", [kind for kind in BUILDERS if kind not in SLOW])
def test_every_family_passes(kind: str, tiny_model: TinyModel) -> None:
    """At one oblong size; at all sizes in `test_every_family_passes_at_all_sizes`."""
    folder = tiny_model(kind)
    backbone = load_backbone(folder)
    own = own_statistics(folder)
    report = check_backbone(
        backbone, sizes=default_sizes(backbone)[-1:], reload=partial(load_backbone, folder), own=own
    )
    assert report.passed, [check for check in report.checks if check.status == "fail"]
    found = status(report)
    assert {found[name] for name in ("map shape", "locality", "determinism", "batches", "layers")} == {"pass"}
    assert found["statistics"] == "pass"
    assert found["norm"] in ("pass", "skipped")
    assert (found["drift float16"], found["drift bfloat16"]) == ("info", "info")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in BUILDERS if kind not in SLOW])
def test_every_family_passes_at_all_sizes(kind: str, tiny_model: TinyModel) -> None:
    report = check_model(tiny_model(kind))
    assert report.passed, [check for check in report.checks if check.status == "fail"]


@pytest.mark.slow
def test_a_slow_family_passes_at_one_size(tiny_model: TinyModel) -> None:
    for kind in SLOW:
        backbone = load_backbone(tiny_model(kind))
        report = check_backbone(backbone, sizes=default_sizes(backbone)[:1])
        assert report.passed, [check for check in report.checks if check.status == "fail"]


def test_every_listed_family_is_checked_here() -> None:
    listed = {spec.model_type for spec in BACKBONES if spec.model_type}
    assert listed - {kind.split("/")[0] for kind in BUILDERS} == {"dense_sift"}


def test_a_descriptor_that_looks_beyond_its_cell_passes_by_its_center() -> None:
    report = check_model("dense_sift")
    assert report.passed
    locality = next(check for check in report.checks if check.name == "locality")
    assert sum(size["near"] for size in locality.numbers["sizes"]) > 0
    assert max(abs(shift) for size in locality.numbers["sizes"] for shift in size["shift"]) < 0.5
    assert status(report)["list"] == "pass"


@dataclass(kw_only=True, eq=False)
class Bent(Backbone):
    """A model whose maps are spoilt on the way out."""

    inner: Backbone
    bend: Callable[[torch.Tensor], torch.Tensor]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.bend(self.inner.forward(pixels))


def bent(inner: Backbone, bend: Callable[[torch.Tensor], torch.Tensor]) -> Bent:
    return Bent(**{field.name: getattr(inner, field.name) for field in fields(Backbone)}, inner=inner, bend=bend)


def roll_tokens(count: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda maps: maps.flatten(2).roll(count, dims=2).view(maps.shape)


def block_order(side: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Tokens in the order of `side` x `side` blocks, read as if they were in raster order."""

    def bend(maps: torch.Tensor) -> torch.Tensor:
        blocks = maps.unfold(2, side, side).unfold(3, side, side)
        return blocks.reshape(maps.shape)

    return bend


def swap_columns(maps: torch.Tensor) -> torch.Tensor:
    order = [column ^ 1 if column ^ 1 < maps.shape[3] else column for column in range(maps.shape[3])]
    return maps[:, :, :, order]


SPOILT = {
    "one register forgotten": roll_tokens(1),
    "one token lost": roll_tokens(-1),
    "four registers forgotten": roll_tokens(4),
    "one row down": lambda maps: maps.roll(1, dims=2),
    "transposed": lambda maps: maps.transpose(2, 3),
    "mirrored": lambda maps: maps.flip(3),
    "blocks of 2": block_order(2),
    "windows of 3": block_order(3),
    "neighbours swapped": swap_columns,
    "pooled tokens everywhere": lambda maps: maps.mean(dim=(2, 3), keepdim=True).expand(maps.shape),
}


@pytest.fixture(scope="module", params=["dinov2_with_registers", "siglip"])
def backbone(request: pytest.FixtureRequest, tiny_model: TinyModel) -> Backbone:
    return load_backbone(tiny_model(request.param))


def square(backbone: Backbone, cells: int) -> tuple[int, int]:
    return (cells * backbone.patch_size, cells * backbone.patch_size)


@pytest.mark.parametrize("damage", SPOILT)
def test_cells_out_of_place_are_caught(backbone: Backbone, damage: str) -> None:
    sizes = [square(backbone, 6)]
    assert check_backbone(backbone, sizes=sizes).passed
    report = check_backbone(bent(backbone, SPOILT[damage]), sizes=sizes)
    assert status(report)["locality"] == "fail"
    assert not report.passed


def test_what_is_wrong_is_said(backbone: Backbone) -> None:
    report = check_backbone(bent(backbone, SPOILT["mirrored"]), sizes=[square(backbone, 6)])
    detail = next(check.detail for check in report.checks if check.name == "locality")
    assert "changing cell (0, 0) (row, column) moved cell (0, 5) most" in detail
    constant = check_backbone(bent(backbone, torch.zeros_like), sizes=[square(backbone, 6)])
    assert "nothing moved" in next(check.detail for check in constant.checks if check.name == "locality")
    assert status(constant)["batches"] == "fail"


@pytest.mark.parametrize(
    ("check", "bend"),
    [
        ("determinism", lambda maps: maps + 1e-4 * torch.randn(maps.shape)),
        ("batches", lambda maps: maps.flip(0)),
        ("batches", lambda maps: maps * len(maps)),
        ("map shape", lambda maps: maps[:, :, 1:]),
        ("map shape", lambda maps: maps[:, 1:]),
        ("map shape", lambda maps: maps * float("nan")),
        ("map shape", lambda maps: maps.double()),
    ],
)
def test_other_damage_is_caught(backbone: Backbone, check: str, bend: Callable[[torch.Tensor], torch.Tensor]) -> None:
    report = check_backbone(bent(backbone, bend), sizes=[square(backbone, 6)])
    assert status(report)[check] == "fail"


def test_random_features_are_caught(backbone: Backbone) -> None:
    report = check_backbone(bent(backbone, torch.randn_like), sizes=[square(backbone, 6)])
    assert {status(report)[name] for name in ("locality", "determinism", "batches")} == {"fail"}


def test_a_model_that_raises_is_a_finding(backbone: Backbone) -> None:
    def explode(maps: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes cannot be multiplied")

    report = check_backbone(bent(backbone, explode))
    assert status(report)["map shape"] == "fail"
    assert "shapes cannot be multiplied" in detail_of(report, "map shape")


def test_a_model_that_refuses_small_images_is_checked_at_larger_ones(backbone: Backbone) -> None:
    def refuse(maps: torch.Tensor) -> torch.Tensor:
        if min(maps.shape[2:]) < 10:
            raise BackboneError("smaller than a window")
        return maps

    report = check_backbone(bent(backbone, refuse))
    assert report.passed
    assert "12x12" in detail_of(report, "map shape")


def test_wrong_statistics_are_caught(tiny_model: TinyModel) -> None:
    folder = tiny_model("vit")
    right, wrong = load_backbone(folder), load_backbone(folder, statistics="half")
    assert status(check_backbone(right, own=right.statistics))["statistics"] == "pass"
    assert status(check_backbone(wrong, own=right.statistics))["statistics"] == "fail"
    assert status(check_model(folder, statistics="half"))["statistics"] == "fail"
    assert status(check_backbone(right))["statistics"] == "skipped"


def test_statistics_that_only_claim_to_be_the_checkpoints_are_caught(tiny_model: TinyModel) -> None:
    right = load_backbone(tiny_model("vit"))
    own = right.statistics
    lying = replace(right, statistics=replace(NAMED_STATISTICS["clip"], source="checkpoint"))
    assert status(check_backbone(lying, own=own))["statistics"] == "fail"


def test_a_wrong_norm_and_a_wrong_layer_are_caught(tiny_model: TinyModel) -> None:
    folder = tiny_model("dinov2")

    def ignores_norm(**changes: object) -> Backbone:
        return load_backbone(folder, layer=changes.get("layer", -1))  # type: ignore[arg-type]

    def ignores_layer(**changes: object) -> Backbone:
        return load_backbone(folder, norm=changes.get("norm"))  # type: ignore[arg-type]

    def norms_twice(**changes: object) -> Backbone:
        loaded = load_backbone(folder, norm=changes.get("norm"))  # type: ignore[arg-type]
        if loaded.norm == "final":
            loaded.final_norm = torch.nn.Sequential(loaded.final_norm, torch.nn.Tanh())  # type: ignore[attr-defined]
            return Normed(loaded)
        return loaded

    model = load_backbone(folder)
    assert status(check_backbone(model, reload=ignores_norm))["norm"] == "fail"
    assert status(check_backbone(model, reload=ignores_layer))["layers"] == "fail"
    assert status(check_backbone(model, reload=norms_twice))["norm"] == "fail"


def Normed(loaded: Backbone) -> Backbone:  # noqa: N802 - stands for a class
    """A model that says its norm is one module and uses another."""
    own = loaded.final_norm[0]  # type: ignore[attr-defined]
    wrapped = bent(loaded, lambda maps: maps)
    wrapped.final_norm = own  # type: ignore[attr-defined]
    return wrapped


@pytest.mark.parametrize(("spoilt", "expected"), [("mixing", "pass"), ("shift", "fail")])
def test_a_model_that_mixes_cells_is_judged_at_its_first_layer(
    tiny_model: TinyModel, spoilt: str, expected: str
) -> None:
    folder = tiny_model("vit")
    bend = {
        "mixing": lambda maps: torch.nn.functional.avg_pool2d(maps, 5, stride=1, padding=2),
        "shift": roll_tokens(5),
    }[spoilt]
    last = bent(load_backbone(folder), bend)

    def reload(**changes: object) -> Backbone:
        return load_backbone(folder, layer=changes.get("layer"))  # type: ignore[arg-type]

    assert status(check_backbone(last))["locality"] == "fail"
    locality = next(check for check in check_backbone(last, reload=reload).checks if check.name == "locality")
    assert locality.status == expected
    assert ("shown at layer 0" in locality.detail) == (expected == "pass")


def test_the_list_is_compared_with_the_model(tiny_model: TinyModel) -> None:
    model = load_backbone(tiny_model("vit"))  # 8-pixel cells
    entry = next(spec for spec in BACKBONES if spec.name == "dino_b16")
    assert status(check_backbone(model, entry=entry))["list"] == "fail"
    assert status(check_backbone(model, entry=replace(entry, patch=8)))["list"] == "pass"


def test_the_report_is_json_and_whole(backbone: Backbone) -> None:
    report = check_backbone(backbone)
    record = json.loads(json.dumps(report.to_dict()))
    assert record["passed"] is True
    assert record["settings"]["patch_size"] == backbone.patch_size
    assert [check["name"] for check in record["checks"]] == list(status(report))
    with pytest.raises(UsageError, match="`sizes` is empty"):
        check_backbone(backbone, sizes=[])


def test_image_size_is_checked_too(tiny_model: TinyModel) -> None:
    report = check_model(tiny_model("vit"), image_size=99)
    shapes = next(check.numbers["maps"] for check in report.checks if check.name == "map shape")
    assert shapes[-1] == "96x96 px -> 12x12"


class TestLocality:
    """The measurement on closed cases, where the answer is known."""

    size, cells = (48, 72), (6, 9)

    def cell_means(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(images, 8)

    def test_independent_cells_are_exact(self) -> None:
        found = measure(self.cell_means, self.size, self.cells)
        assert (found.exact, found.near, found.problem) == (found.probes, 0, "")
        assert found.lead > 1e3

    def test_an_even_spread_over_neighbours_has_no_shift(self) -> None:
        def blurred(images: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(self.cell_means(images), 3, stride=1, padding=1)

        found = measure(blurred, self.size, self.cells)
        assert found.problem == ""
        assert max(abs(one) for one in found.shift) < 0.2

    @pytest.mark.parametrize("shift", [(1, 0), (0, 1), (-1, -1)])
    def test_an_even_spread_around_another_cell_is_a_shift(self, shift: tuple[int, int]) -> None:
        def blurred(images: torch.Tensor) -> torch.Tensor:
            means = self.cell_means(images).roll(shift, dims=(2, 3))
            return torch.nn.functional.avg_pool2d(means, 3, stride=1, padding=1)

        assert measure(blurred, self.size, self.cells).problem != ""

    def test_a_cell_that_follows_everything_does_not_hide_the_others(self) -> None:
        def with_outlier(images: torch.Tensor) -> torch.Tensor:
            means = self.cell_means(images)
            means[..., 2, 2] = 100 * images.mean(dim=(2, 3))  # moves most, whatever is changed
            return means

        found = measure(with_outlier, self.size, self.cells)
        assert found.problem == ""
        assert found.exact == found.probes

    def test_probes_are_distinct_cells_and_hold_the_corners(self) -> None:
        for cells in [(1, 1), (2, 3), (6, 6), (7, 12), (50, 50)]:
            probes = probe_cells(cells)
            assert len(set(probes)) == len(probes)
            assert {(0, 0), (cells[0] - 1, cells[1] - 1)} <= set(probes)
            assert all(0 <= row < cells[0] and 0 <= column < cells[1] for row, column in probes)


def statistics(mean: Sequence[float], std: Sequence[float]) -> Statistics:
    return Statistics(tuple(mean), tuple(std), "checkpoint")  # type: ignore[arg-type]  # of three


IMAGENET = NAMED_STATISTICS["imagenet"]


@pytest.mark.parametrize(
    ("used", "expected", "text"),
    [
        (IMAGENET, "pass", "imagenet"),
        (NAMED_STATISTICS["half"], "pass", "half"),
        (statistics((0.498,) * 3, (0.502,) * 3), "pass", "half"),
        (statistics(IMAGENET.std, IMAGENET.mean), "fail", "exchanged: they are those of imagenet"),
        (statistics(IMAGENET.mean[::-1], IMAGENET.std[::-1]), "fail", "imagenet in the order of BGR"),
        (statistics(IMAGENET.mean, (0.005,) * 3), "fail", "too small"),
        (statistics((0.24, 0.21, 0.2), (0.44, 0.42, 0.41)), "fail", "look exchanged"),
        (statistics((0.6, 0.5, 0.5), (0.2, 0.2, 0.2)), "info", "none of the known sets"),
        (NO_STATISTICS, "info", "normalizes them itself"),
    ],
)
def test_statistics_are_compared_with_the_known_sets(
    tiny_model: TinyModel, used: Statistics, expected: str, text: str
) -> None:
    found = known_statistics(replace(load_backbone(tiny_model("vit")), statistics=used))
    assert found.status == expected
    assert text in found.detail


class TestTheRecipeOfAListedModel:
    """A DINO of the right width, depth and heads whose files are changed one at a time."""

    def check(self, folder: Path, **config: object) -> Check:
        import transformers as tf

        options = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "image_size": 32}
        settings = {**options, "intermediate_size": 32, "layer_norm_eps": 1e-12, "hidden_act": "gelu", **config}
        tf.ViTModel(tf.ViTConfig(**settings)).save_pretrained(folder)
        backbone = load_backbone(folder, statistics="imagenet")
        backbone.recipe = "paper"
        return agrees_with_recipe(backbone, listed("dino_s16"))

    def test_the_right_one_passes(self, tmp_path: Path) -> None:
        found = self.check(tmp_path)
        assert (found.status, found.detail) == (
            "pass",
            "recipe paper: channels, blocks, heads, eps, activation, statistics",
        )

    @pytest.mark.parametrize(
        ("changes", "text"),
        [
            ({"num_attention_heads": 12}, "heads is 12, expected 6"),
            ({"layer_norm_eps": 1e-3}, "eps is 0.001"),
            ({"hidden_act": "quick_gelu"}, "activation is quick_gelu, expected gelu"),
            ({"num_hidden_layers": 11}, "blocks is 11, expected 12"),
        ],
    )
    def test_another_architecture_fails(self, tmp_path: Path, changes: dict[str, object], text: str) -> None:
        found = self.check(tmp_path, **changes)
        assert found.status == "fail"
        assert text in found.detail

    def test_other_statistics_fail(self, tiny_model: TinyModel) -> None:
        half = load_backbone(tiny_model("dinov2"), statistics="half")
        half.recipe = "paper"
        found = agrees_with_recipe(half, listed("dinov2_b14"))
        assert "statistics is [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]], expected [[0.485" in found.detail
        assert agrees_with_recipe(half, None).status == "skipped"
