"""Read answers files for scoring, and write the answers of baselines as such files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..data.questions.generation import LETTERS
from ..errors import PredictionsError
from ..records.evaluation import library_versions
from ..records.replacement import check_replaces_json
from ..utils.files import atomic_files, sha256_file
from .answer_store import ANSWERED, STORE_VERSION, read_answers
from .circular_scores import Answer, AnswerRow, Key
from .provenance import run_record_path


def load_answers(paths: Sequence[Path], dataset: str | None = None) -> tuple[list[dict[str, Any]], dict[Key, Answer]]:
    """The headers of answers files, and (setting, index) -> what was answered; failed requests are not answers.

    Args:
        paths: files of one model, one per setting.
        dataset: content hash of the data they must be of; None = not checked.

    Raises:
        PredictionsError: two files answer a setting, are of different models or of other data; or a line names no row.
        SocoError: a file is not there or damaged.
    """
    headers: list[dict[str, Any]] = []
    answers: dict[Key, Answer] = {}
    for path in paths:
        header, lines, _ = read_answers(path)
        if header is None and path.stat().st_size:  # one line that is not ended, as of a run that was killed at once
            raise PredictionsError(
                f"{path} has no whole line: it is no answers file, or nothing was answered yet. Run the model again."
            )
        if header is None:
            raise PredictionsError(f"{path} is empty: nothing was answered yet. Run the model again.")
        if dataset is not None and header.get("dataset") != dataset:
            raise PredictionsError(
                f"{path} has answers to other questions (data {str(header.get('dataset'))[:16]}, not {dataset[:16]}). "
                "Give the --data they were asked from."
            )
        if headers and header.get("model") != headers[0].get("model"):
            raise PredictionsError(f"{path} is of another model than {paths[0]}: score one model at a time.")
        headers.append(header)
        found = _answers_of(path, lines.values())
        doubled = sorted(answers.keys() & found.keys())
        if doubled:
            raise PredictionsError(
                f"{path} answers {doubled[0][0]} index {doubled[0][1]}, as another file does already."
            )
        answers |= found
    return headers, answers


def _answers_of(path: Path, lines: Iterable[Mapping[str, Any]]) -> dict[Key, Answer]:
    found: dict[Key, Answer] = {}
    for line in lines:
        if line["outcome"] not in ANSWERED:
            continue
        try:
            key, text = (str(line["setting"]), str(line["index"])), line["response"]
        except KeyError as error:
            raise PredictionsError(f"{path}: the line of key {line['key']!r} has no {error}.") from None
        if key in found:
            raise PredictionsError(f"{path} answers {key[0]} index {key[1]} twice, under two keys.")
        final = "answered" if line["outcome"] == "empty" else str(line["outcome"])
        found[key] = Answer(text if isinstance(text, str) else None, final, str(line["key"]))
    return found


def check_letters(
    folder: Path, model: Mapping[str, Any], dataset: str, settings: Iterable[str], *, overwrite: bool = False
) -> bool:
    """Refuse to replace answers of another model, other options or other data, before they are computed.

    Args:
        folder, model, dataset: as of `write_letters`.
        settings: whose files will be written.
        overwrite: replace whatever is there.

    Returns:
        Whether a file is there, and will be replaced.

    Raises:
        UsageError: a file holds something else.
    """
    there = False
    for setting in settings:
        header = _header(model, setting, dataset)
        path = folder / f"{setting}.answers.jsonl"
        there |= check_replaces_json(path, header, header, overwrite=overwrite, lines=True)
    return there


def _header(model: Mapping[str, Any], setting: str, dataset: str) -> dict[str, Any]:
    return {"soco_lvlm_answers": STORE_VERSION, "model": dict(model), "setting": setting, "dataset": dataset}


def write_letters(
    folder: Path,
    model: Mapping[str, Any],
    dataset: str,
    rows: Sequence[AnswerRow],
    letters: Mapping[Key, str],
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write letters as the answers files of a model, one per setting, each with its record; returns their paths.

    Raises:
        UsageError: as `check_letters`; nothing is written.
    """
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    check_letters(folder, model, dataset, settings, overwrite=overwrite)
    paths = []
    for setting in settings:
        own = [row for row in rows if row["setting"] == setting]
        lines = [_header(model, setting, dataset)]
        for row in own:
            letter = letters[setting, row["index"]]
            assert letter in LETTERS
            place = {name: row[name] for name in ("setting", "question_id", "g_index", "index", "ordering")}
            lines.append({"key": row["index"], **place, "response": letter, "outcome": "answered", "stop": "stop"})
        path = folder / f"{setting}.answers.jsonl"
        with atomic_files(path, run_record_path(path)) as (new_answers, new_record):
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            new_answers.write_text(text, encoding="utf-8")
            record = {
                "model": dict(model),
                "setting": setting,
                "dataset": dataset,
                "answers": {"file": path.name, "sha256": sha256_file(new_answers)},
                "versions": library_versions(),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            new_record.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        paths.append(path)
    return paths
