"""The linear probe: against the reference's own run, its arithmetic against a plain one, and what held out means."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.shared_data import ORACLE
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn import functional

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.config import CachePolicy, RunConfig
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.correspondence.probe_pairs import PROBE_TASKS, ProbeData, hold_out, read_probe_data, read_split
from soco_datasets.correspondence.probe_scores import select, selection_score
from soco_datasets.correspondence.probe_training import ProbeRun, run_probe, write_probe
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.errors import DatasetFolderError, PredictionsError, SocoError, UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.cache.memory import MemoryFeatureCache
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.heads import HeadBackbone, load_head
from soco_datasets.features.linear_probe import (
    ProbePair,
    ProbeRecipe,
    initial_layer,
    pair_loss,
    probe_pair,
    steps_of,
    train_probe,
)
from soco_datasets.records.probe import ProbeRecord

RECIPE = ProbeRecipe(batch_size=16)  # what the oracle was made with


def expected() -> dict[str, Any]:
    return json.loads((ORACLE / "expected/probe_linear.json").read_text())


def oracle_extractor(dtype: str = "float32") -> DenseFeatureExtractor:
    return DenseFeatureExtractor(load_backbone(ORACLE / "models/dinov2_tiny_p14", dtype=dtype), image_size=285)


class Counting(DenseFeatureExtractor):
    """Counts the forwards of each image."""

    def __init__(self, extractor: DenseFeatureExtractor) -> None:
        super().__init__(extractor.backbone, extractor.requested_size)
        self.forwards: Counter[str] = Counter()

    def extract_pixels(self, pixels: Any, names: Any = None, *, checked: bool = True) -> torch.Tensor:
        self.forwards.update(names)
        return super().extract_pixels(pixels, names, checked=checked)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    return open_folder(build_dataset(str(ORACLE / "SOCOv1"), tmp_path_factory.mktemp("data") / "oracle").path)


@pytest.fixture(scope="module")
def data(folder: DatasetFolder) -> ProbeData:
    return read_probe_data(folder)


@pytest.fixture(scope="module")
def counting() -> Counting:
    return Counting(oracle_extractor())


@pytest.fixture(scope="module")
def run(data: ProbeData, counting: Counting) -> ProbeRun:
    return run_probe(counting, data, RECIPE)


# The reference's run


def test_the_order_of_the_pairs_is_the_references(run: ProbeRun, data: ProbeData) -> None:
    files = [f"{pair_id.rpartition('/')[2]}.json" for pair_id in data.train.soc["pair_id"].to_pylist()]
    assert [[files[index] for index in epoch.order] for epoch in run.epochs["reference"]] == expected()["pair_order"]


def test_losses_and_learning_rates_are_the_references(run: ProbeRun) -> None:
    wanted, epochs = expected(), run.record.variants["reference"]["epochs"]
    assert [epoch["learning_rate"] for epoch in epochs] == pytest.approx(wanted["epoch_lr"], rel=1e-6)
    assert [epoch["loss"] for epoch in epochs] == pytest.approx(wanted["epoch_loss"], rel=1e-5)
    steps = [loss for epoch in epochs for loss in epoch["batch_losses"]]
    assert steps == pytest.approx(wanted["batch_loss"], rel=1e-5)


def test_scores_and_the_selected_epoch_are_the_references(run: ProbeRun) -> None:
    wanted, result = expected(), run.record.variants["reference"]
    judged = [[100 * epoch["selection"][task] for task in ("soc", "cc")] for epoch in result["epochs"]]
    assert np.allclose(judged, wanted["all_test_after_epoch"], atol=1e-5)
    assert result["selected_epoch"] == wanted["best_epoch"]
    before = [100 * run.record.before["test"][task.name]["pooled"]["0.1"]["pck"] for task in PROBE_TASKS]
    assert before == pytest.approx(wanted["before_all_test"], abs=1e-5)
    for task, kind, mean in zip(PROBE_TASKS, ("soc", "cc"), wanted["mean_over_categories_best"], strict=True):
        found = result["metrics"]["test"][task.name]["keypoint"]["0.1"]
        assert 100 * found["overall"]["pck"] == pytest.approx(mean, abs=1e-5)
        key = {"soc": "semantic", "cc": "concept"}[kind]
        per_category = {name: 100 * value["pck"] for name, value in found["per_category"].items()}
        assert per_category == pytest.approx(
            {name: value[key] for name, value in wanted["per_category_best"].items()}, abs=1e-5
        )


def test_the_layers_are_the_references(run: ProbeRun) -> None:
    wanted = load_file(ORACLE / "expected/probe_linear.safetensors")
    last = run.epochs["reference"][-1]
    (best,) = run.heads["reference"].layers
    for name, (weight, bias) in {"init": initial_layer(64), "last": (last.weight, last.bias), "best": best}.items():
        assert bias is not None
        assert torch.allclose(weight, wanted[f"{name}.linear.weight"], atol=1e-5)
        assert torch.allclose(bias, wanted[f"{name}.linear.bias"], atol=1e-5)


# Features, files, use as a head


def test_each_image_is_forwarded_once_whatever_the_epochs(run: ProbeRun, counting: Counting, data: ProbeData) -> None:
    assert counting.forwards == Counter(data.image_ids())
    assert run.record.counts["forwards"] == run.record.counts["decodes"] == len(data.image_ids())


@pytest.mark.parametrize("variant", ["reference", "heldout"])
def test_evaluating_with_the_saved_head_gives_the_probes_own_scores(
    run: ProbeRun, folder: DatasetFolder, tmp_path: Path, variant: str
) -> None:
    record, heads = write_probe(tmp_path, run)
    extractor = oracle_extractor()
    backbone = HeadBackbone(extractor.backbone, load_head(heads[variant]))
    evaluation = evaluate_backbone(DenseFeatureExtractor(backbone, 285), folder, PROBE_TASKS)
    assert evaluation.result.metrics.keys() == {"soc_probe", "cc_probe"}
    for task, metrics in evaluation.result.metrics.items():
        own = ProbeRecord.read(record).variants[variant]["metrics"]["test"][task]
        assert metrics == {name: own[name] for name in ("pair", "keypoint")}


def test_the_record_and_the_heads_on_disk(run: ProbeRun, tmp_path: Path) -> None:
    path, heads = write_probe(tmp_path, run)
    assert {file.name for file in tmp_path.iterdir()} == {path.name, *(head.name for head in heads.values())}
    record = ProbeRecord.read(path)
    assert ProbeRecord.from_json(record.to_json()) == record
    assert list(ProbeRecord.from_json(record.to_json().replace('"heldout"', '"honest"')).variants) == list(
        record.variants
    )
    for name, head in heads.items():
        loaded = load_head(head)
        assert record.variants[name]["head"] == {"file": head.name, "sha256": loaded.hash}
        assert loaded.metadata["probe"] == record.variants[name]["title"]
    assert [result["title"] for result in record.variants.values()] == [
        "heldout (selected on held-out train images)",
        "reference (selected on test)",
    ]
    with pytest.raises(PredictionsError, match="schema version 2"):
        ProbeRecord.from_json(record.to_json().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(PredictionsError, match="not a probe record"):
        ProbeRecord.from_json("{}")
    with pytest.raises(PredictionsError, match="lacks fields: recipe"):
        ProbeRecord.from_json(json.dumps({k: v for k, v in json.loads(record.to_json()).items() if k != "recipe"}))


def test_half_precision_features_on_disk(data: ProbeData, folder: DatasetFolder, tmp_path: Path) -> None:
    extractor = oracle_extractor("bfloat16")
    run = run_probe(extractor, data, ProbeRecipe(batch_size=16, epochs=1), run=RunConfig(CachePolicy(memory_budget=0)))
    _, heads = write_probe(tmp_path, run)
    backbone = HeadBackbone(extractor.backbone, load_head(heads["reference"]))
    evaluation = evaluate_backbone(DenseFeatureExtractor(backbone, 285), folder, PROBE_TASKS)
    own = run.record.variants["reference"]["metrics"]["test"]["soc_probe"]
    assert evaluation.result.metrics["soc_probe"]["keypoint"] == own["keypoint"]


# The held-out variant


def test_heldout_training_never_sees_a_held_out_image_nor_the_test_split(data: ProbeData, run: ProbeRun) -> None:
    held = data.held_out
    assert held is not None
    assert held.train.image_ids().isdisjoint(held.images)
    assert held.selection.image_ids() <= set(held.images)
    assert len(held.train) + len(held.selection) + held.left_out == len(data.train)

    half = np.arange(len(data.test)) % 2 == 0
    other = run_probe(oracle_extractor(), dataclasses.replace(data, test=data.test.where(half)), RECIPE)
    changed, result = other.record.variants["heldout"], run.record.variants["heldout"]
    assert changed["metrics"]["test"] != result["metrics"]["test"]
    assert {key: changed[key] for key in ("epochs", "selected_epoch", "holdout")} == {
        key: result[key] for key in ("epochs", "selected_epoch", "holdout")
    }
    assert torch.equal(other.heads["heldout"].layers[0][0], run.heads["heldout"].layers[0][0])


def test_the_hold_out_is_by_category_and_by_seed_whatever_the_order_of_the_pairs(data: ProbeData) -> None:
    held = hold_out(data.train, 0.25, seed=0)
    counts = Counter(name.partition("/")[0] for name in held.images)
    assert counts["car"] == counts["bus"] == 2  # a quarter of six
    assert "ピアノ" not in counts  # two images: nothing to hold out
    backwards = data.train.where(np.ones(len(data.train), dtype=bool))
    order = list(range(len(data.train)))[::-1]
    backwards = type(backwards)(backwards.soc.take(order), backwards.cc.take(order))
    assert hold_out(backwards, 0.25, seed=0).images == held.images
    assert hold_out(data.train, 0.25, seed=1).images != held.images
    assert len(hold_out(data.train, 0.5, seed=0).images) > len(held.images)


def test_selection_takes_the_first_best_epoch_and_soc_alone_where_there_is_no_cc() -> None:
    assert select([0.1, 0.4, 0.4, 0.2]) == 2
    assert select([0.0, 0.0]) == 2
    errors = {"soc_probe": np.array([0.05, 0.2], np.float32), "cc_probe": np.array([0.05], np.float32)}
    assert selection_score(errors, 0.1) == 0.75
    assert selection_score(errors | {"cc_probe": np.zeros(0, np.float32)}, 0.1) == 0.5
    assert selection_score({"soc_probe": np.zeros(0, np.float32), "cc_probe": errors["cc_probe"]}, 0.1) is None


# The arithmetic of training

_POINTS = st.lists(st.tuples(*[st.floats(-0.25, 1.25, width=32)] * 4), min_size=1, max_size=5)


def plain_loss(maps: torch.Tensor, points: np.ndarray, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The loss as the protocol states it: everything projected, everything sampled by grid_sample."""
    projected = functional.normalize(functional.conv2d(maps, weight[:, :, None, None], bias), dim=1)
    where = torch.from_numpy(points[:, :2] * 2 - 1)[None, None]
    queries = functional.grid_sample(projected[:1], where, align_corners=True)[0, :, 0].T
    grid = maps.shape[-1]
    cells = torch.from_numpy(points[:, 2:] * np.float32(grid - 1)).round().long().clamp(0, grid - 1)
    return functional.cross_entropy(queries @ projected[1].flatten(1) / 0.07, cells[:, 1] * grid + cells[:, 0])


@settings(max_examples=40)
@given(_POINTS, st.integers(2, 6))
def test_the_loss_and_its_gradient_equal_a_plain_computation(points: list[tuple[float, ...]], grid: int) -> None:
    generator = torch.Generator().manual_seed(grid)
    maps = torch.randn(2, 5, grid, grid, generator=generator)
    layer = [tensor + 0.1 * torch.randn(tensor.shape, generator=generator) for tensor in initial_layer(5)]
    array = np.array(points, dtype=np.float32)
    pair = probe_pair(0, 1, array[:, :2], array[:, 2:], grid, "reference")
    found = []
    for compute in (
        lambda weight, bias: pair_loss(maps[0], maps[1], pair, weight, bias, 0.07),
        lambda weight, bias: plain_loss(maps, array, weight, bias),
    ):
        weight, bias = (tensor.clone().requires_grad_() for tensor in layer)
        loss = compute(weight, bias)
        loss.backward()
        found.append((loss.detach(), weight.grad, bias.grad))
    for ours, plain in zip(*found, strict=True):
        assert torch.allclose(ours, plain, rtol=1e-3, atol=1e-4)


def test_centered_labels_are_the_cells_that_hold_the_points() -> None:
    points = np.array([[0.01, 0.99], [0.49, 0.26], [1.3, -0.2]], dtype=np.float32)
    pair = probe_pair(0, 1, points, points, 4, "centered")
    assert pair.labels.tolist() == [12, 5, 3]
    assert pair.weights[1].sum() == pytest.approx(1)


class Constant:
    def __init__(self, maps: torch.Tensor) -> None:
        self.maps = maps

    def get(self, index: int) -> torch.Tensor:
        return self.maps[index]


def random_pairs(number: int, generator: np.random.Generator, queries: int = 3) -> list[ProbePair]:
    pairs = []
    for _ in range(number):
        points = generator.random((2, queries, 2)).astype(np.float32)
        pairs.append(probe_pair(*generator.integers(0, 6, 2).tolist(), points[0], points[1], 4, "reference"))
    return pairs


def test_training_is_deterministic_and_lowers_the_loss() -> None:
    maps = Constant(torch.randn(6, 8, 4, 4, generator=torch.Generator().manual_seed(1)))
    pairs = random_pairs(12, np.random.default_rng(2))
    recipe = ProbeRecipe(epochs=6, batch_size=4, learning_rate=0.02)
    first, second = (list(train_probe(maps, pairs, 8, recipe)) for _ in range(2))
    assert [epoch.batch_losses for epoch in first] == [epoch.batch_losses for epoch in second]
    assert torch.equal(first[-1].weight, second[-1].weight)
    assert torch.equal(first[-1].bias, second[-1].bias)
    assert first[-1].loss is not None
    assert first[0].loss is not None
    assert first[-1].loss < first[0].loss
    other = list(train_probe(maps, pairs, 8, dataclasses.replace(recipe, seed=9)))
    assert other[0].order != first[0].order


def test_batches_without_a_query_make_no_step() -> None:
    maps = Constant(torch.randn(6, 8, 4, 4))
    empty = random_pairs(3, np.random.default_rng(0), queries=0)
    epochs = list(train_probe(maps, [*random_pairs(1, np.random.default_rng(0)), *empty], 8, ProbeRecipe(batch_size=1)))
    assert [len(epoch.batch_losses) for epoch in epochs] == [1, 1, 1, 1]
    with pytest.raises(UsageError, match="no pair has a query"):
        next(train_probe(maps, empty, 8, ProbeRecipe()))


def test_a_split_smaller_than_the_batch_is_one_batch_of_all() -> None:
    assert steps_of(ProbeRecipe(), 10_000) == (32, True)
    assert steps_of(ProbeRecipe(), 32) == (32, False)
    maps = Constant(torch.randn(6, 8, 4, 4))
    epochs = list(train_probe(maps, random_pairs(5, np.random.default_rng(0)), 8, ProbeRecipe(epochs=2)))
    assert [sorted(epoch.order) for epoch in epochs] == [[0, 1, 2, 3, 4]] * 2
    assert all(len(epoch.batch_losses) == 1 for epoch in epochs)


def test_a_loss_that_is_no_number_is_said_with_a_way_out() -> None:
    maps = Constant(torch.randn(6, 8, 4, 4))
    recipe = ProbeRecipe(batch_size=2, temperature=1e-40)
    with pytest.raises(SocoError, match=r"reference probe became nan in epoch 1, after 0 steps\. Try .* a higher temp"):
        list(train_probe(maps, random_pairs(6, np.random.default_rng(0)), 8, recipe, what="reference"))


# Errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "linaer"}, "Did you mean 'linear'"),
        ({"epochs": 0}, "epochs of a probe must be a whole number of 1 or more"),
        ({"batch_size": 0}, "batch_size"),
        ({"seed": -1}, "seed"),
        ({"learning_rate": float("nan")}, "learning_rate of a probe must be above 0 and at most 1e"),
        ({"learning_rate": 1e38}, "learning_rate"),
        ({"temperature": 0.0}, "temperature"),
        ({"weight_decay": -1.0}, "weight_decay"),
    ],
)
def test_a_recipe_refuses_what_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ProbeRecipe(**changes)


def folder_without(folder: DatasetFolder, out: Path, *configs: str) -> DatasetFolder:
    shutil.copytree(folder.path, out)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["shards"] = [shard for shard in manifest["shards"] if shard["config"] not in configs]
    (out / "manifest.json").write_text(json.dumps(manifest))
    return open_folder(out)


def test_data_without_probe_pairs(folder: DatasetFolder, tmp_path: Path) -> None:
    with pytest.raises(DatasetFolderError, match=r"no (train|test) pairs for a probe \(config soc_probe\)"):
        read_probe_data(folder_without(folder, tmp_path / "a", "soc_probe", "cc_probe"))
    with pytest.raises(DatasetFolderError, match=r"not cc_probe: it was built by an older version\. Build it again"):
        read_probe_data(folder_without(folder, tmp_path / "b", "cc_probe"))


def test_pairs_without_a_semantic_match_and_hold_outs_that_leave_nothing(
    data: ProbeData, folder: DatasetFolder
) -> None:
    with pytest.raises(UsageError, match=r"at most 0\.5, got 0\.9"):
        hold_out(data.train, 0.9, seed=0)
    few = data.train.where(np.arange(len(data.train)) < 2)
    with pytest.raises(UsageError, match=r"no pair with a semantic match is left to select by.*--variants reference"):
        hold_out(few, 0.25, seed=0)
    with pytest.raises(UsageError, match="Did you mean 'heldout'"):
        read_probe_data(folder, ["heldot"])
    assert read_split(folder, "train").queries == data.train.queries
    assert read_probe_data(folder, ["reference"]).held_out is None
    assert read_probe_data(folder, ["honest"]).variants == ("heldout",)  # its old name


def test_the_features_of_a_store_are_read_not_written() -> None:
    with MemoryFeatureCache(2, (4, 2, 2)) as store:
        for index in range(2):
            store.put(index, torch.randn(4, 2, 2, generator=torch.Generator().manual_seed(index)))
        before = [store.get(index).clone() for index in range(2)]
        points = np.array([[0.2, 0.7]], dtype=np.float32)
        list(train_probe(store, [probe_pair(0, 1, points, points, 2, "reference")], 4, ProbeRecipe()))
        assert all(torch.equal(store.get(index), kept) for index, kept in enumerate(before))
