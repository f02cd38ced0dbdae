"""Reading answers: the paper's way, case by case, and the strict way."""

from __future__ import annotations

import json
import time

import pytest
from helpers.shared_data import ORACLE
from hypothesis import given
from hypothesis import strategies as st

from soco_datasets.lvlm.answers import PARSERS, STATUSES, parse_paper, parse_strict, status_of


def test_paper_reads_every_case_as_the_reference_does() -> None:
    rows = json.loads((ORACLE / "expected" / "unit_lvlm_answers.json").read_text())["rows"]
    assert len(rows) > 30
    assert [(text, parse_paper(text) or "") for text, _ in rows] == [(text, letter) for text, letter in rows]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("a point on the left wing", "A"),
        ("\\boxed{B} or \\boxed{ c }", "C"),
        ("Final answer is B. D, A or C", "B"),
        ("A B the correct answer is C", "C"),
        ("It is A, not B", None),
        (["A"], None),
    ],
)
def test_paper(text: object, letter: str | None) -> None:
    assert parse_paper(text) == letter


READ = {
    "A": ["A", "A.", "(A)", "[A]", " A ", "**A**", "`A`", "$A$", "\\(\\boxed{A}\\)", "A, because it is red", '"A"'],
    "B": [
        "B)", "B. the mirror", "Answer: B", "answer: B", "The answer is B.", "The best answer is: Point B", "- B",
        "**Answer:** B", "The correct option is (B).", "I think the answer is B because a wheel is round", "Option B",
        "<think>Answer: A? or C</think>\n\nB", "A is wrong. B is right.", "Answer: Point B is at the wheel",
        "**Answer: B**\n\nThe point A is on the wheel.", "The answer is B, not A", "Answer: B) the mirror",
        "first\nthen\n\nB", "\\boxed{\\text{B}}", "### Answer\nB", "B: Point B", "B\n\nA point near the mirror.",
    ],
    "C": ["\\boxed{B} then \\boxed{C}", "A. x\nB. y\nanswer: C", "Final answer is\nC", "I choose C.", "{C}", "Point C"],
    "D": ["$\\boxed{\\mathrm{D}}$", "**Final Answer**: The final answer is $\\boxed{D}$", "(D).", "option D is correct"],
}  # fmt: skip


@pytest.mark.parametrize(("letter", "text"), [(letter, text) for letter, texts in READ.items() for text in texts])
def test_strict_reads(letter: str, text: str) -> None:
    assert parse_strict(text) == letter


@pytest.mark.parametrize(
    "text",
    [
        "a point on the left wing", "A point on the left wing", "Answer: A point on the left wing", "b", "(c)", "AB", "A1",
        "A or B", "A/B", "Answer: A or B", "The answer is A, B", "answer is B or maybe C", "A. or B.", "maybe B",
        "The answer might be B", "The answer is not A", "A. x\nB. y\nC. z\nD. w", "A: the wheel; B: the door",
        "the answer is: a", "I", "None of them", "A_B", "", "   ", "E", "\\boxed{E}", "\\boxed{a}", "A\nB", "<think>Answer: A",
    ],
)  # fmt: skip
def test_strict_does_not_read(text: str) -> None:
    assert parse_strict(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "<answer>C</answer>", "<answer>\nC\n</answer>", "{\"answer\": \"C\"}", "```json\n{'answer': 'C'}\n```", "C<|im_end|>",
        "I wonder whether the answer is A.</think>\n\nC", "<think>A</think><answer>C</answer>", "C</s>",
        "Answer C", "Answer - C", "The answer must be C.", "The answer's C", "I'd go with C.", "My choice is C",
        "The corresponding point is Point C.", "The best match in the second image is C.", "So the point is C.\nAnswer: C",
        "Point A is on the nose, point B on the ear. Point C corresponds to the marked point.",
        "Point C in the second image matches the marked point.", "The marked point corresponds to option C.",
        "A is on the hood. B is on the roof. So, C.", "It's C.", "Antwort: C", "Correct: C", "答案：C", "C。", "（C）", "【C】", "Ｃ",
        "C because of the wheel", "C - the wheel", "C : Point C", "\\boxed{C. the wheel}", "\\boxed{\\text{C. Point C}}",
        "\\boxed{\\text{Answer: C}}", "\\boxed{\\,\\textit{C}\\,}", "\u200bC",
    ],
)  # fmt: skip
def test_strict_reads_what_models_write_around_a_letter(text: str) -> None:
    assert parse_strict(text) == "C"


@pytest.mark.parametrize(
    "text",
    [
        "The answer is A-pillar", "Answer: B-pillar", "C-shaped", "Answer: (B) or (C)", "\\boxed{A or B}", "<answer></answer>",
        "<answer>A or B</answer>", "The marked point corresponds to point A or point B", "So a wheel.", "C is incorrect",
        "Point A corresponds to the left ear. Point B corresponds to the nose.", "I would not choose A.", "Maybe: A or B",
        "I cannot choose between A and B.", "The answer is\n\nA wheel", "The corresponding point is near A or B.",
    ],
)  # fmt: skip
def test_strict_takes_no_word_and_no_choice_for_an_answer(text: str) -> None:
    assert parse_strict(text) is None


@pytest.mark.parametrize("text", ["answer to " * 4000, "A: " * 20000, "((" * 20000, " " * 50000 + "x"])
def test_a_text_without_end_is_read_in_no_time(text: str) -> None:
    start = time.perf_counter()
    parse_strict(text)
    assert time.perf_counter() - start < 10


@given(st.one_of(st.text(), st.text(alphabet="ABCDEabcd .:()*\\{}boxedansweri\n$"), st.integers(), st.none()))
def test_any_text_gives_a_letter_or_a_reason(text: object) -> None:
    for parser in PARSERS.values():
        letter = parser(text)
        assert letter in ("A", "B", "C", "D", None)
        assert (status_of(text, letter) == "read") == (letter is not None)
        assert status_of(text, letter) in STATUSES


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (None, "failed"), ("", "empty"), (" \n", "empty"), ("E", "outside"), ("The answer is F.", "outside"),
        ("I'm sorry, I can't help with that.", "refused"), ("As an AI I see no images.", "refused"),
        ("Unable to determine", "refused"), ("It is the wheel.", "unreadable"), ("A or B", "unreadable"),
    ],
)  # fmt: skip
def test_why_there_is_no_letter(text: object, status: str) -> None:
    assert status_of(text, parse_strict(text)) == status
