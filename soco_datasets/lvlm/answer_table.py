"""The answers table: every question row with what the model said to it, enough to recompute a record without the data.

One row per question row of the config `lvlm` (`data.schema.LVLM`, in words and points, no picture), its answer beside
it. The header, JSON in the Arrow schema's metadata, says where the answers come from. The order of the rows means
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..data.questions.generation import LETTERS
from ..data.schema import LVLM
from ..errors import PredictionsError
from ..records.fields import Nested, Provenance, Shape, parse_json
from ..utils.files import atomic_file
from ..utils.parquet_files import read_checked
from .answer_store import ANSWERED
from .circular_scores import (
    Answer,
    AnswerRow,
    Key,
    check_known,
    first_items,
)
from .question_rows import read_rows, stored_settings

if TYPE_CHECKING:
    from ..data.folder import DatasetFolder

ANSWERS_VERSION = 1
ANSWERS_HEADER_KEY = b"soco_lvlm_answers"
_ROW = LVLM.arrow_schema.remove_metadata()
ANSWERS_SCHEMA = pa.schema(
    [
        *_ROW,
        pa.field("key", pa.string()),  # hash of all that the model saw of the row, null where no model was asked
        pa.field("outcome", pa.string()),  # of `answer_store.ANSWERED`, null where there is no answer yet
        pa.field("response", pa.string()),
        pa.field("judged", pa.string()),  # letter that a judge model read, null where none was asked or it read none
    ]
)


class AnswersHeader(Provenance):
    """Where answers come from; all of it goes into the record.

    Attributes:
        model: name, and what else decides its answers.
        dataset: id, revision, content_hash, and `questions`, the hash of all its question rows.
        settings: setting -> how it was asked (template and its hash, markers, image format, most tokens ...).
        versions: of the toolkit and the libraries that asked.
        device: provider, and device or endpoint.
        created: when the last question was answered, UTC, ISO 8601.
        judge: of a third parser, the verdicts of a judge model, see `judge.Judged.record`; None = there is none.

    Raises:
        PredictionsError: a field that is missing, unknown, or of another type or range.
    """

    device: Nested
    settings: Annotated[dict[str, dict[str, Any]], Shape(dict[str, dict[str, Any]])]
    judge: Nested | None = None


def answers_table(
    header: AnswersHeader,
    rows: Iterable[AnswerRow],
    answers: Mapping[Key, Answer],
    judged: Mapping[Key, str] | None = None,
) -> pa.Table:
    """Join questions and answers to a table (`ANSWERS_SCHEMA`, header in its metadata), checked whole.

    Args:
        header: where the answers come from.
        rows: of the config `lvlm`.
        answers: (setting, index) -> what the model said; rows without one are unanswered.
        judged: letters of a judge model.

    Raises:
        PredictionsError: an answer to an unknown row, or see `check_answers`.
    """
    listed = [dict(row) for row in rows]
    check_known(answers, {(row["setting"], row["index"]) for row in listed})
    for row in listed:
        place = row["setting"], row["index"]
        answer = answers.get(place)
        row["key"] = None if answer is None else answer.key
        row["outcome"] = None if answer is None else answer.outcome
        row["response"] = None if answer is None or answer.text is None else _storable(answer.text)
        row["judged"] = (judged or {}).get(place)
    table = pa.Table.from_pylist(listed, schema=ANSWERS_SCHEMA)
    fields = {**header.to_dict(), "format_version": ANSWERS_VERSION}
    text = json.dumps(fields, ensure_ascii=False, sort_keys=True, allow_nan=False)
    return check_answers(table.replace_schema_metadata({ANSWERS_HEADER_KEY: text.encode()}))


def read_answers_header(table: pa.Table) -> AnswersHeader:
    """The header of a table. Raises `PredictionsError` where it is missing, of another version or malformed."""
    stored = (table.schema.metadata or {}).get(ANSWERS_HEADER_KEY)
    if stored is None:
        raise PredictionsError("not an answers table: its header is missing")
    try:
        fields = parse_json(stored, "the header")
        if not isinstance(fields, dict) or (version := fields.pop("format_version", None)) != ANSWERS_VERSION:
            found = version if isinstance(fields, dict) else None
            raise PredictionsError(f"format version {found!r} cannot be read, only version {ANSWERS_VERSION}")
        return AnswersHeader(**fields)
    except PredictionsError as error:
        raise PredictionsError(f"the header of the answers is malformed: {error}") from None


def check_answers(table: pa.Table) -> pa.Table:
    """The table with the columns of `ANSWERS_SCHEMA`, if it is whole.

    Raises:
        PredictionsError: a column is missing or of another type, an unknown outcome or letter, or settings
            other than those of the header.
    """
    header = read_answers_header(table)
    missing = [name for name in ANSWERS_SCHEMA.names if name not in table.column_names]
    if missing:
        raise PredictionsError(f"the answers lack the column(s) {', '.join(missing)}")
    try:
        checked = table.select(ANSWERS_SCHEMA.names).cast(ANSWERS_SCHEMA).replace_schema_metadata(table.schema.metadata)
    except (pa.ArrowException, ValueError) as error:
        raise PredictionsError(f"a column of the answers has another type: {error}") from None
    outcomes = set(checked["outcome"].unique().to_pylist()) - {None}
    if odd := sorted(outcomes - set(ANSWERED)):
        raise PredictionsError(f"the answers have the unknown outcome {odd[0]!r}; known: {', '.join(ANSWERED)}")
    if set(checked["judged"].unique().to_pylist()) - {None, *LETTERS}:
        raise PredictionsError("a judged letter is none of A to D")
    settings = set(checked["setting"].unique().to_pylist())
    if settings != set(header.settings):
        raise PredictionsError(
            f"the answers are of the settings {sorted(map(str, settings))}, their header says {sorted(header.settings)}"
        )
    return checked


def write_answers(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet, whole or not at all. Raises `SocoError` when the place cannot be written."""
    with atomic_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_answers_table(path: Path) -> pa.Table:
    """Read and check a table. Raises `PredictionsError` naming the file."""
    if not path.is_file():
        raise PredictionsError(f"{path} is missing. Put the answers that `soco lvlm score --out` wrote there.")
    return read_checked(path, ANSWERS_SCHEMA.names, check_answers, ("soco lvlm score", "score"))


def questions_of(table: pa.Table) -> list[dict[str, Any]]:
    """The question rows, as the config `lvlm` has them."""
    rows: list[dict[str, Any]] = table.select(_ROW.names).to_pylist()
    return rows


def answers_of(table: pa.Table) -> dict[Key, Answer]:
    """(setting, index) -> what the model said."""
    columns = (table[name].to_pylist() for name in ("setting", "index", "response", "outcome"))
    return {
        (setting, index): Answer(response, outcome)
        for setting, index, response, outcome in zip(*columns, strict=True)
        if outcome is not None
    }


def judged_of(table: pa.Table) -> dict[Key, str] | None:
    """(setting, index) -> the letter a judge model read; None where there was no judge."""
    if not read_answers_header(table).judge:
        return None
    columns = (table[name].to_pylist() for name in ("setting", "index", "judged"))
    return {(setting, index): letter for setting, index, letter in zip(*columns, strict=True) if letter is not None}


def check_questions(table: pa.Table, folder: DatasetFolder) -> None:
    """Check that the questions, their right letters included, are those of a dataset, all of them.

    Raises:
        PredictionsError: naming the rows that differ, are missing, or are not the dataset's.
    """
    stated = read_answers_header(table).dataset["content_hash"]
    if stated != folder.content_hash:
        raise PredictionsError(
            f"they were asked from the dataset {str(stated)[:12]}, {folder.path} is {folder.content_hash[:12]}"
        )
    asked = _by_place(questions_of(table))
    stored = stored_settings(folder)
    settings = [setting for setting in stored if setting in read_answers_header(table).settings]
    right = _by_place([row for setting in settings for row in read_rows(folder, setting)])
    wrong = {
        "lack": [place for place in right if place not in asked],
        "are not the dataset's": [place for place in asked if place not in right],
        "differ from the dataset": [place for place, row in asked.items() if row != right.get(place, row)],
    }
    told = [f"{len(places)} row(s) {what}, {first_items(_named(places))}" for what, places in wrong.items() if places]
    if told:
        raise PredictionsError("; ".join(told))


def _by_place(rows: Sequence[dict[str, Any]]) -> dict[Key, dict[str, Any]]:
    return {(row["setting"], row["index"]): row for row in rows}


def _named(places: Iterable[Key]) -> list[str]:
    return [f"{setting} index {index}" for setting, index in places]


def _storable(text: str) -> str:
    """Without what UTF-8 cannot hold: halves of characters, which models do say."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
