"""A maintainer's tool: run the submissions of a leaderboard again and propose what was found as a pull request."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SocoError
from ..records.base import Record
from ..records.evaluation import EvaluationResult
from ..records.fingerprint import Fingerprint
from ..records.ranking import Leaderboard
from ..records.registry import ranked_types
from ..records.verification import Verification
from ..utils.files import atomic_write
from ..utils.hub_errors import HubError
from ..utils.progress import progress
from ..utils.text import clean
from .client import connect, hub_progress_on_terminals, retrying
from .hosted_leaderboard import read_board
from .known_results import submitted_fingerprint
from .rerun_request import RerunRequest
from .sources import listed_results
from .submission import SubmissionError, pins_of
from .submissions import Address, entries_of, verify_kind
from .verifications import (
    FILE,
    Verifications,
    Verified,
    parse_verifications,
    read_verifications,
    verifications_text,
)
from .verify import FurtherChecks

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry, HfApi

_TITLE = "SOCO verifications"


@dataclass(frozen=True)
class Queued:
    """One submission: a kind of record of a model at a revision, and the hash of its data.

    Attributes:
        others: the submissions of other models, whose files it may repeat.
    """

    model: str
    revision: str
    kind: type[Record]
    entries: tuple[EvalResultEntry, ...]
    data_sha256: str
    others: tuple[Queued, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """As of `Verified`."""
        return self.model, self.data_sha256

    @property
    def values(self) -> dict[str, float]:
        """Id of a task -> what is stated for it."""
        return {entry.task_id: float(entry.value) for entry in self.entries}

    @property
    def name(self) -> str:
        """As `soco verify` takes it."""
        return self.model if self.revision == "main" else f"{self.model}@{self.revision}"


Verify = Callable[[Queued], Verification]
"""How one submission is verified. Raises `SocoError` where it cannot be, such as for a model that needs a plug-in."""


@dataclass(frozen=True)
class Reruns:
    """What became of a queue: what was found of each submission, what could not be run, and the pull request."""

    found: tuple[Verified, ...]
    remarks: tuple[str, ...]
    pull_request: str | None = None


@hub_progress_on_terminals()
def rerun_queue(
    dataset_repo: str,
    verify: Verify,
    *,
    journal: Path | None = None,
    most: int | None = None,
) -> Reruns:
    """Run every submission again that nobody has run, merged or proposed, and open one pull request.

    Args:
        dataset_repo: the leaderboard's.
        verify: such as `rerun_with(...)`; what it finds is dated and signed with the account here.
        journal: file that keeps what is done, so that an interrupted queue resumes; None = none.
        most: at most so many submissions, the best of the leaderboard first.

    Raises:
        UsageError: no token, or not a leaderboard.
        HubError: the Hub refuses or cannot be reached.
        SocoError: the journal cannot be read or written.
    """
    api, me = connect()
    board = read_board(api, dataset_repo)
    known = read_verifications(api, dataset_repo, board.revision)
    done = _read_journal(journal, board.repo)
    remarks: list[str] = []
    queue = _queue(api, board, {**known, **done}, remarks)[:most]
    for queued in progress(queue, "Running submissions again", unit="submission"):
        try:
            found = verify(queued)
        except Exception as error:  # SocoError, or what a stranger's file or model raises: the others are still run
            remarks.append(f"{clean(queued.name)} was not run: {type(error).__name__}: {clean(error)[:300]}")
            continue
        now = datetime.now(UTC).isoformat(timespec="seconds")
        signed = replace(found, by=me, when=now, data_sha256=queued.data_sha256)
        done[queued.key] = Verified(queued.model, queued.values, signed)
        if journal is not None:
            atomic_write(journal, verifications_text(done, board.repo).decode())
    new = tuple(one for key, one in done.items() if known.get(key) != one)  # the rest of the journal is merged
    opened = _propose(api, board, {**known, **done}, new, me) if new else None
    return Reruns(tuple(done.values()), tuple(remarks), opened)


def _read_journal(journal: Path | None, board: str) -> Verifications:
    if journal is None or not journal.exists():
        return {}
    try:
        return parse_verifications(journal.read_bytes(), str(journal), board)
    except OSError as error:
        raise SocoError(f"{journal} cannot be read ({error.strerror}). Give another file.") from error


def _queue(api: HfApi, board: Leaderboard, done: Verifications, remarks: list[str]) -> list[Queued]:
    """The submissions that nobody has run again, in the leaderboard's order."""
    found: dict[tuple[str, str], Queued] = {}
    waiting: set[tuple[str, str]] = set()
    for listed in listed_results(api, board, remarks):
        revision = f"refs/pr/{listed.pull_request}" if listed.pull_request else "main"
        for kind in ranked_types():
            try:
                entries = [e for e in entries_of(api, kind, listed.model_id, revision) if e.dataset_id == board.repo]
            except SubmissionError:  # no file of this kind, or a malformed one, which `soco verify` explains
                continue
            except HubError as error:
                remarks.append(f"{clean(listed.model_id)} is left out: {clean(error)}")
                break
            pins = pins_of(entries[0].notes) if entries else None
            if pins is None:
                continue
            queued = Queued(listed.model_id, revision, kind, tuple(entries), pins.data)
            known = done.get(queued.key)
            settled = known is not None and (known.verification.state == "rerun" or known.verification.findings)
            waits = known is None or not settled or known.values != queued.values
            if queued.key not in found or (waits and queued.key not in waiting):
                found[queued.key] = queued
            waiting |= {queued.key} if waits else set()
    alike = {kind: [one for one in found.values() if one.kind is kind] for kind in ranked_types()}
    return [
        replace(one, others=tuple(other for other in alike[one.kind] if other.model != one.model))
        for key, one in found.items()
        if key in waiting
    ]


def rerun_with(request: RerunRequest, data: str | None = None) -> Verify:
    """Recompute a submission, check its consistency, and where it is not impossible, forward a sample again.

    Args:
        request: how much is forwarded, with what.
        data: dataset folder; None = one that is here and has the right content.
    """
    from huggingface_hub import HfApi

    api, known = HfApi(), dict[tuple[str, str], Fingerprint | None]()

    def sketch(other: Queued) -> Fingerprint | None:
        if other.key not in known:
            known[other.key] = None
            with contextlib.suppress(Exception):  # a file of a stranger: what it lacks is found when it is its turn
                known[other.key] = submitted_fingerprint(api, other.model, other.entries[0])
        return known[other.key]

    def verify(queued: Queued) -> Verification:
        address, dataset = Address(queued.model, "model", queued.revision), str(queued.entries[0].dataset_id)
        compared = queued.others if issubclass(queued.kind, EvaluationResult) else ()
        others = tuple(found for found in map(sketch, compared) if found is not None)
        further = FurtherChecks(others=others)
        cheap = verify_kind(api, queued.name, queued.kind, address, data, dataset, further)
        if cheap.is_settled:
            return cheap.verification()
        if not cheap.references:
            raise SocoError("the dataset is not here to compare with; give --data")
        try:
            again = verify_kind(api, queued.name, queued.kind, address, data, dataset, replace(further, rerun=request))
        except SocoError:
            if cheap.findings:
                return cheap.verification()
            raise
        return again.verification()

    return verify


def _propose(api: HfApi, board: Leaderboard, everything: Verifications, new: Sequence[Verified], me: str) -> str | None:
    """Open the pull request, or find ours that is open with the very same content."""
    from huggingface_hub import CommitOperationAdd

    text = verifications_text(everything)
    title = f"{_TITLE}: {len(new)} result{'' if len(new) == 1 else 's'}"

    def step() -> str | None:
        opened = api.get_repo_discussions(
            board.repo, repo_type="dataset", author=me, discussion_type="pull_request", discussion_status="open"
        )
        for pull in opened:
            if pull.title == title:
                there = api.hf_hub_download(board.repo, FILE, repo_type="dataset", revision=f"refs/pr/{pull.num}")
                if Path(there).read_bytes() == text:
                    return str(pull.url)
        made = api.create_commit(
            board.repo,
            [CommitOperationAdd(path_in_repo=FILE, path_or_fileobj=text)],
            commit_message=title,
            commit_description=_description(new),
            repo_type="dataset",
            create_pr=True,
            parent_commit=board.revision,
        )
        return made.pr_url

    return retrying("propose verifications to", step, board.repo)


def _description(found: Sequence[Verified]) -> str:
    lines = ["| model | data sha256 | verified | findings |", "|---|---|---|---|"]
    for one in found:
        checked = one.verification
        findings = "; ".join(clean(text).replace("|", "/") for text in checked.findings) or "none"
        lines.append(f"| {clean(one.model)} | `{checked.data_sha256[:16]}` | {clean(checked)} | {findings} |")
    return "\n".join(lines)


def describe_reruns(reruns: Reruns) -> str:
    """What was found, one line per submission, then the pull request."""
    lines = []
    for one in reruns.found:
        lines.append(f"{clean(one.model)}: {clean(one.verification)}")
        lines += [f"  {clean(text)}" for text in one.verification.findings]
    end = f"pull request: {reruns.pull_request}" if reruns.pull_request else "nothing to propose"
    return "\n".join([*lines, end]) + "\n"
