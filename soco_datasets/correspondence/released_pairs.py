"""The split `test`: the pairs that the dataset lists, as one block; their predictions are kept as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..benchmarks.task_pairs import task_pairs
from ..benchmarks.tasks import Task
from ..config import Protocol, RunConfig
from ..data.folder import DatasetFolder
from ..errors import DatasetFolderError
from ..records.annotated_points import AnnotatedPoints, image_annotations
from ..records.candidate_names import with_candidates
from ..records.evaluation import EvaluationResult, record_of_checked
from ..records.header import PredictionsOrigin
from ..records.predictions import TaskPredictions, predictions_table
from ..records.validation import points_array
from .plan import (
    Answers,
    Candidates,
    MatchBlock,
    Plan,
    distinct_points,
    grid_of,
    image_plan,
    in_square,
    needs_candidates,
    query_key,
    rows_of,
    with_queries,
)
from .undecodable import without_bad_images


class ReleasedPairs:
    """See `evaluate.SplitPairs`. Arguments of the evaluation; errors as `task_pairs` and `make_plan`."""

    def __init__(
        self, folder: DatasetFolder, tasks: Sequence[Task], protocol: Protocol, run: RunConfig, split: str = "test"
    ) -> None:
        self.tables, self.skipped = {task.name: task_pairs(folder, task, split) for task in tasks}, dict[str, int]()
        if run.skip_bad:
            self.tables, self.skipped = without_bad_images(folder, self.tables, run.workers)
        self.plan = make_plan(tasks, self.tables, folder, protocol)
        self.pairs = sum(table.num_rows for table in self.tables.values())
        self.queries = sum(_query_count(table) for table in self.tables.values())
        self._folder, self._tasks = folder, tasks

    def blocks(self) -> Iterator[MatchBlock]:
        """All pairs."""
        yield MatchBlock(self.plan)

    def scores(self) -> ReleasedScores:
        """Their accumulator."""
        return ReleasedScores(self._folder, self._tasks, self.tables)


class ReleasedScores:
    """See `evaluate.Accumulator`: keeps the predictions."""

    def __init__(self, folder: DatasetFolder, tasks: Sequence[Task], tables: Mapping[str, pa.Table]) -> None:
        self._folder, self._tasks, self._tables = folder, tasks, tables
        self._images: set[int] = set()
        self._predictions: dict[str, TaskPredictions] = {}

    def update(self, block: MatchBlock, answers: Answers) -> None:
        """Keep the predictions of all pairs."""
        self._images.update(block.plan.images.tolist())
        self._predictions |= {name: TaskPredictions(self._tables[name], *answer) for name, answer in answers.items()}

    def compute(self, provenance: Mapping[str, Any]) -> tuple[EvaluationResult, pa.Table]:
        """The record and the predictions table that it is computed from."""
        ids = list(self._folder.images)
        images = None
        if not self._folder.manifest.get("facts", {}).get("points_per_pair"):  # else images have no points of their own
            images = image_annotations(self._folder, [ids[row] for row in sorted(self._images)])
        table = predictions_table(self._predictions, PredictionsOrigin(**provenance), images)
        if images is None:
            return record_of_checked(table), table
        names = [task.name for task in self._tasks if needs_candidates(task)]
        candidates = {name: self._tables[name]["candidate_keypoints"].combine_chunks().flatten() for name in names}
        table = with_candidates(table, candidates, AnnotatedPoints.of(images))
        return record_of_checked(table), table


def make_plan(tasks: Sequence[Task], pairs: Mapping[str, pa.Table], folder: DatasetFolder, protocol: Protocol) -> Plan:
    """The plan for the pairs of some tasks.

    Args:
        tasks: what is evaluated.
        pairs: the name of each -> `task_pairs`.
        folder: where they come from.
        protocol: of the evaluation.

    Raises:
        DatasetFolderError: a pair names an image that is not there, or lacks a point or a candidate.
    """
    first = {query_key(task): task.name for task in reversed(tasks)}
    tables = {task.name: pairs[task.name] for task in tasks if task.name in first.values()}
    slices, start = {}, 0
    for name, table in tables.items():
        slices[name] = slice(start, start + _query_count(table))
        start = slices[name].stop
    ids = folder.table("images", "test", columns=["image_id"])["image_id"].combine_chunks()
    source, target = (_query_images(tables, ids, name) for name in ("source_image_id", "target_image_id"))
    images, positions = np.unique(np.concatenate([source, target]), return_inverse=True)
    source, target = positions[: len(source)], positions[len(source) :]
    points = np.concatenate([*(points_array(table["source_points"]) for table in tables.values()), np.zeros((0, 2))])
    if len(points) != len(source):
        raise DatasetFolderError(f"{folder.path}: pairs do not have one source point per keypoint. Build it again.")
    distinct, point = distinct_points(source, points)
    choosing = {task.name for task in tasks if needs_candidates(task)}
    return with_queries(
        in_square(
            image_plan(folder, images, source[distinct], points[distinct], tasks, grid_of(protocol)), folder, protocol
        ),
        point,
        target,
        {task.name: slices[first[query_key(task)]] for task in tasks},
        Candidates.joined(
            [_candidates(name, table, slices[name]) for name, table in tables.items() if name in choosing]
        ),
        protocol,
    )


def _query_count(table: pa.Table) -> int:
    return int(pc.sum(pc.list_value_length(table["keypoints"])).as_py() or 0)


def _query_images(tables: Mapping[str, pa.Table], ids: pa.Array, column: str) -> NDArray[np.int64]:
    """(Q,) dataset row of the image in `column` for every query."""
    rows = [
        np.repeat(rows_of(table[column], ids), pc.list_value_length(table["keypoints"]).to_numpy())
        for table in tables.values()
    ]
    return np.concatenate([*rows, np.zeros(0, dtype=np.int64)])


def _candidates(task: str, table: pa.Table, queries: slice) -> Candidates:
    """The candidates of the queries of a task."""
    listed = table["candidate_points"].combine_chunks().flatten()
    counts = pc.list_value_length(listed).to_numpy(zero_copy_only=False).astype(np.int64)
    number = np.arange(queries.start, queries.stop)
    if len(number) != len(counts) or (counts == 0).any():
        raise DatasetFolderError(f"A query of {task} has no candidate points. Build the data again.")
    return Candidates(number, counts, points_array(pa.chunked_array([listed])))
