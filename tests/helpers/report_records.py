"""Predictions and records for tests of reports: any categories, any names, models that are right as often as asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from helpers.pair_tables import pairs_table
from soco_datasets.benchmarks.task_pairs import task_pairs
from soco_datasets.benchmarks.tasks import TASKS
from soco_datasets.config import Protocol, ScoringConfig
from soco_datasets.data.folder import DatasetFolder
from soco_datasets.records.annotated_points import image_annotations
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions
from soco_datasets.records.header import PredictionsOrigin
from soco_datasets.records.predictions import TaskPredictions, predictions_table, query_rows

POINTS = {
    "wheel_front": ("wheel", (20.0, 30.0)),
    "wheel_rear": ("wheel", (150.0, 30.0)),
    "lamp_left": ("lamp", (30.0, 80.0)),
    "lamp_right": ("lamp", (160.0, 80.0)),
}
SIZE = [200, 100]
IMAGES = 4  # of a category


def predictions(
    categories: Sequence[str],
    model: str = "tiny",
    *,
    hit: float = 0.5,
    seed: int = 0,
    supercategories: dict[str, str | None] | None = None,
    dataset: str = "made-up",
    protocol: Protocol | None = None,
    point_names: Sequence[str] = tuple(POINTS),
) -> pa.Table:
    """A predictions table of CC, SOC and Cross-SOC over these categories; a miss is a swap, another part or nowhere."""
    random = np.random.default_rng(seed)
    tasks = {}
    for task, step in (("cc", 0), ("soc", 0), ("cross_soc", 1)):
        rows = [
            _pair(task, categories[(i + step) % len(categories)], category, k, point_names)
            for i, category in enumerate(categories)
            for k in range(IMAGES)
        ]
        pairs = pairs_table(rows)
        tasks[task] = TaskPredictions(pairs, _guess(random, query_rows(task, pairs).to_pylist(), hit))
    return _table(
        tasks, categories, model, supercategories or {}, dataset, protocol, _annotated(categories, point_names)
    )


def of_folder(folder: DatasetFolder, model: str = "tiny", *, hit: float = 0.6, seed: int = 0) -> pa.Table:
    """The same for the pairs of a built folder."""
    random = np.random.default_rng(seed)
    tasks = {}
    for task in ("cc", "soc", "cross_soc"):
        pairs = task_pairs(folder, TASKS[task])
        tasks[task] = TaskPredictions(pairs, _guess(random, query_rows(task, pairs).to_pylist(), hit))
    categories = sorted({name.partition("/")[0] for name in folder.images})
    dataset = {"id": "small", "revision": None, "content_hash": folder.content_hash}
    return _table(tasks, categories, model, {}, dataset, None, image_annotations(folder))


def record(categories: Sequence[str], model: str = "tiny", **options: Any) -> EvaluationResult:
    """The record of `predictions`, with few resamples."""
    return record_from_predictions(predictions(categories, model, **options), resamples=40)


def _pair(task: str, source: str, target: str, number: int, names: Sequence[str]) -> dict[str, Any]:
    other = (number + 1) % IMAGES
    points, concepts = [p for _, p in POINTS.values()], [c for c, _ in POINTS.values()]
    valid = [
        [j for j in range(len(names)) if (concepts[j] == concepts[i] if task == "cc" else j == i)]
        for i in range(len(names))
    ]
    return {
        "pair_id": f"{target}/{source}-{number}",
        "pair_group": target,
        "source_image_id": f"{source}/{number}",
        "target_image_id": f"{target}/{other}",
        "source_category": source,
        "target_category": target,
        "source_size": SIZE,
        "target_size": SIZE,
        "source_bbox": None,
        "target_bbox": [0.0, 0.0, 200.0, 100.0],
        "keypoints": list(names),
        "concepts": concepts,
        "source_points": [list(p) for p in points],
        "target_keypoints": [[names[j] for j in row] for row in valid],
        "target_points": [[list(points[j]) for j in row] for row in valid],
    }


def _guess(random: np.random.Generator, rows: Sequence[dict[str, Any]], hit: float) -> np.ndarray:
    points = []
    for row in rows:
        size = np.array(row["target_size"], dtype=float)
        chance = random.random()
        if chance < hit:
            point = np.array(row["target_points"][0]) + 0.01 * size
        elif chance < hit + 0.5 * (1 - hit):
            point = np.array(POINTS[list(POINTS)[random.integers(4)]][1])
        else:
            point = random.random(2) * size
        points.append(np.clip(point, 0, size - 1))
    return np.array(points)


def _annotated(categories: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {
        f"{category}/{number}": {
            "keypoints": list(names),
            "concepts": [concept for concept, _ in POINTS.values()],
            "points": [list(point) for _, point in POINTS.values()],
            "azimuth": 40.0 * number,
        }
        for category in categories
        for number in range(IMAGES)
    }


def _table(
    tasks: dict[str, TaskPredictions],
    categories: Sequence[str],
    model: str,
    supercategories: dict[str, str | None],
    dataset: str | dict[str, Any],
    protocol: Protocol | None,
    images: dict[str, dict[str, Any]],
) -> pa.Table:
    named = {"id": dataset, "revision": None, "content_hash": dataset} if isinstance(dataset, str) else dataset
    return predictions_table(
        tasks,
        PredictionsOrigin(
            protocol=protocol or Protocol(ScoringConfig(convention="centered")),
            model={"name": model, "revision": None, "weights_hash": None},
            dataset=named,
            supercategories={name: supercategories.get(name) for name in categories},
            versions={"soco_datasets": "0"},
            device="cpu",
            counts={
                "images": 4 * len(categories),
                "pairs": 12 * len(categories),
                "keypoints": 1,
                "forwards": 1,
                "decodes": 1,
            },
            created="2026-01-31T12:00:00+00:00",
        ),
        images,
    )
