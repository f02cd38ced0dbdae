from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soco_datasets.errors import SocoError, UsageError
from soco_datasets.lvlm.answer_store import ANSWERED, FAILED, AnswerStore, read_answers
from soco_datasets.lvlm.failures import Gate, failure_of

HEADER = {"model": {"name": "m"}, "setting": "vis"}


def answer(text: str = "B", outcome: str = "answered") -> dict[str, Any]:
    return {"response": text, "outcome": outcome, "stop": "stop"}


def test_answers_survive_and_failures_are_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "vis.answers.jsonl"
    with AnswerStore(path, HEADER) as store:
        store.add("1", answer("Ü\u2028\r\n\ud800"))
        for number, outcome in enumerate(FAILED):
            store.add(f"f{number}", answer("", outcome))
    with AnswerStore(path, HEADER) as store:
        found = store.get("1")
        assert found is not None
        assert found["response"] == "Ü\u2028\r\n\ud800"
        assert [store.get(f"f{number}") for number in range(len(FAILED))] == [None] * len(FAILED)
        store.add("f0", answer("C"))
    with AnswerStore(path, HEADER) as store:
        assert store.counts() == dict.fromkeys(ANSWERED, 0) | dict.fromkeys(FAILED, 1) | {"answered": 2, FAILED[0]: 0}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_file_cut_anywhere_keeps_every_whole_line(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "whole.jsonl"
    path.unlink(missing_ok=True)
    with AnswerStore(path, HEADER) as store:
        for number in range(3):
            store.add(str(number), answer("é" * number))
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    kept = max(0, content[:cut].count(b"\n") - 1)
    with AnswerStore(path, HEADER) as store:
        assert list(store.lines()) == [str(number) for number in range(kept)]
        for number in range(kept, 3):
            store.add(str(number), answer("é" * number))
    assert path.read_bytes() == content


def test_answers_of_another_run_are_never_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with AnswerStore(path, HEADER) as store:
        store.add("1", answer())
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"another run.*'desc' now"):
        AnswerStore(path, {**HEADER, "setting": "desc"})
    assert path.read_bytes() == before


def test_a_run_without_an_answer_gives_way_to_another(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with AnswerStore(path, HEADER) as store:
        store.add("1", answer("", "failed"))
    other = {**HEADER, "setting": "desc"}
    with AnswerStore(path, other) as store:
        assert store.lines() == {}
        store.add("2", answer())
    header, lines, _ = read_answers(path)
    assert header == {"soco_lvlm_answers": 1, **other}
    assert list(lines) == ["2"]


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with AnswerStore(path, HEADER), pytest.raises(UsageError, match="Another run writes"):
        AnswerStore(path, HEADER)
    with AnswerStore(path, HEADER) as store:
        assert store.lines() == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2"),
        ("[]", "line 2"),
        ('{"key": "1", "outcome": "great"}', "unknown outcome"),
        ("{}", "outcome"),
        ('{"key": "1", "outcome": "answered", "response": 5}', "line 2.*response is 5"),
        ('{"key": "1", "outcome": "answered", "response": null}', "line 2.*response is None"),
        ('{"key": "1", "outcome": "answered", "response": "A", "input_tokens": "x"}', "input_tokens is 'x'"),
        ('{"key": "1", "outcome": "answered", "response": "A", "cost": -1}', "cost is -1, below 0"),
        ('{"key": "1", "outcome": "failed", "reason": ["no"]}', "reason is"),
    ],
)
def test_damage_in_the_middle_is_an_error(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    with AnswerStore(path, HEADER) as store:
        store.add("1", answer())
    header, last = path.read_text().splitlines()
    path.write_text(f"{header}\n{line}\n{last}\n")
    with pytest.raises(SocoError, match=message):
        AnswerStore(path, HEADER)
    assert path.read_text() == f"{header}\n{line}\n{last}\n"


@pytest.mark.parametrize("header", [{"model": 5}, {"model": None}, {"setting": ["vis"]}, {"dataset": 4}])
def test_a_header_of_other_types_is_an_error(tmp_path: Path, header: dict[str, object]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"soco_lvlm_answers": 1, **header}) + "\n")
    with pytest.raises(SocoError, match=f"line 1 is not an answer .{next(iter(header))} is"):
        AnswerStore(path, HEADER)


def test_files_that_are_no_answers(tmp_path: Path) -> None:
    with pytest.raises(SocoError, match="no answers file"):
        read_answers(tmp_path / "none.jsonl")
    (tmp_path / "other.jsonl").write_text(json.dumps({"index": 1}) + "\n")
    with pytest.raises(SocoError, match="expected a header"):
        read_answers(tmp_path / "other.jsonl")
    with AnswerStore(tmp_path / "a.jsonl", HEADER) as store, pytest.raises(ValueError, match="outcome is one of"):
        store.add("1", answer(outcome="fine"))


class RefusedError(Exception):
    def __init__(self, status_code: int, text: str) -> None:
        super().__init__(text)
        self.status_code = status_code


@pytest.mark.parametrize(
    ("error", "outcome", "ends"),
    [
        (RefusedError(429, "slow down"), "rate_limit", False),
        (RefusedError(429, "Too many tokens, please wait"), "rate_limit", False),
        (RuntimeError("An error occurred (ThrottlingException): Too many tokens"), "rate_limit", False),
        (TimeoutError(), "timeout", False),
        (RefusedError(504, "gateway"), "timeout", False),
        (RefusedError(500, "oops"), "failed", False),
        (ConnectionResetError("reset"), "failed", False),
        (RefusedError(401, "bad key"), "refused_access", True),
        (RefusedError(402, "Insufficient balance"), "refused_access", True),
        (RefusedError(404, "The model `m` does not exist"), "refused_access", True),
        (RefusedError(400, "m is not a multimodal model"), "no_images", True),
        (RefusedError(400, "image_url is not supported by this model"), "no_images", True),
        (RefusedError(404, "No endpoints found that support image input"), "no_images", True),
        (RefusedError(400, "Invalid content type. image_url is only supported by certain models."), "no_images", True),
        (RefusedError(400, "messages[0]: unknown variant `image_url`, expected `text`"), "no_images", True),
        (RefusedError(400, "At most 1 image(s) may be provided in one prompt."), "no_images", True),
        (
            RefusedError(500, "image input is not supported - hint: you may need to provide the mmproj"),
            "no_images",
            True,
        ),
        (RefusedError(500, "this model is missing data required for image input"), "no_images", True),
        (RefusedError(400, "This model's maximum context length is 2048 tokens"), "no_context", False),
        (RefusedError(400, "The decoder prompt is longer than the maximum model length of 4096"), "no_context", False),
        (RefusedError(400, "input length and `max_tokens` exceed context limit: 199000 + 4096"), "no_context", False),
        (RefusedError(400, "The input token count exceeds the maximum number of tokens allowed"), "no_context", False),
        (RefusedError(400, "Blocked content_filter"), "refused", False),
        (SocoError("One question does not fit in the memory"), "failed", True),
    ],
)
def test_what_a_failure_means(error: Exception, outcome: str, ends: bool) -> None:
    failure = failure_of(error)
    assert (failure.outcome, failure.advice is not None) == (outcome, ends)
    wrapped = RuntimeError("while asking")
    wrapped.__cause__ = error
    assert failure_of(wrapped) == failure


def test_the_gate_shuts_after_failures_in_a_row_only() -> None:
    gate = Gate(give_up=3)
    failure = failure_of(RefusedError(500, "oops"))
    for _ in range(2):
        gate.failed(failure)
    gate.succeeded()
    for _ in range(2):
        gate.failed(failure)
    gate.check()
    with pytest.raises(SocoError, match="3 questions in a row"):
        gate.failed(failure)
    with pytest.raises(SocoError, match="3 questions in a row"):
        gate.check()
