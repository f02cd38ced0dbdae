"""Gathering the entries of the leaderboard. Whatever cannot be used is left out and said, never silently."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PredictionsError, UsageError
from ..records.base import Record
from ..records.evaluation import EvaluationResult
from ..records.ranking import PERCENT, RANKED_SUBSETS, Leaderboard
from ..records.registry import (
    find_ranked_task,
    ranked_tasks,
    ranked_types,
    record_type_of,
    record_type_of_task,
    records_in,
)
from ..records.verification import Verification
from ..reporting.probe_records import is_probe
from ..reporting.score_access import model_names
from ..utils.hub_errors import HubError, repo_url
from ..utils.paths import local_path
from ..utils.terminal import print_note
from ..utils.text import clean
from .client import retrying
from .hosted_leaderboard import read_board
from .leaderboard import (
    MISMATCH,
    PROPOSED,
    VERIFIED_BY_HUB,
    Collected,
    Entry,
    paper_entries,
)
from .model_details import ModelDetails, hub_details, listed_details
from .submission import SubmissionError, pins_of
from .submissions import Address, entries_of, verify_kind
from .verifications import Verifications, read_verifications
from .verify import Verdict, verify_file

if TYPE_CHECKING:
    from huggingface_hub import DatasetLeaderboardEntry, EvalResultEntry, HfApi

_MOST_REVISIONS = 20  # of the dataset that are looked at: strangers name them
_EXPANDED: list[Any] = ["evalResults", "safetensors", "cardData"]  # what the Hub is asked of a model
_NOT_RECORDS = "not a result record"


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
            with _one_of_many(entry.model, remarks):
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
        with _one_of_many(model, remarks):
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
        with _one_of_many(shown, remarks):
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


@contextlib.contextmanager
def _one_of_many(what: object, remarks: list[str]) -> Iterator[None]:
    """Whatever goes wrong with one file or model of a stranger leaves that one out, with a remark."""
    try:
        yield
    except Exception as error:  # files of strangers raise what nobody expects; the others are shown all the same
        first = clean(str(error).splitlines()[0] if str(error) else "")
        remarks.append(f"{clean(what)} is left out: it cannot be read ({type(error).__name__}: {first[:200]})")


def _violations_of_soco(record: Record) -> list[str]:
    found = record.rules().violations(record)
    name = record.dataset["id"]
    return found if record.is_benchmark(name, record) else [f"it was evaluated on {name}, not on SOCO", *found]


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


def _checked_local(path: Path, entry: Entry, data: str | None, remarks: list[str]) -> Entry:
    """The entry with the result of a recomputation."""
    kind = record_type_of(path)
    if not Path(kind.data_beside(path.as_posix())).is_file():
        remarks.append(f"{path.name} cannot be computed again: its {kind.data} are not beside it")
        return entry
    return _with_verdict(entry, verify_file(str(path), data), path.name, remarks)


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
    return _with_verdict(entry, verdict, entry.model, remarks)


def _with_verdict(entry: Entry, verdict: Verdict, what: str, remarks: list[str]) -> Entry:
    """The entry with what was verified here, unless more was verified before."""
    if verdict.problems or verdict.mismatches:
        remarks.append(f"{clean(what)} does not match its data; see: soco verify {clean(what)}")
        return replace(entry, status=MISMATCH)
    if not verdict.references:
        remarks.append(f"{clean(what)} matches its data, but the dataset is not here to compare with (--data)")
        return entry
    if verdict.findings:
        remarks.append(f"{clean(what)}, {clean(verdict.findings[0])}; see: soco verify {clean(what)}")
    found = verdict.verification()
    return entry if entry.verification.strength > found.strength else replace(entry, verification=found)


def print_notes(remarks: Sequence[str]) -> None:
    """What was left out, to stderr."""
    for remark in remarks:
        print_note(f"note: {remark}")
