"""A record beside the same record computed again from its data, leaf by leaf."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PredictionsError
from ..records.base import Record, leaves
from ..records.registry import record_type_of

if TYPE_CHECKING:
    import pyarrow as pa

_ABSENT = "nothing"
_LISTED = 5  # differences that an error names


@dataclass(frozen=True)
class LeafComparison:
    """One thing that was stated and what it should be. `name` is a path such as "metrics/soc/pair/0.1/overall/pck"."""

    name: str
    stated: Any
    found: Any

    @property
    def agrees(self) -> bool:
        return bool(self.stated == self.found) and isinstance(self.stated, bool) == isinstance(self.found, bool)


@dataclass(frozen=True)
class ResultFiles:
    """A record file with its data file, neither read yet."""

    kind: type[Record]
    record: Path
    data: Path

    @classmethod
    def of(cls, record: Path) -> ResultFiles:
        """The files of a record with its data beside it.

        Raises:
            PredictionsError: records of its kind keep no data.
        """
        kind = record_type_of(record)
        if not kind.data:
            raise PredictionsError(
                f"{record} is a {kind.noun}: it keeps no data that it could be computed again from. To check it, "
                f"{kind.restore}."
            )
        return cls(kind, record, Path(kind.data_beside(record.as_posix())))


@dataclass(frozen=True)
class CheckedResult:
    """A record that its data gives to the last digit, with its files and the data."""

    files: ResultFiles
    record: Record
    table: pa.Table


def compare_records(stated: Record, found: Record) -> list[LeafComparison]:
    """A check for every leaf of either record, in order; optional parts that `stated` lacks are left out."""
    left, right = (json.loads(record.to_json()) for record in (stated, found))
    for name in stated.optional:
        if left[name] is None:
            right[name] = None
    ours, theirs = dict(leaves(left)), dict(leaves(right))
    names = list(dict.fromkeys([*ours, *theirs]))
    return [LeafComparison(name, ours.get(name, _ABSENT), theirs.get(name, _ABSENT)) for name in names]


def check_result(path: Path) -> CheckedResult:
    """Read a record with the data beside it, and compute it again.

    Raises:
        PredictionsError: a file is missing or malformed, or numbers differ; the first ones are named.
    """
    files = ResultFiles.of(path)
    record = files.kind.read(path)
    table = read_data(files, record)
    wrong = [check for check in compare_records(record, record.recompute(table)) if not check.agrees]
    if wrong:
        name = files.kind.data
        listed = "\n".join(
            f"  {c.name}: the record says {c.stated!r}, the {name} give {c.found!r}" for c in wrong[:_LISTED]
        )
        more = f"\n  and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise PredictionsError(
            f"{path}: the record is not what its {name} give:\n{listed}{more}\n"
            f"Make it again with: {files.kind.remake.format(data=files.data, record=path)}"
        )
    return CheckedResult(files, record, table)


def read_data(files: ResultFiles, record: Record | None = None) -> pa.Table:
    """The data of a record, checked against its own header. Raises `PredictionsError`."""
    if not files.data.is_file():
        beside = f" beside {record.model['name']}'s record" if record else ""
        raise PredictionsError(f"{files.data.name} is missing{beside}. Put it there, or {files.kind.restore}.")
    return files.kind.read_data(files.data)
