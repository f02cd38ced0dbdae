"""Which records a report is of: files and folders as they are given, sorted by kind."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..benchmarks.base import SOCO
from ..errors import UsageError
from ..records.comparable import incomparable
from ..records.evaluation import EvaluationResult
from ..records.probe import ProbeRecord
from ..records.registry import record_type_of, records_in
from ..utils.paths import local_path
from .probe_records import belongs, is_probe


@dataclass
class ReportInputs:
    """Paths of records by kind.

    Attributes:
        results: of `EvaluationResult`s.
        probes: of linear probes.
        downstream: of downstream tasks.
        others: of every other registered kind.
        skipped: JSON files of folders that are not records.
        in_folders: of the `results` those that were not named but found in a folder.
        notes: which folders below those that were given had records.
    """

    results: list[Path] = field(default_factory=list)
    probes: list[Path] = field(default_factory=list)
    downstream: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    in_folders: set[Path] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def sort_inputs(given: Sequence[str | os.PathLike[str]]) -> ReportInputs:
    """The records among some files and folders; of a folder, every record in it and in the folders below.

    A file that is given by name and is not a record counts as a result, so that its reader reports what is wrong.

    Raises:
        UsageError: nothing is given, a folder without a record, or one that does not exist.
    """
    found, named = ReportInputs(), set[Path]()
    for path in map(local_path, given):
        if not path.is_dir():
            named.add(path)
            _sort(path, record_type_of(path).kind, found)
            continue
        inside = records_in(path)
        found.skipped += inside.others
        found.notes += [inside.note] if inside.note else []
        for file, kind in inside.kinds.items():
            _sort(file, kind.kind, found)
            found.in_folders.add(file)
        if not inside.kinds:
            other = f" ({len(inside.others)} JSON files there are something else)" if inside.others else ""
            raise UsageError(f"{path} holds no result record{other}. Give the folder that `soco evaluate` wrote to.")
    found.in_folders -= named
    if not any((found.results, found.probes, found.downstream, found.others)):
        raise UsageError("Give at least one result record, the JSON that `soco evaluate` wrote, or a folder of them.")
    return found


def choose_results(given: ReportInputs, wanted: Collection[str]) -> dict[Path, str]:
    """Leave out, of the results found in folders, those that cannot stand in one table with the others.

    A folder of all that was ever evaluated holds results of several data, splits and protocols. Those that were named
    decide; else the most of a benchmark that belong together, and of two groups as large the one evaluated last.

    Args:
        given: what a report is of; its `results` and `probes` are changed.
        wanted: content hashes of the data that was named, whose results go first.

    Returns:
        File left out -> why.
    """
    results = {path: EvaluationResult.read(path) for path in given.results}
    by_benchmark: dict[str, list[Path]] = {}
    for path, result in results.items():
        by_benchmark.setdefault(str(result.dataset.get("benchmark", SOCO)), []).append(path)
    left_out: dict[Path, str] = {}
    for paths in by_benchmark.values():
        first = _leader(paths, results, given.in_folders, wanted)
        for path in paths:
            why = incomparable(results[first], results[path], sizes=True) if path in given.in_folders else ""
            if why:
                left_out[path] = f"beside {first}: {why}"
    given.results = [path for path in given.results if path not in left_out]
    for path in filter(given.in_folders.__contains__, given.probes):
        probe = ProbeRecord.read(path)
        if given.results and not any(belongs(probe, results[kept]) for kept in given.results):
            left_out[path] = f"beside {given.results[0]}: it is a linear probe of other features or other data"
    given.probes = [path for path in given.probes if path not in left_out]
    return left_out


def _leader(
    paths: Sequence[Path],
    results: Mapping[Path, EvaluationResult],
    in_folders: Collection[Path],
    wanted: Collection[str],
) -> Path:
    """The result that decides which of one benchmark go together."""
    named = [path for path in paths if path not in in_folders]
    if named:
        return named[0]

    def weight(path: Path) -> tuple[bool, int, str]:
        alike = [other for other in paths if not incomparable(results[path], results[other], sizes=True)]
        of_data = results[path].dataset["content_hash"] in wanted
        return of_data, len(alike), max(results[other].created for other in alike)

    return max(paths, key=weight)


def _sort(path: Path, kind: str, found: ReportInputs) -> None:
    by_kind = {"pck": found.results, "downstream": found.downstream}
    files = found.probes if is_probe(path) else by_kind.get(kind, found.others)
    if path not in files:
        files.append(path)
