"""The pairs of a task as they are stored in a dataset folder."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..data.folder import DatasetFolder
from ..errors import DatasetFolderError
from .base import Task


def task_pairs(folder: DatasetFolder, task: Task, split: str = "test") -> pa.Table:
    """The rows of one split of a task, without the queries that it leaves out.

    Raises:
        DatasetFolderError: the folder has no such config.
        UsageError: the config has no such split.
    """
    check_config(folder, task)
    pairs = folder.table(task.config, split)
    if task.min_candidates > 1:
        counts = pc.list_value_length(pairs["candidate_points"].combine_chunks().flatten())
        pairs = keep_queries(pairs, counts.to_numpy(zero_copy_only=False) >= task.min_candidates)
    return pairs


def check_config(folder: DatasetFolder, task: Task) -> None:
    """Raise `DatasetFolderError` unless the folder has the task's config."""
    if task.config not in folder.configs:
        raise DatasetFolderError(
            f"{folder.path} has no pairs for the task {task.name} (config {task.config}): "
            f"leave it out of the tasks. Configs here: {', '.join(folder.configs)}."
        )


def keep_queries(pairs: pa.Table, keep: NDArray[np.bool_]) -> pa.Table:
    """The pairs with only some of their queries; a pair that loses all of them stays.

    Args:
        pairs: columns of `data.schema.PAIRS` or `PAIRS_GEO`.
        keep: (Q,) for every query, pair after pair.
    """
    counts = pc.list_value_length(pairs["keypoints"]).to_numpy()
    ends = np.concatenate([[0], np.cumsum(keep)])[np.concatenate([[0], np.cumsum(counts)])]
    offsets, kept = pa.array(ends, pa.int32()), pa.array(np.flatnonzero(keep))
    columns = []
    for field in pairs.schema:
        column = pairs[field.name].combine_chunks()
        if pa.types.is_list(field.type) and field.name.endswith(("keypoints", "concepts", "points")):
            column = pa.ListArray.from_arrays(offsets, column.flatten().take(kept)).cast(field.type)
        columns.append(column)
    return pa.table(columns, schema=pairs.schema)
