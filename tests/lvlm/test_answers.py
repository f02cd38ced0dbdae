"""Reading answers: the paper's way, case by case, and the strict way."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from helpers.shared_data import ORACLE
from hypothesis import given
from hypothesis import strategies as st

from soco_datasets.errors import UsageError
from soco_datasets.lvlm import parse_answer
from soco_datasets.lvlm.answer_claims import claims
from soco_datasets.lvlm.answer_rules import RULES
from soco_datasets.lvlm.answers import PARSERS, STATUSES, parse_paper, parse_strict, status_of

CASES = Path(__file__).parents[1] / "data" / "lvlm"


@pytest.mark.parametrize("name", ["random_shared.json", "answers_shared.json"])
def test_paper_reads_what_the_released_scorer_reads(name: str) -> None:
    cases = json.loads((CASES / name).read_text(encoding="utf-8"))["cases"]
    assert len(cases) > 100
    wrong = [case["answer"] for case in cases if parse_answer(case["answer"], parser="paper") != case["letter"]]
    assert wrong == []


@pytest.mark.parametrize("name", ["answers_shared.json", "answers_own.json"])
def test_strict_reads_what_a_careful_person_reads(name: str) -> None:
    cases = json.loads((CASES / name).read_text(encoding="utf-8"))["cases"]
    read = [(parse_answer(case["answer"]), case["by_a_person"]) for case in cases]
    assert sum(found == person for found, person in read if person) >= 0.9 * sum(bool(person) for _, person in read)
    assert sum(found not in (None, person) for found, person in read) <= 0.02 * len(read)


@pytest.mark.parametrize("name", ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
def test_strict_reads_the_frozen_sets(name: str) -> None:
    cases = json.loads((CASES / "answers_frozen.json").read_text(encoding="utf-8"))["sets"][name]
    read = [(parse_answer(answer), person) for person, answer in cases]
    assert sum(found == person for found, person in read if person) >= 0.9 * sum(bool(person) for _, person in read)
    assert sum(found not in (None, person) for found, person in read) <= 0.02 * len(read)


def test_each_rule_fits_its_example() -> None:
    examples = [(example, verdict) for verdict, rules in RULES for example in rules]
    assert len(examples) > 40
    for example, verdict in examples:
        text = re.sub(r"(?<!@)[A-Z]", lambda match: match[0].lower(), example)
        assert [claim.verdict for claim in claims(text) if claim.letters == "B"] == [verdict], example


def test_an_unknown_parser_is_named() -> None:
    with pytest.raises(UsageError, match="lenient"):
        parse_answer("A", parser="lenient")


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
        "a point on the left wing", "A point on the left wing", "Answer: A point on the left wing", "AB", "A1",
        "A or B", "A/B", "Answer: A or B", "The answer is A, B", "answer is B or maybe C", "A. or B.", "maybe B",
        "The answer might be B", "The answer is not A", "A. x\nB. y\nC. z\nD. w", "A: the wheel; B: the door",
        "the answer is: a", "A. B. C. D.", "A B C D", "Not A.", "Vitamin C", "B corresponds to the front left wheel.", "I", "None of them", "A_B", "", "   ", "E", "\\boxed{E}", "A\nB", "<think>Answer: A",
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
        "\\boxed{\\text{Answer: C}}", "\\boxed{\\,\\textit{C}\\,}", "\u200bC", "c", "c)", "\\boxed{c}", "<b>C</b>", "1. C",
        "The answer is C (the front left wheel).", "It is point C in the second image.", "The answer is most likely C.",
        "Probably C", "C seems right", "I think A is too low. It should be C.", "It might be A, but C is a better match.",
        "A: no, B: no, C: yes, D: no", "- A: nose ✗\n- B: ear ✗\n- C: paw ✓", "A, B and D are on other parts; C is on the paw.",
        "~~B~~ C", "The correct option among A, B, C and D is C.", "Option C, the left ear, is correct.", "A\x00 is wrong. C\x00",
        "I would select C, if both were used to pour.", "Point C in image 2 is the same keypoint as the arrow.",
        "Die richtige Antwort ist C.", "应选C。", "Between A and C, I choose C.", "The counterpart of the marked point is C.",
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
        "C is the right ear.", "A: no, B: no, C: no", "Nobody would say A is correct.", "Therefore, point C does", "Ni A ni B.",
        "Point A does not match. Point B does not match.\n(D", "Everything but A.", "Is B the trunk?", "<think>" + "Answer: A " * 20000,
        "I cannot choose between A and B.", "The answer is\n\nA wheel", "The corresponding point is near A or B.",
    ],
)  # fmt: skip
def test_strict_takes_no_word_and_no_choice_for_an_answer(text: str) -> None:
    assert parse_strict(text) is None


@pytest.mark.parametrize(
    "text",
    ["answer to " * 4000, "A: " * 20000, "((" * 20000, " " * 50000 + "x", "not the " * 8000 + "A", "A or " * 8000],
)
def test_a_very_long_text_is_read(text: str) -> None:
    assert parse_answer(text) is None  # a pattern that backtracks without bound would not end


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
