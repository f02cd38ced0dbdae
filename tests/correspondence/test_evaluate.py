"""The whole way with every task: counts, every protocol against the reference's numbers, and what options change.

The plain protocol's predictions are compared row by row in tests/test_oracle.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.shared_data import ORACLE, REAL_EXPECTED, REAL_SAMPLE, needs_photographs

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.tasks import TASKS, Task, get_tasks
from soco_datasets.cli import main
from soco_datasets.config import ScoringConfig
from soco_datasets.correspondence.evaluate import Evaluation, evaluate_backbone
from soco_datasets.correspondence.presets import PRESETS
from soco_datasets.correspondence.similarity import sample_descriptors
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.errors import DatasetFolderError, UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.geometry import keypoints_to_unit, pixels_to_unit
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions
from soco_datasets.records.predictions import read_predictions

pytestmark = needs_photographs


MODEL = ORACLE / "models" / "dinov2_tiny_p14"
GRID, SIZE = 20, 280
CASES = {"oracle": (ORACLE / "SOCOv1", ORACLE / "expected"), "real": (REAL_SAMPLE, REAL_EXPECTED)}
SUFFIX = {"hard": "", "soft": "_soft", "geometric": "_geo", "geometric_multi": "_geo_multi"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DatasetFolder]:
    root = tmp_path_factory.mktemp("data")
    return {name: open_folder(build_dataset(str(given), root / name).path) for name, (given, _) in CASES.items()}


def extractor(batch_size: int = 8) -> DenseFeatureExtractor:
    return DenseFeatureExtractor(load_backbone(MODEL), image_size=285, batch_size=batch_size)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, folders: dict[str, DatasetFolder]) -> tuple[DatasetFolder, Evaluation, Path]:
    folder = folders[request.param]
    return folder, evaluate_backbone(extractor(), folder, get_tasks(PRESETS["paper"].tasks)), CASES[request.param][1]


@pytest.fixture(scope="module")
def real(folders: dict[str, DatasetFolder]) -> DatasetFolder:
    return folders["real"]


def unit_points(row: dict[str, Any]) -> np.ndarray:
    return pixels_to_unit([row["prediction"]], max(row["target_size"]))[0]


def test_all_tasks_take_one_decode_and_one_forward_an_image(case: tuple[DatasetFolder, Evaluation, Path]) -> None:
    folder, evaluation, _ = case
    counts = evaluation.result.counts
    assert counts["decodes"] == counts["forwards"] == counts["images"] == len(folder.images)
    assert counts["pairs"] == sum(len(folder.table(task.config, "test")) for task in get_tasks())
    assert counts["keypoints"] == len(evaluation.predictions)
    assert list(evaluation.result.metrics) == [task.name for task in get_tasks()]


def test_every_metric_of_every_protocol_equals_the_reference(case: tuple[DatasetFolder, Evaluation, Path]) -> None:
    _, evaluation, expected = case
    compared = 0
    for row in json.loads((expected / "metrics.json").read_text())["rows"]:
        if row["model"] != MODEL.name or row["use_bbox"]:
            continue
        for kind, mean in row["mean"].items():
            base = {"semantic": "soc", "concept": "cc", "pck": "soc"}[kind]
            task = ("cross_" if row["split"] == "cross" else "") + base + SUFFIX[row["protocol"]]
            part = evaluation.result.metrics[task][row["reduction"]][str(row["thresh"])]
            for found, wanted in [
                (part["overall"], mean),
                *((part["per_category"][name], value[kind]) for name, value in row["per_category"].items()),
            ]:
                if wanted is None:
                    assert (found["pck"], found["pairs"]) == (None, 0)
                else:
                    assert 100 * found["pck"] == pytest.approx(wanted, abs=1e-4), (task, row["reduction"])
                compared += 1
    assert compared >= 36 * 5


def test_every_soft_position_and_chosen_cell_equals_the_reference(
    case: tuple[DatasetFolder, Evaluation, Path],
) -> None:
    folder, evaluation, expected = case
    stored: dict[str, dict[str, Any]] = {}
    for split in ("intra", "cross"):
        rows = json.loads((expected / f"pairs_{MODEL.name}_{split}_nobbox.json").read_text())["rows"]
        stored |= {row["pair"].removesuffix(".json"): row for row in rows}
    order = {row["image_id"]: row["keypoints"] for row in folder.table("keypoints", "test").to_pylist()}
    compared = {"soft": 0, "candidates": 0}
    for row in evaluation.predictions.to_pylist():
        known, index = stored[row["pair_id"]], order[row["source_image_id"]].index(row["keypoint"])
        matcher = TASKS[row["task"]].matcher
        if matcher == "soft":
            np.testing.assert_allclose(unit_points(row), known["soft"][index], atol=1e-4)
        elif matcher == "candidates":
            column, line = np.rint(unit_points(row) * GRID).astype(int).tolist()
            assert line * GRID + column == known["geo_patch"][index], (row["pair_id"], row["keypoint"])
        if matcher in compared:
            compared[matcher] += 1
    assert min(compared.values()) > 1000
    for key, suffix in (("geo_err", ""), ("geo_err_multi", "_multi")):
        tasks = [f"{split}soc_geo{suffix}" for split in ("", "cross_")]
        asked = sum(row["task"] in tasks for row in evaluation.predictions.select(["task"]).to_pylist())
        assert asked == sum(len(row[key]) for row in stored.values())


def test_chance_is_known_for_geo_tasks_alone(case: tuple[DatasetFolder, Evaluation, Path]) -> None:
    folder, evaluation, _ = case
    rows = folder.table("soc_geo", "test").to_pylist()
    for task, part in evaluation.result.metrics.items():
        overall = part["keypoint"]["0.1"]["overall"]
        assert ("random_pck" in overall) == ("geo" in task)
    counts: dict[str, list[float]] = {}
    for row in rows:
        counts.setdefault(row["pair_group"], []).extend(1 / len(names) for names in row["candidate_keypoints"])
    by_category = evaluation.result.metrics["soc_geo"]["keypoint"]["0.1"]["per_category"]
    for name, chances in counts.items():
        assert by_category[name]["random_choice"] == pytest.approx(np.mean(chances) if chances else None)


def test_the_command_writes_it_all_and_the_file_gives_it_back(
    real: DatasetFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--image-size", "285", "--protocol", "paper", "--full", "--alphas", "0.1,0.05", "--out", str(tmp_path)]
    assert main(["evaluate", "--data", str(real.path), "--model", str(MODEL), *options]) == 0
    record = EvaluationResult.read(tmp_path / "dinov2_tiny_p14.size285.json")
    assert record.protocol.scoring.alphas == (0.1, 0.05)
    assert record == record_from_predictions(read_predictions(tmp_path / "dinov2_tiny_p14.size285.predictions.parquet"))
    lines = {line.split("  ")[0]: line.split()[-6:] for line in capsys.readouterr().out.splitlines()[2:]}
    assert lines["SOC soft"][0] == "6.36"
    assert lines["SOC-geo"][2] == "52.27"
    assert lines["SOC-geo: random"][2] == "46.30"


# --- options ----------------------------------------------------------------------------------------------------------


def test_batches_of_another_size_give_the_same_predictions(real: DatasetFolder) -> None:
    tasks = get_tasks(["soc", "soc_soft", "soc_geo"])
    one, other = (evaluate_backbone(extractor(size), real, tasks) for size in (1, 5))
    similar = [np.array(part.predictions["similarity"]) for part in (one, other)]
    np.testing.assert_allclose(*similar, atol=1e-5)
    places = [np.array(part.predictions["prediction"].to_pylist()) for part in (one, other)]
    assert (np.abs(places[0] - places[1]).max(axis=1) < 0.1).mean() > 0.99  # but for ties
    assert one.result.counts["forwards"] == other.result.counts["forwards"]


def test_tasks_alone_or_together_give_the_same(real: DatasetFolder) -> None:
    together = evaluate_backbone(extractor(), real, get_tasks(["soc_geo_multi", "soc_soft", "cc", "soc_geo"]))
    for name in ("soc_geo_multi", "soc_soft", "cc", "soc_geo"):
        alone = evaluate_backbone(extractor(), real, get_tasks([name]))
        assert alone.result.metrics[name] == together.result.metrics[name]


def test_an_argmax_over_the_pairs_of_a_geo_task_does_not_choose(real: DatasetFolder) -> None:
    free = Task("soc_of_geo", "soc_geo", "SOC, queries of geo")
    both = evaluate_backbone(extractor(), real, [*get_tasks(["soc_geo"]), free])
    plain = evaluate_backbone(extractor(), real, get_tasks(["soc"]))
    cells = {(row["pair_id"], row["keypoint"]): row["prediction"] for row in plain.predictions.to_pylist()}
    rows = [row for row in both.predictions.to_pylist() if row["task"] == "soc_of_geo"]
    assert rows
    assert all(row["prediction"] == cells[row["pair_id"], row["keypoint"]] for row in rows)


def test_centered_beside_reference(real: DatasetFolder) -> None:
    """Against sampling, scores and expectation written down again, with half-cell offsets at every place."""
    names = ("soc", "soc_soft", "soc_geo")
    found = {
        convention: evaluate_backbone(extractor(), real, get_tasks(names), scoring=ScoringConfig(convention))
        for convention in ("reference", "centered")
    }
    ids = list(real.images)
    maps = dict(zip(ids, extractor().extract_normalized([real.images.decode(name) for name in ids]), strict=True))
    candidates = {
        (row["pair_id"], name): points
        for row in real.table("soc_geo", "test").to_pylist()
        for name, points in zip(row["keypoints"], row["candidate_points"], strict=True)
    }
    rows = found["centered"].predictions.to_pylist()
    sides = {name: max(real.images.decode(name).size) for name in {row["source_image_id"] for row in rows}}
    for row in rows[::7]:
        source = maps[row["source_image_id"]]
        unit = keypoints_to_unit([row["source_point"]], sides[row["source_image_id"]], None, "centered")
        query = sample_descriptors(source, unit, "centered")[0].double().numpy()
        scores = np.einsum("c,chw->hw", query, maps[row["target_image_id"]].double().numpy())
        side = max(row["target_size"])
        line, column = np.unravel_index(scores.argmax(), scores.shape)
        if row["task"] == "soc_soft":
            lines, columns = np.indices(scores.shape)
            near = (np.abs(lines - line) <= 7) & (np.abs(columns - column) <= 7)
            weight = np.where(near, np.exp((scores - scores.max()) / 0.02), 0)
            line, column = ((weight * axis).sum() / weight.sum() for axis in (lines, columns))
        elif row["task"] == "soc_geo":
            cells = {
                tuple(np.clip(np.array(point[::-1]) / side * GRID, 0, GRID - 1).astype(int))
                for point in candidates[row["pair_id"], row["keypoint"]]
            }
            line, column = max(sorted(cells), key=lambda cell, scores=scores: scores[cell])
        np.testing.assert_allclose(unit_points(row) * GRID, [column + 0.5, line + 0.5], atol=1e-3)
    assert found["centered"].result.protocol.scoring.convention == "centered"
    scored = [part.result.metrics["soc_soft"]["pair"]["0.1"]["overall"]["pck"] for part in found.values()]
    assert None not in scored
    assert scored[0] != scored[1]


def test_padding_can_be_left_out(folders: dict[str, DatasetFolder]) -> None:
    tasks = get_tasks(["cc", "cc_soft", "soc_geo"])
    free, bound = (
        evaluate_backbone(extractor(), folders["oracle"], tasks, scoring=ScoringConfig(valid_area=valid_area))
        for valid_area in (False, True)
    )
    assert (free.result.protocol.scoring.valid_area, bound.result.protocol.scoring.valid_area) == (False, True)
    moved = 0
    for before, after in zip(free.predictions.to_pylist(), bound.predictions.to_pylist(), strict=True):
        cell = max(after["target_size"]) / GRID
        inside = [
            value < extent + 1e-3 for value, extent in zip(after["prediction"], after["target_size"], strict=True)
        ]
        was_inside = all(v < e for v, e in zip(before["prediction"], before["target_size"], strict=True))
        if after["task"] == "cc":
            assert all(inside), "the corner of a cell that holds some of the image lies in the image"
            assert not was_inside or after["prediction"] == before["prediction"]
            moved += not was_inside
        elif after["task"] == "soc_geo":
            assert after["prediction"] == before["prediction"]
        else:
            limit = [(-(-extent // cell) - 1) * cell + 1e-3 for extent in after["target_size"]]
            assert all(value <= most for value, most in zip(after["prediction"], limit, strict=True))
    assert moved > 20


def test_each_target_image_can_weigh_the_same(real: DatasetFolder) -> None:
    reductions = ("pair", "keypoint", "image")
    evaluation = evaluate_backbone(
        extractor(), real, get_tasks(["cc"]), scoring=ScoringConfig(normalizer="image", reductions=reductions)
    )
    assert set(evaluation.result.metrics["cc"]) == set(reductions)
    assert evaluation.result.protocol.scoring.normalizer == "image"
    assert evaluation.result.metrics["cc"]["image"]["0.1"]["overall"]["pck"] is not None


def test_what_cannot_be_evaluated_is_refused_before_any_forward(real: DatasetFolder) -> None:
    model = extractor()
    model.backbone.forward = None  # type: ignore[method-assign,assignment]  # nothing may call it
    with pytest.raises(
        DatasetFolderError, match=r"no pairs for the task probe \(config soc_probe\): leave it out of the tasks"
    ):
        evaluate_backbone(model, real, [Task("probe", "soc_probe", "SOC probe")])
    with pytest.raises(UsageError, match="SOCO has no masks"):
        evaluate_backbone(model, real, get_tasks(["soc"]), scoring=ScoringConfig(normalizer="mask"))
    with pytest.raises(UsageError, match="Did you mean 'keypoint'"):
        evaluate_backbone(model, real, get_tasks(["soc"]), scoring=ScoringConfig(reductions=("keypoints",)))
    with pytest.raises(UsageError, match="temperature"):
        evaluate_backbone(model, real, get_tasks(["soc"]), scoring=ScoringConfig(soft_beta=0))
