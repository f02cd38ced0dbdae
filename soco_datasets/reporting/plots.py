"""Charts of results as matplotlib figures; none touches pyplot or any other global state.

Each function returns a new `matplotlib.figure.Figure` that shows itself in a notebook and is saved with `savefig`. All
need the extra `report` (`MissingExtraError` otherwise). Scores are drawn in percent, intervals where the records have
them. `results` are results of comparable runs: records, `Result`s, paths of records, or a list of them, see
`given_results.as_records`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..benchmarks.tasks import task_title
from ..errors import UsageError
from ..records.evaluation import EvaluationResult
from ..utils.colors import LINE, MUTED, SERIES
from .given_results import as_records
from .pair_plot import plot_pair
from .plots_data import plot_keypoints
from .plots_errors import plot_anatomy, plot_azimuth, plot_swaps
from .score_access import DROP, check_task, main_alpha, main_reduction, model_names, names_in, score_of
from .style import (
    heading_of,
    labels,
    names_on,
    new_figure,
    note,
    series_bar,
    series_color,
    series_marker,
    short,
    top_of_scale,
    whisker,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "plot_anatomy", "plot_azimuth", "plot_categories", "plot_drops", "plot_keypoints", "plot_pair",
    "plot_supercategories", "plot_swaps", "plot_thresholds",
]  # fmt: skip

_ROW = 0.125  # inches for a line of a list of categories
_BESIDE: dict[str, Any] = {"xytext": (3, 0), "textcoords": "offset points"}


def plot_categories(
    results: Any,
    task: str = "soc",
    *,
    alpha: float | None = None,
    reduction: str | None = None,
    categories: Sequence[str] | None = None,
    heading: str | None = None,
    top: float | None = None,
) -> Figure:
    """PCK of each category, best first: bars for one model, dots on a line for several.

    Args:
        results: records to compare.
        task: which task.
        alpha, reduction: which metric; None = that of the headline.
        categories: only these; None = all that have a score.
        heading: above the chart; None = the task.
        top: percent that the axis reaches at least, for charts that stand side by side.

    Raises:
        UsageError: no such task, or no category with a score.
    """
    results = as_records(results)
    check_task(results, task)
    scored = names_in(results, task, "per_category")
    names = [name for name in scored if categories is None or name in set(categories)]
    if not names:
        raise UsageError(f"No category of {task_title(task)} has a score to draw.")
    values = _percents(results, task, "per_category", names, alpha, reduction)
    order = np.argsort(-np.nan_to_num(np.nanmax(values, axis=0), nan=-1), kind="stable")
    figure, ax = new_figure(0.4 + _ROW * len(names))
    _rows_of_scores(ax, values[:, order], max(float(np.nanmax(values)), top or 0.0))
    shown = [names[i] for i in order]
    _counts_on(ax, results, task, "per_category", shown)
    names_on(ax, "y", range(len(names)), [short(name) for name in shown], fontsize=6.5, width=30)
    _finish(figure, ax, results, heading or f"{task_title(task)} by category", task, alpha, reduction)
    return figure


def _rows_of_scores(ax: Axes, values: np.ndarray, highest: float) -> None:
    """(models, rows) percents from top to bottom, on an axis with room for the highest."""
    places = np.arange(values.shape[1])
    if len(values) == 1:
        ax.barh(places, np.nan_to_num(values[0]), height=0.72, color=SERIES[0], zorder=2)
        for place, value in zip(places, values[0], strict=True):
            if np.isfinite(value):
                note(ax, value, place, f"{value:.0f}", va="center", fontsize=6, color=MUTED, **_BESIDE)
    else:
        present = ~np.isnan(values).all(axis=0)
        shown = values[:, present]
        ax.hlines(
            places[present], np.nanmin(shown, axis=0), np.nanmax(shown, axis=0), color=LINE, linewidth=2, zorder=1
        )
        for index, row in enumerate(values):
            style: dict[str, Any] = {"color": series_color(index), "marker": series_marker(index)}
            ax.plot(row, places, linestyle="", markersize=3.6, zorder=3, clip_on=False, **style)
    ax.set_ylim(len(places) - 0.4, -0.6)
    ax.set_xlim(0, 1.04 * top_of_scale(highest))
    ax.grid(axis="y", visible=False)


def _counts_on(ax: Axes, results: Sequence[EvaluationResult], task: str, part: str, names: Sequence[str]) -> None:
    """n, the queries behind each row, at the right edge."""
    metric = _metric(results, None, None)
    for place, name in enumerate(names):
        scores = (score_of(result, task, part=part, name=name, **metric) for result in results)
        number = max(scored.keypoints for scored in scores)
        style: dict[str, Any] = {"fontsize": 6, "color": MUTED, "va": "center", "ha": "left", "clip_on": False}
        ax.text(
            1.015, place, f"n = {number:,}" if not place else f"{number:,}", transform=ax.get_yaxis_transform(), **style
        )


def plot_supercategories(
    results: Any, task: str = "soc", *, alpha: float | None = None, reduction: str | None = None
) -> Figure:
    """PCK of each supercategory, one bar per model, with intervals. Arguments and errors as `plot_categories`."""
    results = as_records(results)
    check_task(results, task)
    names = names_in(results, task, "per_supercategory")
    if not names:
        raise UsageError(f"No supercategory of {task_title(task)} has a score to draw.")
    figure, ax = new_figure(0.42 + len(names) * (0.12 + 0.125 * len(results)))
    height = 0.8 / len(results)
    for index, result in enumerate(results):
        for place, name in enumerate(names):
            scored = score_of(result, task, part="per_supercategory", name=name, **_metric(results, alpha, reduction))
            if scored.pck is not None:
                y = place + (index - (len(results) - 1) / 2) * height
                _bar(ax, y, height * 0.86, scored, index)
    names_on(ax, "y", range(len(names)), names, width=14)
    _counts_on(ax, results, task, "per_supercategory", names)
    ax.set_ylim(len(names) - 0.45, -0.55)
    metric = _metric(results, alpha, reduction)
    scores = [score_of(r, task, part="per_supercategory", name=name, **metric) for r in results for name in names]
    ax.set_xlim(0, 1.12 * top_of_scale(100 * max(s.high or s.pck or 0 for s in scores)))
    ax.grid(axis="y", visible=False)
    _finish(figure, ax, results, f"{task_title(task)} by supercategory", task, alpha, reduction)
    return figure


def _bar(ax: Axes, y: float, height: float, scored: Any, index: int) -> None:
    value = 100 * scored.pck
    ax.barh(y, value, height=height, zorder=2, **series_bar(index))
    end = value
    if scored.low is not None:
        whisker(ax, 100 * scored.low, 100 * scored.high, y)
        end = max(value, 100 * scored.high)
    note(ax, end, y, f"{value:.1f}", va="center", fontsize=6, color=MUTED, **_BESIDE)


def plot_thresholds(results: Any, task: str = "soc", *, reduction: str | None = None) -> Figure:
    """PCK against the threshold alpha, one line per model, bars for the intervals. Arguments as `plot_categories`."""
    results = as_records(results)
    check_task(results, task)
    alphas = sorted(results[0].protocol.scoring.alphas)
    how = reduction or main_reduction(results)
    figure, ax = new_figure(1.9)
    highest = 0.0
    for index, result in enumerate(results):
        scores = [score_of(result, task, reduction=how, alpha=alpha) for alpha in alphas]
        color = series_color(index)
        known = [(a, s) for a, s in zip(alphas, scores, strict=True) if s.pck is not None]
        highest = max([highest, *(100 * (s.high or s.pck or 0) for _, s in known)])
        # Intervals side by side, not as bands: bands of three models are one gray area.
        aside = (index - (len(results) - 1) / 2) * min(0.0022, 0.012 / len(results)) * max(alphas) / 0.1
        ax.plot(
            [a + aside for a, _ in known], [100 * (s.pck or 0) for _, s in known], "-", color=color, linewidth=1.2,
            marker=series_marker(index), markersize=3.4,
        )  # fmt: skip
        for a, s in known:
            if s.low is not None and s.high is not None:
                ax.plot([a + aside] * 2, [100 * s.low, 100 * s.high], color=color, linewidth=0.9, alpha=0.75)
        if len(results) == 1:
            for a, s in known:
                above = {"xytext": (-4, 2), "textcoords": "offset points", "ha": "right"}
                note(ax, a, 100 * (s.pck or 0), f"{100 * (s.pck or 0):.1f}", color=MUTED, **above)
    names_on(ax, "x", alphas, [f"{alpha:g}" for alpha in alphas])
    ax.set_xlim(0, max(alphas) * 1.08)
    ax.set_ylim(0, 1.08 * top_of_scale(highest))
    labels(ax, "alpha (fraction of the normalizer)", "PCK, %")
    _title(figure, f"{task_title(task)} against alpha", results)
    return figure


def plot_drops(
    results: Any,
    *,
    tasks: Sequence[str] = DROP,
    alpha: float | None = None,
    reduction: str | None = None,
) -> Figure:
    """From CC over SOC to Cross-SOC: what requiring the exact keypoint, then across categories, costs each model.

    Raises:
        UsageError: fewer than two of the tasks have a score.
    """
    results = as_records(results)
    metric = _metric(results, alpha, reduction)
    table = np.array([[_percent(score_of(r, task, **metric).pck) for task in tasks] for r in results], dtype=float)
    there = ~np.isnan(table).all(axis=0)
    if there.sum() < 2:
        raise UsageError(f"A drop needs two of the tasks {', '.join(tasks)} in the results.")
    table, shown = table[:, there], [task for task, keep in zip(tasks, there, strict=True) if keep]
    figure, ax = new_figure(2.0)
    for index, row in enumerate(table):
        style = {"color": series_color(index), "marker": series_marker(index)}
        ax.plot(range(len(shown)), row, "-", linewidth=1.4, markersize=4, zorder=3, **style)
    top = top_of_scale(float(np.nanmax(table)))
    _label_slopes(ax, table, 0.075 * top)
    names_on(ax, "x", range(len(shown)), [task_title(task) for task in shown])
    ax.set_xlim(-0.3, len(shown) - 0.55)
    ax.set_ylim(0, 1.08 * top)
    labels(ax, "", f"PCK@{metric['alpha']:g}, %")
    _title(figure, "Score drop across tasks", results)
    return figure


def _label_slopes(ax: Axes, table: np.ndarray, room: float) -> None:
    """The value beside each point; with several models, only where labels do not run into one another."""
    for place, column in enumerate(table.T):
        taken: list[float] = []
        for value in sorted((v for v in column if np.isfinite(v)), reverse=True):
            if all(abs(value - other) > room for other in taken):
                beside = {"xytext": (6, 3), "textcoords": "offset points"}
                note(ax, place, value, f"{value:.1f}", color=MUTED, **beside)
                taken.append(value)


def _metric(results: Sequence[EvaluationResult], alpha: float | None, reduction: str | None) -> dict[str, Any]:
    return {
        "alpha": main_alpha(results) if alpha is None else alpha,
        "reduction": reduction or main_reduction(results),
    }


def _percents(
    results: Sequence[EvaluationResult],
    task: str,
    part: str,
    names: Sequence[str],
    alpha: float | None,
    reduction: str | None,
) -> np.ndarray:
    """(models, names) percents, NaN where there is nothing to score."""
    metric = _metric(results, alpha, reduction)
    return np.array(
        [[_percent(score_of(r, task, part=part, name=name, **metric).pck) for name in names] for r in results],
        dtype=float,
    )


def _percent(pck: float | None) -> float:
    return float("nan") if pck is None else 100 * pck


def _finish(
    figure: Figure,
    ax: Axes,
    results: Sequence[EvaluationResult],
    heading: str,
    task: str,
    alpha: float | None,
    reduction: str | None,
) -> None:
    metric = _metric(results, alpha, reduction)
    labels(ax, f"{task_title(task)} PCK@{metric['alpha']:g}, %, mean over {metric['reduction']}s")
    _title(figure, heading, results)


def _title(figure: Figure, text: str, results: Sequence[EvaluationResult]) -> None:
    heading_of(figure, text, model_names(results) if len(results) > 1 else [])
