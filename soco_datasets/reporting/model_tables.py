"""The list of backbones, one backbone, and a self-check as text for a terminal. No torch."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..benchmarks.soco.paper import headline
from ..features.model_list import ID_CHECKED, BackboneSpec
from ..features.recipes import CHECKPOINT, RECIPES, recipe_of
from ..utils.text_tables import align, display_width

if TYPE_CHECKING:
    from ..features.selfcheck.check_model import SelfCheckReport

_TASKS = {"cc": "CC", "soc": "SOC", "cross_soc": "Cross-SOC"}
_ACCESS = {"nothing": "open", "licence": "gated", "conversion": "convert", "plug-in": "plug-in"}
# Which columns go first when the terminal is too narrow for all.
_EXPENDABLE = ("licence", "checked", "weights", "paper", "sizes", "Cross-SOC", "CC", "access", "patch")


def model_record(spec: BackboneSpec) -> dict[str, Any]:
    """A listed model with the paper's headline scores (percent, None where there are none), as JSON values."""
    rules = {"size_multiple": spec.size_multiple, "size_rule": spec.size_rule, "needs": spec.availability}
    scores = headline(spec.name)
    names = RECIPES if spec.paper_statistics else (CHECKPOINT,)
    listed = {"licence" if name == "license" else name: value for name, value in asdict(spec).items()}
    return {
        **listed,
        **rules,
        "paper_scores": {task: scores.get(task) for task in _TASKS},
        "recipes": [recipe_of(spec, name).describe() for name in names],
    }


def format_models_table(specs: Sequence[BackboneSpec], width: int | None = None) -> str:
    """The listed models, one a line, the paper's scores in percent.

    Args:
        specs: entries of the list.
        width: columns of the terminal; the least important columns are left out until it fits. None = all of them.
    """
    rows = [_row(spec) for spec in specs]
    columns = list(rows[0]) if rows else ["name"]
    left_out = []
    for column in _EXPENDABLE:
        if width is None or _width(rows, columns) <= width:
            break
        columns.remove(column)
        left_out.append(column)
    prose = ["Scores: the paper's, PCK at 0.1 in percent. `soco models NAME` says more of one model."]
    if left_out:
        prose.append(f"Left out for want of width: {', '.join(reversed(left_out))} (they are in --json).")
    if width is not None:
        prose = [textwrap.fill(line, max(width, 20)) for line in prose]
    table = align([columns, *([row[column] for column in columns] for row in rows)], right=False)
    return "\n".join([table, *prose]) + "\n"


def format_model(spec: BackboneSpec) -> str:
    """Everything the list says of one model."""
    scores = headline(spec.name)
    lines = {
        "name": f"{spec.name} ({', '.join(spec.paper_names)} in the paper)" if spec.paper_names else spec.name,
        "family": spec.model_type or "none: comes in as a plug-in",
        "weights": (spec.hub_id or "none on the Hub") + (f" at {spec.revision}" if spec.revision else ""),
        "id checked": ID_CHECKED[spec.id_checked],
        "source": spec.source or "-",
        "licence": spec.license + (", to be accepted on the Hub first" if spec.gated else ""),
        "cells": f"{spec.patch} px",
        "image sizes": spec.size_rule,
        "paper scores": ", ".join(f"{title} {scores[task]:.2f}" for task, title in _TASKS.items() if scores) or "-",
        "adapter checked": spec.checked,
        "notes": spec.notes or "-",
    }
    return align(list(map(list, lines.items())), right=False) + _format_recipes(spec)


def _format_recipes(spec: BackboneSpec) -> str:
    """Each recipe of a model with the source of every choice, and the doubt that is left."""
    names = RECIPES if spec.paper_statistics else (CHECKPOINT,)
    blocks = []
    for number, name in enumerate(names):
        recipe = recipe_of(spec, name)
        rows = [
            [f"  {what}", choice.value, choice.source + (f" (doubt: {choice.doubt})" if choice.doubt else "")]
            for what, choice in recipe.choices().items()
        ]
        title = f"recipe {name}" + (" (default)" if number == 0 else "")
        unknown = f"  recorded as {recipe.label}: {recipe.unknown}\n" if recipe.label != recipe.name else ""
        blocks.append(f"{title}\n{unknown}{align(rows, right=False)}")
    return "\n" + "\n".join(blocks)


def format_selfcheck(report: SelfCheckReport) -> str:
    """The findings, one a line, and what they add up to."""
    used = report.settings
    head = (
        f"{report.model} ({report.family}): layer {used['layer']} of {used['num_layers']}, norm {used['norm']}, "
        f"{used['channels']} channels, cells of {used['patch_size']} px, {used['dtype']} on {used['device']}\n"
    )
    rows = [[check.status, check.name, check.detail] for check in report.checks]
    counts = {status: sum(check.status == status for check in report.checks) for status in ("pass", "fail", "skipped")}
    verdict = "passed" if report.passed else "FAILED"
    total = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"{head}{align(rows, right=False)}{verdict}: {total}\n"


def _row(spec: BackboneSpec) -> dict[str, str]:
    scores = headline(spec.name)
    doubt = "; id unverified" if spec.id_checked == "unverified" else ""
    return {
        "name": spec.name,
        "family": spec.model_type or "plug-in",
        "paper": ", ".join(spec.paper_names),
        "patch": str(spec.patch),
        "sizes": spec.size_rule,
        "access": _ACCESS[spec.availability],
        **{title: f"{scores[task]:5.2f}" if task in scores else "    -" for task, title in _TASKS.items()},
        "weights": (spec.hub_id or "-") + (f" at {spec.revision}" if spec.revision else ""),
        "licence": spec.license,
        "checked": spec.checked + doubt,
    }


def _width(rows: Sequence[dict[str, str]], columns: Sequence[str]) -> int:
    return sum(max(display_width(cell) for cell in [name, *(row[name] for row in rows)]) + 2 for name in columns) - 2
