"""Table r8 for any records, beside the published values, and its CSV for `soco correlate`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from ..errors import UsageError
from ..records.base import Record
from ..records.evaluation import EvaluationResult
from ..records.registry import read_record, records_in
from ..utils.paths import local_path
from ..utils.terminal import filled, print_note
from ..utils.text_table import TextTable
from .base import TableColumn
from .record import DownstreamResult
from .task_registry import downstream_tasks

DETECTOR = TableColumn("arkit_ap3d", "AP3D %", "percent")  # of the reference detector, scored by `score3d`


@dataclass
class DownstreamTable:
    """Models by columns.

    Attributes:
        columns: in the order of r8, then those of tasks of its own.
        rows: model -> column key -> number.
        marks: (model, column key) -> what sets the number apart.
        reasons: (model, column key) -> why a cell is empty.
    """

    columns: list[TableColumn]
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    marks: dict[tuple[str, str], str] = field(default_factory=dict)
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)


def r8_columns() -> list[TableColumn]:
    """Columns of the paper's table r8, then of tasks that it does not have."""
    tasks = downstream_tasks().values()
    own = {task.column.key: task.column for task in tasks if task.column} | {DETECTOR.key: DETECTOR}
    ordered = [own.pop(key) for key in next(iter(_read("published_r8.csv"))) if key in own]
    return [*ordered, *own.values(), *(task.own_column for task in tasks if task.own_column)]


def published_r8() -> dict[str, dict[str, float]]:
    """Model -> column key -> value of the paper's table r8."""
    return {
        row["model"]: {name: float(value) for name, value in row.items() if name != "model" and value}
        for row in _read("published_r8.csv")
    }


def _read(name: str) -> list[dict[str, str]]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def find_records(paths: Sequence[str | Path]) -> list[Record]:
    """Downstream and SOC records: of files, and of folders and those below them (see `records_in`).

    Raises:
        UsageError: none found.
        PredictionsError: a record that cannot be read.
    """
    found: list[Record] = []
    for given in map(local_path, paths):
        if not given.is_dir():
            found.append(read_record(given))
            continue
        inside = records_in(given, (DownstreamResult, EvaluationResult))
        if inside.note:
            print_note(inside.note)
        found += [kind.read(path) for path, kind in inside.kinds.items()]
    if not found:
        raise UsageError("No downstream record found. Give files or folders that `soco downstream run` wrote.")
    return found


def downstream_table(records: Sequence[Record]) -> DownstreamTable:
    """The table of some records; SOC records give a column `soc`.

    Of several records of one model and task, the one of the default protocol counts, then the later one.
    """
    tasks = downstream_tasks()
    table = DownstreamTable(r8_columns())
    ranked = sorted(
        (record for record in records if isinstance(record, DownstreamResult)),
        key=lambda one: (one.protocol["default"], one.subset is None, one.created),
    )
    for record in ranked:
        task = tasks.get(record.task)
        column = DETECTOR if record.task == "omni3d_ap3d" else (task.column or task.own_column) if task else None
        if column is None:
            continue
        model = str(record.model["name"])
        row, place = table.rows.setdefault(model, {}), (model, column.key)
        if record.value is None:
            if column.key not in row:
                table.reasons[place] = record.reason
            continue
        row[column.key] = record.value
        table.marks[place] = record.marks().strip(" ()")
        table.reasons.pop(place, None)
    soc = [one for one in records if not isinstance(one, DownstreamResult) and one.score("soc") is not None]
    if soc:
        table.columns.insert(0, TableColumn("soc", "SOC %", "percent"))
        for one in soc:
            model = str(one.model["name"])
            table.rows.setdefault(model, {})["soc"] = float(one.score("soc") or 0.0)
            whole = one.is_benchmark(str(one.dataset.get("id", "")), one)
            table.marks[model, "soc"] = "" if whole else "not the whole SOCO data set"
    return table


def format_table(table: DownstreamTable, published: bool = True, width: int | None = None) -> str:
    """The table as text: models, then the published values, then notes.

    Args:
        table: to show.
        published: with the published values.
        width: columns of the terminal, which the table is fitted to; None = any number.
    """
    rows = [*table.rows.values(), *(published_r8().values() if published else ())]
    shown = [column for column in table.columns if any(column.key in row for row in rows)]
    head = ["model", *(column.title for column in shown)]
    lines, notes = [head], []
    for model, row in table.rows.items():
        cells = [model]
        for column in shown:
            value, mark = row.get(column.key), table.marks.get((model, column.key), "")
            cells.append("" if value is None else f"{value:.{column.decimals}f}{'*' if mark else ''}")
            if mark:
                notes.append(f"* {model}, {column.title}: {mark}")
            if (model, column.key) in table.reasons:
                notes.append(f"- {model}, {column.title}: no result, {table.reasons[model, column.key]}")
        lines.append(cells)
    if published:
        lines.append(["published (r8)"] + [""] * len(shown))
        for model, row in published_r8().items():
            lines.append([model, *(f"{row[c.key]:.{c.decimals}f}" if c.key in row else "" for c in shown)])
    below = "".join(f"{filled(note, width)}\n" for note in notes)
    return TextTable(lines).text(width) + (f"\n{below}" if notes else "")


def table_csv(table: DownstreamTable, published: bool = False) -> str:
    """The table as CSV: model, then one column per key; empty cells where there is no number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [column for column in table.columns if any(column.key in row for row in table.rows.values())]
    if published:
        columns = table.columns
    writer.writerow(["model", *(column.key for column in columns)])
    rows = {**table.rows, **({f"{name} (published)": row for name, row in published_r8().items()} if published else {})}
    for model, row in rows.items():
        writer.writerow([model, *(repr(row[c.key]) if c.key in row else "" for c in columns)])
    return text.getvalue()
