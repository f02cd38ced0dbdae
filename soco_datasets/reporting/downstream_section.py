"""The downstream part of a report: table r8 beside the published values, scatters, per-class charts, samples."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..downstream.record import DownstreamResult
from ..downstream.table import DownstreamTable, downstream_table, published_r8, table_csv
from ..downstream.task_registry import downstream_tasks
from ..records.base import Record
from ..utils.colors import INK
from .downstream_pictures import sample_pictures
from .page import page_style
from .style import heading_of, labels, names_on, new_figure, note, series_color, short
from .svg import inline_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEWEST = 3  # models for a correlation
_CLASSES = 30  # in a chart
_PER_CLASS = {"per_class_iou": "IoU", "per_class_acc_pi6": "accuracy at 30 degrees", "per_class_ap3d": "AP3D"}


def downstream_section(records: Sequence[Record], paths: Sequence[Path]) -> str:
    """The section as HTML.

    Args:
        records: downstream records, and SOC records of the same models for the scatters.
        paths: of the records, for the samples beside them.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    table = downstream_table(records)
    charts = "".join(f'<figure class="card chart">{chart}</figure>' for chart in _charts(table, records))
    parts = ['<section id="downstream"><h2>Downstream tasks</h2>', _table(table), _notes(table, records)]
    parts.append(f'<div class="charts">{charts}</div>' if charts else "")
    for record, path in zip(records, paths, strict=True):
        if isinstance(record, DownstreamResult):
            pictures = sample_pictures(path.with_name(f"{path.stem}.samples.npz"), record.task)
            if pictures:
                title = html.escape(f"{record.model['name']}, {record.task}{record.marks()}")
                parts.append(f"<h3>{title}</h3>{pictures}")
    return "".join([*parts, "</section>"])


def with_section(page: str, section: str) -> str:
    """A report page with the section at its end and a link to it in the navigation."""
    link = '<a href="#downstream">Downstream</a>'
    return page.replace("</div></nav>", f"{link}</div></nav>", 1).replace("</main>", f"{section}\n</main>", 1)


def downstream_files(records: Sequence[Record], paths: Sequence[Path]) -> dict[str, str]:
    """A page of the downstream section alone, and its CSV; for records without SOC results."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>SOCO: downstream tasks</title>'
        f"<style>{page_style()}</style></head><body><main>{downstream_section(records, paths)}</main></body></html>\n"
    )
    return {"report.html": page, "tables/downstream.csv": table_csv(downstream_table(records))}


def _table(table: DownstreamTable) -> str:
    columns = table.columns
    head = "".join(f'<th scope="col" class="n">{html.escape(column.title)}</th>' for column in columns)
    rows = []
    for model, row in table.rows.items():
        cells = []
        for column in columns:
            mark = table.marks.get((model, column.key), "")
            reason = table.reasons.get((model, column.key), "")
            text = f"{row[column.key]:.{column.decimals}f}{'*' if mark else ''}" if column.key in row else ""
            cells.append(f'<td class="n" title="{html.escape(mark or reason)}">{text}</td>')
        rows.append(f'<tr><th scope="row">{html.escape(model)}</th>{"".join(cells)}</tr>')
    rows.append(f'<tr><th colspan="{len(columns) + 1}">published (table r8)</th></tr>')
    for model, row in published_r8().items():
        cells = [f'<td class="n">{row[c.key]:.{c.decimals}f}</td>' if c.key in row else "<td></td>" for c in columns]
        rows.append(f'<tr><th scope="row">{html.escape(model)}</th>{"".join(cells)}</tr>')
    return (
        '<div class="card scroll" tabindex="0" role="region" aria-label="Downstream tasks"><table>'
        f'<caption>Downstream tasks</caption><thead><tr><th scope="col">model</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _notes(table: DownstreamTable, records: Sequence[Record]) -> str:
    """What sets numbers apart, what is missing and why, and what is to be said with a task; equal sentences once."""
    titles = {column.key: column.title for column in table.columns}
    grouped: dict[str, dict[str, list[str]]] = {}
    for (model, key), mark in table.marks.items():
        if mark:
            grouped.setdefault(f"* {mark}", {}).setdefault(model, []).append(titles[key])
    for (model, key), why in table.reasons.items():
        grouped.setdefault(f"no result, {why.rstrip('.')}", {}).setdefault(model, []).append(titles[key])
    lines = [
        f"{text}: " + "; ".join(f"{model} ({', '.join(names)})" for model, names in models.items())
        for text, models in grouped.items()
    ]
    remarks: dict[tuple[str, str], list[str]] = {}
    for record in records:
        if isinstance(record, DownstreamResult):
            for remark in record.remarks:
                remarks.setdefault((record.task, remark), []).append(str(record.model["name"]))
    lines += [f"{task}: {remark} ({', '.join(dict.fromkeys(names))})" for (task, remark), names in remarks.items()]
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>" if lines else ""


def _charts(table: DownstreamTable, records: Sequence[Record]) -> list[str]:
    charts = []
    if any("soc" in row for row in table.rows.values()):
        for column in table.columns:
            both = {name: row for name, row in table.rows.items() if "soc" in row and column.key in row}
            if column.key != "soc" and len(both) >= 2:
                figure = _scatter(both, column.key, column.title)
                charts.append(inline_svg(figure, f"downstream-{column.key}", f"SOC against {column.title}"))
    by_task: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for record in records:
        if isinstance(record, DownstreamResult):
            for key, title in _PER_CLASS.items():
                if record.details.get(key):
                    by_task.setdefault((record.task, title), {})[str(record.model["name"])] = record.details[key]
    for (task, title), models in by_task.items():
        name = f"downstream-classes-{task.replace('_', '-')}"
        charts.append(inline_svg(_class_chart(models, f"{_title(task)} by class", title), name, f"{task} by class"))
    return charts


def _title(task: str) -> str:
    found = downstream_tasks().get(task)
    return found.title if found else task


def _scatter(rows: Mapping[str, Mapping[str, float]], key: str, title: str) -> Figure:
    from ..metrics.correlation import pearson

    figure, ax = new_figure(2.1)
    xs, ys = (np.array([row[name] for row in rows.values()]) for name in ("soc", key))
    ax.plot(xs, ys, "o", color=series_color(0), markersize=4.5)
    for name, x, y in zip(rows, xs, ys, strict=True):
        note(ax, x, y, short(name, 16), fontsize=6, xytext=(4, 3), textcoords="offset points")
    labels(ax, "SOC %", title)
    ax.margins(x=0.2, y=0.2)
    if len(rows) >= _FEWEST and xs.std() > 0 and ys.std() > 0:
        ax.set_title(f"r = {float(pearson(xs, ys)):+.2f} over {len(rows)} models", loc="left", fontsize=6.5, color=INK)
    return figure


def _class_chart(models: Mapping[str, Mapping[str, Any]], title: str, unit: str) -> Figure:
    names = sorted({name for one in models.values() for name, value in one.items() if value is not None})[:_CLASSES]
    figure, ax = new_figure(0.4 + (0.06 + 0.08 * len(models)) * len(names))
    height = 0.8 / len(models)
    for index, values in enumerate(models.values()):
        places = np.arange(len(names)) + (index - (len(models) - 1) / 2) * height
        ax.barh(places, [values.get(name) or 0.0 for name in names], height=0.9 * height, color=series_color(index))
    names_on(ax, "y", range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    labels(ax, unit)
    heading_of(figure, title, list(models))
    return figure
