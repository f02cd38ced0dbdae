"""The shapes of what a PCK record holds: scores, intervals, error analysis, azimuth curves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from ..config import alpha_key
from .error_analysis import CLASSES
from .fields import OPEN, Count, Fraction, Shape

_MISSES = CLASSES[1:]


def _check_score(score: ScoreFields) -> ScoreFields:
    empty = score["pck"] is None
    if (score["pairs"] == 0, score["keypoints"] == 0) != (empty, empty):
        raise ValueError("must be a score of 0..1 with its numbers of pairs and keypoints, or null with 0 of both")
    return score


def _check_interval(ends: list[float]) -> list[float]:
    if ends[0] > ends[1]:
        raise ValueError("is not an interval: its ends must rise")
    return ends


def _check_classes(counts: dict[str, int]) -> dict[str, int]:
    if set(counts) != set(CLASSES):
        raise ValueError(f"must count {', '.join(CLASSES)}")
    return counts


def _check_pieces(pieces: dict[str, float]) -> dict[str, float]:
    if missing := [name for name in _MISSES if name not in pieces]:
        raise ValueError(f"lacks {', '.join(missing)}")
    return pieces


def _check_sha256(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError("must be 64 hexadecimal digits or null")
    return text


class ScoreFields(TypedDict):
    """One score with its counts; more numbers may stand beside them."""

    __pydantic_config__ = OPEN  # type: ignore[misc]  # pydantic's way to configure a TypedDict
    pck: Fraction | None
    pairs: Count
    keypoints: Count
    pairs_without_query: Count


_Score = Annotated[ScoreFields, AfterValidator(_check_score)]
_Interval = Annotated[list[Fraction], Field(min_length=2, max_length=2), AfterValidator(_check_interval)]
_Pieces = Annotated[dict[str, float], AfterValidator(_check_pieces)]


class _Breakdown(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    overall: _Score
    per_supercategory: dict[str, _Score]
    per_category: dict[str, _Score]


class _IntervalsOfAlpha(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    overall: _Interval | None
    per_supercategory: dict[str, _Interval | None]


class _Intervals(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    tasks: dict[str, dict[str, dict[str, _IntervalsOfAlpha]]]


class _Part(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    counts: Annotated[dict[str, Count], AfterValidator(_check_classes)]
    shares: dict[str, dict[str, float | None]]


class _TaskAnalysis(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    overall: _Part
    per_supercategory: dict[str, _Part]
    per_category: dict[str, _Part]
    swaps: NotRequired[dict[str, dict[str, dict[str, Count]]]]


class _SameQueries(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    won: float
    other_queries: float
    lost: _Pieces


class _DropOfReduction(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    from_pck: float
    to_pck: float
    drop: float
    pieces: _Pieces
    same_queries: _SameQueries | None


_Drop = TypedDict("_Drop", {"from": str, "to": str, "reductions": dict[str, _DropOfReduction]})
_Drop.__pydantic_config__ = OPEN  # type: ignore[attr-defined]


class _ErrorAnalysis(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    alpha: float
    near: float
    tasks: dict[str, _TaskAnalysis]
    drops: list[_Drop]


class _Curve(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    edges: list[float]
    pck: dict[str, dict[str, list[float | None]]]


class _Curves(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    azimuth: _Curve


PckMetrics = Annotated[
    dict[str, dict[str, dict[str, Any]]],
    Shape(Annotated[dict[str, dict[str, dict[str, _Breakdown]]], Field(min_length=1)]),
]
Intervals = Annotated[dict[str, Any], Shape(_Intervals)]
ErrorAnalysis = Annotated[dict[str, Any], Shape(_ErrorAnalysis)]
Curves = Annotated[dict[str, Any], Shape(dict[str, _Curves])]
Sha256 = Annotated[str, AfterValidator(_check_sha256)]


def check_curve(task: str, curve: Mapping[str, Any], alphas: set[str]) -> None:
    """Check that a curve has a value for each bin and threshold. Raises `ValueError` naming the task."""
    bins = len(curve["edges"]) - 1
    lines = [line for by_alpha in curve["pck"].values() for line in by_alpha.values()]
    complete = "keypoint" in curve["pck"] and all(set(by_alpha) == alphas for by_alpha in curve["pck"].values())
    if not complete or any(len(line) != bins for line in lines):
        raise ValueError(f"curve of task {task!r} must have a number or null for each bin and threshold")


def check_tasks(metrics: Mapping[str, Any], alphas: tuple[float, ...], reductions: tuple[str, ...]) -> None:
    """Check that every task has exactly these reductions and thresholds. Raises `ValueError` naming the task."""
    wanted = {name: {alpha_key(alpha) for alpha in alphas} for name in reductions}
    for task, by_reduction in metrics.items():
        if {name: set(by_alpha) for name, by_alpha in by_reduction.items()} != wanted:
            raise ValueError(
                f"metrics of task {task!r} must be those of the protocol, {sorted(wanted)} at {list(alphas)}"
            )
