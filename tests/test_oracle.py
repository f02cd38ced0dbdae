"""The main job against the reference's numbers: a release built, evaluated and scored, on the oracle and on real photographs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.shared_data import ORACLE, REAL_EXPECTED, REAL_SAMPLE

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.correspondence.evaluate import Evaluation, evaluate_backbone
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.geometry import pixels_to_unit

SIZE, GRID = 280, 20
SPLIT_OF = {"soc": "intra", "cc": "intra", "cross_soc": "cross", "cross_cc": "cross"}
CASES = {"oracle": (ORACLE / "SOCOv1", ORACLE / "expected"), "real": (REAL_SAMPLE, REAL_EXPECTED)}


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[DatasetFolder, Evaluation, Path]:
    release, expected = CASES[request.param]
    folder = open_folder(build_dataset(str(release), tmp_path_factory.mktemp("data") / "out").path)
    extractor = DenseFeatureExtractor(load_backbone(ORACLE / "models/dinov2_tiny_p14"), image_size=285)
    return folder, evaluate_backbone(extractor, folder, get_tasks(list(SPLIT_OF))), expected


def rows_of(expected: Path, split: str) -> dict[str, dict[str, Any]]:
    data = json.loads((expected / f"pairs_dinov2_tiny_p14_{split}_nobbox.json").read_text())
    return {row["pair"].removesuffix(".json"): row for row in data["rows"]}


def test_every_metric_equals_the_reference(case: tuple[DatasetFolder, Evaluation, Path]) -> None:
    _, evaluation, expected = case
    rows = [r for r in json.loads((expected / "metrics.json").read_text())["rows"] if r["protocol"] == "hard"]
    rows = [r for r in rows if r["model"] == "dinov2_tiny_p14" and not r["use_bbox"]]
    assert len(rows) == 12
    for row in rows:
        for task, split in SPLIT_OF.items():
            if split != row["split"]:
                continue
            kind = "semantic" if task.endswith("soc") else "concept"
            ours = evaluation.result.metrics[task][row["reduction"]][str(row["thresh"])]
            assert 100 * ours["overall"]["pck"] == pytest.approx(row["mean"][kind], abs=1e-4)
            for category, value in row["per_category"].items():
                mine = ours["per_category"][category]["pck"]
                if value[kind] is None:
                    assert mine is None
                    assert ours["per_category"][category]["pairs"] == 0
                else:
                    assert 100 * mine == pytest.approx(value[kind], abs=1e-4), (task, category)


def test_every_predicted_cell_equals_the_reference(case: tuple[DatasetFolder, Evaluation, Path]) -> None:
    folder, evaluation, expected = case
    reference = {split: rows_of(expected, split) for split in ("intra", "cross")}
    names_of = {row["image_id"]: row["keypoints"] for row in folder.table("keypoints", "test").to_pylist()}
    compared = tied = 0
    for row in evaluation.predictions.to_pylist():
        known = reference[SPLIT_OF[row["task"]]][row["pair_id"]]
        index = names_of[row["source_image_id"]].index(row["keypoint"])
        if known["margin"][index] < 1e-5:
            tied += 1
            continue
        unit = pixels_to_unit([row["prediction"]], max(row["target_size"]))[0]
        assert np.rint(unit * GRID).astype(int).tolist() == known["hard"][index], (row["pair_id"], row["keypoint"])
        assert row["similarity"] == pytest.approx(known["top"][index], abs=1e-4)
        compared += 1
    assert compared > 1000
    assert tied < 10


def test_each_image_is_decoded_and_forwarded_once(case: tuple[DatasetFolder, Evaluation, Path]) -> None:
    folder, evaluation, _ = case
    counts = evaluation.result.counts
    assert counts["decodes"] == counts["forwards"] == counts["images"] == len(folder.images)
    assert counts["pairs"] == sum(len(folder.table(task, "test")) for task in SPLIT_OF)


def test_the_protocol_is_in_the_record(case: tuple[DatasetFolder, Evaluation, Path]) -> None:
    folder, evaluation, _ = case
    protocol = evaluation.result.protocol
    assert (
        protocol.scoring.convention,
        protocol.features.image_size,
        protocol.features.size,
        protocol.features.grid,
    ) == ("reference", 285, SIZE, GRID)
    assert protocol.features.statistics is not None
    assert protocol.features.statistics["source"] == "checkpoint"
    assert evaluation.result.dataset["content_hash"] == folder.content_hash
    assert len(evaluation.result.model["weights_hash"]) == 64
