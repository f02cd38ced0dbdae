"""Predictions with what the metric makes of each: its error, whether it is a hit, and which kind of error it is."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pyarrow as pa

from ..benchmarks.tasks import TASKS
from ..config import check_alphas, check_thresholds
from ..errors import UsageError
from ..metrics.pck import hits
from .annotated_points import AnnotatedPoints
from .error_analysis import ALPHA, CLASSES, classify
from .predictions import check_predictions, read_annotated_images, read_header, read_predictions, task_rows
from .scores import row_errors


def prediction_errors(predictions: Any, *, alpha: float = ALPHA) -> pa.Table:
    """A predictions table with the columns `error`, `hit` and `kind`.

    Args:
        predictions: a predictions table (or a `Result` or an `Evaluation` that has one), or the path
            of its Parquet file.
        alpha: threshold of a hit, fraction of the normalizer.

    Returns:
        The table, tasks one after another, with three more columns: `error`, float32, the distance to the nearest valid
        target divided by the normalizer, to the last bit that of PCK; `hit`, error < alpha; and `kind`, one of
        `records.error_analysis.CLASSES` as in the report ("near" is twice alpha), null for the tasks that choose
        no place freely (soft and geo) and where the images' annotations are not stored.

    Raises:
        PredictionsError: the table is incomplete or malformed, or the file cannot be read.
        UsageError: an alpha that is not a number above 0 and at most 1, or something that holds no predictions.
    """
    check_thresholds(check_alphas(alpha), "alpha values")
    if isinstance(predictions, str | os.PathLike):
        table = read_predictions(os.fspath(predictions))
    elif isinstance(predictions, pa.Table):
        table = check_predictions(predictions)
    elif held := [
        t for name in ("table", "predictions") if isinstance(t := getattr(predictions, name, None), pa.Table)
    ]:
        table = check_predictions(held[0])
    else:
        raise UsageError(f"Give a predictions table or its Parquet file, got {type(predictions).__name__}.")
    images = read_annotated_images(table)
    annotated = None if images is None else AnnotatedPoints.of(images)
    parts = [_with_errors(task_rows(table, task), task, annotated, alpha) for task in read_header(table).tasks]
    return pa.concat_tables(parts) if parts else _with_errors(table, "", None, alpha)


def _with_errors(rows: pa.Table, task: str, annotated: AnnotatedPoints | None, alpha: float) -> pa.Table:
    error = row_errors(rows) if len(rows) else np.empty(0, dtype=np.float32)
    kinds = pa.nulls(len(rows), pa.string())
    if annotated is not None and len(rows) and (task not in TASKS or TASKS[task].matcher == "argmax"):
        kind = classify(rows.combine_chunks(), annotated, alpha=alpha).kind
        kinds = pa.array(np.array(CLASSES, dtype=object)[kind], pa.string())
    rows = rows.append_column("error", pa.array(error, pa.float32()))
    rows = rows.append_column("hit", pa.array(hits(error, [alpha])[0], pa.bool_()))
    return rows.append_column("kind", kinds)
