"""From errors to scores: keypoint -> pair -> category -> overall, with the counts behind each number.

Hits are counted as integers and means are taken with `math.fsum`, so a score does not depend on the order of the rows,
to the last digit. Scores are fractions, 0..1; nothing to score is None with count 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..config import POOLED, alpha_key, check_alphas, check_reductions
from ..errors import UsageError
from .pck import hits

# Of the numbers of a breakdown, those that are no score.
_COUNTS = ("pairs", "keypoints", "pairs_without_query", "categories", "categories_without_supercategory")


@dataclass(frozen=True)
class PairGroups:
    """The P pairs of a task: what each is averaged in, and how many there are in all.

    Attributes:
        category: (P,) the category each pair is averaged in.
        target_images: (P,) the target image of each pair; only the reduction "image" needs it.
        total_pairs: number of pairs of each category, those without a query included; None = counted in `category`.
        supercategories: category -> supercategory; absent or None = in no supercategory.
    """

    category: Sequence[str]
    target_images: Sequence[str] | None = None
    total_pairs: Mapping[str, int] | None = None
    supercategories: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Grouped:
    """Pairs that have queries, sorted by category."""

    names: tuple[str, ...]  # (C,) categories, sorted
    totals: tuple[int, ...]  # (C,) pairs of each category, scored or not
    bounds: NDArray[np.int64]  # (C + 1,) where each category's pairs begin in the arrays below
    pairs: NDArray[np.int64]  # (S,) pair numbers, by category
    queries: NDArray[np.int64]  # (S,) queries of each


@dataclass(frozen=True)
class _Units:
    """What a reduction averages over within a category: its pairs, its target images, or itself as a whole."""

    unit: NDArray[np.int64]  # (S,) unit of each pair of `_Grouped`, ascending with the category
    queries: NDArray[np.int64]  # (U,) queries of each unit
    bounds: NDArray[np.int64]  # (C + 1,) where each category's units begin


def aggregate(
    errors: ArrayLike,
    pair: ArrayLike,
    groups: PairGroups,
    *,
    alphas: Sequence[float],
    reductions: Sequence[str] = ("pair", "keypoint"),
    beside: Mapping[str, ArrayLike] | None = None,
) -> dict[str, dict[str, Any]]:
    """PCK of one task at every reduction and threshold.

    Args:
        errors: (N,) float32 from `pck.keypoint_errors`; NaN = nothing to score, left out of every count.
        pair: (N,) int, 0..P-1: the pair of each query.
        groups: the P pairs.
        alphas: A thresholds.
        reductions: "pair" = fraction of hits of a pair, mean over the category's pairs that have a query;
            "image" = fraction of hits among all queries of a target image, mean over the category's target images;
            "keypoint" = fraction of hits among all queries of the category; "pair_all" and "keypoint_all" = as these
            within a category, but the scores of several categories together are the mean over their pairs, or the
            fraction of hits among all their queries.
        beside: name -> (A, N) or (N,) float64 or bool: numbers to average over queries just as the hits are, such as
            the chance of a random hit.

    Returns:
        `{reduction: {alpha: {"overall": O, "per_supercategory": {name: S}, "per_category": {name: V}}}}`, where
        V = `{"pck", "pairs", "keypoints", "pairs_without_query"}`, S adds "categories" (those averaged) and O adds
        "categories_without_supercategory" to it. `pck` is a fraction or None; `pairs` counts pairs with a query. The
        overall and supercategory scores are means over the categories that have one. All have the names of `beside`.

    Raises:
        UsageError: a pair number outside 0..P-1, more pairs than `groups.total_pairs` allows, an unknown reduction,
            "image" without `groups.target_images`.
    """
    values, owner = np.asarray(errors, dtype=np.float32), np.asarray(pair, dtype=np.int64)
    number = len(groups.category)
    inside = not owner.size or 0 <= owner.min() <= owner.max() < number
    if values.ndim != 1 or owner.shape != values.shape or not inside:
        raise UsageError(
            f"There must be one pair number in 0..{number - 1} per error, got shape {owner.shape} for errors of "
            f"shape {values.shape}."
        )
    thresholds = check_alphas(alphas)
    scored = ~np.isnan(values)
    more = {
        name: np.broadcast_to(np.asarray(numbers), (len(thresholds), len(values)))
        for name, numbers in (beside or {}).items()
    }
    return aggregate_counts(
        np.bincount(owner[scored], minlength=number),
        [np.bincount(owner[hit], minlength=number) for hit in hits(values, thresholds)],
        groups,
        alphas=thresholds,
        reductions=reductions,
        beside={name: [sums_of(row[scored], owner[scored], number) for row in part] for name, part in more.items()},
    )


def aggregate_counts(
    queries: NDArray[np.int64],
    found: Sequence[NDArray[Any]],
    groups: PairGroups,
    *,
    alphas: Sequence[float],
    reductions: Sequence[str] = ("pair", "keypoint"),
    beside: Mapping[str, Sequence[NDArray[np.float64]]] | None = None,
) -> dict[str, dict[str, Any]]:
    """`aggregate` from what was counted of each pair; arguments that are not named here and errors as there.

    Args:
        queries: (P,) scored queries of each pair.
        found: A times (P,) hits among them.
        beside: name -> A times (P,) sums over them, see `sums_of`.
    """
    group = _group(queries, groups.category, groups.total_pairs)
    units = {name: _units(group, POOLED.get(name, name), groups.target_images) for name in check_reductions(reductions)}
    result: dict[str, dict[str, Any]] = {name: {} for name in units}
    for index, alpha in enumerate(check_alphas(alphas)):
        sums = {"pck": found[index], **{name: part[index] for name, part in (beside or {}).items()}}
        for reduction, by_alpha in result.items():
            scores = {name: _category_scores(part[group.pairs], units[reduction]) for name, part in sums.items()}
            by_alpha[alpha_key(alpha)] = _breakdown(scores, group, groups.supercategories, reduction)
    return result


def join_categories(
    parts: Sequence[Mapping[str, Mapping[str, Any]]], supercategories: Mapping[str, str | None]
) -> dict[str, dict[str, Any]]:
    """What `aggregate` gives for all pairs, from what it gave for those of some categories at a time.

    Args:
        parts: one or more results of equal reductions and thresholds; no category is in two of them.
        supercategories: category -> supercategory; absent or None = in no supercategory.
    """
    joined: dict[str, dict[str, Any]] = {}
    for reduction, by_alpha in parts[0].items():
        joined[reduction] = {}
        for alpha, breakdown in by_alpha.items():
            every = {name: value for part in parts for name, value in part[reduction][alpha]["per_category"].items()}
            names = [name for name in breakdown["overall"] if name not in _COUNTS]
            joined[reduction][alpha] = _levels(dict(sorted(every.items())), names, supercategories, reduction)
    return joined


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are not None, independent of their order; None when there is none.

    >>> mean([0.1, None, 0.3]), mean([None])
    (0.2, None)
    """
    present = [value for value in values if value is not None]
    return math.fsum(present) / len(present) if present else None


def _group(queries: NDArray[np.int64], category: Sequence[str], total_pairs: Mapping[str, int] | None) -> _Grouped:
    present = Counter(category)
    totals = present if total_pairs is None else total_pairs
    for name, number in present.items():
        if number > totals.get(name, 0):
            raise UsageError(f"Category {name!r} has {number} pairs, more than the {totals.get(name, 0)} announced.")
    names = sorted(totals)
    place = {name: index for index, name in enumerate(names)}
    position = np.fromiter((place[name] for name in category), dtype=np.int64, count=len(category))
    pairs = np.flatnonzero(queries)
    pairs = pairs[np.argsort(position[pairs], kind="stable")]
    bounds = np.searchsorted(position[pairs], np.arange(len(names) + 1))
    return _Grouped(tuple(names), tuple(totals[name] for name in names), bounds, pairs, queries[pairs])


def _units(group: _Grouped, reduction: str, target_images: Sequence[str] | None) -> _Units:
    """The units of a reduction, ordered by category."""
    owner = np.repeat(np.arange(len(group.names)), np.diff(group.bounds))  # category of each pair
    if reduction == "pair":
        unit = np.arange(len(group.pairs))
    elif reduction == "keypoint":
        unit = np.unique(owner, return_inverse=True)[1]
    else:
        if target_images is None:
            raise UsageError('The reduction "image" needs the target image of each pair.')
        images = np.unique(np.asarray(target_images, dtype=np.str_), return_inverse=True)[1]
        unit = np.unique(owner * (len(images) + 1) + images[group.pairs], return_inverse=True)[1]
    queries = np.bincount(unit, weights=group.queries).astype(np.int64)
    category = np.zeros(len(queries), dtype=np.int64)
    category[unit] = owner
    return _Units(unit, queries, np.searchsorted(category, np.arange(len(group.names) + 1)))


def sums_of(values: NDArray[Any], owner: NDArray[np.int64], number: int) -> NDArray[np.float64]:
    """(P,) sum of the values of each owner, the same whatever their order: fractions are added in ascending order."""
    if values.dtype.kind == "f":
        order = np.lexsort((values, owner))
        values, owner = values[order], owner[order]
    return np.asarray(np.bincount(owner, weights=values, minlength=number), dtype=np.float64)


def _category_scores(counted: NDArray[Any], units: _Units) -> list[float | None]:
    """(C,) score of each category from the (S,) hits, or sums, of its pairs."""
    total = sums_of(counted, units.unit, len(units.queries))
    fractions = (total / units.queries).tolist()
    return [
        mean(fractions[begin:end])
        for begin, end in zip(units.bounds[:-1].tolist(), units.bounds[1:].tolist(), strict=True)
    ]


def _breakdown(
    scores: Mapping[str, list[float | None]],
    group: _Grouped,
    supercategories: Mapping[str, str | None],
    reduction: str,
) -> dict[str, Any]:
    """The scores of one reduction and threshold (name -> (C,) numbers) at every level, with the counts."""
    per_category: dict[str, dict[str, Any]] = {}
    for index, name in enumerate(group.names):
        begin, end = int(group.bounds[index]), int(group.bounds[index + 1])
        per_category[name] = {
            **{key: values[index] for key, values in scores.items()},
            "pairs": end - begin,
            "keypoints": int(group.queries[begin:end].sum()),
            "pairs_without_query": group.totals[index] - (end - begin),
        }
    return _levels(per_category, scores, supercategories, reduction)


def _levels(
    per_category: dict[str, dict[str, Any]],
    names: Iterable[str],
    supercategories: Mapping[str, str | None],
    reduction: str,
) -> dict[str, Any]:
    """The means of some numbers (their names) of all categories, beside those of each."""
    weight = f"{POOLED[reduction]}s" if reduction in POOLED else None
    scores = tuple(names)
    members: dict[str, list[dict[str, Any]]] = {}
    homeless = 0
    for name, value in per_category.items():
        parent = supercategories.get(name)
        homeless += parent is None
        if parent is not None:
            members.setdefault(parent, []).append(value)
    return {
        "overall": {**_over(per_category.values(), scores, weight), "categories_without_supercategory": homeless},
        "per_supercategory": {parent: _over(values, scores, weight) for parent, values in sorted(members.items())},
        "per_category": per_category,
    }


def _over(values: Iterable[Mapping[str, Any]], names: Iterable[str], weight: str | None) -> dict[str, Any]:
    """The means over categories, weighted by one of their counts or not, and the sums of what is behind them."""
    rows = list(values)
    return {
        **{name: _weighted_mean(rows, name, weight) for name in names},
        "categories": sum(row["pck"] is not None for row in rows),
        **{key: sum(row[key] for row in rows) for key in ("pairs", "keypoints", "pairs_without_query")},
    }


def _weighted_mean(rows: Sequence[Mapping[str, Any]], name: str, weight: str | None) -> float | None:
    if weight is None:
        return mean(row[name] for row in rows)
    present = [(row[name], row[weight]) for row in rows if row[name] is not None]
    total = sum(number for _, number in present)
    return math.fsum(value * number for value, number in present) / total if total else None
