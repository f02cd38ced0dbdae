"""The record of a vision-language model: where answers come from, what is kept of them, the same bytes every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from helpers.lvlm_built import mini
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.data.questions.prompts import DEFAULT_TEMPLATE, PromptTemplate, load_template
from soco_datasets.errors import PredictionsError
from soco_datasets.lvlm.answer_files import load_answers, write_letters
from soco_datasets.lvlm.answer_table import (
    AnswersHeader,
    answers_of,
    answers_table,
    check_questions,
    questions_of,
    read_answers_table,
    write_answers,
)
from soco_datasets.lvlm.circular_scores import Answer, score_answers
from soco_datasets.lvlm.lvlm_record import LvlmResult, record_from_answers, unanswered
from soco_datasets.lvlm.prompted import PromptedQuestions
from soco_datasets.lvlm.provenance import answers_header, run_record_path
from soco_datasets.lvlm.question_rows import read_rows
from soco_datasets.utils.files import sha256_file

HEADER = AnswersHeader(
    model={"name": "m"},
    dataset={"id": "mini", "revision": None, "content_hash": "c", "questions": "q"},
    settings={"vis": {}},
    versions={"soco_datasets": "0.1.0"},
    device={"provider": "openai"},
    created="2026-02-01T12:00:00+00:00",
)


def some_rows(number: int = 6) -> list[dict[str, Any]]:
    return read_rows(mini(), "vis")[: 4 * number]


@settings(max_examples=25)
@given(
    st.lists(
        st.sampled_from(["A", "Answer: B", "(C)", "a point", "", "\ud800D", "É\U0001f600 \x00", None]), min_size=24
    )
)
def test_the_table_gives_what_scoring_gives(replies: list[str | None]) -> None:
    rows = some_rows()
    said = dict(zip((("vis", row["index"]) for row in rows), replies, strict=False))
    answers = {key: Answer(text, "answered" if text is not None else "refused", "k") for key, text in said.items()}
    table = answers_table(HEADER, rows, answers)
    assert questions_of(table) == rows
    record = record_from_answers(table, resamples=10)
    report = score_answers(rows, answers, resamples=10)
    assert record.parsers == report["parsers"]
    assert record.questions_hash == report["questions_hash"]
    assert LvlmResult.from_json(record.to_json()) == record


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = some_rows()
    answers = {("vis", row["index"]): Answer(row["answer"]) for row in rows}
    table = answers_table(HEADER, rows, answers)
    write_answers(tmp_path / "a.parquet", table)
    write_answers(tmp_path / "b.parquet", table)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    again = read_answers_table(tmp_path / "a.parquet")
    assert answers_of(again) == answers
    assert record_from_answers(again, resamples=5).to_json() == record_from_answers(table, resamples=5).to_json()


def test_what_is_not_answered_is_named_and_refused() -> None:
    rows = some_rows()
    answers = {("vis", row["index"]): Answer(row["answer"]) for row in rows if row["index"] not in ("5", "6")}
    table = answers_table(HEADER, rows, answers)
    assert unanswered(table) == ["vis g_index 1 (index 5, 6)"]
    with pytest.raises(PredictionsError, match="lack the answer"):
        record_from_answers(table, partial=False)
    record = record_from_answers(table, resamples=5)
    assert record.left_out == {"vis": 1}
    assert record.counts["vis"] == {
        "groups": 6,
        "rows": 24,
        "answered": 22,
        "refused": 0,
        "no_context": 0,
        "unanswered": 2,
    }
    with pytest.raises(PredictionsError, match="1 answer\\(s\\) are to rows that the questions do not have"):
        answers_table(HEADER, rows, {("vis", "999"): Answer("A")})


def test_questions_are_compared_with_the_dataset() -> None:
    folder = mini()
    stated = HEADER.model_copy(update={"dataset": {**HEADER.dataset, "content_hash": folder.content_hash}})
    rows = read_rows(folder, "vis")
    check_questions(answers_table(stated, rows, {}), folder)
    with pytest.raises(PredictionsError, match="4 row\\(s\\) lack, such as vis index 0"):
        check_questions(answers_table(stated, rows[4:], {}), folder)
    altered = [dict(row, answer="ABCD"[-(1 + "ABCD".index(row["answer"]))]) for row in rows]
    with pytest.raises(PredictionsError, match="960 row\\(s\\) differ from the dataset"):
        check_questions(answers_table(stated, altered, {}), folder)
    with pytest.raises(PredictionsError, match="4 row\\(s\\) are not the dataset's, such as vis index x0"):
        check_questions(
            answers_table(stated, [*rows, *(dict(r, index=f"x{r['index']}") for r in rows[:4])], {}), folder
        )
    with pytest.raises(PredictionsError, match="asked from the dataset c"):
        check_questions(answers_table(HEADER, rows, {}), folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda fields: fields.update(soco_lvlm_scores=1), "soco_lvlm_scores is 1"),
        (lambda fields: fields.pop("device"), "unknown or lacks fields: device"),
        (lambda fields: fields.update(created="yesterday"), "created must be a UTC time"),
        (lambda fields: fields["counts"]["vis"].update(rows=-1), "counts/vis/rows must be 0 or more"),
        (lambda fields: fields["counts"].update(desc=fields["counts"]["vis"]), "count their rows"),
        (lambda fields: fields["counts"]["vis"].pop("rows"), "counts/vis/rows is missing"),
        (
            lambda fields: fields["protocol"]["settings"]["vis"].update(markers="red"),
            "settings/vis/markers must be a mapping",
        ),
        (lambda fields: fields.update(bootstrap=[]), "bootstrap must be a mapping"),
        (lambda fields: fields.update(protocol={"settings": {"vis": 3}}), "settings/vis must be a mapping"),
        (lambda fields: fields["parsers"]["paper"]["settings"].clear(), "must have scores of vis"),
        (lambda fields: fields["parsers"]["paper"]["settings"]["vis"]["overall"].update(circular=34.2), "wrong unit"),
        (
            lambda fields: fields["parsers"]["paper"]["settings"]["vis"].pop("overall"),
            "settings/vis/overall is missing",
        ),
    ],
)
def test_malformed_records_are_refused(change, said: str) -> None:
    rows = some_rows()
    answers = {("vis", row["index"]): Answer("A") for row in rows}
    fields = json.loads(record_from_answers(answers_table(HEADER, rows, answers), resamples=5).to_json())
    change(fields)
    with pytest.raises(PredictionsError, match=said):
        LvlmResult.from_json(json.dumps(fields))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.replace_schema_metadata(None), "header is missing"),
        (
            lambda table: table.replace_schema_metadata({b"soco_lvlm_answers": b"{}"}),
            "header of the answers is malformed",
        ),
        (lambda table: table.drop_columns(["outcome"]), "lack the column\\(s\\) outcome"),
        (lambda table: replaced(table, "ordering", "first"), "another type"),
        (lambda table: replaced(table, "outcome", "guessed"), "unknown outcome 'guessed'"),
        (lambda table: replaced(table, "judged", "E"), "none of A to D"),
        (lambda table: replaced(table, "setting", "desc"), "are of the settings"),
    ],
)
def test_malformed_answers_are_refused(change, said: str, tmp_path: Path) -> None:
    rows = some_rows(1)
    table = answers_table(HEADER, rows, {("vis", row["index"]): Answer("A") for row in rows})
    write_answers(tmp_path / "t.parquet", change(table))
    with pytest.raises(PredictionsError, match=said):
        read_answers_table(tmp_path / "t.parquet")


def replaced(table: pa.Table, name: str, value: str) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array([value] * len(table)))


def test_prompts_tell_another_wording_than_the_one_stated() -> None:
    rows = some_rows(2)
    asked = PromptedQuestions("vis", "c", rows, lambda place: {}, load_template(), {"shape": "arrow", "color": "red"})
    keys = list(asked.all_keys())
    answers = {("vis", row["index"]): Answer("A", key=key) for row, key in zip(rows, keys, strict=True)}
    stated = {"template_hash": DEFAULT_TEMPLATE.hash, "markers": {"shape": "arrow", "color": "red"}}
    record_from_answers(answers_table(HEADER.model_copy(update={"settings": {"vis": stated}}), rows, answers))
    blue = HEADER.model_copy(update={"settings": {"vis": {**stated, "markers": {"shape": "arrow", "color": "blue"}}}})
    with pytest.raises(PredictionsError, match="8 answer\\(s\\) are to another wording or other markers"):
        record_from_answers(answers_table(blue, rows, answers))


def test_the_hash_of_a_wording() -> None:
    assert load_template().hash == DEFAULT_TEMPLATE.hash
    assert PromptTemplate("copy", DEFAULT_TEMPLATE.text, DEFAULT_TEMPLATE.questions).hash == DEFAULT_TEMPLATE.hash
    other = PromptTemplate("blink", DEFAULT_TEMPLATE.text, {"vis": "Which one?"})
    assert other.hash != DEFAULT_TEMPLATE.hash
    assert PromptTemplate("blink", "{question}").hash != DEFAULT_TEMPLATE.hash


def header_of(path: Path) -> AnswersHeader:
    headers, _ = load_answers([path])
    return answers_header([path], headers, mini())


def test_where_answers_come_from(tmp_path: Path) -> None:
    folder = mini()
    path, *_ = write_letters(tmp_path / "m", {"name": "random", "kind": "baseline"}, folder.content_hash, some_rows(), {
        ("vis", row["index"]): "A" for row in some_rows()
    })  # fmt: skip
    found = header_of(path)
    assert (found.model["name"], found.device, list(found.settings)) == ("random", {"provider": "baseline"}, ["vis"])
    assert found.dataset["questions"] == folder.manifest["lvlm"]["hash"]
    assert found.versions["soco_datasets"]

    record = json.loads(run_record_path(path).read_text())
    run = {
        "model": {"name": "openai-api/endpoint/gpt", "base_url": "http://me:secret@host:8000/v1/key"},
        "asked": {"template_hash": "t"},
        "created": "2026-02-01T12:00:00+00:00",
    }
    run_record_path(path).write_text(json.dumps({**record, **run}))
    with path.open() as file:
        lines = file.readlines()
    path.write_text(
        "".join([json.dumps({**json.loads(lines[0]), "model": {"name": run["model"]["name"]}}) + "\n", *lines[1:]])
    )
    run_record_path(path).write_text(json.dumps({**record, **run, "answers": {"sha256": sha256_file(path)}}))
    asked = header_of(path)
    assert asked.device == {"provider": "openai-api", "base_url": "host"}
    assert asked.created == run["created"]
    assert asked.settings["vis"]["template_hash"] == "t"
    assert "secret" not in json.dumps(asked.to_dict())

    path.write_text(path.read_text() + lines[-1])  # the run went on and was killed: its record is of fewer answers
    killed = header_of(path)
    assert killed.versions == {}
    assert killed.created > "2026-02-02"
    run_record_path(path).write_text("{}")
    with pytest.raises(PredictionsError, match="not a record of a run"):
        header_of(path)


def test_folders_of_a_machine_stay_private(tmp_path: Path) -> None:
    path, *_ = write_letters(tmp_path / "m", {"dtype": "float32"}, mini().content_hash, some_rows(), {
        ("vis", row["index"]): "A" for row in some_rows()
    })  # fmt: skip
    record = json.loads(run_record_path(path).read_text())
    local = {"name": "soco_hf//home/me/models/tiny", "model": "/home/me/models/tiny", "device": "cpu"}
    run_record_path(path).write_text(json.dumps({**record, "model": local}))
    found = header_of(path)
    assert (found.model["name"], found.device) == ("tiny", {"provider": "soco_hf", "device": "cpu"})
    assert "/home" not in json.dumps(found.to_dict())
