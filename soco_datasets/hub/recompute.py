"""A record beside the same record computed again from its data, leaf by leaf."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PredictionsError
from .record_type import Record, RecordType, leaves
from .record_types import kind_of_record

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
class Result:
    """A record that its data gives to the last digit, with the file of the data and the data."""

    kind: RecordType
    record: Record
    data: Path
    table: pa.Table


def compare_records(kind: RecordType, stated: Record, found: Record) -> list[LeafComparison]:
    """A check for every leaf of either record, in order; optional parts that `stated` lacks are left out."""
    left, right = (json.loads(record.to_json()) for record in (stated, found))
    for name in kind.optional:
        if left[name] is None:
            right[name] = None
    ours, theirs = dict(leaves(left)), dict(leaves(right))
    names = list(dict.fromkeys([*ours, *theirs]))
    return [LeafComparison(name, ours.get(name, _ABSENT), theirs.get(name, _ABSENT)) for name in names]


def check_result(path: Path) -> Result:
    """Read a record with the data beside it, and compute it again.

    Raises:
        PredictionsError: a file is missing or malformed, or numbers differ; the first ones are named.
    """
    kind = kind_of_record(path)
    record, data = kind.read(path), Path(kind.data_beside(path.as_posix()))
    table = read_data(kind, data, record)
    wrong = [check for check in compare_records(kind, record, kind.recompute(record, table)) if not check.agrees]
    if wrong:
        listed = "\n".join(
            f"  {c.name}: the record says {c.stated!r}, the {kind.data} give {c.found!r}" for c in wrong[:_LISTED]
        )
        more = f"\n  and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise PredictionsError(
            f"{path}: the record is not what its {kind.data} give:\n{listed}{more}\n"
            f"Make it again with: {kind.remake.format(data=data, record=path)}"
        )
    return Result(kind, record, data, table)


def read_data(kind: RecordType, path: Path, record: Record | None = None) -> pa.Table:
    """The data of a record, checked against their own header. Raises `PredictionsError`."""
    if not path.is_file():
        beside = f" beside {record.model['name']}'s record" if record else ""
        raise PredictionsError(f"{path.name} is not there{beside}. Put it there, or {kind.restore}.")
    return kind.read_data(path)
