"""The miniatures of the other benchmarks give the numbers of an independent slow reference (tests/data/benchmarks)."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.shared_data import DATA, ORACLE

from soco_datasets.benchmarks.ap10k_raw import POINTS
from soco_datasets.benchmarks.base import BuildOptions, benchmark_of
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.config import ScoringConfig
from soco_datasets.correspondence.evaluate import Evaluation, evaluate_backbone
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.features.expression import load_model_expression
from soco_datasets.features.extractor import DenseFeatureExtractor

pytest.importorskip("torch")
EXPECTED = DATA / "benchmarks" / "expected"
MINIATURES = DATA / "benchmarks" / "miniatures"
ALPHAS = (0.15, 0.1, 0.05, 0.02, 0.01)
REDUCTIONS = ("keypoint", "pair", "keypoint_all", "pair_all")
BINDING = 1e-5

# expected file -> miniature, build options
SOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "SPair-71k": ("SPair-71k", {}),
    "ap-10k": ("ap-10k", {}),
    "ap-10k_corner": ("ap-10k", {}),
    "PF-PASCAL": ("PF-dataset-PASCAL", {}),
    "PF-WILLOW": ("PF-dataset", {}),
    "MISC210K_min1": ("MISC210K", {"min_shared": 1}),
    "MISC210K_min3": ("MISC210K", {}),
}
# split in the expected files -> config (the task's name), split here
SPLITS = {
    "test": ("soc", "test"),
    "val": ("soc", "val"),
    "trn": ("soc", "trn"),
    "test_cross_species": ("cross_species", "test"),
    "test_cross_family": ("cross_family", "test"),
    "val_cross_family": ("cross_family", "val"),
}


@functools.cache
def expected(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXPECTED / f"{name}.json").read_text())
    return found


@pytest.fixture(scope="session")
def extractor() -> DenseFeatureExtractor:
    model = load_model_expression(ORACLE / "models" / "dinov2_tiny_p14", device="cpu")
    return DenseFeatureExtractor(model, 285)


Built = Callable[[str], DatasetFolder]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("built")

    @functools.cache
    def build(name: str) -> DatasetFolder:
        source, options = SOURCES[name]
        return open_folder(build_dataset(MINIATURES / source, root / name, options=BuildOptions(**options)).path)

    return build


def evaluated(
    extractor: DenseFeatureExtractor, folder: DatasetFolder, split: str, normalizer: str = "bbox", **scoring: Any
) -> Evaluation:
    task, here = SPLITS[split]
    config = ScoringConfig(alphas=ALPHAS, reductions=REDUCTIONS, normalizer=normalizer, **scoring)
    return evaluate_backbone(extractor, folder, [benchmark_of(folder).task(task)], scoring=config, split=here)


CASES = [
    pytest.param(name, split, id=f"{name}-{split}")
    for name in SOURCES
    for split in dict.fromkeys(row["split"] for row in expected(name)["metrics"])
]


@pytest.mark.parametrize(("name", "split"), CASES)
def test_scores_and_cells(name: str, split: str, built: Built, extractor: DenseFeatureExtractor) -> None:
    scoring: dict[str, Any] = {}
    if name == "ap-10k_corner":
        extractor, scoring = extractor.anchored("corner"), {"truncated": True}
    folder = built(name)
    results = {n: evaluated(extractor, folder, split, n, **scoring) for n in ("bbox", "image")}
    task, _ = SPLITS[split]
    metrics = [row for row in expected(name)["metrics"] if row["split"] == split]
    assert len(metrics) == 40
    for row in metrics:
        found = results[row["normalise"]].result.metrics[task][row["reduction"]][str(row["alpha"])]
        scores = {c: 100 * v["pck"] for c, v in found["per_category"].items() if v["pck"] is not None}
        assert scores == pytest.approx(row.get("per_category", scores), abs=1e-4), row
        assert 100 * found["overall"]["pck"] == pytest.approx(row["mean"], abs=1e-4), row
        assert (found["overall"]["pairs"], found["overall"]["keypoints"]) == (row["pairs"], row["keypoints"])
    check_cells(results["bbox"], [pair for pair in expected(name)["pairs"] if pair["split"] == split])


def check_cells(evaluation: Evaluation, pairs: list[dict[str, Any]]) -> None:
    """Queries, and predicted cells wherever the best score leads by enough to bind."""
    protocol, grid = evaluation.result.protocol, evaluation.result.protocol.features.grid
    assert grid == 20
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in evaluation.predictions.to_pylist():
        key = "-".join(row[f"{side}_image_id"].partition("/")[2] for side in ("source", "target"))
        rows.setdefault(f"{key} {row['pair_group']}", []).append(row)
    binding = 0
    for pair in pairs:
        stems = pair["pair"].partition(":")[0].split("-")[-2:]
        found = rows.pop(f"{'-'.join(stems)} {pair['category']}", [])
        assert [point_id(row["keypoint"]) for row in found] == pair["ids"], pair["pair"]
        for (column, line), margin, row in zip(pair["cell"], pair["margin"], found, strict=True):
            if margin < BINDING:
                continue
            binding += 1
            width, height = row["target_size"]
            side = max(width, height)
            offset = np.array([side - width, side - height]) / 2 if protocol.is_centered_padding else np.zeros(2)
            cell = (np.array(row["prediction"]) + offset) / side * grid
            assert np.rint(cell).tolist() == [column, line], pair["pair"]
    assert not rows
    assert binding > 0


def point_id(name: str) -> str:
    """The id of a point in the expected files: its place in the data set's order."""
    return str(POINTS.index(name)) if name in POINTS else name.rpartition("_")[2]


# set in deviations.json -> expected file, split
DEVIATIONS = {
    "SPair-71k test": ("SPair-71k", "test"),
    "ap-10k test": ("ap-10k", "test"),
    "PF-PASCAL test": ("PF-PASCAL", "test"),
    "PF-WILLOW test": ("PF-WILLOW", "test"),
    "MISC210K test, at least 3": ("MISC210K_min3", "test"),
}


@pytest.mark.parametrize("case", DEVIATIONS)
def test_no_wrong_choice_gives_these_scores(case: str, built: Built, extractor: DenseFeatureExtractor) -> None:
    """Every wrong choice of deviations.json moves the score by more than the tolerance, so a reader cannot make it."""
    wrong: dict[str, float] = json.loads((EXPECTED / "deviations.json").read_text())[case]
    name, split = DEVIATIONS[case]
    here = overall(evaluated(extractor, built(name), split))
    assert here == pytest.approx(wrong.pop("none"), abs=1e-4)
    assert {choice for choice, score in wrong.items() if abs(score - here) < 1e-2} == set()


def test_choices_that_are_options_give_the_deviating_scores(
    built: Built, extractor: DenseFeatureExtractor, tmp_path: Path
) -> None:
    wrong: dict[str, float] = json.loads((EXPECTED / "deviations.json").read_text())["SPair-71k test"]
    folder = built("SPair-71k")
    by_pair_file = open_folder(
        build_dataset(MINIATURES / "SPair-71k", tmp_path / "out", options=BuildOptions(points="pair")).path
    )
    found = {
        "points of the pair file": evaluated(extractor, by_pair_file, "test"),
        "points not truncated": evaluated(extractor, folder, "test", truncated=False),
        "normalised by the image": evaluated(extractor, folder, "test", "image"),
    }
    assert {choice: overall(one) for choice, one in found.items()} == pytest.approx(
        {choice: wrong[choice] for choice in found}, abs=1e-4
    )


def overall(evaluation: Evaluation) -> float:
    """PCK@0.1 in percent, per keypoint within a category, then the mean over categories."""
    return float(100 * evaluation.result.metrics["soc"]["keypoint"]["0.1"]["overall"]["pck"])


def test_a_record_states_its_protocol(built: Built, extractor: DenseFeatureExtractor, tmp_path: Path) -> None:
    evaluation = evaluated(extractor, built("ap-10k"), "test")
    record = json.loads(evaluation.result.to_json())
    assert record["protocol"]["padding"] == "white, centered"
    assert record["protocol"]["truncated"] is False
    dataset = record["dataset"]
    assert (dataset["benchmark"], dataset["points"]) == ("ap10k", "both flags equal 2, exact")
    assert len(dataset["pair_lists"]["soc/test"]) == 64
    centered = evaluated(extractor, built("ap-10k"), "test", convention="centered")
    assert overall(centered) > 0
    again = json.loads(evaluated(extractor, built("SPair-71k"), "test").result.to_json())
    assert "truncated" not in again["protocol"]
    assert again["protocol"]["padding"] == "white, right and bottom"
