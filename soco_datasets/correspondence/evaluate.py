"""The one evaluation loop: pairs -> features (each image once) -> matches (by target) -> predictions -> record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..benchmarks.task_pairs import task_pairs
from ..benchmarks.tasks import Task
from ..config import FeatureConfig, Protocol, RunConfig, ScoringConfig
from ..data.folder import DatasetFolder
from ..errors import UsageError
from ..features.extractor import DenseFeatureExtractor
from ..geometry import Convention, cells_to_unit, unit_to_pixels
from ..records.annotated_points import AnnotatedPoints, image_annotations
from ..records.candidate_names import with_candidates
from ..records.evaluation import EvaluationResult, library_versions, record_of_checked
from ..records.header import PredictionsOrigin
from ..records.predictions import TaskPredictions, predictions_table
from .engines import Extractor, open_engine
from .memory_needs import freed_memory_returned, memory_needs
from .plan import Plan, make_plan
from .target_matcher import MatchResult
from .undecodable import without_bad_images


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gives: the predictions table and the record that is recomputed from it."""

    predictions: pa.Table
    result: EvaluationResult


@freed_memory_returned()
def evaluate_backbone(
    extractor: Extractor,
    folder: DatasetFolder,
    tasks: Sequence[Task],
    *,
    scoring: ScoringConfig = ScoringConfig(),
    run: RunConfig = RunConfig(),
) -> Evaluation:
    """Evaluate one backbone on the `test` pairs of some tasks, all from one set of features.

    Args:
        extractor: gives the dense features; knows its image size and batch size. With a
            `distributed.ray_engine.RayExtractor` the workers of a cluster do the work, with the same numbers.
        folder: a built dataset folder.
        tasks: from `tasks.get_tasks`.
        scoring: how predictions are made and scored.
        run: where and how the work is done.

    Returns:
        The predictions and the result record. `counts` in the record holds the number of images, pairs, keypoints,
        forwards and decodes: the last two equal the number of distinct images, twice that at most in two passes
        (`store` "none"). With a shared store, forwards and reused make the number; with `skip_bad` there are also
        bad_images and skipped_pairs. On a cluster, redone of the forwards made maps again that were lost with a worker.

    Raises:
        DatasetFolderError: the folder lacks a task's config, or an image does not decode.
        BackboneError: the model gives features that are not finite or of the wrong shape.
        UsageError: a choice that no protocol has; the normaliser "mask", since SOCO has no masks; a memory budget that
            does not suffice even without feature maps.
    """
    model = extractor.describe()
    protocol = protocol_of(model, scoring)
    pairs = {task.name: task_pairs(folder, task) for task in tasks}
    counts = {"decodes": 0, "forwards": 0}
    if run.skip_bad:
        pairs, left_out = without_bad_images(folder, pairs, run.workers)
        counts |= left_out
    plan = make_plan(tasks, pairs, folder, protocol, extractor.grid)
    budget = run.cache.memory_budget
    if budget is not None and isinstance(extractor, DenseFeatureExtractor):
        room = memory_needs(extractor, plan, pairs, protocol, run.workers).room_for_maps(budget)
        run = replace(run, cache=replace(run.cache, memory_budget=room))
    with open_engine(extractor, folder, protocol, run, counts) as engine:
        engine.sample(plan)
        found = engine.match(plan)
    answers = predicted_points(tasks, plan, found, extractor.grid, protocol.scoring.convention)
    images = image_annotations(folder, [list(folder.images)[row] for row in plan.images])
    predictions = predictions_table(
        {name: TaskPredictions(pairs[name], *answer) for name, answer in answers.items()},
        PredictionsOrigin(
            protocol=protocol,
            model=model,
            dataset=dataset_provenance(folder),
            supercategories=supercategories_of(folder),
            versions=library_versions(),
            device=model["device"],
            counts={
                "images": len(plan.images),
                "pairs": sum(table.num_rows for table in pairs.values()),
                "keypoints": sum(len(similarity) for _, similarity in answers.values()),
                **counts,
            },
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
        images,
    )
    choosing = [task.name for task in tasks if task.matcher == "candidates"]
    candidates = {name: pairs[name]["candidate_keypoints"].combine_chunks().flatten() for name in choosing}
    predictions = with_candidates(predictions, candidates, AnnotatedPoints.of(images))
    return Evaluation(predictions, record_of_checked(predictions))


def protocol_of(model: Mapping[str, Any], scoring: ScoringConfig) -> Protocol:
    """The protocol of an extractor's `describe()` and the scoring options.

    Raises:
        UsageError: the normalizer "mask".
    """
    if scoring.normalizer == "mask":
        raise UsageError('SOCO has no masks: use the normalizer "bbox" or "image".')
    return Protocol(scoring, FeatureConfig.of_model(model))


def dataset_provenance(folder: DatasetFolder) -> dict[str, Any]:
    """What a record says of its data: id and revision of the source, and the hash of the rows and images."""
    source = folder.manifest["source"]
    return {"id": source["id"], "revision": source["revision"], "content_hash": folder.content_hash}


def supercategories_of(folder: DatasetFolder) -> dict[str, str | None]:
    """Category -> supercategory, None where it has none; sorted."""
    table = folder.table("images", "test", columns=["category", "supercategory"])
    return dict(sorted(zip(table["category"].to_pylist(), table["supercategory"].to_pylist(), strict=True)))


def predicted_points(
    tasks: Sequence[Task], plan: Plan, found: MatchResult, grid: int, convention: Convention
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float32]]]:
    """Task -> ((N, 2) predicted pixels, (N,) similarity) of its queries."""
    cell = np.stack([found.cell % grid, found.cell // grid], axis=-1)[plan.query_match]
    similarity = found.similarity[plan.query_match]
    cell[plan.choice_query] = np.stack([found.choice % grid, found.choice // grid], axis=-1)
    similarity[plan.choice_query] = found.choice_similarity
    sides = plan.sides[plan.match_target[plan.query_match]]
    answers = {}
    for task in tasks:
        rows = plan.rows[task.name]
        place = found.soft[plan.query_match[rows]] if task.matcher == "soft" else cell[rows]
        unit = cells_to_unit(place[:, 0], place[:, 1], grid, convention)
        answers[task.name] = unit_to_pixels(unit, sides[rows]), similarity[rows]
    return answers
