"""Which records a report is of: files and folders as they are given, sorted by kind."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError
from ..records.registry import record_types
from ..utils.foreign import ForeignTextError, read_json_text
from ..utils.paths import local_path
from .probe_records import is_probe


@dataclass
class ReportInputs:
    """Paths of records by kind.

    Attributes:
        results: of `EvaluationResult`s.
        probes: of linear probes.
        downstream: of downstream tasks.
        others: of every other registered kind.
        skipped: JSON files of folders that are not records.
    """

    results: list[Path] = field(default_factory=list)
    probes: list[Path] = field(default_factory=list)
    downstream: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)


def sort_inputs(given: Sequence[str | os.PathLike[str]]) -> ReportInputs:
    """The records among some files and folders; of a folder, every record directly in it.

    A file that is given by name and is not a record counts as a result, so that its reader reports what is wrong.

    Raises:
        UsageError: nothing is given, a folder without a record, or one that does not exist.
    """
    found = ReportInputs()
    for path in map(local_path, given):
        if not path.is_dir():
            _sort(path, kind_of(path) or "pck", found)
            continue
        before = len(found.skipped)
        kinds = {file: kind_of(file) for file in sorted(path.glob("*.json"))}
        for file, kind in kinds.items():
            if kind is None:
                found.skipped.append(file)
            else:
                _sort(file, kind, found)
        if not any(kinds.values()):
            other = f" ({len(found.skipped) - before} JSON files there are something else)" if kinds else ""
            raise UsageError(f"{path} holds no result record{other}. Give the folder that `soco evaluate` wrote to.")
    if not any((found.results, found.probes, found.downstream, found.others)):
        raise UsageError("Give at least one result record, the JSON that `soco evaluate` wrote, or a folder of them.")
    return found


def kind_of(path: Path) -> str | None:
    """The kind of record in a JSON file; None for anything else."""
    try:
        fields = read_json_text(path.read_bytes())
    except (OSError, ForeignTextError):
        return None
    if not isinstance(fields, dict):
        return None
    return next((kind.kind for kind in record_types() if kind.matches(fields)), None)


def _sort(path: Path, kind: str, found: ReportInputs) -> None:
    by_kind = {"pck": found.results, "downstream": found.downstream}
    (found.probes if is_probe(path) else by_kind.get(kind, found.others)).append(path)
