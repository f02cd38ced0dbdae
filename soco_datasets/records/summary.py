"""An `EvaluationResult` in short: its scores as rows of text, and as the HTML table that a notebook shows."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from ..benchmarks.tasks import task_title
from ..config import alpha_key
from ..utils.text import clean
from ..utils.text_table import format_percent


def summary_rows(record: Any) -> tuple[list[str], list[list[str]]]:
    """(column names, a row per task): PCK in percent under the main reduction with its interval, at each threshold."""
    reduction, _ = record.main_metric()
    alphas = [alpha_key(alpha) for alpha in record.protocol.scoring.alphas]
    rows = []
    for task, by_reduction in record.metrics.items():
        cells = [task_title(task)]
        for alpha in alphas:
            part = by_reduction[reduction][alpha]["overall"]
            cells.append(_percent(part["pck"], interval_of(record, task, reduction, alpha)))
        rows.append([*cells, f"{by_reduction[reduction][alphas[0]]['overall']['pairs']:,}"])
    return ["task", *(f"PCK@{alpha}" for alpha in alphas), "pairs"], rows


def summary_html(record: Any) -> str:
    """The table of `summary_rows` under a line that says what was evaluated; names are escaped."""
    heading = f"{clean(record.model['name'])} on {clean(record.dataset['id'])}"
    return table_html(heading, *summary_rows(record), note=f"PCK in percent, {record.notes(None)}")


def table_html(heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> str:
    """A small HTML table for a notebook; every text is escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    below = f"<small>{escape(note)}</small>" if note else ""
    return (
        f"<div><b>{escape(heading)}</b><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}</div>"
    )


def interval_of(
    record: Any, task: str, reduction: str, alpha: str, level: str = "overall", name: str = ""
) -> tuple[float, float] | None:
    """The interval of one score, None where there is none; `level` as in `metrics`, such as "per_category"."""
    stored: Any = (record.intervals or {}).get("tasks", {}).get(task, {}).get(reduction, {}).get(alpha, {}).get(level)
    found = stored if level == "overall" or stored is None else stored.get(name)
    return None if not found else (found[0], found[1])


def _percent(pck: float | None, ends: tuple[float, float] | None) -> str:
    interval = "" if pck is None or ends is None else f" [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"
    return format_percent(pck) + interval
