"""How well people agree: normalized standard deviation, Krippendorff's alpha, each annotator's bias and mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .consensus import Consensus, points_of, spread_of
from .project import BOX_POINTS

PAPER_SPREAD = 0.0085  # median normalized standard deviation of SOCO's annotation (paper, supplement E)


@dataclass(frozen=True)
class ImageResult:
    """The consensus of one image, with what is needed to relate it.

    Attributes:
        image: "category/file".
        category: of the image.
        longest: longest image side in pixels.
        mirrors: keypoint -> its left-right partner.
        points: keypoint -> consensus.
    """

    image: str
    category: str
    longest: float
    mirrors: Mapping[str, str]
    points: Mapping[str, Consensus]


def krippendorff_alpha(units: Sequence[Sequence[object]]) -> float | None:
    """Krippendorff's alpha for nominal values.

    Args:
        units: for each unit the values that coders gave it; missing ones are left out.

    Returns:
        1 = perfect agreement, 0 = chance; None without a unit that two coders judged, or with one value only.

    >>> round(krippendorff_alpha([["a", "a"], ["b", "b"], ["a", "b"], ["b", "b"]]), 4)
    0.5333
    """
    values = sorted({str(value) for unit in units for value in unit})
    index = {value: number for number, value in enumerate(values)}
    coincidences = np.zeros((len(values), len(values)))
    for unit in units:
        if len(unit) > 1:
            counts = np.bincount([index[str(value)] for value in unit], minlength=len(values)).astype(np.float64)
            coincidences += (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    totals = coincidences.sum(axis=1)
    n = float(totals.sum())
    expected = n * n - float((totals**2).sum())
    if n <= 1 or expected <= 0:
        return None
    observed = n - float(np.trace(coincidences))
    return 1.0 - (n - 1) * observed / expected


def agreement_report(results: Sequence[ImageResult]) -> dict[str, Any]:
    """All statistics as JSON values; shares are 0..1, lengths are shares of the longest image side.

    The corners of boxes that annotators gave are left out. Nothing to measure is null with count 0.
    """
    flat = [
        (result, name, point) for result in results for name, point in result.points.items() if name not in BOX_POINTS
    ]
    spreads = [point.spread for _, _, point in flat if point.spread is not None]
    raw = [
        value
        for result, _, point in flat
        if (value := spread_of(points_of([v for v in point.votes if v.state == "visible"]), result.longest)) is not None
    ]
    units = [[v.state for v in point.votes if v.state in ("visible", "hidden")] for _, _, point in flat]
    people = sorted({vote.annotator for _, _, point in flat for vote in point.votes})
    return {
        "images": len(results),
        "keypoints": len(flat),
        "states": _count(point.state for _, _, point in flat),
        "spread_median": _median(spreads),
        "spread_count": len(spreads),
        "spread_median_with_outliers": _median(raw),
        "paper_spread_median": PAPER_SPREAD,
        "visibility_alpha": krippendorff_alpha(units),
        "visibility_units": sum(len(unit) > 1 for unit in units),
        "outliers": _count(why for _, _, point in flat for why in point.outliers.values()),
        "disputed": sum(bool(point.disputes) for _, _, point in flat),
        "per_category": {c: _category(c, results) for c in sorted({result.category for result in results})},
        "per_keypoint": _per_keypoint(flat),
        "per_annotator": {person: annotator_statistics(person, results) for person in people},
    }


def annotator_statistics(person: str, results: Sequence[ImageResult]) -> dict[str, Any]:
    """One annotator against the others.

    Bias is the mean offset of the person's points from the median of the others' (swapped and outlying points of
    either side left out), `error` the median distance; left-right confusion is over pairs that the person answered.
    """
    offsets: list[NDArray[np.float64]] = []
    answered = unsure = outliers = judged = against = pairs = confused = 0
    for result in results:
        for name, point in result.points.items():
            if name in BOX_POINTS:
                continue
            own = next((vote for vote in point.votes if vote.annotator == person), None)
            if own is None:
                continue
            answered, unsure = answered + 1, unsure + (own.state == "unsure")
            outliers += person in point.outliers
            if own.state != "unsure" and point.state != "unknown":
                judged, against = judged + 1, against + (own.state != point.state)
            if name < result.mirrors.get(name, ""):
                pairs, confused = pairs + 1, confused + (point.outliers.get(person) == "left-right swap")
            others = [
                vote
                for vote in point.votes
                if vote.state == "visible" and vote.annotator not in (person, *point.outliers)
            ]
            if own.state == "visible" and person not in point.outliers and others:
                offset = points_of([own])[0] - np.median(points_of(others), axis=0)
                offsets.append(offset / result.longest)
    stacked = np.array(offsets).reshape(-1, 2)
    return {
        "answers": answered,
        "unsure": unsure,
        "compared": len(stacked),
        "bias": [float(v) for v in stacked.mean(axis=0)] if len(stacked) else None,
        "bias_error": [float(v) for v in stacked.std(axis=0, ddof=1) / np.sqrt(len(stacked))]
        if len(stacked) > 1
        else None,
        "distance_median": _median([float(v) for v in np.hypot(*stacked.T)]) if len(stacked) else None,
        "outliers": outliers,
        "visibility_judged": judged,
        "visibility_against_majority": against,
        "pairs": pairs,
        "left_right_confused": confused,
    }


def _category(category: str, results: Sequence[ImageResult]) -> dict[str, Any]:
    points = [
        point
        for result in results
        if result.category == category
        for name, point in result.points.items()
        if name not in BOX_POINTS
    ]
    spreads = [point.spread for point in points if point.spread is not None]
    units = [[v.state for v in point.votes if v.state in ("visible", "hidden")] for point in points]
    return {
        "images": sum(result.category == category for result in results),
        "spread_median": _median(spreads),
        "spread_count": len(spreads),
        "visibility_alpha": krippendorff_alpha(units),
        "disputed": sum(bool(point.disputes) for point in points),
    }


def _per_keypoint(flat: Sequence[tuple[ImageResult, str, Consensus]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for key in sorted({(result.category, name) for result, name, _ in flat}):
        own = [point for result, name, point in flat if (result.category, name) == key]
        spreads = [point.spread for point in own if point.spread is not None]
        found.setdefault(key[0], {})[key[1]] = {
            "visible": sum(point.state == "visible" for point in own),
            "spread_median": _median(spreads),
            "disputed": sum(bool(point.disputes) for point in own),
        }
    return found


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if len(values) else None


def _count(values: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return dict(sorted(found.items()))
