"""The ranked comparison at the top of a report: every model, best first, with intervals and the paper's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..benchmarks.tasks import task_title
from ..records.error_analysis import CLASSES
from ..records.evaluation import EvaluationResult
from ..utils.colors import SERIES
from .paper_match import differences_from_paper, paper_average, paper_percent
from .report_tables import anatomy_shares
from .score_access import (
    DROP,
    average_percent,
    headline_metric,
    headline_tasks,
    main_reduction,
    model_names,
    percent,
    score_of,
)
from .style import MARKERS, OUTCOME_TITLES


@dataclass(frozen=True)
class ComparedScore:
    """One cell, in percent with one decimal; the difference from the paper is that of the numbers as shown.

    Attributes:
        percent: None where there is nothing to score.
        low, high: of the interval, None where there is none.
        paper: the paper's number for the same model.
        difference: text with its sign; "" where the two are not comparable.
        best: whether no other model has more, as shown.
    """

    percent: float | None
    low: float | None = None
    high: float | None = None
    paper: float | None = None
    difference: str = ""
    best: bool = False


@dataclass(frozen=True)
class ComparedModel:
    """One row. `look` is the classes of its mark: color and shape."""

    name: str
    look: str
    cells: tuple[ComparedScore, ...]
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """The table: `columns` are (title, what is behind it), `rows` are in the order of the results."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[ComparedModel, ...]


def look_of(index: int) -> str:
    """The classes of the mark of the model with this number: color, then shape when the colors begin again."""
    return f"s{index % len(SERIES) + 1} k{index // len(SERIES) % len(MARKERS)}"


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, a true minus.

    >>> signed(-26.04), signed(0.5), signed(-0.01)
    ('−26.0', '+0.5', '0.0')
    """
    shown = round(value, digits)
    return f"{shown:+.{digits}f}".replace("-", "−") if shown else f"{0:.{digits}f}"


def compare_results(results: Sequence[EvaluationResult]) -> Comparison:
    """The comparison of results that are ranked already.

    Args:
        results: comparable records, best first.
    """
    tasks = headline_tasks(results)
    metric = headline_metric(results)
    columns, table = [], []
    for task in tasks:
        scores = [score_of(result, task, **metric) for result in results]
        printed = [paper_percent(result, task, **metric) for result in results]
        counts = max(((s.pairs, s.keypoints) for s in scores), default=(0, 0))
        columns.append((task_title(task), f"n = {counts[0]:,} pairs, {counts[1]:,} queries"))
        cells = [
            (percent(s.pck), percent(s.low), percent(s.high), paper) for s, paper in zip(scores, printed, strict=True)
        ]
        table.append(_column(results, cells))
    averages = [average_percent(result, **metric) for result in results]
    if any(value is not None for value in averages):
        printed = [paper_average(result, **metric) for result in results]
        columns.append(("Average", f"of {', '.join(map(task_title, DROP))}"))
        table.append(_column(results, [(a, None, None, p) for a, p in zip(averages, printed, strict=True)]))
    names = model_names(results)
    rows = tuple(
        ComparedModel(names[i], look_of(i), tuple(column[i] for column in table), tuple(findings(results[i])))
        for i in range(len(results))
    )
    return Comparison(tuple(columns), rows)


_Raw = tuple[float | None, float | None, float | None, float | None]


def _column(results: Sequence[EvaluationResult], cells: Sequence[_Raw]) -> list[ComparedScore]:
    shown = [_rounded(pck) for pck, *_ in cells]
    known = [value for value in shown if value is not None]
    made = []
    for result, value, (_, low, high, paper) in zip(results, shown, cells, strict=True):
        difference = ""
        if paper is not None and value is not None and not differences_from_paper([result]):
            difference = signed(value - round(paper, 1))
        made.append(
            ComparedScore(
                value,
                _rounded(low),
                _rounded(high),
                _rounded(paper),
                difference,
                len(known) > 1 and value == max(known),
            )
        )
    return made


def _rounded(percent: float | None) -> float | None:
    return None if percent is None else round(percent, 1)


def findings(result: EvaluationResult) -> list[str]:
    """What the numbers of one model say, in a few sentences."""
    reduction = main_reduction([result])
    sentences = []
    for drop in (result.anatomy or {}).get("drops", []):
        found = drop["reductions"].get(reduction)
        if (drop["from"], drop["to"]) != ("cc", "soc") or not found or found["same_queries"] is None:
            continue
        lost = found["same_queries"]["lost"]
        total = sum(lost.values())
        if total > 0 and found["drop"] > 0:
            sentences.append(
                f"Requiring the exact keypoint instead of any instance lowers PCK by {100 * found['drop']:.1f} points "
                f"(CC to SOC); {100 * lost['swap'] / total:.0f} % of the lost hits are swaps."
            )
    for (task, _), shares in anatomy_shares([result]).items():
        missed = 1 - shares["hit"]
        if task == "soc" and missed > 0:
            kind = max(CLASSES[1:], key=lambda kind: shares[kind])
            sentences.append(
                f"The most common SOC error is {OUTCOME_TITLES[kind]}: {100 * shares[kind] / missed:.0f} % of misses."
            )
    return sentences
