"""An `EvaluationResult` in short: its scores as rows of text, on a terminal, in a notebook and on a page alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from ..benchmarks.tasks import TASKS, task_title
from ..config import alpha_key
from ..utils.text_table import format_percent

FEWEST_IMAGES = 5  # behind a score that has an interval
FEWEST_PAIRS = (FEWEST_IMAGES - 1) * (FEWEST_IMAGES - 2) + 1  # that fewer images cannot make: 13
_MOST_ALPHAS = 4  # columns of thresholds beside the first


def headline_rows(record: Any) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The scores of a record in short, PCK in percent under the headline reduction.

    Returns:
        The titles of the columns: task, the headline threshold and its interval, further thresholds, pairs. Then
        (task, cells) for each row, tasks in the order of the benchmark. The interval is "-" where fewer than five
        images are behind the score. What a random choice among the candidates gets follows its geo task, under
        the task "".
    """
    reduction, first = record.main_metric()
    alphas = [first, *[a for a in sorted(record.protocol.scoring.alphas, reverse=True) if a != first][:_MOST_ALPHAS]]
    keys = list(map(alpha_key, alphas))
    level = f"{100 * (record.intervals or {}).get('level', 0.95):g} %"
    titles = ["task", f"PCK@{keys[0]}", f"[{level}]", *(f"@{key}" for key in keys[1:]), "pairs"]
    rows = []
    for task in ordered_tasks(record.metrics):
        overall = [record.metrics[task][reduction][key]["overall"] for key in keys]
        ends = shown_interval(record, task, reduction, keys[0])
        interval = "-" if ends is None else f"[{', '.join(map(format_percent, ends))}]"
        percents = [format_percent(one["pck"]) for one in overall]
        pairs = f"{overall[0]['pairs']:,}"
        rows.append((task, [task_title(task), percents[0], interval, *percents[1:], pairs]))
        if all("random_pck" in one for one in overall):
            percents = [format_percent(one["random_pck"]) for one in overall]
            rows.append(("", [f"{task_title(task)}: random", percents[0], "", *percents[1:], pairs]))
    return titles, rows


def ordered_tasks(tasks: Iterable[str]) -> Iterator[str]:
    """Tasks in the order of the benchmark, those it does not know last."""
    order = {task: place for place, task in enumerate(TASKS)}
    yield from sorted(dict.fromkeys(tasks), key=lambda task: (order.get(task, len(order)), task))


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


def shown_interval(
    record: Any, task: str, reduction: str, alpha: str, level: str = "overall", name: str = ""
) -> tuple[float, float] | None:
    """`interval_of`, but None where fewer than five images may be behind the score: 12 pairs or fewer."""
    score = record.metrics[task][reduction][alpha][level]
    score = score if level == "overall" else score[name]
    return interval_of(record, task, reduction, alpha, level, name) if score["pairs"] >= FEWEST_PAIRS else None
