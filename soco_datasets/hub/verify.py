"""`soco verify`: recompute a submission from its data, compare every number, and check where the data can come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..benchmarks.resolve import MINI, find_data, resolve_data
from ..correspondence.consistency import Consistency, OriginFinding, best_in_words, check_consistency
from ..data.folder import DatasetFolder, open_folder
from ..errors import DatasetFolderError, PredictionsError, SocoError
from ..records.base import Record
from ..records.evaluation import EvaluationResult
from ..records.fingerprint import Fingerprint
from ..records.ranking import Leaderboard
from ..records.registry import record_beside
from ..records.verification import MOST_FINDINGS, Verification
from ..utils.files import sha256_file
from ..utils.paths import local_path
from ..utils.text import clean
from .foreign_fetch import AllowedHosts
from .recompute import LeafComparison, ResultFiles, compare_records, read_data
from .rerun_request import RerunRequest
from .submission import (
    Checksums,
    SubmissionError,
    make_entries,
    pins_of,
    place_of,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from huggingface_hub import EvalResultEntry

    from ..correspondence.rerun_verdict import Rerun

_FIELDS = (
    "dataset_id", "value", "dataset_revision", "verify_token", "date", "source_url", "source_name", "source_user",
    "source_org", "notes",
)  # fmt: skip
_NOTHING = "nothing"


class MismatchError(SocoError, ValueError):
    """A result that is not what its data gives, or that could not be checked whole."""


@dataclass(frozen=True)
class FurtherChecks:
    """What is checked beyond the numbers and the consistency, which always are.

    Attributes:
        rerun: what of a result is forwarded again; None = nothing.
        others: sketches of other submissions, of which equal ones are named.
        hosts: from which files may be fetched, beside the Hub.
    """

    rerun: RerunRequest | None = None
    others: tuple[Fingerprint, ...] = ()
    hosts: AllowedHosts = field(default_factory=AllowedHosts)


NOTHING_FURTHER = FurtherChecks()


@dataclass(frozen=True)
class Verdict:
    """What was checked.

    Attributes:
        what: was verified.
        checks: every value that was compared.
        problems: what could not be computed or is against the rules, in words.
        references: whether what the data is scored against was compared with the dataset.
        notes: what was not stated, so that nothing could be compared with it.
        consistency: whether the data can come from the stated protocol; None for kinds that have no such check.
        rerun: what came out when a sample was forwarded again; None where it was not.
        data_sha256: of the data file.
    """

    what: str
    checks: tuple[LeafComparison, ...]
    problems: tuple[str, ...]
    references: bool
    notes: tuple[str, ...] = ()
    consistency: Consistency | None = None
    rerun: Rerun | None = None
    data_sha256: str = ""

    @property
    def findings(self) -> tuple[OriginFinding, ...]:
        """What the protocol would not give. A rerun that agrees settles all but what is impossible."""
        found = self.consistency.findings if self.consistency else ()
        settled = self.rerun is not None and self.rerun.agrees
        return tuple(finding for finding in found if finding.kind == "inconsistent" or not settled)

    @property
    def mismatches(self) -> list[LeafComparison]:
        return [check for check in self.checks if not check.agrees]

    @property
    def matches(self) -> bool:
        """Whether everything that was compared agrees, and nothing was in the way."""
        agrees = self.rerun is None or self.rerun.agrees
        return not self.problems and not self.mismatches and not self.findings and agrees

    @property
    def is_settled(self) -> bool:
        """Whether a rerun could not change that it does not match."""
        impossible = any(finding.kind == "inconsistent" for finding in self.findings)
        return bool(self.problems or self.mismatches) or impossible

    @property
    def summary(self) -> str:
        """Why it does not match, in a few words: the finding where there is one, else numbers."""
        rerun = self.rerun.findings if self.rerun else ()
        texts = [f"{len(self.mismatches)} value(s), {len(self.problems)} other problem(s)"]
        texts = texts if self.mismatches or self.problems else []
        return "; ".join([*texts, *map(str, self.findings), *rerun])

    def origin(self) -> list[str]:
        """What is known of where the data comes from, in lines: findings first, then what was checked."""
        lines = [str(finding) for finding in self.findings]
        if self.consistency is not None:
            settled = [f for f in self.consistency.findings if f not in self.findings]
            lines += [f"settled by the rerun: {finding}" for finding in settled]
            lines += [f"checked: {text}" for text in self.consistency.checked]
            lines += [f"best possible {text}" for text in best_in_words(self.consistency)]
        if self.rerun is not None:
            lines += [*self.rerun.findings, *self.rerun.report()]
        return lines

    def verification(self, by: str = "", when: str | None = None) -> Verification:
        """How far this verified the result, for a leaderboard; at most "recomputed" without the dataset.

        Args:
            by: who verified.
            when: UTC time, ISO 8601; None = now.
        """
        rerun = self.rerun
        texts = [f"{check.name} is not what its data gives" for check in self.mismatches[:3]]
        texts += [*self.problems, *map(str, self.findings), *(rerun.findings if rerun else ())]
        state = "claimed" if self.problems or self.mismatches else "recomputed"
        if not texts and self.consistency is not None:
            state = "rerun" if rerun is not None else self.consistency.state
            state = state if self.references or state == "claimed" else "recomputed"
        return Verification.from_dict(
            {
                "state": state,
                "by": by,
                "when": datetime.now(UTC).isoformat(timespec="seconds") if when is None else when,
                "images": rerun.images if rerun else 0,
                "pairs": rerun.pairs if rerun else 0,
                "findings": [clean(text)[:1000] for text in texts[:MOST_FINDINGS]],
                **({"data_sha256": self.data_sha256} if self.data_sha256 else {}),
            }
        )


def combined_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict of several about the same thing, at least one."""
    return Verdict(
        verdicts[0].what,
        tuple(check for verdict in verdicts for check in verdict.checks),
        tuple(problem for verdict in verdicts for problem in verdict.problems),
        all(verdict.references for verdict in verdicts),
        tuple(note for verdict in verdicts for note in verdict.notes),
        *_checked_first(verdicts),
    )


def _checked_first(verdicts: Sequence[Verdict]) -> tuple[Consistency | None, Rerun | None, str]:
    """The consistency, rerun and data hash of the first verdict that has them: one kind of record does."""
    first = next((verdict for verdict in verdicts if verdict.consistency is not None), verdicts[0])
    return first.consistency, first.rerun, first.data_sha256


def check_files(
    what: str, files: ResultFiles, folder: DatasetFolder | None, further: FurtherChecks = NOTHING_FURTHER
) -> Verdict:
    """Compare a record with its data, and that with the dataset where a folder is given.

    What is wrong with the files is part of the verdict; nothing but a damaged dataset folder is raised.
    """
    return _recompute(files, folder, further).verdict(what, files)


def check_submission(
    what: str,
    files: ResultFiles,
    entries: Sequence[EvalResultEntry],
    *,
    model_repo: str,
    board: Leaderboard,
    folder: DatasetFolder | None,
    further: FurtherChecks = NOTHING_FURTHER,
) -> Verdict:
    """Compare a submission with what its files give.

    Args:
        what: is verified, for the verdict.
        files: as downloaded.
        entries: of the kind's file of `.eval_results`.
        model_repo: whose file it is.
        board: the leaderboard at the revision that the entries name.
        folder: the dataset, None = its references are not compared.
        further: what else is checked.
    """
    own = Checksums(_sha256(files.record), _sha256(files.data))
    stated = pins_of(entries[0].notes if entries else None)
    checks = [
        LeafComparison(f"sha256 of the {files.kind.data}", stated.data if stated else _NOTHING, own.data),
        LeafComparison("sha256 of the record", stated.record if stated else _NOTHING, own.record),
    ]
    again = _recompute(files, folder, further)
    problems, found = again.problems, again.record
    if folder is not None and folder.content_hash != board.content_hash:
        problems.append(
            f"the dataset folder {folder.path} is not {board.repo} at {board.revision[:12]}: content hash "
            f"{folder.content_hash[:12]}, not {board.content_hash[:12]}"
        )
    if found is not None:
        problems += found.violations(board)
        try:
            artifacts = place_of(entries[0].source_url if entries else None).repo
            wanted = make_entries(found, board, model_repo, artifacts, own)
            checks += _compare_entries(entries, wanted, board.repo)
        except SubmissionError as error:
            problems.append(str(error))
    again.checks = [*checks, *again.checks]
    return again.verdict(what, files)


def find_folder(data: str | None, content_hash: str | None) -> DatasetFolder | None:
    """The dataset to compare with: the one named, else one that is here and has this content.

    Raises:
        DataNotFoundError, DatasetFolderError, UsageError: `data` names no folder that can be used.
    """
    if data is not None:
        return open_folder(resolve_data(data))
    for place in (None, MINI):
        try:
            path = find_data(place)
            folder = None if path is None else open_folder(path)
        except SocoError:
            continue
        if folder is not None and folder.content_hash == content_hash:
            return folder
    return None


def verify_file(path: str, data: str | None = None, further: FurtherChecks = NOTHING_FURTHER) -> Verdict:
    """Verify a record on this machine, its data beside it (or the other way round).

    Raises:
        UsageError: neither a record nor its data, or `data` is wrong.
        PredictionsError: there is no record to compare with.
    """
    record = local_path(record_beside(local_path(path).as_posix()))
    if not record.is_file():
        raise PredictionsError(f"{record} is missing, so there is nothing to compare with. Put the record there.")
    files = ResultFiles.of(record)
    return check_files(path, files, find_folder(data, stated_content(files)), further)


def stated_content(files: ResultFiles) -> str | None:
    """The content hash that a record states, None where it cannot be read."""
    try:
        return str(files.kind.read(files.record).dataset["content_hash"])
    except PredictionsError:
        return None


@dataclass
class _Recomputed:
    """The checks of a record, what is wrong with its files, whether references were compared, the record again, whether
    its data is consistent, and what a rerun gave."""

    checks: list[LeafComparison] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    references: bool = False
    record: Record | None = None
    notes: list[str] = field(default_factory=list)
    consistency: Consistency | None = None
    rerun: Rerun | None = None

    def verdict(self, what: str, files: ResultFiles) -> Verdict:
        notes = (*self.notes, *(self.consistency.notes if self.consistency else ()))
        return Verdict(
            what=what,
            checks=tuple(self.checks),
            problems=tuple(self.problems),
            references=self.references,
            notes=notes,
            consistency=self.consistency,
            rerun=self.rerun,
            data_sha256=sha256_file(files.data) if files.data.is_file() else "",
        )


def _recompute(files: ResultFiles, folder: DatasetFolder | None, further: FurtherChecks) -> _Recomputed:
    found = _Recomputed()
    stated: Record | None = None
    table: pa.Table | None = None
    try:
        stated = files.kind.read(files.record)
    except PredictionsError as error:
        found.problems.append(str(error))
    try:
        table = read_data(files, stated)
    except PredictionsError as error:
        found.problems.append(str(error))
    if table is None:
        found.references = folder is not None
        return found
    if folder is not None:
        try:
            found.references = files.kind.check_references(table, folder)
        except (PredictionsError, DatasetFolderError) as error:
            found.references = True
            found.problems.append(f"{files.data.name} does not fit the dataset: {error}")
    if stated is None:
        return found
    found.notes = stated.unstated()
    try:
        found.record = stated.recompute(table)
    except PredictionsError as error:
        found.problems.append(str(error))
        return found
    found.checks = compare_records(stated, found.record)
    if isinstance(stated, EvaluationResult):
        _check_origin(found, table, folder, further)
    elif further.rerun is not None:
        found.notes.append(f"the {stated.noun} was not run again: only PCK results can be")
    return found


def _check_origin(found: _Recomputed, table: pa.Table, folder: DatasetFolder | None, further: FurtherChecks) -> None:
    """Whether the predictions can come from the stated protocol, and where it is asked for, whether they do."""
    try:
        found.consistency = check_consistency(table, further.others)
        if further.rerun is not None and folder is None:
            found.problems.append("a rerun needs the dataset: give it with --data")
        elif further.rerun is not None and folder is not None:
            found.rerun = further.rerun(table, folder)
    except PredictionsError as error:
        found.problems.append(str(error))


def _compare_entries(
    stated: Sequence[EvalResultEntry], wanted: Sequence[EvalResultEntry], dataset: str
) -> Iterator[LeafComparison]:
    """A check for every field of every entry; entries too many or too few are mismatches."""
    ours: Mapping[str, EvalResultEntry] = {entry.task_id: entry for entry in wanted}
    seen: set[str] = set()
    for entry in stated:
        expected = ours.get(entry.task_id)
        if expected is None or entry.task_id in seen:
            yield LeafComparison(
                f"{entry.task_id}: entry", "an entry", "a second one" if expected else "no such number"
            )
            continue
        seen.add(entry.task_id)
        for part in _FIELDS:
            name = part.replace("_", " ")
            yield LeafComparison(f"{entry.task_id}: {name}", getattr(entry, part), getattr(expected, part))
    for task_id in ours:
        if task_id not in seen:
            yield LeafComparison(f"{task_id}: entry", f"no entry for {dataset}", "an entry")


def _sha256(path: Path) -> str:
    return sha256_file(path) if path.is_file() else _NOTHING
