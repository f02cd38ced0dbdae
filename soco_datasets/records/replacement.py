"""What a finished result may be written over: an earlier result of the very same run, and nothing else unasked.

Runs that take long ask `result_files.check_replaces_own` before they begin; what is computed from files in seconds
(scores of answers, comparisons, tables) asks here, just before it is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import PredictionsError, UsageError
from ..utils.foreign import ForeignTextError, read_json_text
from ..utils.paths import local_path
from .base import Record
from .registry import record_types

_IDENTITY = ("model", "dataset", "protocol", "questions_hash")  # fields that say which run a record is of
_MOST, _LONGEST = 4, 60


def check_replaces_record(path: str | Path, record: Record, *, overwrite: bool = False) -> bool:
    """Refuse to write a record over one of another model, data or protocol, or over anything else.

    Args:
        path: the file that will be written.
        record: what will be written.
        overwrite: replace whatever is there.

    Returns:
        Whether the file is there, and will be replaced.

    Raises:
        UsageError: it is something else; what differs is named.
    """
    place = local_path(path)
    if not place.exists() or overwrite:
        return place.exists()
    fix = "Give another --out, move it, or replace it with --overwrite."
    try:
        before = type(record).read(place)
    except PredictionsError as error:
        raise UsageError(f"{place} is not replaced: it is not a {record.noun} of this run ({error}) {fix}") from None
    differ = list(_differences(record.to_dict(), before.to_dict()))
    if differ:
        more = f" and {len(differ) - _MOST} more" if len(differ) > _MOST else ""
        raise UsageError(f"{place} holds the result of another run: {'; '.join(differ[:_MOST])}{more}. {fix}")
    return True


def check_not_record(path: str | Path, inputs: Iterable[str | Path] = ()) -> None:
    """Refuse to write a comparison or a table over a result record, or over one of the files it is made from.

    Raises:
        UsageError: the file is one of these.
    """
    place = local_path(path)
    if not place.is_file():
        return
    if any(place.samefile(one) for one in map(local_path, inputs) if one.exists()):
        raise UsageError(f"{place} is one of the files that are read. Give another --out.")
    try:
        fields = read_json_text(place.read_bytes())
    except (OSError, ForeignTextError):
        return
    kind = next((kind for kind in record_types() if isinstance(fields, dict) and kind.matches(fields)), None)
    if kind is not None:
        raise UsageError(f"{place} holds a {kind.noun}, which is not replaced. Give another --out, or move it.")


def _differences(new: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[str]:
    for field in _IDENTITY:
        ours, theirs = dict(_leaves(field, new.get(field))), dict(_leaves(field, old.get(field)))
        for name in dict.fromkeys((*ours, *theirs)):
            if ours.get(name) != theirs.get(name):
                yield f"{name} {_short(theirs.get(name))}, not {_short(ours.get(name))}"


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(f"{name}.{key}", part)
    else:
        yield name, value


def _short(value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
