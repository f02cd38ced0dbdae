"""`soco verify`: somebody's result computed again from its predictions, and compared number by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..correspondence.results import EvaluationResult
from ..data.folder import DatasetFolder, open_folder
from ..data.resolve import MINI, find_data, resolve_data
from ..errors import DatasetFolderError, PredictionsError, SocoError, UsageError
from ..files import sha256_file
from .board import PublishedBoard
from .recompute import Check, check_references, compare_records, read_record, read_table, recomputed
from .submission import Pins, SubmissionError, make_entries, pins_of, place_of

if TYPE_CHECKING:
    import pyarrow as pa
    from huggingface_hub import EvalResultEntry

_FIELDS = (
    "dataset_id", "value", "dataset_revision", "verify_token", "date", "source_url", "source_name", "source_user",
    "source_org", "notes",
)  # fmt: skip
_NOTHING = "nothing"


class MismatchError(SocoError, ValueError):
    """A result that is not what its predictions give, or that could not be checked whole."""


@dataclass(frozen=True)
class Verdict:
    """What was checked.

    Attributes:
        what: was verified.
        checks: every value that was compared.
        problems: what could not be computed or is against the rules, in words.
        references: whether queries and targets were compared with the dataset.
        record: as it was computed again, None where that was not possible.
    """

    what: str
    checks: tuple[Check, ...]
    problems: tuple[str, ...]
    references: bool
    record: EvaluationResult | None = None

    @property
    def mismatches(self) -> list[Check]:
        return [check for check in self.checks if not check.agrees]

    @property
    def matches(self) -> bool:
        """Whether everything that was compared agrees, and nothing was in the way."""
        return not self.problems and not self.mismatches


def check_files(what: str, record: Path, predictions: Path, folder: DatasetFolder | None) -> Verdict:
    """Compare a record with its predictions, and those with the dataset where a folder is given.

    What is wrong with the files is part of the verdict; nothing but a damaged dataset folder is raised.
    """
    checks, problems, found = _recompute(record, predictions, folder)
    return Verdict(what, tuple(checks), tuple(problems), folder is not None, found)


def check_submission(
    what: str,
    entries: Sequence[EvalResultEntry],
    *,
    model_repo: str,
    board: PublishedBoard,
    record: Path,
    predictions: Path,
    folder: DatasetFolder | None,
) -> Verdict:
    """Compare a submission with what its files give.

    Args:
        what: is verified, for the verdict.
        entries: of `.eval_results/soco.yaml`.
        model_repo: whose file it is.
        board: the leaderboard at the revision that the entries name.
        record, predictions: the files, as downloaded.
        folder: the dataset, None = its references are not compared.
    """
    own = Pins(_sha256(record), _sha256(predictions))
    stated = pins_of(entries[0].notes if entries else None)
    checks = [
        Check("sha256 of the predictions", stated.predictions if stated else _NOTHING, own.predictions),
        Check("sha256 of the record", stated.record if stated else _NOTHING, own.record),
    ]
    more, problems, found = _recompute(record, predictions, folder)
    if folder is not None and folder.content_hash != board.content_hash:
        problems.append(
            f"the dataset folder {folder.path} is not {board.repo} at {board.revision[:12]}: content hash "
            f"{folder.content_hash[:12]}, not {board.content_hash[:12]}"
        )
    if found is not None:
        problems += board.refusals(found)
        try:
            artifacts = place_of(entries[0].source_url if entries else None).repo
            wanted = make_entries(found, board, model_repo, artifacts, own)
            checks += _compare_entries(entries, wanted, board.repo)
        except SubmissionError as error:
            problems.append(str(error))
    return Verdict(what, (*checks, *more), tuple(problems), folder is not None, found)


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


def files_beside(name: str) -> tuple[str, str]:
    """(record, predictions) when one of them is named: `soco evaluate` and submissions each have their own names.

    >>> files_beside("results/tiny.json"), files_beside("a/predictions.parquet")
    (('results/tiny.json', 'results/tiny.predictions.parquet'), ('a/record.json', 'a/predictions.parquet'))

    Raises:
        UsageError: neither a `.json` nor a `.parquet`.
    """
    folder, slash, file = name.rpartition("/")
    if file in ("record.json", "predictions.parquet"):
        pair = "record.json", "predictions.parquet"
    elif file.endswith(".json"):
        pair = file, f"{file.removesuffix('.json')}.predictions.parquet"
    elif file.endswith(".predictions.parquet"):
        pair = f"{file.removesuffix('.predictions.parquet')}.json", file
    else:
        raise UsageError(f"{name} is neither a record (.json) nor its predictions (.predictions.parquet).")
    return f"{folder}{slash}{pair[0]}", f"{folder}{slash}{pair[1]}"


def verify_file(path: str, data: str | None = None) -> Verdict:
    """Verify a record on this machine, its predictions beside it (or the other way round).

    Raises:
        UsageError: neither a record nor predictions, or `data` is wrong.
        PredictionsError: there is no record to compare with.
    """
    record, predictions = map(Path, files_beside(Path(path).as_posix()))
    if not record.is_file():
        raise PredictionsError(
            f"{record} is not there, so there is nothing to compare with. `soco score {path}` prints what the "
            "predictions give."
        )
    return check_files(path, record, predictions, find_folder(data, stated_content(record)))


def stated_content(record: Path) -> str | None:
    """The content hash that a record states, None where it cannot be read."""
    try:
        return str(read_record(record).dataset["content_hash"])
    except PredictionsError:
        return None


def _recompute(
    record: Path, predictions: Path, folder: DatasetFolder | None
) -> tuple[list[Check], list[str], EvaluationResult | None]:
    """(checks of the record, what is wrong with the files, the record computed again)."""
    problems: list[str] = []
    stated: EvaluationResult | None = None
    table: pa.Table | None = None
    try:
        stated = read_record(record)
    except PredictionsError as error:
        problems.append(str(error))
    try:
        table = read_table(predictions, stated)
    except PredictionsError as error:
        problems.append(str(error))
    if table is None:
        return [], problems, None
    if folder is not None:
        try:
            check_references(table, folder)
        except (PredictionsError, DatasetFolderError) as error:
            problems.append(f"{predictions.name} does not fit the dataset: {error}")
    if stated is None:
        return [], problems, None
    try:
        found = recomputed(stated, table)
    except PredictionsError as error:
        return [], [*problems, str(error)], None
    return compare_records(stated, found), problems, found


def _compare_entries(
    stated: Sequence[EvalResultEntry], wanted: Sequence[EvalResultEntry], dataset: str
) -> Iterator[Check]:
    """A check for every field of every entry; entries too many or too few are mismatches."""
    ours: Mapping[str, EvalResultEntry] = {entry.task_id: entry for entry in wanted}
    seen: set[str] = set()
    for entry in stated:
        expected = ours.get(entry.task_id)
        if expected is None or entry.task_id in seen:
            yield Check(f"{entry.task_id}: entry", "an entry", "a second one" if expected else "no such number")
            continue
        seen.add(entry.task_id)
        for field in _FIELDS:
            name = "value" if field == "value" else field.replace("_", " ")
            yield Check(f"{entry.task_id}: {name}", getattr(entry, field), getattr(expected, field))
    for task_id in ours:
        if task_id not in seen:
            yield Check(f"{task_id}: entry", f"no entry for {dataset}", "an entry")


def _sha256(path: Path) -> str:
    return sha256_file(path) if path.is_file() else _NOTHING
