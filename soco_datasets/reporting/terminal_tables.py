"""Scores as plain text for a terminal, in percent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..benchmarks.tasks import task_title
from ..config import alpha_key
from ..features.model_list import listed
from ..records.evaluation import EvaluationResult
from ..utils.text import clean
from ..utils.text_table import TextTable, format_percent


def format_metrics_table(
    result: EvaluationResult, *, per_supercategory: bool = False, per_category: bool = False
) -> str:
    """The scores of a result in percent with two decimals, "-" where there is nothing to score.

    Args:
        result: a result record.
        per_supercategory: add a table for each task with a row per supercategory.
        per_category: add a table for each task with a row per category.

    Returns:
        Aligned text with a newline at its end: a row per task (two for geo tasks, the second for a random choice), a
        column per reduction and threshold, then the pairs with a query and the keypoints behind the row.
    """
    data = result.dataset["id"] + (", all pairs" if result.split == "all" else "")
    convention = result.protocol.scoring.convention
    head = f"{clean(result.model['name'])} on {clean(data)}: PCK in percent, convention {convention}"
    blocks = [f"{head}\n{scores_text_table(result).text()}"]
    for wanted, part, label in (
        (per_supercategory, "per_supercategory", "supercategory"),
        (per_category, "per_category", "category"),
    ):
        if wanted:
            for name, task in result.metrics.items():
                table = _block(label, _parts(task, part), result)
                blocks.append(f"{task_title(name)} by {label}\n{table.text()}")
    return "\n".join(blocks) + recipe_note(result.model)


def recipe_note(model: Mapping[str, Any]) -> str:
    """One line for a model of the paper whose features are not made by the recipe `paper`; "" for any other."""
    spec = listed(str(model["name"]))
    recipe = model.get("recipe", "unknown")  # records from before name none
    if spec is None or not spec.paper_statistics or recipe == "paper":
        return ""
    return f"recipe: {recipe}, not the paper's (see docs/reference/recipes.md)\n"


ScoreTable = Mapping[str, Mapping[str, Mapping[str, Any]]]  # reduction -> alpha -> {"pck", "pairs", "keypoints", ...}


def _task_rows(result: EvaluationResult) -> dict[str, ScoreTable]:
    """Title -> the overall scores of each task, followed by what a random choice gets where that is known."""
    rows: dict[str, ScoreTable] = {}
    for name, task in result.metrics.items():
        rows[task_title(name)] = scores = _overall(task)
        if all("random_pck" in part for by_alpha in scores.values() for part in by_alpha.values()):
            rows[f"{task_title(name)}: random"] = {
                reduction: {alpha: {**part, "pck": part["random_pck"]} for alpha, part in by_alpha.items()}
                for reduction, by_alpha in scores.items()
            }
    return rows


def _overall(task: ScoreTable) -> ScoreTable:
    return {name: {alpha: part["overall"] for alpha, part in by_alpha.items()} for name, by_alpha in task.items()}


def _parts(task: ScoreTable, part: str) -> dict[str, ScoreTable]:
    """The same for each row of one breakdown, in the record's order (by name)."""
    some = next(iter(next(iter(task.values())).values()))
    return {
        row: {name: {alpha: whole[part][row] for alpha, whole in by_alpha.items()} for name, by_alpha in task.items()}
        for row in some[part]
    }


def scores_text_table(result: EvaluationResult) -> TextTable:
    """The scores of each task at all reductions and thresholds, as `format_metrics_table` has them."""
    return _block("task", _task_rows(result), result)


def _block(label: str, rows: Mapping[str, ScoreTable], result: EvaluationResult) -> TextTable:
    protocol = result.protocol
    columns = [(name, alpha_key(alpha)) for name in protocol.scoring.reductions for alpha in protocol.scoring.alphas]
    table = [[label, *(f"{name} @{alpha}" for name, alpha in columns), "pairs", "keypoints"]]
    for row, scores in rows.items():
        counts = scores[columns[0][0]][columns[0][1]]
        percents = [format_percent(scores[name][alpha]["pck"]) for name, alpha in columns]
        table.append([row, *percents, str(counts["pairs"]), str(counts["keypoints"])])
    return TextTable(table)
