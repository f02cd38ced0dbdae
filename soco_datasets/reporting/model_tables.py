"""The list of backbones, one backbone, and a self-check as text for a terminal. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..benchmarks.soco.paper import headline
from ..features.model_list import ID_CHECKED, BackboneSpec
from ..features.recipes import CHECKPOINT, RECIPES, recipe_of
from ..utils.terminal import filled
from ..utils.text_table import BAD, DIM, GOOD, TextTable

if TYPE_CHECKING:
    from ..features.selfcheck.check_model import SelfCheckReport

_TASKS = {"cc": "CC", "soc": "SOC", "cross_soc": "Cross-SOC"}
_ACCESS = {"nothing": "open", "licence": "gated", "conversion": "convert", "plug-in": "plug-in"}
_STATUS_STYLES = {"pass": GOOD, "fail": BAD, "skipped": DIM, "info": ""}
# Which columns go first when the terminal is too narrow for all.
_EXPENDABLE = ("license", "checked", "weights", "paper", "sizes", "Cross-SOC", "CC", "access", "patch")


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
    cells = [columns, *([row[column] for column in columns] for row in rows)]
    table = TextTable(cells, left=None, expendable=_EXPENDABLE, hint="--json")
    prose = "Scores: the paper's, PCK at 0.1 in percent. Run `soco models NAME` for details."
    return f"{table.text(width)}{filled(prose, width)}\n"


def format_model(spec: BackboneSpec, width: int | None = None) -> str:
    """Everything the list says of one model, its prose filled to `width` columns."""
    scores = headline(spec.name)
    lines = {
        "name": f"{spec.name} ({', '.join(spec.paper_names)} in the paper)" if spec.paper_names else spec.name,
        "family": spec.model_type or "none: comes in as a plug-in",
        "weights": (spec.hub_id or "none on the Hub") + (f" at {spec.revision}" if spec.revision else ""),
        "Hub id": ID_CHECKED[spec.id_checked],
        "source": spec.source or "-",
        "license": spec.license + (", to be accepted on the Hub first" if spec.gated else ""),
        "cells": f"{spec.patch} px",
        "image sizes": spec.size_rule,
        "paper scores": ", ".join(f"{title} {scores[task]:.2f}" for task, title in _TASKS.items() if scores) or "-",
        "adapter checked": spec.checked,
        "notes": spec.notes or "-",
    }
    return TextTable(list(map(list, lines.items())), left=None, prose=True).text(width) + _format_recipes(spec, width)


def _format_recipes(spec: BackboneSpec, width: int | None) -> str:
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
        blocks.append(f"{title}\n{filled(unknown, width)}{TextTable(rows, left=None, prose=True).text(width)}")
    return "\n" + "\n".join(blocks)


def selfcheck_table(report: SelfCheckReport) -> TextTable:
    """The findings of a self-check, one a line."""
    rows = [[check.status, check.name, check.detail] for check in report.checks]
    styles: dict[tuple[int, int | None], str] = {
        (row, 0): _STATUS_STYLES[check.status] for row, check in enumerate(report.checks)
    }
    return TextTable(rows, left=None, prose=True, styles=styles)


def selfcheck_heading(report: SelfCheckReport) -> str:
    """Which model was checked, and how."""
    used = report.settings
    layer = "" if used["layer"] is None else f"layer {used['layer']} of {used['num_layers']}, norm {used['norm']}, "
    return (
        f"{report.model} ({report.family}): {layer}"
        f"{used['channels']} channels, cells of {used['patch_size']} px, {used['dtype']} on {used['device']}"
    )


def selfcheck_verdict(report: SelfCheckReport) -> str:
    """What the findings add up to."""
    counts = {status: sum(check.status == status for check in report.checks) for status in ("pass", "fail", "skipped")}
    total = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"{'passed' if report.passed else 'FAILED'}: {total}"


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
        "license": spec.license,
        "checked": spec.checked + doubt,
    }
