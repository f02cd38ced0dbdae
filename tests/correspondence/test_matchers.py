"""A matcher is one class: a toy one goes through the evaluator, both splits, its predictions and its record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.shared_data import ORACLE

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.tasks import Task, get_tasks
from soco_datasets.config import ScoringConfig
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.correspondence.matchers.matcher import CandidateQueries, Matcher, TargetScores, matcher_class
from soco_datasets.correspondence.similarity import sample_descriptors
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.errors import UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.geometry import keypoints_to_unit
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions, write_evaluation
from soco_datasets.records.predictions import read_predictions

GRID = 8


class TwoRows(Matcher):
    """Halfway between the best cell and the best cell of all other rows."""

    name = "two_rows"
    is_subcell = True

    def match(self, scores: TargetScores, candidates: CandidateQueries | None) -> tuple[torch.Tensor, torch.Tensor]:
        assert candidates is None
        cells, similarity = scores.best
        first = scores.positions(cells)
        rows = torch.arange(scores.values.shape[1], device=cells.device)
        rest = scores.values.masked_fill((rows == first[:, 1:])[:, :, None], float("-inf"))
        second = scores.positions(rest.flatten(1).argmax(dim=1))
        return (first + second).float() / 2, similarity


class WorstCandidate(Matcher):
    """The candidate with the smallest similarity."""

    name = "worst"
    needs_candidates = True

    def match(self, scores: TargetScores, candidates: CandidateQueries | None) -> tuple[torch.Tensor, torch.Tensor]:
        assert candidates is not None
        given = scores.values.flatten(1)[candidates.query[:, None], candidates.cells.clamp(min=0)]
        least, place = given.masked_fill(candidates.cells < 0, float("inf")).min(dim=1)
        return scores.positions(candidates.cells.gather(1, place[:, None])[:, 0]), least


TOYS = (Task("soc_rows", "soc", "SOC two rows", "two_rows"), Task("geo_worst", "soc_geo", "SOC-geo worst", "worst", 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    return open_folder(build_dataset(str(ORACLE / "SOCOv1"), tmp_path_factory.mktemp("data") / "built").path)


def extractor() -> DenseFeatureExtractor:
    return DenseFeatureExtractor(load_backbone(ORACLE / "models" / "dinov2_tiny_p14"), image_size=112)


def test_a_toy_matcher_is_a_class_and_a_task(folder: DatasetFolder, tmp_path: Path) -> None:
    tasks = [*TOYS, *get_tasks(["soc", "soc_geo_multi"])]
    evaluation = evaluate_backbone(extractor(), folder, tasks, scoring=ScoringConfig("centered"))
    assert evaluation.predictions is not None
    paths = write_evaluation(tmp_path, evaluation.predictions, evaluation.result)
    record = EvaluationResult.read(paths[0])
    assert record == evaluation.result == record_from_predictions(read_predictions(paths[1]))
    assert set(record.metrics) == {task.name for task in tasks}
    alone = evaluate_backbone(
        extractor(), folder, get_tasks(["soc", "soc_geo_multi"]), scoring=ScoringConfig("centered")
    )
    assert all(record.metrics[name] == alone.result.metrics[name] for name in alone.result.metrics)

    model, ids = extractor(), list(folder.images)
    maps = dict(zip(ids, model.extract_normalized([folder.images.decode(name) for name in ids]), strict=True))
    rows = [row for row in evaluation.predictions.to_pylist() if row["task"] == "soc_rows"]
    assert len(rows) > 200
    for row in rows[::9]:
        side = max(folder.images.decode(row["source_image_id"]).size)
        unit = keypoints_to_unit([row["source_point"]], side, None, "centered")
        query = sample_descriptors(maps[row["source_image_id"]], unit, "centered")[0].double().numpy()
        scores = np.einsum("c,chw->hw", query, maps[row["target_image_id"]].double().numpy())
        best = np.array(np.unravel_index(scores.argmax(), scores.shape))
        scores[best[0]] = -np.inf
        other = np.array(np.unravel_index(scores.argmax(), scores.shape))
        found = np.array(row["prediction"]) / max(row["target_size"]) * GRID
        np.testing.assert_allclose(found, (best + other)[::-1] / 2 + 0.5, atol=1e-3)
    by_task = {
        name: [row["similarity"] for row in evaluation.predictions.to_pylist() if row["task"] == name]
        for name in ("geo_worst", "soc_geo_multi")
    }
    least, most = (np.array(by_task[name]) for name in by_task)
    assert len(least) == len(most) > 20
    assert (least <= most).all()
    assert (least < most).any()


def test_all_pairs_are_matched_by_toys_too(folder: DatasetFolder) -> None:
    together = evaluate_backbone(extractor(), folder, [*TOYS, *get_tasks(["soc"])], split="all")
    assert together.predictions is None
    assert set(together.result.metrics) == {"soc_rows", "geo_worst", "soc"}
    scores = {name: part["pair"]["0.1"]["overall"] for name, part in together.result.metrics.items()}
    assert scores["soc_rows"]["keypoints"] == scores["soc"]["keypoints"] > scores["geo_worst"]["keypoints"] > 0
    assert scores["geo_worst"]["random_pck"] > 0


def test_matchers_are_known_by_their_names() -> None:
    found = {name: matcher_class(name) for name in ("argmax", "soft", "candidates", "two_rows")}
    assert [(kind.needs_candidates, kind.is_subcell) for kind in found.values()] == [
        (False, False),
        (False, True),
        (True, False),
        (False, True),
    ]
    with pytest.raises(UsageError, match="Did you mean 'argmax'"):
        matcher_class("argmaxx")
    with pytest.raises(UsageError, match="Two matchers are named 'two_rows'"):

        class Other(TwoRows):
            name = "two_rows"
