"""Gathering the entries of the leaderboard. Whatever cannot be used is left out and said, never silently."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..records.base import Record
from ..records.ranking import PERCENT, Leaderboard
from ..records.registry import (
    find_ranked_task,
    ranked_tasks,
    ranked_types,
    record_type_of_task,
)
from ..records.verification import Verification
from ..utils.hub_errors import HubError, repo_url
from ..utils.paths import local_path
from ..utils.terminal import print_note
from ..utils.text import clean
from .client import retrying
from .entry_checks import one_of_many, with_verdict
from .hosted_leaderboard import read_board
from .leaderboard import (
    PROPOSED,
    VERIFIED_BY_HUB,
    Collected,
    Entry,
    paper_entries,
)
from .local_entries import local_entries
from .model_details import hub_details
from .submission import SubmissionError, pins_of
from .submissions import Address, entries_of, verify_kind
from .verifications import Verifications, read_verifications

if TYPE_CHECKING:
    from huggingface_hub import DatasetLeaderboardEntry, EvalResultEntry, HfApi

_MOST_REVISIONS = 20  # of the dataset that are looked at: strangers name them
_EXPANDED: list[Any] = ["evalResults", "safetensors", "cardData"]  # what the Hub is asked of a model


def collect(
    *,
    local: str | Path | None = None,
    dataset_repo: str | None = None,
    paper: bool | None = None,
    check: bool = False,
    data: str | None = None,
    unranked: bool = False,
) -> Collected:
    """The entries of all sources.

    Args:
        local: folder with records; None = none.
        dataset_repo: the leaderboard on the Hub; None = no entries from there, and SOCO's rules.
        paper: whether the paper's models are in; None = those of kinds where the data is SOCO and the rules are its.
        check: compute results again, those of the Hub and those here, and say which ones match.
        data: dataset folder for that.
        unranked: keep the local records that do not fit the leaderboard, apart from the ranking.

    Raises:
        UsageError: `local` is not a folder, or the dataset is not a leaderboard.
        HubError: the Hub refuses or cannot be reached.
    """
    entries: list[Entry] = []
    remarks: list[str] = []
    board: Leaderboard | None = None
    if dataset_repo is not None:
        from huggingface_hub import HfApi

        api = HfApi()
        board = read_board(api, dataset_repo)
        found = hub_entries(api, board)
        for entry in found.entries:
            with one_of_many(entry.model, remarks):
                entries.append(_checked_hub(api, entry, dataset_repo, data, remarks) if check else entry)
        remarks += found.remarks
    if local is not None:
        mine = local_entries(local_path(local), board, check=check, data=data, unranked=unranked)
        entries += mine.entries
        remarks += mine.remarks
    kinds = [
        kind for kind in ranked_types() if paper is not False and (paper or board is None or _is_papers(kind, board))
    ]
    entries += paper_entries(kinds)
    if paper is None and not kinds:
        remarks.append(
            f"the paper's models are left out: {dataset_repo} is not SOCO under its protocol (--paper shows them)"
        )
    return Collected(tuple(entries), tuple(remarks))


def hub_entries(api: HfApi, board: Leaderboard) -> Collected:
    """What models say on the Hub about this dataset. Raises `HubError`."""
    remarks: list[str] = []
    listed = listed_results(api, board, remarks)
    verified: Verifications = {}
    same = _SameData(api, board)
    try:
        verified = read_verifications(api, board.repo, board.revision)
    except SubmissionError as error:
        remarks.append(f"nothing is shown as rerun: {clean(error)}")
    entries: list[Entry] = []
    for model in dict.fromkeys(entry.model_id for entry in listed):
        try:
            info = retrying("read", partial(api.model_info, model, expand=_EXPANDED), model, "model")
        except (HubError, UsageError) as error:  # the latter for what is not the name of a repository
            remarks.append(f"{clean(model)} is left out: {clean(error)}")
            continue
        stated = [entry for entry in info.eval_results or [] if entry.dataset_id == board.repo]
        with one_of_many(model, remarks):
            found = _entries_of_model(model, stated, [e for e in listed if e.model_id == model], same, remarks)
            details = hub_details(info)
            entries += [replace(e, details=details, verification=_stored(e, verified)) for e in found]
    return Collected(tuple(entries), tuple(remarks))


def listed_results(api: HfApi, board: Leaderboard, remarks: list[str]) -> list[DatasetLeaderboardEntry]:
    """The Hub's ranking by the benchmark's first task, and by the first one of each further kind of record.

    The client asks for the first task alone, so the others are asked for by name; where the Hub does not give them, the
    models that have nothing else stay unknown.
    """
    try:
        found = retrying(
            "read the leaderboard of",
            lambda: api.get_dataset_leaderboard(board.repo, base_model_only=False),
            board.repo,
        )
    except HubError as error:
        if error.status not in (400, 404):
            raise
        remarks.append(
            f"the Hub has no leaderboard of {board.repo}, so none of its entries are here: it keeps one for datasets "
            "on its allow-list (see docs/howto/hub.md)"
        )
        return []
    for kind in ranked_types():
        first = next((task for task in board.task_ids if task in kind.tasks), None)
        if first is None or first == board.task_ids[0]:
            continue
        try:
            found += retrying(
                f"read the task {first} of",
                lambda first=first: _by_task(api, board.repo, first),  # type: ignore[misc]  # mypy does not see the default
                board.repo,
            )
        except HubError as error:
            remarks.append(f"models that have only results of {first} may be left out: {error}")
    return found


def _by_task(api: HfApi, repo: str, task_id: str) -> list[DatasetLeaderboardEntry]:
    from huggingface_hub import DatasetLeaderboardEntry
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    answer = get_session().get(
        f"{api.endpoint}/api/datasets/{repo}/leaderboard",
        headers=build_hf_headers(token=api.token),
        params={"base_model": False, "task_id": task_id},
    )
    hf_raise_for_status(answer)
    return [DatasetLeaderboardEntry(**entry) for entry in answer.json()]


def _is_papers(kind: type[Record], board: Leaderboard) -> bool:
    """Whether data and rules of a leaderboard are the paper's, so that the paper's numbers compare."""
    return kind.is_benchmark(board.source) and board.rules_for(kind) == kind.rules()


def _entries_of_model(
    model: str,
    stated: Sequence[EvalResultEntry],
    listed: Sequence[DatasetLeaderboardEntry],
    holds_the_same: Callable[[str], bool],
    remarks: list[str],
) -> list[Entry]:
    """The results of one model, one for each submission: entries of one have the same source and notes."""
    groups: dict[tuple[str, str, str], list[dict[tuple[str, str], float]]] = {}
    for entry in stated:
        key = find_ranked_task(str(entry.task_id))
        if key is None:
            continue
        task = ranked_tasks()[key[0]]
        if not task.is_possible(entry.value):
            unit = "percent is a number from 0 to 100" if task.unit == PERCENT else f"{task.unit} is a finite number"
            remarks.append(
                f"{clean(model)}, {entry.task_id}: left out, {clean(entry.value)[:40]} is in the wrong unit: {unit}"
            )
            continue
        if entry.dataset_revision is not None and not holds_the_same(entry.dataset_revision):
            remarks.append(
                f"{clean(model)}, {entry.task_id}: of another revision, {clean(entry.dataset_revision)[:12]}"
            )
        alike = groups.setdefault((str(entry.date or ""), str(entry.source_url or ""), str(entry.notes or "")), [])
        value = float(entry.value)
        place = next((scores for scores in alike if scores.get(key, value) == value), None)
        if place is None:  # a second, other number of this task: it stands by itself
            alike.append(place := {})
        place[key] = value
    return [
        Entry(model, "hub", scores, _hub_status(url, notes, scores, listed), date=date, url=url, notes=notes)
        for (date, url, notes), alike in groups.items()
        for scores in alike
    ]


class _SameData:
    """Whether a revision of the dataset repository holds the leaderboard's data: its other files may have changed."""

    def __init__(self, api: HfApi, board: Leaderboard) -> None:
        self._api, self._board = api, board
        self._known: dict[str, bool] = {board.revision: True}

    def __call__(self, revision: object) -> bool:
        name = str(revision)
        if name not in self._known and len(self._known) < _MOST_REVISIONS and re.fullmatch(r"[0-9a-f]{40}", name):
            try:
                found = read_board(self._api, self._board.repo, name).content_hash
            except (HubError, UsageError):
                found = ""
            self._known[name] = found == self._board.content_hash
        return self._known.get(name, False)


def _stored(entry: Entry, verified: Verifications) -> Verification:
    """What the leaderboard's maintainers have verified of an entry: of its model, its data and its very numbers."""
    pins = pins_of(entry.notes)
    found = verified.get((entry.model, pins.data)) if pins else None
    return found.verification if found and found.covers(entry.model, entry.scores) else Verification()


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
        return VERIFIED_BY_HUB
    return PROPOSED if same and all(entry.pull_request for entry in same) else ""


def _checked_hub(api: HfApi, entry: Entry, dataset_repo: str, data: str | None, remarks: list[str]) -> Entry:
    """The entry with the result of a recomputation. A proposed one is in a pull request: verify that by its address."""
    if entry.status == PROPOSED:
        remarks.append(
            f"{clean(entry.model)}: proposed, so not computed again; soco verify {clean(entry.model)}@refs/pr/N"
        )
        return entry
    kind = record_type_of_task(next(iter(entry.scores))[0])
    try:
        stated = entries_of(api, kind, entry.model, "main")
        if {(str(e.source_url or ""), str(e.notes or "")) for e in stated} != {(entry.url, entry.notes)} or {
            find_ranked_task(e.task_id): e.value for e in stated
        } != entry.scores:
            raise SubmissionError("these numbers are not those of that file")
        verdict = verify_kind(api, entry.model, kind, Address(entry.model, "model", "main"), data, dataset_repo)
    except Exception as error:  # SocoError, or what a stranger's file raises: this one is not computed again
        place = f"{kind.yaml_file}, {repo_url(entry.model, 'model')}"
        remarks.append(f"{clean(entry.model)} cannot be computed again ({place}): {error}")
        return replace(entry, status="", verification=Verification())
    return with_verdict(entry, verdict, entry.model, remarks)


def print_notes(remarks: Sequence[str]) -> None:
    """What was left out, to stderr."""
    for remark in remarks:
        print_note(f"note: {remark}")
