"""A table of models by tasks, read from CSV files and checked cell by cell."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError, unknown_name
from ..utils.foreign import ForeignTextError, read_csv_rows
from ..utils.paths import local_path

_MISSING = frozenset({"", "-", "–", "—", "na", "n/a", "nan", "none", "null"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_DELIMITERS = {".tsv": "\t", ".tab": "\t"}


@dataclass(frozen=True)
class ModelTable:
    """Models by columns of numbers.

    Attributes:
        models: (M,) names, each once, whatever the case it is written in.
        columns: column name -> (M,) float64, NaN where the table has no value.
        notes: what was left out or matched in reading, in sentences.
        text: name of a column that was left out -> its first cell that is not a number, in words.
    """

    models: tuple[str, ...]
    columns: Mapping[str, NDArray[np.float64]]
    notes: tuple[str, ...] = ()
    text: Mapping[str, str] = field(default_factory=dict)

    def column(self, name: str) -> str:
        """The full name of a column given by its name or by the beginning of exactly one name, in any case.

        Raises:
            UsageError: no such column, or several begin so.
        """
        if name in self.columns:
            return name
        begin = [column for column in self.columns if column.casefold().startswith(name.casefold())]
        exact = [column for column in begin if column.casefold() == name.casefold()]
        found = exact or begin
        if len(found) > 1:
            raise UsageError(f"Several columns begin with {name!r}: {', '.join(found)}. Give the whole name.")
        for column, cell in self.text.items() if name and not found else ():
            if column.casefold().startswith(name.casefold()):
                raise UsageError(f"The column {column!r} has no numbers: {cell}.")
        if not found or not name:
            raise unknown_name("column of numbers", name, self.columns)
        return found[0]

    def select(self, models: Sequence[str]) -> ModelTable:
        """Only these models, in the table's order. Raises `UsageError` for an unknown name."""
        known = {_key(model): row for row, model in enumerate(self.models)}
        for model in models:
            if _key(model) not in known:
                raise unknown_name("model", model, self.models)
        rows = sorted({known[_key(model)] for model in models})
        columns = {name: values[rows] for name, values in self.columns.items()}
        return ModelTable(tuple(self.models[row] for row in rows), columns, self.notes, self.text)


def read_model_table(paths: Sequence[str | Path]) -> ModelTable:
    """Read one CSV file, or several joined by model name.

    The first column names the model, in any case ("DINOv1" is "DINov1"). Other columns hold numbers; an empty cell, a
    dash, "na", "nan", "none" or "null" is a missing value. A column without a single number is text and is left out,
    which a note says. Files ending in .tsv or .tab are separated by tabs. A model that one file lacks has missing
    values in that file's columns.

    Raises:
        UsageError: a file cannot be read, is not such a table, doubles a model or a column, or holds a cell that is
            neither a finite number nor missing; names the file, the row and the column.
    """
    if not paths:
        raise UsageError("Give at least one table.")
    return join_tables({str(path): _read(local_path(path)) for path in paths})


def join_tables(parts: Mapping[str, ModelTable]) -> ModelTable:
    """Several tables joined by model name; the keys name them in messages.

    Raises:
        UsageError: a column is in two of them.
    """
    tables = list(parts.values())
    names = {_key(model): model for table in reversed(tables) for model in table.models}
    order = list(dict.fromkeys(_key(model) for table in tables for model in table.models))
    place = {key: row for row, key in enumerate(order)}
    columns: dict[str, NDArray[np.float64]] = {}
    for path, table in parts.items():
        rows = [place[_key(model)] for model in table.models]
        for name, values in table.columns.items():
            if name in columns:
                raise UsageError(f"{path}: the column {name!r} is also in an earlier table. Rename or remove one.")
            columns[name] = np.full(len(order), np.nan)
            columns[name][rows] = values
    notes = [note for table in tables for note in table.notes]
    text = {name: cell for table in reversed(tables) for name, cell in table.text.items()}
    return ModelTable(tuple(names[key] for key in order), columns, tuple(notes), text)


def _key(model: str) -> str:
    return model.strip().casefold()


def _read(path: Path) -> ModelTable:
    rows = _rows(path)
    if len(rows) < 2:
        raise UsageError(f"{path} has no models. Give a CSV: a header, then one model a row, its name first.")
    header = [cell.strip() for cell in rows[0][1]]
    if len(header) < 2:
        raise UsageError(f"{path}: only one column ({header[0]!r}). Columns are separated by commas (tabs in .tsv).")
    _refuse_doubles(path, "column", header)
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise UsageError(f"{path}, line {line}: {len(row)} cells, but the header has {len(header)}.")
        if not row[0].strip():
            raise UsageError(f"{path}, line {line}: the first column must name the model.")
    models = [row[0].strip() for _, row in rows[1:]]
    _refuse_doubles(path, "model", models)
    columns: dict[str, NDArray[np.float64]] = {}
    text: dict[str, str] = {}
    for index, name in enumerate(header[1:], start=1):
        cells = [row[index].strip() for _, row in rows[1:]]
        values = _numbers(path, name, models, cells)
        if values is None:
            told = next(((model, cell) for model, cell in zip(models, cells, strict=True) if cell), None)
            text[name] = f"model {told[0]!r}: {told[1]!r} is not a finite number" if told else "every cell is empty"
        else:
            columns[name] = values
    notes = (f"{path.name}: left out, no numbers in it: {', '.join(text)}.",) if text else ()
    return ModelTable(tuple(models), columns, notes, text)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows that are not blank, with their line numbers."""
    try:
        return read_csv_rows(path, delimiter=_DELIMITERS.get(path.suffix.lower(), ","))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}). Give a CSV file.") from error
    except ForeignTextError as error:
        raise UsageError(f"{path} is {error}. Give a CSV file.") from error


def _refuse_doubles(path: Path, what: str, names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        key = _key(name) if what == "model" else name
        if key in seen:
            raise UsageError(f"{path}: the {what} {name!r} is there twice (also as {seen[key]!r}).")
        seen[key] = name


def _numbers(path: Path, name: str, models: Sequence[str], cells: Sequence[str]) -> NDArray[np.float64] | None:
    """A column of numbers; None where it holds text only (or nothing)."""
    values = [_number(cell) for cell in cells]
    if all(value is None or math.isnan(value) for value in values):
        return None
    for model, cell, value in zip(models, cells, values, strict=True):
        if value is None or math.isinf(value):
            raise UsageError(
                f"{path}: column {name!r}, model {model!r}: {cell!r} is not a finite number. "
                "Leave the cell empty where there is no value."
            )
    return np.array(values, dtype=np.float64)


def _number(cell: str) -> float | None:
    """The number in a cell, NaN where it is missing, None where it is text."""
    if cell.casefold() in _MISSING:
        return math.nan
    return float(cell) if _NUMBER.fullmatch(cell) else None
