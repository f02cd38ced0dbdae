"""Records of any registered kind as one table per kind: a row per model, a column per ranked number."""

from __future__ import annotations

from collections.abc import Sequence

from ..records.base import Record
from ..records.ranking import PERCENT
from ..utils.text import clean
from .export import Cell, CellKind, Column, ReportTable

_MOST = 24  # numbers of a record that ranks nothing


def record_tables(records: Sequence[Record]) -> list[ReportTable]:
    """One table per kind of record, in the order in which the kinds come.

    A kind that a leaderboard ranks has a column per task, any other the first numbers of its metrics.
    """
    kinds: dict[str, list[Record]] = {}
    for record in records:
        kinds.setdefault(record.kind, []).append(record)
    return [_table(kind, members) for kind, members in kinds.items()]


def _table(kind: str, records: Sequence[Record]) -> ReportTable:
    first = records[0]
    numbers = [record.flat(short=True) or record.flat() for record in records]
    names = list(dict.fromkeys(name for found in numbers for name in found))
    omitted = max(0, len(names) - _MOST)
    names = names[:_MOST]
    columns = [Column("model"), Column("dataset")]
    for name in names:
        task = first.tasks.get(name)
        unit: CellKind = "percent" if task is not None and task.unit == PERCENT else "number"
        title = name if task is None else " ".join(filter(None, (task.title, task.metric)))
        shown = title if task is None or task.unit == PERCENT else f"{title}, {task.unit}"
        columns.append(Column(clean(shown), unit, "" if task is None else "max" if task.higher_is_better else "min"))
    rows = []
    for record, found in zip(records, numbers, strict=True):
        cells: list[Cell] = [found.get(name) for name in names]
        rows.append((clean(record.model["name"]), clean(record.dataset["id"]), *cells))
    note = f"{len(records)} records of kind {kind}. {first.heading}".strip().rstrip(".") + "."
    if omitted:
        note += f" {omitted} more numbers are in the records."
    key = "".join(char if char.isascii() and char.isalnum() else "_" for char in kind)
    return ReportTable(f"records_{key}", f"Records of kind {clean(kind)}", note, tuple(columns), tuple(rows))
