"""Checks of what a result record says beyond its scores: intervals, anatomy and curves, so that all can be drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..config import alpha_key
from ..errors import PredictionsError
from .error_analysis import CLASSES
from .header import is_counts

OPTIONAL = ("intervals", "anatomy", "curves", "baselines")


def check_diagnosis(fields: Mapping[str, Any], alphas: Sequence[float]) -> None:
    """Check the fields of a record that may be None. Raises `PredictionsError`, naming the field.

    Args:
        fields: of a result record, those of `OPTIONAL` at least.
        alphas: of its protocol.
    """
    for name in OPTIONAL:
        if not isinstance(fields[name], dict | None):
            raise PredictionsError(f"the result record's {name} must be a mapping or null")
    try:
        _check_intervals(fields["intervals"] or {"tasks": {}})
        if fields["anatomy"] is not None:
            _check_anatomy(fields["anatomy"])
    except (AttributeError, IndexError, KeyError, TypeError):
        raise PredictionsError("the result record's intervals or anatomy are malformed") from None
    try:
        for task, curves in (fields["curves"] or {}).items():
            _check_curve(task, curves["azimuth"], {alpha_key(alpha) for alpha in alphas})
    except (AttributeError, IndexError, KeyError, TypeError):
        raise PredictionsError("the result record's curves are malformed") from None


def _check_intervals(intervals: Mapping[str, Any]) -> None:
    for task, by_reduction in intervals["tasks"].items():
        for by_alpha in by_reduction.values():
            for part in by_alpha.values():
                for value in (part["overall"], *part["per_supercategory"].values()):
                    if value is not None and not 0 <= value[0] <= value[1] <= 1:
                        raise PredictionsError(f"intervals of task {task!r}: {value} is no interval within 0..1")


def _check_anatomy(anatomy: Mapping[str, Any]) -> None:
    if not _numbers((anatomy["alpha"], anatomy["near"])):
        raise PredictionsError("the anatomy's alpha and near must be numbers")
    for task, found in anatomy["tasks"].items():
        parts = (found["overall"], *found["per_supercategory"].values(), *found["per_category"].values())
        if not all(set(part["counts"]) == set(CLASSES) and is_counts(part["counts"]) for part in parts):
            raise PredictionsError(f"anatomy of task {task!r} must count {', '.join(CLASSES)} in every part")
        if not all(_numbers(shares.values(), empty=True) for part in parts for shares in part["shares"].values()):
            raise PredictionsError(f"the shares of the anatomy of task {task!r} must be numbers or null")
        if not all(is_counts(row) for matrix in found.get("swaps", {}).values() for row in matrix.values()):
            raise PredictionsError(f"the swaps of task {task!r} must be counts")
    for drop in anatomy["drops"]:
        for part in drop["reductions"].values():
            same = part["same_queries"]
            told = [part["from_pck"], part["to_pck"], part["drop"], *(part["pieces"][kind] for kind in CLASSES[1:])]
            if same is not None:
                told += [same["won"], same["other_queries"], *(same["lost"][kind] for kind in CLASSES[1:])]
            if not (isinstance(drop["from"], str) and isinstance(drop["to"], str) and _numbers(told)):
                raise PredictionsError("a drop of the anatomy must be from a task to a task, in numbers")


def _check_curve(task: str, curve: Mapping[str, Any], alphas: set[str]) -> None:
    bins = len(curve["edges"]) - 1
    lines = [line for by_alpha in curve["pck"].values() for line in by_alpha.values()]
    whole = "keypoint" in curve["pck"] and all(set(by_alpha) == alphas for by_alpha in curve["pck"].values())
    if not (whole and _numbers(curve["edges"]) and all(len(line) == bins and _numbers(line, True) for line in lines)):
        raise PredictionsError(f"the curve of task {task!r} must have a number or null for each bin and threshold")


def _numbers(values: Iterable[Any], empty: bool = False) -> bool:
    """Whether all values are finite numbers, or None where that is allowed."""
    return all(
        (value is None and empty)
        or (isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value))
        for value in values
    )
