"""The scores of each category as a table. Percent, 0 to 100."""

from __future__ import annotations

from collections.abc import Sequence

from ..benchmarks.tasks import task_title
from ..records.evaluation import EvaluationResult
from .export import Cell, Column, ReportTable
from .score_access import headline_metric, headline_tasks, model_names, names_in, score_of

_SIDE_BY_SIDE = 3  # models with columns of their own; more stand below each other, so that the table fits on paper


def category_table(results: Sequence[EvaluationResult]) -> ReportTable | None:
    """One row per category, one column per task and model; with more than three models one row per category and model.

    The number of queries behind each task is in the last columns.
    """
    metric = headline_metric(results)
    tasks, models = headline_tasks(results), model_names(results)
    names = sorted({name for task in tasks for name in names_in(results, task, "per_category")})
    if not names:
        return None
    note = f"PCK@{metric['alpha']:g} in percent, mean over the {metric['reduction']}s of each category."
    counts = [Column(f"{task_title(task)} queries", "count") for task in tasks]
    rows: list[tuple[Cell, ...]] = []
    aside = len(models) <= _SIDE_BY_SIDE
    columns = [Column("category")]
    if aside:
        for task in tasks:
            title = task_title(task)
            columns += [Column(title if len(models) == 1 else f"{title}, {model}", "percent") for model in models]
    else:
        columns += [Column("model"), *(Column(task_title(task), "percent", "max") for task in tasks)]
    for category in names:
        scores = [
            [score_of(result, task, part="per_category", name=category, **metric) for result in results]
            for task in tasks
        ]
        queries: list[Cell] = [max(score.keypoints for score in of_task) for of_task in scores]
        if aside:
            percents = [None if s.pck is None else 100 * s.pck for of_task in scores for s in of_task]
            rows.append((category, *percents, *queries))
            continue
        for place, model in enumerate(models):
            own = [of_task[place].pck for of_task in scores]
            rows.append((category, model, *(None if pck is None else 100 * pck for pck in own), *queries))
    return ReportTable("categories", "By category", note, (*columns, *counts), tuple(rows))
