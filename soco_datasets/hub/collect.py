"""Gathering the entries of the leaderboard. Whatever cannot be used is left out and said, never silently."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..correspondence.results import EvaluationResult
from ..correspondence.tasks import TASKS
from ..errors import PredictionsError, SocoError, UsageError
from ..reporting.paper_match import is_soco
from ..reporting.style import clean
from .board import SUBSETS, Leaderboard, PublishedBoard, read_board, task_of
from .client import retrying
from .errors import HubError, repo_url
from .leaderboard import MISMATCH, PROPOSED, UNVERIFIED, VERIFIED, Collected, Entry, paper_entries, with_status
from .recompute import predictions_beside, read_record
from .remote import entries_of, verify
from .submission import YAML_FILE, SubmissionError
from .verify import Verdict, verify_file

if TYPE_CHECKING:
    from huggingface_hub import DatasetLeaderboardEntry, EvalResultEntry, HfApi

_NOT_RECORDS = "not a result record"


def collect(
    *,
    local: str | Path | None = None,
    dataset_repo: str | None = None,
    paper: bool | None = None,
    check: bool = False,
    data: str | None = None,
) -> Collected:
    """The entries of all sources.

    Args:
        local: folder with records; None = none.
        dataset_repo: the leaderboard on the Hub; None = no entries from there, and SOCO's rules.
        paper: whether the paper's models are in; None = where the data is SOCO and the rules are its.
        check: compute results again, those of the Hub and those here, and say which ones match.
        data: dataset folder for that.

    Raises:
        UsageError: `local` is no folder, or the dataset is no leaderboard.
        HubError: the Hub refuses or cannot be reached.
    """
    entries: list[Entry] = []
    remarks: list[str] = []
    board: PublishedBoard | None = None
    if dataset_repo is not None:
        from huggingface_hub import HfApi

        api = HfApi()
        board = read_board(api, dataset_repo)
        found = hub_entries(api, board)
        entries += (
            [_checked_hub(api, e, dataset_repo, data, remarks) for e in found.entries] if check else found.entries
        )
        remarks += found.remarks
    if local is not None:
        mine = local_entries(Path(local), board, check=check, data=data)
        entries += mine.entries
        remarks += mine.remarks
    if paper or (paper is None and (board is None or board.is_soco)):
        entries += paper_entries()
    elif paper is None:
        remarks.append(
            f"the paper's models are left out: {dataset_repo} is not SOCO under its protocol (--paper shows them)"
        )
    return Collected(tuple(entries), tuple(remarks))


def hub_entries(api: HfApi, board: PublishedBoard) -> Collected:
    """What models say on the Hub about this dataset. Raises `HubError`."""
    listed = retrying(
        "read the leaderboard of",
        lambda: api.get_dataset_leaderboard(board.repo, base_model_only=False),
        board.repo,
    )
    remarks: list[str] = []
    entries: list[Entry] = []
    for model in dict.fromkeys(entry.model_id for entry in listed):
        try:
            info = retrying("read", lambda model=model: api.model_info(model, expand=["evalResults"]), model, "model")  # type: ignore[misc]  # mypy does not see the default
        except HubError as error:
            remarks.append(f"{clean(model)} is left out: {error}")
            continue
        stated = [entry for entry in info.eval_results or [] if entry.dataset_id == board.repo]
        entries += _entries_of_model(model, stated, [e for e in listed if e.model_id == model], board, remarks)
    return Collected(tuple(entries), tuple(remarks))


def local_entries(
    folder: Path, board: PublishedBoard | None, *, check: bool = False, data: str | None = None
) -> Collected:
    """The records of a folder that fit the leaderboard; without one, those that fit SOCO's rules on SOCO.

    Raises:
        UsageError: no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder. Give the one that `soco evaluate --out` wrote to.")
    rules = board.rules if board else Leaderboard()
    entries, remarks = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            record = read_record(path)
        except PredictionsError as error:
            remarks.append(f"{path} is left out, {_NOT_RECORDS}: {clean(error)}")
            continue
        reasons = board.refusals(record) if board else _refusals_of_soco(record)
        reasons = [reason for reason in reasons if "lacks the task" not in reason]  # fewer tasks may still be shown
        if reasons:
            remarks.append(f"{path} is left out: {'; '.join(reasons)}")
            continue
        scores = {
            (task, subset): percent
            for task in TASKS
            for subset in SUBSETS
            if (percent := rules.percent(record, task, subset)) is not None
        }
        entry = Entry(record.model["name"], "local", UNVERIFIED, scores, record.created, str(path))
        entries.append(with_status(entry, _local_status(path, data, remarks)) if check else entry)
    return Collected(tuple(entries), tuple(remarks))


def _refusals_of_soco(record: EvaluationResult) -> list[str]:
    found = Leaderboard().refusals(record)
    return found if is_soco(record) else [f"it was evaluated on {record.dataset['id']}, not on SOCO", *found]


def _entries_of_model(
    model: str,
    stated: Sequence[EvalResultEntry],
    listed: Sequence[DatasetLeaderboardEntry],
    board: PublishedBoard,
    remarks: list[str],
) -> list[Entry]:
    """The results of one model, one for each submission: entries of one have the same source and notes."""
    groups: dict[tuple[str, str, str], list[dict[tuple[str, str], float]]] = {}
    for entry in stated:
        key = task_of(str(entry.task_id))
        if key is None:
            continue
        if not _is_percent(entry.value):
            remarks.append(
                f"{clean(model)}, {entry.task_id}: left out, {clean(entry.value)[:40]} is in the wrong unit: percent "
                "is a number from 0 to 100"
            )
            continue
        if entry.dataset_revision not in (None, board.revision):
            remarks.append(
                f"{clean(model)}, {entry.task_id}: of another revision, {clean(entry.dataset_revision)[:12]}"
            )
        alike = groups.setdefault((str(entry.date or ""), str(entry.source_url or ""), str(entry.notes or "")), [])
        percent = float(entry.value)
        place = next((scores for scores in alike if scores.get(key, percent) == percent), None)
        if place is None:  # a second, other number of this task: it stands by itself
            alike.append(place := {})
        place[key] = percent
    return [
        Entry(model, "hub", _hub_status(url, notes, scores, listed), scores, date, url, notes)
        for (date, url, notes), alike in groups.items()
        for scores in alike
    ]


def _is_percent(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(float(value)) and 0 <= float(value) <= 100  # type: ignore[arg-type]  # a number


def _hub_status(
    url: str, notes: str, scores: Mapping[tuple[str, str], float], listed: Sequence[DatasetLeaderboardEntry]
) -> str:
    """What the Hub says of a submission: it tells it for the leaderboard's first task, by source, notes and value."""
    same = [
        entry
        for entry in listed
        if (str((entry.source or {}).get("url") or ""), str(entry.notes or "")) == (url, notes)
        and entry.value in scores.values()
    ]
    if any(entry.verified for entry in same):
        return VERIFIED
    return PROPOSED if same and all(entry.pull_request for entry in same) else UNVERIFIED


def _checked_hub(api: HfApi, entry: Entry, dataset_repo: str, data: str | None, remarks: list[str]) -> Entry:
    """The entry with what a recomputation says. A proposed one lies in a pull request: verify that by its address."""
    if entry.status == PROPOSED:
        remarks.append(
            f"{clean(entry.model)}: proposed, so not computed again; soco verify {clean(entry.model)}@refs/pr/N"
        )
        return entry
    try:
        stated = entries_of(api, entry.model, "main")
        if {(str(e.source_url or ""), str(e.notes or "")) for e in stated} != {(entry.url, entry.notes)} or {
            task_of(e.task_id): e.value for e in stated
        } != entry.scores:
            raise SubmissionError("these numbers are not those of that file")
        verdict = verify(entry.model, data, dataset_repo)
    except SocoError as error:
        remarks.append(
            f"{clean(entry.model)} cannot be computed again ({YAML_FILE}, {repo_url(entry.model, 'model')}): {error}"
        )
        return with_status(entry, UNVERIFIED)
    return with_status(entry, _status_of(verdict, entry.model, remarks))


def _local_status(path: Path, data: str | None, remarks: list[str]) -> str:
    if not predictions_beside(path).is_file():
        remarks.append(f"{path} cannot be computed again: its predictions are not beside it")
        return UNVERIFIED
    return _status_of(verify_file(str(path), data), str(path), remarks)


def _status_of(verdict: Verdict, what: str, remarks: list[str]) -> str:
    if not verdict.matches:
        remarks.append(f"{clean(what)} does not match its predictions; see: soco verify {clean(what)}")
        return MISMATCH
    if not verdict.references:
        remarks.append(f"{clean(what)} matches its predictions, but the dataset is not here to compare with (--data)")
        return UNVERIFIED
    return VERIFIED


def tell(remarks: Sequence[str]) -> None:
    """What was left out, to stderr."""
    for remark in remarks:
        print(f"note: {remark}", file=sys.stderr)
