"""The report of a study: tables r8 and r9 beside the published ones, figure 4, figure r4."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..downstream.table import r8_columns
from ..errors import UsageError
from ..metrics.correlation import LEAST, CorrelationStudy, ModelBootstrap, TaskCorrelation, correlate
from ..metrics.model_table import ModelTable, read_model_table
from ..records.made_files import write_made
from ..utils.colors import MUTED
from .correlation_report import plot_scatters, study_files, study_inputs
from .style import WIDE, heading_of, labels, names_on, new_figure, series_color
from .svg import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_R9_COLUMNS = {
    "ade20k_miou": "Seg.", "arkit_ap3d": "Det3", "imagenet3d_acc_pi6": "Pose", "navi_recall": "MV Corr.",
    "tapvid_davis_aj": "Tracking", "nyuv2_normals_rmse": "Normals", "nyuv2_depth_rmse": "Depth",
}  # fmt: skip
BASELINE = "imagenet_knn_top1"
_SUBSET_COLOR = 3  # in the series; all models have the one before, and neither is that of SOC or kNN


def write_study_report(
    tables: Sequence[Path],
    out: Path,
    x: str = "soc",
    *,
    subset: Sequence[str] = (),
    resamples: int = 10_000,
    overwrite: bool = False,
) -> tuple[list[Path], list[str]]:
    """Correlations of SOC and of kNN with every task, for all models and for the subset.

    Args:
        tables: CSV files, joined by model.
        out: folder.
        x: column of SOC.
        subset: models trained with a dense self-supervised objective.
        resamples: of the bootstrap.
        overwrite: replace correlations of other numbers, and whatever else is in the way.

    Returns:
        Files written, and sentences that say what could not be done.
    """
    table = read_model_table(tables)
    refusals: list[str] = []
    every = _correlated(table, x, None, resamples, refusals)
    if every is None:
        return [], refusals
    part = _correlated(table, x, subset, resamples, refusals) if subset else None
    files = study_files(every)
    figure = plot_study(every, part)
    for form in ("svg", "png"):
        files[f"figure4.{form}"] = picture(figure, form)
        files[f"figure_r4.{form}"] = picture(plot_scatters(every, _titles()), form)
    files["r9.csv"] = r9_csv(every)
    inputs = [*study_inputs(every), *(f"subset {name}" for name in subset)]
    return write_made(out, files, inputs, overwrite=overwrite), refusals


def _correlated(
    table: ModelTable, x: str, models: Sequence[str] | None, resamples: int, refusals: list[str]
) -> CorrelationStudy | None:
    """The study over the tasks that enough models have; what is left out is reported."""
    try:
        chosen = table if models is None else table.select(models)
        predictor, rival = chosen.column(x), chosen.column(BASELINE) if BASELINE in chosen.columns else None
    except UsageError as error:
        hint = (
            " The column soc comes from results on SOC: give --data soco=DIR, or a table with it." if x == "soc" else ""
        )
        refusals.append(f"No correlation: {error}{hint}")
        return None
    tasks: list[str] = []
    enough = len(chosen.models) >= LEAST  # else one sentence says it for all tasks
    for task in _tasks_of(chosen, predictor, rival) if enough else ():
        try:
            correlate(chosen, predictor, rival, tasks=[task], bootstrap=ModelBootstrap(resamples=100))
        except UsageError as error:
            refusals.append(f"{task}: {error}")
            continue
        tasks.append(task)
    if not tasks:
        where = "" if models is None else " of the subset"
        refusals.append(
            f"No correlation{where}: each needs at least three models with {predictor} and the task, and there are "
            f"{len(chosen.models)}. Add models to the study."
        )
        return None
    return correlate(chosen, predictor, rival, tasks=tasks, bootstrap=ModelBootstrap(resamples=resamples))


def _tasks_of(table: ModelTable, *others: str | None) -> list[str]:
    """The downstream tasks among the columns, in the order of table r8; every column where there is none of them."""
    known = [column.key for column in r8_columns() if column.key in table.columns]
    return [name for name in known or table.columns if name not in others]


def plot_study(every: CorrelationStudy, subset: CorrelationStudy | None = None) -> Figure:
    """Figure 4: left, r with its interval per task for SOC and kNN; right, their difference for all and the subset."""
    figure, axes = new_figure(0.5 + 0.36 * len(every.tasks), WIDE, rows=1, columns=2, squeeze=False)
    left, right = axes[0]
    titles = _titles()
    names = [every.x, *([every.baseline] if every.baseline else [])]
    for place, task in enumerate(every.tasks):
        for index, found in enumerate([task.x, task.baseline][: len(names)]):
            if found is not None:
                y = place + (index - (len(names) - 1) / 2) * 0.3
                left.plot([found.low, found.high], [y, y], color=series_color(index), linewidth=2)
                left.plot(found.r, y, "o", color=series_color(index), markersize=5)
        same = next((one for one in subset.tasks if one.task == task.task), None) if subset else None
        for index, one in enumerate((task, same)):
            if one is not None:
                _difference(right, place + 0.3 * (index - 0.5), one, _SUBSET_COLOR - 1 + index)
    ticks = [f"{titles.get(task.task, task.task)} ({len(task.x.models)} models)" for task in every.tasks]
    for ax, shown in ((left, ticks), (right, [""] * len(ticks))):
        ax.axvline(0, color=MUTED, linewidth=0.8)
        names_on(ax, "y", range(len(ticks)), shown)
        ax.set_ylim(len(ticks) - 0.45, -0.55)
        ax.grid(axis="y", visible=False)
    left.set_xlim(-1.02, 1.02)
    labels(left, f"Pearson's r, {100 * every.level:g} % interval ({every.resamples:,} resamples)")
    labels(right, "|r| of SOC minus |r| of kNN")
    sets = [f"all {_compared(every)} models", *([f"dense SSL ({_compared(subset)})"] if subset else [])]
    for index, name in enumerate(sets):
        right.plot([], [], "o-", color=series_color(_SUBSET_COLOR - 1 + index), linewidth=1.5, markersize=4, label=name)
    right.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=6.5, borderaxespad=0.2)
    heading_of(figure, "What predicts the tasks", [titles.get(name, name) for name in names])
    return figure


def _titles() -> dict[str, str]:
    """Column -> how figures call it."""
    return {column.key: column.title for column in r8_columns()} | {"soc": "SOC", BASELINE: "ImageNet kNN"}


def _compared(study: CorrelationStudy) -> int:
    """The number of models that some number rests on; others are in the tables without any task."""
    return len({model for task in study.tasks for model in (task.difference or task.x).models})


def _difference(ax: Axes, y: float, task: TaskCorrelation, color: int) -> None:
    if task.difference is None:
        return
    found = task.difference
    ax.plot([found.strength_low, found.strength_high], [y, y], color=series_color(color), linewidth=2)
    ax.plot(found.strength, y, "o", color=series_color(color), markersize=5)


def published_r9() -> dict[str, dict[str, float]]:
    """Task -> soc_r, soc_ci_low ... of the paper's table r9."""
    text = resources.files("soco_datasets.downstream").joinpath("published_r9.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(io.StringIO(text))
    return {row["task"]: {name: float(value) for name, value in row.items() if name != "task"} for row in rows}


def r9_csv(study: CorrelationStudy) -> str:
    """Table r9 of a study beside the published one (37 models), with how many models each number rests on."""
    published = published_r9()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["task", "soc_models", "soc_r", "soc_low", "soc_high", "knn_models", "knn_r", "knn_low", "knn_high"]
    writer.writerow([*head, "published_soc_r", "published_knn_r"])
    for task in study.tasks:
        row: list[object] = [task.task, len(task.x.models), *_rounded(task.x.r, task.x.low, task.x.high)]
        b = task.baseline
        row += [""] * 4 if b is None else [len(b.models), *_rounded(b.r, b.low, b.high)]
        known = published.get(_R9_COLUMNS.get(task.task, ""), {})
        writer.writerow([*row, known.get("soc_r", ""), known.get("knn_r", "")])
    return text.getvalue()


def _rounded(*values: float) -> list[float]:
    return [round(float(value), 4) for value in np.asarray(values)]
