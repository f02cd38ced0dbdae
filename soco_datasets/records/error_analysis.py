"""What goes wrong: every prediction is a hit, a near miss, a swap, another part or background. NumPy only.

After the error analysis of COCO key points (Ronchi and Perona 2017, "Benchmarking and Error Diagnosis in Multi-Instance
Pose Estimation": good, jitter, inversion, swap, miss), for correspondence. Let

    e(p)  the error the prediction would have if the annotated point p of the target image were the target, measured as
          in `pck`: same frames, same normaliser, float32
    own   the smallest e over the valid targets of the query, its PCK error
    p*    the annotated point with the smallest e; of several, a valid target comes first, then another instance of the
          query's concept, then the order of annotation
    a     the threshold, 0.1
    n     the radius of "near", 2 * a

Then the class is the first of these that holds:

    hit         own < a: what PCK at this threshold counts
    background  e(p*) >= n: no annotated point is near
    near_miss   p* is a valid target: the right point, outside the radius of a hit
    swap        p* has the query's concept but is no valid target: another instance (the right wheel, not the left)
    other_part  p* is any other annotated point

Every prediction has exactly one class. Where all points of the concept are valid (CC) there is nothing to swap with,
and no swap. A point without a concept is never swapped. Shares are means over pairs, images and categories exactly as
PCK is (`aggregation`), so the share of hits is the PCK and the shares of a task add up to 1. From that, f for shares,

    PCK(from) - PCK(to) = sum over the error classes k of (f_k(to) - f_k(from))

is how a drop between two tasks divides into classes. CC and SOC ask the same questions and differ in what they accept,
so there the drop also divides by what became of the very hits (weights w of the lower task, which add up to 1):

    PCK(from) - PCK(to) = sum over k of (w of queries that are a hit in `from` and class k in `to`)
                          - (w of queries that are a hit in `to` alone)
                          + PCK(from) - (w of queries that are a hit in `from`; as in `to` where `from` does not ask)

The last line is what asking other queries, weighted otherwise, does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..benchmarks.tasks import TASKS
from ..config import Protocol, alpha_key, check_alphas
from ..errors import UsageError
from ..geometry import keypoints_to_unit, pixels_to_unit
from ..metrics.aggregation import aggregate
from ..metrics.pck import hits, normalisers, unit_errors
from .annotated_points import AnnotatedPoints
from .header import Header
from .predictions import read_annotated_images, read_header, task_rows
from .validation import (
    boxes_array,
    codes,
    pair_groups,
    points_array,
    sizes_array,
    target_numbers,
)

CLASSES = ("hit", "near_miss", "swap", "other_part", "background")
HIT, NEAR_MISS, SWAP, OTHER_PART, BACKGROUND = range(len(CLASSES))
ALPHA = 0.1
NEAR_FACTOR = 2.0
DROPS = (("cc", "soc"), ("soc", "cross_soc"), ("cross_cc", "cross_soc"))
_BLOCK = 2**17  # (prediction, annotated point) distances held at a time


@dataclass(frozen=True)
class ErrorClasses:
    """What became of N predictions.

    Attributes:
        kind: (N,) int64, a number of `CLASSES`.
        nearest: (N,) int64, which annotated point p* is (a number of `AnnotatedPoints`).
        error: (N,) float32, the PCK error.
    """

    kind: NDArray[np.int64]
    nearest: NDArray[np.int64]
    error: NDArray[np.float32]


def classify(
    rows: pa.Table, annotated: AnnotatedPoints, *, alpha: float = ALPHA, near: float = NEAR_FACTOR
) -> ErrorClasses:
    """The class of each row of a checked predictions table.

    Args:
        rows: some rows, with the table's header.
        annotated: of the table's images.
        alpha: threshold of a hit, fraction of the normaliser.
        near: radius of "near" as a multiple of it, 1 or more.
    """
    target = annotated.image_numbers(rows["target_image_id"])
    counts = np.diff(annotated.starts)[target]
    ends = np.cumsum(counts)
    protocol, parts = read_header(rows).protocol, []
    start = 0
    while start < len(rows):
        done = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, done + _BLOCK, side="right")))
        parts.append(
            _classify_block(rows.slice(start, end - start), target[start:end], annotated, protocol, (alpha, near))
        )
        start = end
    return ErrorClasses(
        np.concatenate([np.empty(0, dtype=np.int64), *(part.kind for part in parts)]),
        np.concatenate([np.empty(0, dtype=np.int64), *(part.nearest for part in parts)]),
        np.concatenate([np.empty(0, dtype=np.float32), *(part.error for part in parts)]),
    )


def error_analysis(table: pa.Table, *, alpha: float = ALPHA, near: float = NEAR_FACTOR) -> dict[str, Any] | None:
    """The anatomy of every task of a predictions table that lets a model choose any place (soft and geo are left out).

    Args:
        table: a whole predictions table, see `predictions.check_predictions`.
        alpha: threshold of a hit.
        near: radius of "near" as a multiple of it, 1 or more.

    Returns:
        None for a table without image annotations, else JSON values:
        `{"alpha", "near", "tasks": {task: {"overall": P, "per_supercategory": {name: P}, "per_category": {name: P},
        "swaps": {concept: {keypoint: {taken for: count}}}}}, "drops": [D, ...]}`.

        P = `{"counts": {class: predictions}, "shares": {reduction: {class: fraction, None with nothing to score}}}`.
        "swaps" has the concepts with any swap; a keypoint "taken for" itself is a hit or a near miss.
        D = `{"from": task, "to": task, "reductions": {reduction: {"from_pck", "to_pck", "drop", "pieces": {class: part
        of the drop}, "same_queries": {"lost": {class: part}, "won": part, "other_queries": part} or None}}}`: the
        pieces add up to the drop; so do the parts, "won" taken off. Only tasks with something to score are compared.

    Raises:
        PredictionsError: the table has no header, or its annotations are damaged.
        UsageError: an alpha that is not above 0, a radius below 1.
    """
    check_alphas(alpha)
    if not (math.isfinite(near) and near >= 1):
        raise UsageError(f"The radius of a near miss is a multiple of alpha, 1 or more, got {near!r}.")
    header, images = read_header(table), read_annotated_images(table)
    if images is None:
        return None
    annotated = AnnotatedPoints.of(images)
    found: dict[str, tuple[pa.Table, ErrorClasses]] = {}
    for task in header.tasks:
        if task not in TASKS or TASKS[task].matcher == "argmax":
            rows = task_rows(table, task).combine_chunks()
            found[task] = rows, classify(rows, annotated, alpha=alpha, near=near)
    tasks, drops = {}, []
    for task, (rows, verdicts) in found.items():
        tasks[task] = _task_anatomy(rows, verdicts, task, header)
        tasks[task]["swaps"] = _swaps(rows, verdicts, annotated)
    for upper, lower in DROPS:
        if {upper, lower} <= found.keys() and len(found[upper][0]) and len(found[lower][0]):
            drops.append(_drop(upper, lower, tasks, found, header))
    return {"alpha": alpha, "near": near * alpha, "tasks": tasks, "drops": drops}


def swap_matrix(swaps: Mapping[str, Mapping[str, int]]) -> tuple[list[str], NDArray[np.int64]]:
    """One concept of "swaps" as (K names, (K, K) counts): rows the true keypoint, columns what it was taken for.

    >>> names, counts = swap_matrix({"left": {"left": 5, "right": 2}})
    >>> names, counts.tolist()
    (['left', 'right'], [[5, 2], [0, 0]])
    """
    names = sorted({*swaps, *(name for row in swaps.values() for name in row)})
    counts = [[swaps.get(true, {}).get(taken, 0) for taken in names] for true in names]
    return names, np.array(counts, dtype=np.int64).reshape(len(names), len(names))


def _classify_block(
    rows: pa.Table,
    target: NDArray[np.int64],
    annotated: AnnotatedPoints,
    protocol: Protocol,
    limits: tuple[float, float],
) -> ErrorClasses:
    """`classify` for rows of a bounded number of distances: D, one for each annotated point of each row's target."""
    alpha, near = limits
    number = np.diff(annotated.starts)[target]
    begin = np.cumsum(number) - number  # where each row's distances begin
    owner = np.repeat(np.arange(len(rows)), number)
    point = np.arange(len(owner)) - np.repeat(begin - annotated.starts[target], number)
    errors = _point_errors(rows, target, annotated, protocol, owner, point)
    asked, valid_point = target_numbers(rows, annotated, target)
    is_valid = begin[asked] + valid_point - annotated.starts[target[asked]]
    valid = np.zeros(len(owner), dtype=bool)
    valid[is_valid] = True
    own = np.minimum.reduceat(errors[is_valid], np.searchsorted(asked, np.arange(len(rows))))

    least = np.minimum.reduceat(errors, begin)
    nearest = np.flatnonzero(errors == least[owner])  # one of each row, more where points tie
    row = owner[nearest]
    concept = annotated.concept_numbers(rows["concept"])[row]
    same = (annotated.concept[point[nearest]] == concept) & (concept >= 0)
    rank = np.where(valid[nearest], 0, np.where(same, 1, 2))
    order = np.minimum.reduceat(rank * len(owner) + nearest, np.searchsorted(row, np.arange(len(rows))))
    rank, chosen = np.divmod(order, len(owner))
    kind = np.array([NEAR_MISS, SWAP, OTHER_PART])[rank]
    kind[~hits(least, [near * alpha])[0]] = BACKGROUND
    kind[hits(own, [alpha])[0]] = HIT
    return ErrorClasses(kind, point[chosen], own)


def _point_errors(
    rows: pa.Table,
    target: NDArray[np.int64],
    annotated: AnnotatedPoints,
    protocol: Protocol,
    owner: NDArray[np.int64],
    point: NDArray[np.int64],
) -> NDArray[np.float32]:
    """(D,) error of each row's prediction as if an annotated point were its one target, to the last bit that of PCK."""
    sizes = sizes_array(rows["target_size"])
    sides = np.maximum(*sizes.T)
    side_of = np.ones(len(annotated.image_ids))
    side_of[target] = sides  # every row of an image says the same, see `predictions_check.check_annotated`
    point_sides = np.repeat(side_of, np.diff(annotated.starts))
    size_of = np.ones((len(annotated.image_ids), 2))
    size_of[target] = sizes
    square = protocol.to_square(annotated.points, np.repeat(size_of, np.diff(annotated.starts), axis=0))
    points = keypoints_to_unit(square, point_sides, protocol.features.size, protocol.point_convention)
    scales = normalisers(boxes_array(rows["target_bbox"]), sizes, protocol.scoring.normalizer) / sides
    predicted = pixels_to_unit(protocol.to_square(points_array(rows["prediction"]), sizes), sides)
    return unit_errors(predicted.take(owner, axis=0), points.take(point, axis=0), scales.astype(np.float32)[owner])


def _shares(rows: pa.Table, task: str, header: Header, masks: Mapping[str, NDArray[np.bool_]]) -> dict[str, Any]:
    """`aggregate` with the share of the queries in each mask beside the (unused) scores, at one nominal threshold."""
    whole = aggregate(
        np.zeros(len(rows), dtype=np.float32),
        *pair_groups(rows, header, task),
        alphas=[1.0],
        reductions=header.protocol.scoring.reductions,
        beside=masks,
    )
    return {reduction: by_alpha[alpha_key(1.0)] for reduction, by_alpha in whole.items()}


def _task_anatomy(rows: pa.Table, verdicts: ErrorClasses, task: str, header: Header) -> dict[str, Any]:
    shares = _shares(rows, task, header, {name: verdicts.kind == index for index, name in enumerate(CLASSES)})
    categories = sorted(header.tasks[task].pairs)
    place = pc.index_in(rows["pair_group"], value_set=pa.array(categories, pa.string())).to_numpy().astype(np.int64)
    table = np.bincount(place * len(CLASSES) + verdicts.kind, minlength=len(categories) * len(CLASSES))
    counts = dict(zip(categories, table.reshape(-1, len(CLASSES)), strict=True))

    def part(level: str, name: str | None, members: list[str]) -> dict[str, Any]:
        total = sum((counts[category] for category in members), np.zeros(len(CLASSES), dtype=np.int64))
        found = {key: value[level] if name is None else value[level][name] for key, value in shares.items()}
        return {
            "counts": dict(zip(CLASSES, total.tolist(), strict=True)),
            "shares": {key: {kind: value[kind] for kind in CLASSES} for key, value in found.items()},
        }

    parent_of = {name: parent for name, parent in header.supercategories.items() if parent is not None}
    return {
        "overall": part("overall", None, categories),
        "per_supercategory": {
            parent: part("per_supercategory", parent, [c for c in categories if parent_of.get(c) == parent])
            for parent in sorted({parent_of[c] for c in categories if c in parent_of})
        },
        "per_category": {category: part("per_category", category, [category]) for category in categories},
    }


def _swaps(rows: pa.Table, verdicts: ErrorClasses, annotated: AnnotatedPoints) -> dict[str, Any]:
    """Concept -> keypoint -> taken for -> count, of the concepts with any swap, sorted by name."""
    concept = annotated.concept_numbers(rows["concept"])
    true = pc.index_in(rows["keypoint"], value_set=annotated.names).to_numpy().astype(np.int64)
    taken = np.where(verdicts.kind == SWAP, annotated.name[verdicts.nearest], true)
    landed = np.isin(verdicts.kind, (HIT, NEAR_MISS, SWAP)) & np.isin(concept, concept[verdicts.kind == SWAP])
    width = len(annotated.names)
    cells, counts = np.unique((concept * width + true)[landed] * width + taken[landed], return_counts=True)
    names, concepts = annotated.names.to_pylist(), annotated.concepts.to_pylist()
    found = sorted(
        (concepts[cell // width**2], names[cell // width % width], names[cell % width], number)
        for cell, number in zip(cells.tolist(), counts.tolist(), strict=True)
    )
    matrices: dict[str, dict[str, dict[str, int]]] = {}
    for part, name, other, number in found:
        matrices.setdefault(part, {}).setdefault(name, {})[other] = number
    return matrices


def _drop(
    upper: str,
    lower: str,
    tasks: Mapping[str, Any],
    found: Mapping[str, tuple[pa.Table, ErrorClasses]],
    header: Header,
) -> dict[str, Any]:
    """Why the lower of two tasks scores less; both have something to score."""
    same = _same_queries(found[upper], lower, found[lower], header)
    reductions = {}
    for reduction in header.protocol.scoring.reductions:
        above, below = (tasks[task]["overall"]["shares"][reduction] for task in (upper, lower))
        part = None
        if same is not None:
            part = {
                "lost": {kind: same[reduction][kind] for kind in CLASSES[1:]},
                "won": same[reduction]["won"],
                "other_queries": above["hit"] - same[reduction]["hit_above"],
            }
        reductions[reduction] = {
            "from_pck": above["hit"],
            "to_pck": below["hit"],
            "drop": above["hit"] - below["hit"],
            "pieces": {kind: below[kind] - above[kind] for kind in CLASSES[1:]},
            "same_queries": part,
        }
    return {"from": upper, "to": lower, "reductions": reductions}


def _same_queries(
    upper: tuple[pa.Table, ErrorClasses], task: str, lower: tuple[pa.Table, ErrorClasses], header: Header
) -> dict[str, Any] | None:
    """What became, in the lower task, of the hits of the upper one, as shares of the lower one's queries.

    None unless the two ask some of the same queries (pair and keypoint).
    """
    (asked, above), (rows, below) = upper, lower
    key = ["pair_id", "keypoint"]
    both = codes(pa.concat_tables([asked.select(key), rows.select(key)]), key)
    where = np.full(int(both.max()) + 1, -1)
    where[both[: len(asked)]] = np.arange(len(asked))
    there = where[both[len(asked) :]]
    if (there < 0).all():
        return None
    hit_below = below.kind == HIT
    hit_above = np.where(there < 0, hit_below, above.kind[there] == HIT)
    masks = {kind: hit_above & (below.kind == index) for index, kind in enumerate(CLASSES) if index != HIT}
    shares = _shares(rows, task, header, {**masks, "won": hit_below & ~hit_above, "hit_above": hit_above})
    return {reduction: whole["overall"] for reduction, whole in shares.items()}
