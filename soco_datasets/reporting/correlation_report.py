"""A correlation study as tables and charts (the paper's figures 4 and r4)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..metrics.correlation import Correlation, CorrelationStudy, TaskCorrelation
from ..records.made_files import write_made
from ..utils.colors import INK, LINE, MUTED
from ..utils.terminal import filled
from ..utils.text_table import TextTable
from .export import (
    Cell,
    Column,
    ReportTable,
    table_files,
)
from .style import WIDTH, heading_of, labels, names_on, new_figure, note, series_color, short, whisker
from .svg import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARGIN = 0.16  # of the axes, on every side of the points
_NAMED = 24  # models whose points are named in a scatter plot


def format_study(study: CorrelationStudy, width: int | None = None) -> str:
    """The study as text: a row per task, then what a reader must know; fitted to `width` columns of a terminal."""
    percent = f"{100 * study.level:g} %"
    head = ["task", "models", f"r ({short(study.x, 24)})", percent, "leave one out"]
    if study.baseline is not None:
        head += [f"r ({short(study.baseline, 24)})", percent, "|r| difference", percent]
    rows = [head, *(_text_row(task) for task in study.tasks)]
    about = (
        f"Pearson's r over {len(study.models)} models; {percent} intervals of {study.resamples} bootstrap resamples of "
        f"the models, seed {study.seed}"
    )
    notes = "".join(filled(f"note: {text}", width) + "\n" for text in study.notes)
    table = TextTable(rows, expendable=("leave one out",), hint="--json")
    return f"{filled(about, width)}\n{table.text(width)}{notes}"


def _text_row(task: TaskCorrelation) -> list[str]:
    row = [short(task.task, 40), str(len(task.x.models)), f"{task.x.r:+.3f}", _span(task.x.low, task.x.high)]
    row.append("-" if task.x.leave_one_out is None else _span(*(r for r, _ in task.x.leave_one_out)))
    if task.baseline is not None and task.difference is not None:
        difference = task.difference
        row += [f"{task.baseline.r:+.3f}", _span(task.baseline.low, task.baseline.high), f"{difference.strength:+.3f}"]
        row.append(_span(difference.strength_low, difference.strength_high))
    return row


def _span(low: float, high: float) -> str:
    return f"[{low:+.3f}, {high:+.3f}]"


def study_table(study: CorrelationStudy) -> ReportTable:
    """The study as a table to export, a row a task."""
    columns = [Column("task"), *_columns(study.x)]
    if study.baseline is not None:
        columns += _columns(study.baseline)
        for what in ("|r| difference", "r difference"):
            columns += [Column(what, "number"), Column(f"{what} low", "number"), Column(f"{what} high", "number")]
        columns.append(Column("difference models", "count"))
    rows = []
    for task in study.tasks:
        row: list[Cell] = [task.task, *_cells(task.x)]
        if task.baseline is not None and task.difference is not None:
            d = task.difference
            row += [*_cells(task.baseline), d.strength, d.strength_low, d.strength_high]
            row += [d.signed, d.signed_low, d.signed_high, len(d.models)]
        rows.append(tuple(row))
    text = (
        f"Pearson's r over models with {100 * study.level:g} % bootstrap intervals ({study.resamples} resamples of the "
        f"models, seed {study.seed}) and the range with any one model left out. {' '.join(study.notes)}"
    )
    return ReportTable("correlations", "Correlations", text.strip(), tuple(columns), tuple(rows))


def _columns(name: str) -> list[Column]:
    numbers = [Column(f"{name} {what}", "number") for what in ("r", "low", "high", "leave one out low")]
    return [
        Column(f"{name} models", "count"), *numbers, Column(f"{name} without (low)"),
        Column(f"{name} leave one out high", "number"), Column(f"{name} without (high)"),
    ]  # fmt: skip


def _cells(found: Correlation) -> list[Cell]:
    cells: list[Cell] = [len(found.models), found.r, found.low, found.high]
    return cells + ([None] * 4 if found.leave_one_out is None else [v for end in found.leave_one_out for v in end])


def plot_correlations(study: CorrelationStudy) -> Figure:
    """r of every task with its interval, a bar for x and one for the baseline (as in the paper's figure 4)."""
    names = [study.x, *([study.baseline] if study.baseline is not None else [])]
    figure, ax = new_figure(0.45 + (0.12 + 0.13 * len(names)) * len(study.tasks))
    height = 0.8 / len(names)
    for place, task in enumerate(study.tasks):
        for index, found in enumerate([task.x, task.baseline][: len(names)]):
            if found is not None:
                y = place + (index - (len(names) - 1) / 2) * height
                ax.barh(y, found.r, height=0.88 * height, color=series_color(index), zorder=2)
                whisker(ax, found.low, found.high, y)
    ax.axvline(0, color=MUTED, linewidth=0.8)
    names_on(ax, "y", range(len(study.tasks)), [task.task for task in study.tasks])
    ax.set_ylim(len(study.tasks) - 0.45, -0.55)
    signed = any(min(found.low, found.r) < 0 for t in study.tasks for found in (t.x, t.baseline) if found is not None)
    ax.set_xlim(-1.02 if signed else 0, 1.02)
    ax.grid(axis="y", visible=False)
    labels(ax, f"Pearson's r over models, {100 * study.level:g} % interval")
    heading_of(figure, "What predicts the tasks", names)
    return figure


def plot_scatters(study: CorrelationStudy, titles: Mapping[str, str] | None = None) -> Figure:
    """Every task against x and the baseline, a point a model, with the line of least squares (the paper's figure r4).

    Args:
        study: to draw.
        titles: column -> how it is called in the figure; None = as the table has it.
    """
    names, called = [study.x, *([study.baseline] if study.baseline is not None else [])], titles or {}
    across = len(names)
    figure, axes = new_figure(
        1.95 * len(study.tasks), WIDTH * across, rows=len(study.tasks), columns=across, squeeze=False
    )
    for place, task in enumerate(study.tasks):
        for index, (name, found) in enumerate(zip(names, (task.x, task.baseline), strict=False)):
            if found is not None:
                ax = axes[place, index]
                _scatter(ax, study, name, task.task, found, series_color(index))
                labels(ax, *(short(called.get(one, one)) for one in (name, task.task)))
    heading_of(figure, f"Tasks against {' and '.join(short(called.get(name, name), 24) for name in names)}")
    return figure


def _scatter(ax: Axes, study: CorrelationStudy, x: str, y: str, found: Correlation, color: str) -> None:
    rows = [study.table.models.index(model) for model in found.models]
    xs, ys = study.table.columns[x][rows], study.table.columns[y][rows]
    slope = found.r * ys.std() / xs.std()
    ends = np.array([xs.min(), xs.max()])
    ax.plot(ends, ys.mean() + slope * (ends - xs.mean()), color=LINE, linewidth=1.5, zorder=1)
    ax.plot(xs, ys, "o", color=color, markersize=3.6, zorder=3)
    ax.margins(x=_MARGIN, y=_MARGIN)
    if len(found.models) <= _NAMED:
        names = [short(model, 22) for model in found.models]
        for name, at_x, at_y, place in zip(names, xs, ys, _label_places(xs, ys, names), strict=True):
            note(ax, at_x, at_y, name, fontsize=5, color=MUTED, xytext=place, textcoords="offset points", ha="left")
    text = f"r = {found.r:+.2f}  [{found.low:+.2f}, {found.high:+.2f}]".replace("-", "−")
    ax.set_title(text, loc="left", fontsize=6.5, color=INK)


def _label_places(xs: np.ndarray, ys: np.ndarray, names: Sequence[str]) -> list[tuple[float, float]]:
    """Where each name begins beside its point, in points: inside the axes, where it covers least of points and names.

    Sizes are estimates for axes of about 190 x 105 points.
    """
    wide, high = 190.0, 105.0
    inner = 1 / (1 + 2 * _MARGIN)
    at = np.stack(
        [((v - v.min()) / (v.max() - v.min()) + _MARGIN) * inner * side for v, side in ((xs, wide), (ys, high))], axis=1
    )
    taken = [(x - 2.5, y - 2.5, x + 2.5, y + 2.5) for x, y in at]
    places = []
    for (x, y), name in zip(at, names, strict=True):
        width = 2.9 * len(name)
        boxes = {}
        for dx, dy in ((4.0, 2.0), (4.0, -6.0), (-4.0, 2.0), (-4.0, -6.0), (0.0, 4.0), (0.0, -9.0), (0.0, 9.0)):
            left = x + dx - (width if dx < 0 else 0 if dx > 0 else width / 2)
            left = min(max(left, 1.0), max(1.0, wide - width - 1))
            low = min(max(y + dy, 1.0), high - 7)
            boxes[left - x, low - y] = (left, low, left + width, low + 6)
        best = min(boxes, key=lambda place: sum(_shared_area(boxes[place], other) for other in taken))
        taken.append(boxes[best])
        places.append(best)
    return places


def _shared_area(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two rectangles (left, bottom, right, top)."""
    across, up = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    return max(0.0, across) * max(0.0, up)


def write_study(study: CorrelationStudy, out: Path, *, overwrite: bool = False) -> list[Path]:
    """Write `correlations` as Markdown, CSV, LaTeX and JSON, and both charts as SVG, PDF and PNG.

    Args:
        study: the correlations.
        out: folder, in which a study of the same or fewer numbers may be.
        overwrite: replace a study of other numbers, and whatever else is in the way.

    Raises:
        MissingExtraError: matplotlib is not installed; nothing is written.
        UsageError: a study of other numbers is in the folder.
        SocoError: the folder cannot be written.
    """
    return write_made(out, study_files(study), study_inputs(study), overwrite=overwrite)


def study_inputs(study: CorrelationStudy) -> list[str]:
    """The numbers that a study is made from, and how, as `inputs` of `write_made`."""
    chosen = set(study.models)
    how = f"x {study.x}, baseline {study.baseline}, level {study.level}, {study.resamples} resamples, seed {study.seed}"
    return [how] + [
        f"{column} of {model}: {value!r}"
        for column, values in study.table.columns.items()
        for model, value in zip(study.table.models, values.tolist(), strict=True)
        if model in chosen and value == value
    ]


def study_files(study: CorrelationStudy) -> dict[str, str | bytes]:
    """Name -> content of what `write_study` writes."""
    pictures = {
        f"{name}.{form}": picture(figure, form)
        for name, figure in (("correlations", plot_correlations(study)), ("scatters", plot_scatters(study)))
        for form in ("svg", "pdf", "png")
    }
    text = json.dumps(study.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return {**table_files([study_table(study)]), "correlations.json": text, **pictures}
