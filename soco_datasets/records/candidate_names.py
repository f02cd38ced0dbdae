"""The candidates of geo tasks in a predictions table: not in its rows, but found again from what is annotated.

As a rule the candidates of a query are the points of its concept in the target image, which `predictions_images` keeps.
A release may group its points otherwise; the queries for which it does are listed in the table's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..config import Protocol
from ..errors import PredictionsError
from ..metrics.candidate_choice import CandidateGrid, random_hits
from ..metrics.pck import normalisers
from ..utils.foreign import read_json_text
from .annotated_points import AnnotatedPoints
from .validation import boxes_array, points_array, sizes_array

CANDIDATES_KEY = b"soco_candidates"
_DAMAGED = "the candidates of these predictions are damaged; evaluate the model again"

Exceptions = dict[str, dict[str, list[str]]]  # pair_id -> query keypoint -> names of its candidates


def with_candidates(predictions: pa.Table, names: Mapping[str, pa.Array], annotated: AnnotatedPoints) -> pa.Table:
    """A predictions table that also knows the candidates of its geo tasks.

    Args:
        predictions: with its rows task after task, as `predictions_table` joins them.
        names: geo task -> the names of the candidates of each of its rows, a list array.
        annotated: of the images in it.
    """
    stored: dict[str, Exceptions] = {task: {} for task in names}
    for task, whole in names.items():
        rows = predictions.filter(pc.equal(predictions["task"], task))
        counts = pc.list_value_length(whole).to_numpy(zero_copy_only=False).astype(np.int64)
        owner = np.repeat(np.arange(len(rows)), counts)
        given = annotated.find(annotated.image_numbers(rows["target_image_id"])[owner], whole.flatten())
        for row in np.flatnonzero(_differ(_by_concept(rows, annotated), (counts, given))).tolist():
            pair = stored[task].setdefault(rows["pair_id"][row].as_py(), {})
            pair[rows["keypoint"][row].as_py()] = whole[row].as_py()
    if not stored:
        return predictions
    text = json.dumps(stored, ensure_ascii=False, separators=(",", ":"))
    return predictions.replace_schema_metadata({**predictions.schema.metadata, CANDIDATES_KEY: text})


def has_candidates(predictions: pa.Table, task: str) -> bool:
    """Whether a task of a predictions table is known to choose among candidates."""
    return task in _stored(predictions)


def random_baseline(
    rows: pa.Table, task: str, annotated: AnnotatedPoints, protocol: Protocol
) -> dict[str, NDArray[np.float64]]:
    """What a random choice among the candidates gets, for `aggregation.aggregate(beside=...)`.

    Args:
        rows: N rows of one geo task of a predictions table.
        task: its name.
        annotated: of the images in it.
        protocol: of the table.

    Returns:
        "random_pck": (A, N) chance of a hit, see `geo.random_hits`; "random_choice": (N,) 1 / number of candidates,
        the chance to choose the true point.

    Raises:
        PredictionsError: a query without candidates, or the metadata is damaged.
    """
    exceptions = _stored(rows).get(task, {})
    sizes = sizes_array(rows["target_size"])
    sides = sizes.max(axis=1, initial=0)
    scales = normalisers(boxes_array(rows["target_bbox"]), sizes, protocol.scoring.normalizer)
    first, inverse = _distinct(rows, exceptions, annotated, sides, scales)
    asked = rows.take(pa.array(first))
    counts, found = _candidates(asked, exceptions, annotated)
    unusable = counts == 0
    unusable[np.repeat(np.arange(len(asked)), counts)[found < 0]] = True
    if unusable.any():
        bad = int(unusable.argmax())
        raise PredictionsError(
            f"task {task!r}, pair {asked['pair_id'][bad]}, keypoint {asked['keypoint'][bad]}: its candidates are not "
            "annotated in the target image; evaluate the model again"
        )
    lengths = pc.list_value_length(asked["target_points"]).to_numpy()
    candidates = protocol.to_square(annotated.points[found], np.repeat(sizes[first], counts, axis=0))
    targets = protocol.to_square(points_array(asked["target_points"]), np.repeat(sizes[first], lengths, axis=0))
    chance = random_hits(
        candidates,
        counts,
        targets,
        sides[first],
        scales[first],
        alphas=protocol.scoring.alphas,
        where=CandidateGrid(protocol.features.grid, protocol.features.size, protocol.point_convention),
    )
    return {"random_pck": chance[:, inverse], "random_choice": 1 / counts[inverse]}


def candidate_points(
    rows: pa.Table, task: str, annotated: AnnotatedPoints
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """((N,) number of candidates of each row, numbers of annotated points row after row) of one geo task.

    A row whose candidates are not annotated has the count 0. Raises `PredictionsError` where the metadata is damaged.
    """
    counts, found = _candidates(rows, _stored(rows).get(task, {}), annotated)
    owner = np.repeat(np.arange(len(rows)), counts)
    unknown = np.zeros(len(rows), dtype=bool)
    unknown[owner[found < 0]] = True
    return np.where(unknown, 0, counts), found[~unknown[owner]]


def _distinct(
    rows: pa.Table,
    exceptions: Exceptions,
    annotated: AnnotatedPoints,
    sides: NDArray[np.float64],
    scales: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """((D,) first of the rows with the same candidates, target and scale; (N,) which of the D each row is).

    Chance does not depend on the query, and a target point is asked for by the pairs of hundreds of source images.
    """
    images = annotated.image_numbers(rows["target_image_id"])
    target = annotated.find(images, rows["target_keypoints"].combine_chunks().flatten())
    concept = pc.index_in(rows["concept"], value_set=annotated.concepts).fill_null(-1).to_numpy()
    keys = np.zeros(len(rows), dtype=np.int64)
    for part in (target, concept, sides, scales):
        known, code = np.unique(part, return_inverse=True)
        keys = keys * len(known) + code
    alone = _listed(rows, exceptions)
    keys[alone] = -1 - np.flatnonzero(alone)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first, inverse


def _listed(rows: pa.Table, exceptions: Exceptions) -> NDArray[np.bool_]:
    """(N,) whether the candidates of a row are listed, not those of its concept."""
    among = pc.is_in(rows["pair_id"], value_set=pa.array(list(exceptions), pa.string()))
    listed: NDArray[np.bool_] = among.to_numpy().astype(bool)
    for row in np.flatnonzero(listed).tolist():
        listed[row] = rows["keypoint"][row].as_py() in exceptions[rows["pair_id"][row].as_py()]
    return listed


_Ragged = tuple[NDArray[np.int64], NDArray[np.int64]]  # ((N,) counts, numbers of annotated points, row after row)


def _candidates(rows: pa.Table, exceptions: Exceptions, annotated: AnnotatedPoints) -> _Ragged:
    counts, found = _by_concept(rows, annotated)
    images = annotated.image_numbers(rows["target_image_id"])
    parts: list[NDArray[np.int64]] = np.split(found, np.cumsum(counts)[:-1])
    for row in np.flatnonzero(_listed(rows, exceptions)).tolist():
        names = exceptions[rows["pair_id"][row].as_py()][rows["keypoint"][row].as_py()]
        parts[row] = annotated.find(np.full(len(names), images[row]), pa.array(names, pa.string()))
    return np.array([len(part) for part in parts[: len(rows)]], dtype=np.int64), np.concatenate([*parts, found[:0]])


def _by_concept(rows: pa.Table, annotated: AnnotatedPoints) -> _Ragged:
    """The annotated points of each row's concept in its target image, ascending."""
    images = annotated.image_numbers(rows["target_image_id"])
    concepts = pc.index_in(rows["concept"], value_set=annotated.concepts).fill_null(-1).to_numpy().astype(np.int64)
    width = len(annotated.concepts) + 1
    owner = np.repeat(np.arange(len(annotated.image_ids)), np.diff(annotated.starts))
    keys = owner * width + annotated.concept
    keys[annotated.concept < 0] = -1
    order = np.argsort(keys, kind="stable")
    wanted = np.where((images < 0) | (concepts < 0), -2, images * width + concepts)
    begin = np.searchsorted(keys, wanted, sorter=order)
    counts = np.searchsorted(keys, wanted, side="right", sorter=order) - begin
    starts = np.repeat(begin - (np.cumsum(counts) - counts), counts)
    return counts, order[starts + np.arange(len(starts))]


def _differ(one: _Ragged, other: _Ragged) -> NDArray[np.bool_]:
    """(N,) whether two sets of points differ, row by row; an unknown point (-1) differs from all."""
    differ: NDArray[np.bool_] = one[0] != other[0]
    same = [_sorted(counts, found, ~differ) for counts, found in (one, other)]
    unequal = (same[0][1] != same[1][1]) | (same[1][1] < 0)
    differ[same[0][0][unequal]] = True
    return differ


def _sorted(counts: NDArray[np.int64], found: NDArray[np.int64], keep: NDArray[np.bool_]) -> _Ragged:
    """(row, point) of the rows to keep, ascending."""
    owner = np.repeat(np.arange(len(counts)), counts)
    kept = keep[owner]
    order = np.lexsort((found[kept], owner[kept]))
    return owner[kept][order], found[kept][order]


def _stored(predictions: pa.Table) -> dict[str, Exceptions]:
    text = (predictions.schema.metadata or {}).get(CANDIDATES_KEY, b"{}")
    try:
        stored: dict[str, Exceptions] = read_json_text(text)
        lists = [names for task in stored.values() for pair in task.values() for names in pair.values()]
    except (AttributeError, ValueError):
        raise PredictionsError(_DAMAGED) from None
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists):
        raise PredictionsError(_DAMAGED)
    return stored
