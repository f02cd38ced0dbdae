"""From a predictions table to the numbers of a result record; `soco evaluate` and `soco score` both call this."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..config import Protocol
from ..metrics.aggregation import aggregate
from ..metrics.pck import keypoint_errors, normalisers
from .annotated_points import AnnotatedPoints
from .azimuth import azimuth_curve, azimuths_of
from .candidate_names import has_candidates, random_baseline
from .header import Header
from .predictions import (
    check_predictions,
    read_annotated_images,
    read_header,
    task_rows,
)
from .validation import (
    boxes_array,
    codes,
    pair_groups,
    points_array,
    sizes_array,
)


def score(table: pa.Table) -> dict[str, dict[str, dict[str, Any]]]:
    """PCK of every task of a predictions table, under the protocol in its header.

    Args:
        table: see `predictions.SCHEMA`; its order means nothing.

    Returns:
        `metrics[task][reduction][alpha]` as `aggregation.aggregate` gives it: fractions 0..1, None where there is
        nothing to score, with the counts behind each. Beside the "pck" of a geo task stand "random_pck" and
        "random_choice" of `candidates.random_baseline`, averaged alike.

    Raises:
        PredictionsError: the table is incomplete or malformed, see `predictions.check_predictions`.
    """
    return score_checked(check_predictions(table))


def score_checked(table: pa.Table) -> dict[str, dict[str, dict[str, Any]]]:
    """`score` of a table that has been checked, as `predictions_table` and `read_predictions` do."""
    header, images = read_header(table), read_annotated_images(table)
    annotated = None if images is None else AnnotatedPoints.of(images)
    return {task: _score_task(task_rows(table, task), task, header, annotated) for task in header.tasks}


def curves(table: pa.Table) -> dict[str, dict[str, Any]]:
    """PCK of every task against the azimuth difference of the two views, for poses that are known.

    Args:
        table: a predictions table.

    Returns:
        task -> {"azimuth": `azimuth.azimuth_curve`}; a task none of whose pairs has two known poses is left out.

    Raises:
        PredictionsError: the table has no header, or its annotations are damaged.
    """
    header, images = read_header(table), read_annotated_images(table)
    found: dict[str, dict[str, Any]] = {}
    if images is None or all(image["azimuth"] is None for image in images.values()):
        return found
    for task in header.tasks:
        rows = task_rows(table, task)
        apart = azimuths_of(rows, images)
        if not np.isnan(apart).all():
            errors = _errors(rows, header.protocol)
            curve = azimuth_curve(errors, apart, header.protocol.scoring.alphas, pair=codes(rows, ("pair_id",)))
            found[task] = {"azimuth": curve}
    return found


def row_errors(rows: pa.Table) -> NDArray[np.float32]:
    """(N,) normalized errors of some rows of a predictions table, which need not be complete (see `pck`).

    Raises:
        PredictionsError: the rows carry no header.
        UsageError: a point that is not finite, a box without area.
    """
    return _errors(rows, read_header(rows).protocol)


def _errors(rows: pa.Table, protocol: Protocol) -> NDArray[np.float32]:
    sizes = sizes_array(rows["target_size"])
    counts = pc.list_value_length(rows["target_points"]).to_numpy()
    return keypoint_errors(
        protocol.to_square(points_array(rows["prediction"]), sizes),
        protocol.to_square(points_array(rows["target_points"]), np.repeat(sizes, counts, axis=0)),
        np.concatenate([[0], np.cumsum(counts)]),
        np.maximum(*sizes.T),
        normalisers(boxes_array(rows["target_bbox"]), sizes, protocol.scoring.normalizer),
        convention=protocol.point_convention,
        size=protocol.features.size,
    )


def _score_task(
    rows: pa.Table, task: str, header: Header, annotated: AnnotatedPoints | None
) -> dict[str, dict[str, Any]]:
    baseline = {}
    if annotated is not None and has_candidates(rows, task):
        baseline = random_baseline(rows, task, annotated, header.protocol)
    return aggregate(
        _errors(rows, header.protocol),
        *pair_groups(rows, header, task),
        alphas=header.protocol.scoring.alphas,
        reductions=header.protocol.scoring.reductions,
        beside=baseline,
    )
