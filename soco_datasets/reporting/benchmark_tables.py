"""Several benchmarks in one table: a row per model and a column per benchmark, with the paper's values beside (r7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..benchmarks.base import SOCO, find_benchmark
from ..metrics.model_table import ModelTable
from ..records.comparable import check_comparable
from ..records.evaluation import EvaluationResult
from ..utils.text import clean
from .export import Cell, Column, ReportTable
from .paper_match import differences_from_paper, paper_percent
from .score_access import main_alpha, model_names, score_of

Results = Sequence[EvaluationResult]
_REDUCTION = "keypoint"  # of table r7
_TASK = "soc"


def group_by_benchmark(results: Results) -> dict[str, list[int]]:
    """Title of a benchmark -> positions of its results, benchmarks in the order of their first.

    Raises:
        UsageError: two results of one benchmark that cannot be compared, such as those of two copies whose pair lists
            differ: they would stand in one column as if they were the same.
    """
    groups: dict[str, list[int]] = {}
    for number, result in enumerate(results):
        groups.setdefault(str(result.dataset.get("benchmark", SOCO)), []).append(number)
    for members in groups.values():
        check_comparable([results[number] for number in members], sizes=True)
    return {benchmark_title(results[members[0]]): members for members in groups.values()}


def benchmark_title(result: EvaluationResult) -> str:
    """The benchmark that a record is of, as tables have it, with its split where that is not "test"."""
    name = str(result.dataset.get("benchmark", SOCO))
    found = find_benchmark(name)
    title = clean(name) if found is None else found.title
    return title if result.split == "test" else f"{title}, {clean(result.split)}"


def benchmark_table(results: Results) -> ReportTable:
    """PCK of the same-keypoint task of each model on each benchmark, and what the paper prints, as in its table r7.

    Args:
        results: records of one or more benchmarks; those of one benchmark must be comparable.

    Raises:
        UsageError: see `group_by_benchmark`.
    """
    groups = group_by_benchmark(results)
    names = _row_names(results, groups)
    models = list(dict.fromkeys(names))
    columns, cells = [Column("model")], dict[tuple[str, int], Cell]()
    notes = []
    for title, members in groups.items():
        own = [results[number] for number in members]
        reduction = reduction_of(own)
        alpha = main_alpha(own)
        if reduction != _REDUCTION or alpha != 0.1:
            notes.append(f"{title}: {reduction}, alpha {alpha:g}.")
        columns += [Column(title, "percent"), Column(f"{title} in the paper", "percent")]
        for number, result in zip(members, own, strict=True):
            task = _TASK if _TASK in result.metrics else next(iter(result.metrics))
            pck = score_of(result, task, reduction=reduction, alpha=alpha).pck
            printed = paper_percent(result, task, reduction=reduction, alpha=alpha)
            cells[names[number], len(columns) - 2] = None if pck is None else 100 * pck
            cells[names[number], len(columns) - 1] = printed
            if printed is not None and (differ := differences_from_paper([result])):
                notes.append(f"{title}: the paper's number is of another setting ({'; '.join(differ)}).")
    rows = [(model, *(cells.get((model, place)) for place in range(1, len(columns)))) for model in models]
    used = [c for c, _ in enumerate(columns) if c % 2 or c == 0 or any(row[c] is not None for row in rows)]
    note = (
        "PCK@0.1 in percent over the target box, mean over the keypoints of a category, then over categories, each "
        "benchmark under its own protocol. Scores of different benchmarks are of different pairs: compare within a "
        f"column. {' '.join(dict.fromkeys(notes))}"
    )
    return ReportTable(
        "benchmarks",
        "Benchmarks",
        note.strip(),
        tuple(columns[c] for c in used),
        tuple(tuple(row[c] for c in used) for row in rows),
    )


def _row_names(results: Results, groups: Mapping[str, Sequence[int]]) -> list[str]:
    """The row of each result: its model, told apart where one benchmark has several results of one name."""
    names = [""] * len(results)
    for members in groups.values():
        for number, name in zip(members, model_names([results[number] for number in members]), strict=True):
            names[number] = name
    return names


def reduction_of(results: Results) -> str:
    """The paper's reduction of table r7 where it was scored, else the first."""
    reductions = results[0].protocol.scoring.reductions
    return _REDUCTION if _REDUCTION in reductions else reductions[0]


def record_model_table(results: Results) -> ModelTable:
    """The scores of records as a table of models: a column per benchmark and task, in percent, for correlations.

    Raises:
        UsageError: see `group_by_benchmark`.
    """
    groups = group_by_benchmark(results)
    names = _row_names(results, groups)
    models = list(dict.fromkeys(names))
    columns: dict[str, np.ndarray] = {}
    for title, members in groups.items():
        own = [results[number] for number in members]
        reduction, alpha = reduction_of(own), main_alpha(own)
        for number, result in zip(members, own, strict=True):
            for task in result.metrics:
                pck = score_of(result, task, reduction=reduction, alpha=alpha).pck
                column = columns.setdefault(f"{title} {task}", np.full(len(models), np.nan))
                column[models.index(names[number])] = np.nan if pck is None else 100 * pck
    return ModelTable(tuple(models), columns)
