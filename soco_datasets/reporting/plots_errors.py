"""Charts of what went wrong: viewpoint, confused parts, kinds of error. Plain numbers in, matplotlib figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..benchmarks.tasks import task_title
from ..errors import UsageError, unknown_name
from ..records.evaluation import EvaluationResult
from ..utils.colors import LINE
from .given_results import as_records
from .report_tables import anatomy_shares, azimuth_curves, swap_blocks, swapped, swaps_of
from .score_access import check_task, model_names
from .style import (
    OUTCOME_COLORS,
    OUTCOME_TITLES,
    heading_of,
    labels,
    names_on,
    new_figure,
    note,
    series_color,
    series_marker,
    short,
    top_of_scale,
    without_common_words,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABEL = 22  # characters of a line of a model's name


def plot_azimuth(
    results: Any,
    task: str = "soc",
    *,
    heading: str | None = None,
    ylabel: str = "PCK, %",
) -> Figure:
    """PCK against the difference of the two views' azimuths, a line a model.

    Args:
        results: see `plots`; or model name -> bins (from, to, fraction or None), degrees of 0..180.
        task: which task.
        heading: above the chart; None = the task.
        ylabel: what is drawn.

    Raises:
        UsageError: no curve has a value, or no such task.
    """
    curves: Mapping[str, Sequence[tuple[float, float, float | None]]]
    if isinstance(results, Mapping):
        curves = results
    else:
        check_task(records := as_records(results), task)
        curves = azimuth_curves(records, task)
    if not any(value is not None for bins in curves.values() for _, _, value in bins):
        raise UsageError("No pair has known poses in both images, so there is no azimuth curve to draw.")
    figure, ax = new_figure(1.9)
    for index, bins in enumerate(curves.values()):
        known = [((low + high) / 2, 100 * float(value)) for low, high, value in bins if value is not None]
        if known:
            style = {"color": series_color(index), "marker": series_marker(index)}
            ax.plot(*zip(*known, strict=True), "-", linewidth=1.2, markersize=3.4, **style)
    edges = sorted({float(edge) for bins in curves.values() for low, high, _ in bins for edge in (low, high)})
    highest = max(value for bins in curves.values() for _, _, value in bins if value is not None)
    names_on(ax, "x", edges, [f"{edge:g}°" for edge in edges])
    ax.set_ylim(0, 1.03 * top_of_scale(100 * highest))
    labels(ax, "difference of azimuth", ylabel)
    heading = f"{task_title(task)} against the difference of azimuth" if heading is None else heading
    heading_of(figure, heading, list(curves) if len(curves) > 1 else [])
    return figure


def plot_swaps(results: Any, task: str = "soc", *, concept: str | None = None, heading: str = "") -> Figure:
    """A swap matrix of one concept: which instance (row) is taken for which (column), in percent of the row's queries.

    Args:
        results: one result, see `plots`.
        task: which task.
        concept: whose instances; None = the concept with most swaps.
        heading: above the chart; "" = the task and the concept.

    Raises:
        UsageError: several results; no swap in the task, or no such concept.
    """
    names, shares, found = _swaps_in(results, task, concept)
    return draw_swap_matrix(names, shares, heading=heading or f"{task_title(task)}: {found}")


def draw_swap_matrix(names: Sequence[str], shares: Any, *, heading: str = "", largest: int = 14) -> Figure:
    """A swap matrix of any instances.

    Args:
        names: of N instances.
        shares: (N, N) fractions; NaN where a row has no query.
        heading: above the chart.
        largest: with more instances than this, only those with the most swaps are drawn.

    Raises:
        UsageError: the shape does not fit.
    """
    from matplotlib.colors import to_rgba

    table = np.asarray(shares, dtype=float)
    if not names or table.shape != (len(names), len(names)):
        raise UsageError(f"A swap matrix of {len(names)} instances must be square, got shape {table.shape}.")
    if len(names) > largest:
        off = np.nan_to_num(table * (1 - np.eye(len(names))))
        kept = np.sort(np.argsort(-(off.sum(0) + off.sum(1)), kind="stable")[:largest])
        table, names = table[np.ix_(kept, kept)], [names[i] for i in kept]
    number = len(names)
    figure, ax = new_figure(1.1 + 0.19 * number)
    for row, column in np.ndindex(table.shape):
        value = float(table[row, column])
        if np.isfinite(value):
            color = OUTCOME_COLORS["hit"] if row == column else OUTCOME_COLORS["swap"]
            ax.add_patch(_cell(column, row, to_rgba(color, 0.08 + 0.72 * min(1.0, value) if value else 0.0)))
            if value >= 0.005:
                note(ax, column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=6)
    shown = without_common_words(names)
    shown = [short(name, 24) for name in shown]
    names_on(ax, "x", range(number), shown, rotation=40, ha="right", fontsize=6.5, rotation_mode="anchor")
    names_on(ax, "y", range(number), shown, fontsize=6.5)
    ax.set_xlim(-0.5, number - 0.5)
    ax.set_ylim(number - 0.5, -0.5)
    ax.set_xticks(np.arange(1, number) - 0.5, minor=True)
    ax.set_yticks(np.arange(1, number) - 0.5, minor=True)
    ax.grid(visible=False)
    ax.grid(which="minor", color=LINE, linewidth=0.5)
    ax.tick_params(which="minor", length=0)
    labels(ax, "predicted nearest", "query")
    heading_of(figure, heading)
    return figure


def _swaps_in(results: Any, task: str, concept: str | None) -> tuple[list[str], np.ndarray, str]:
    """(instances, shares, concept) of the most swapped instances of a result."""
    records = as_records(results)
    if len(records) != 1:
        raise UsageError(f"A swap matrix shows one result, got {len(records)}.")
    check_task(records, task)
    blocks = swap_blocks(swaps_of(records[0], task))
    if not blocks:
        raise UsageError(f"No prediction of {task_title(task)} is a swap.")
    chosen = [block for block in blocks if concept in (None, block[0])]
    if not chosen:
        raise unknown_name("concept with swaps", concept, {block[0] for block in blocks})
    name, points, counts = max(chosen, key=lambda block: swapped(block[2]))
    totals = counts.sum(axis=1, keepdims=True)
    return points, np.where(totals > 0, counts / np.maximum(totals, 1), np.nan), name


def _cell(column: int, row: int, color: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=color, linewidth=0)


def plot_anatomy(results: Any, task: str | None = None, *, heading: str = "Prediction outcomes") -> Figure:
    """Stacked bars: the share of hits, near misses, swaps, other parts and background in each row.

    Args:
        results: see `plots`; or label -> class -> fraction, classes as in `records.error_analysis.CLASSES`, absent = 0.
        task: only this one; None = every task whose errors were analyzed.
        heading: above the chart.

    Raises:
        UsageError: no row, or an unknown class.
    """
    rows: Mapping[str, Mapping[str, float]]
    rows = results if isinstance(results, Mapping) else _outcome_rows(as_records(results), task)
    unknown = sorted({name for row in rows.values() for name in row} - set(OUTCOME_COLORS))
    if unknown or not rows:
        raise UsageError(f"Give rows of the classes {', '.join(OUTCOME_COLORS)}; got {', '.join(unknown) or 'none'}.")
    lines = max(wrapped(name, _LABEL).count("\n") + 1 for name in rows)
    figure, ax = new_figure(0.42 + (0.22 if lines == 1 else 0.1 + 0.1 * lines) * len(rows))
    left = np.zeros(len(rows))
    for name, color in OUTCOME_COLORS.items():
        share = np.array([100 * row.get(name, 0.0) for row in rows.values()])
        ax.barh(range(len(rows)), share, left=left, height=0.74, color=color, zorder=2)
        for place, value in enumerate(share):
            if value >= 8:
                text = {"fontsize": 6, "color": "#101319", "ha": "center", "va": "center"}
                note(ax, left[place] + value / 2, place, f"{value:.0f}", **text)
        left += share
    names_on(ax, "y", range(len(rows)), list(rows), width=_LABEL)
    ax.set_ylim(len(rows) - 0.45, -0.55)
    ax.set_xlim(0, 100)
    ax.grid(axis="y", visible=False)
    labels(ax, "% of queries")
    heading_of(figure, heading, list(OUTCOME_TITLES.values()), list(OUTCOME_COLORS.values()), ["s"] * 5)
    return figure


def _outcome_rows(records: Sequence[EvaluationResult], task: str | None) -> dict[str, Mapping[str, float]]:
    """Label -> class -> fraction: the tasks of one result, or of several the models of each task."""
    if task is not None:
        check_task(records, task)
    shares = {key: found for key, found in anatomy_shares(records).items() if task in (None, key[0])}
    if not shares:
        raise UsageError("These results have no error analysis: soft and geo tasks have none, nor has the split all.")
    tasks = {name for name, _ in shares}
    several = len(model_names(records)) > 1

    def label(name: str, model: str) -> str:
        return ", ".join(part for part in ([model] if several else []) + ([task_title(name)] if len(tasks) > 1 else []))

    return {label(name, model) or task_title(name): found for (name, model), found in shares.items()}
