"""A made-up result on a real dataset folder, with no model: the true points missed by a seeded error. And its board."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from soco_datasets.benchmarks.task_pairs import task_pairs
from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.config import Protocol
from soco_datasets.correspondence.evaluate import dataset_provenance
from soco_datasets.data.folder import open_folder
from soco_datasets.hub.eval_yaml import render_eval_yaml
from soco_datasets.hub.hosted_leaderboard import board_of
from soco_datasets.records.annotated_points import image_annotations
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions, write_evaluation
from soco_datasets.records.header import PredictionsOrigin
from soco_datasets.records.predictions import TaskPredictions, predictions_table
from soco_datasets.records.ranking import Leaderboard

TASKS = ("cc", "soc", "cross_soc")
REVISION = "1234567890" * 4
BENCHMARK = "lab/soco"


def board_files(folder: Path, rules: str | None = None) -> dict[str, bytes]:
    """What of a published dataset makes it a leaderboard."""
    files = {"manifest.json": (folder / "manifest.json").read_bytes()}
    opened = open_folder(folder)
    files["eval.yaml"] = render_eval_yaml({config: opened.splits(config) for config in opened.configs}).encode()
    return files if rules is None else {**files, "leaderboard.json": rules.encode()}


def published(folder: Path, revision: str = REVISION) -> Leaderboard:
    return board_of(BENCHMARK, revision, board_files(folder))


def predictions_beside(record: Path) -> Path:
    return Path(EvaluationResult.data_beside(record.as_posix()))


@cache
def _references(folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    opened = open_folder(folder)
    pairs = {task.name: task_pairs(opened, task) for task in get_tasks(TASKS)}
    images = opened.table("images", columns=["category", "supercategory"]).to_pydict()
    return pairs, image_annotations(opened), dict(zip(images["category"], images["supercategory"], strict=True))


def make_result(
    folder: Path,
    out: Path,
    *,
    name: str = "tiny",
    seed: int = 0,
    resamples: int = 20,
    protocol: Protocol | None = None,
    tasks: tuple[str, ...] = TASKS,
    **fields: Any,
) -> Path:
    """Write a record and its predictions, of every query of the folder; gives the record's path."""
    pairs_of, images, supercategories = _references(folder)
    generator = np.random.default_rng(seed)
    answered = {}
    for task, pairs in pairs_of.items():
        if task in tasks:
            first = [targets[0] for targets in pc.list_flatten(pairs["target_points"]).to_pylist()]
            points = np.asarray(first, dtype=np.float64) + generator.normal(scale=8, size=(len(first), 2))
            answered[task] = TaskPredictions(pairs, points)
    header: dict[str, Any] = {
        "protocol": protocol or Protocol(),
        "model": {"name": name, "revision": None, "weights_hash": "abc"},
        "dataset": dataset_provenance(open_folder(folder)),
        "supercategories": supercategories,
        "versions": {"soco_datasets": "0.1.0"},
        "device": "cpu",
        "counts": {"images": len(images)},
        "created": "2026-01-31T12:00:00+00:00",
    }
    images = fields.pop("images", images)
    table = predictions_table(answered, PredictionsOrigin(**{**header, **fields}), images)
    record, _ = write_evaluation(out, table, record_from_predictions(table, resamples=resamples))
    return record
