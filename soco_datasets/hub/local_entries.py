"""Entries of the leaderboard from result records on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import PredictionsError, UsageError
from ..records.base import Record
from ..records.evaluation import EvaluationResult
from ..records.ranking import RANKED_SUBSETS, Leaderboard
from ..records.registry import ranked_types, record_type_of, records_in
from ..reporting.probe_records import is_probe
from ..reporting.score_access import model_names
from ..utils.text import clean
from .entry_checks import one_of_many, with_verdict
from .leaderboard import Collected, Entry
from .model_details import ModelDetails, listed_details
from .verify import verify_file

_NOT_RECORDS = "not a result record"


def local_entries(
    folder: Path,
    board: Leaderboard | None,
    *,
    check: bool = False,
    data: str | None = None,
    unranked: bool = False,
) -> Collected:
    """The records of a folder and those below that fit the leaderboard; without one, those of SOCO's rules on SOCO.

    Args:
        folder: of records, see `records_in`; remarks name its files without it.
        board: the leaderboard.
        check, data, unranked: see `collect`.

    Raises:
        UsageError: no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder. Give the one that `soco evaluate --out` wrote to.")
    found: list[tuple[Record, Entry]] = []
    inside = records_in(folder, ranked_types())
    remarks: list[str] = [inside.note] if inside.note else []
    for path in (*inside.others, *inside.kinds):
        shown = clean(path.relative_to(folder))
        with one_of_many(shown, remarks):
            for record, entry in _local_entry(path, shown, board, unranked, remarks):
                found.append((record, _checked_local(path, entry, data, remarks) if check else entry))
    return Collected(tuple(_told_apart(found)), tuple(remarks))


def _told_apart(found: Sequence[tuple[Record, Entry]]) -> list[Entry]:
    """The entries of records, those of one model with what differs in their names, such as "(285 px)"."""
    names = [entry.model for _, entry in found]
    of_models = [place for place, (record, _) in enumerate(found) if isinstance(record, EvaluationResult)]
    results = [record for record, _ in found if isinstance(record, EvaluationResult)]
    for place, name in zip(of_models, model_names(results), strict=True):
        names[place] = name
    return [replace(entry, model=name) for name, (_, entry) in zip(names, found, strict=True)]


def _local_entry(
    path: Path, shown: str, board: Leaderboard | None, unranked: bool, remarks: list[str]
) -> list[tuple[Record, Entry]]:
    """A record, `shown` by this name, and its entry; none where it is left out."""
    if is_probe(path):  # stored beside the record of its model; a leaderboard does not rank it
        return []
    kind = record_type_of(path)
    if not kind.tasks:
        return []
    try:
        record = kind.read(path)
    except PredictionsError as error:
        told = str(error).replace(str(path), shown)
        remarks.append(f"{shown} is left out, {_NOT_RECORDS}: {clean(told)}")
        return []
    reasons = record.violations(board) if board else _violations_of_soco(record)
    reasons = [reason for reason in reasons if "lacks the task" not in reason]  # fewer tasks may still be shown
    why = clean("; ".join(reasons))
    if why and not unranked:
        remarks.append(f"{shown} is left out (--all shows it unranked): {why}")
        return []
    rules = board.rules_for(record) if board else kind.rules()
    scores = {
        (task, subset): value
        for task in kind.tasks
        for subset in RANKED_SUBSETS
        if (value := rules.score(record, task, subset)) is not None
    }
    if not scores:
        remarks.append(f"{shown} is left out: it has no number that this leaderboard shows")
        return []
    name = str(record.model["name"])
    entry = Entry(
        name, "local", scores, unranked=why, details=_local_details(name, record), date=record.created,
        notes=f"{shown}: {record.notes(rules)}",
    )  # fmt: skip
    return [(record, entry)]


def _local_details(name: str, record: Record) -> ModelDetails:
    """The list's facts of a model, else the patch that the record states."""
    known = listed_details(name)
    patch = record.model.get("patch_size")
    return known if known.family or not isinstance(patch, int) else ModelDetails(patch=patch)


def _violations_of_soco(record: Record) -> list[str]:
    found = record.rules().violations(record)
    name = record.dataset["id"]
    return found if record.is_benchmark(name, record) else [f"it was evaluated on {name}, not on SOCO", *found]


def _checked_local(path: Path, entry: Entry, data: str | None, remarks: list[str]) -> Entry:
    """The entry with the result of a recomputation."""
    kind = record_type_of(path)
    if not Path(kind.data_beside(path.as_posix())).is_file():
        remarks.append(f"{path.name} cannot be computed again: its {kind.data} are not beside it")
        return entry
    return with_verdict(entry, verify_file(str(path), data), path.name, remarks)
