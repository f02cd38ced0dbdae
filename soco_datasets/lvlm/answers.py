"""Which letter a model's answer gives: two readings of the same text, and why some texts give none.

`paper` reads as the released scorer does: a lone "a" in any sentence is answer A. `strict` takes a letter only where
it is given as the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from ..errors import unknown_name
from .strict_answers import given_letter, parse_strict

ReadingStatus = Literal["read", "empty", "refused", "outside", "unreadable", "no_context", "failed"]
STATUSES: tuple[ReadingStatus, ...] = ("read", "empty", "refused", "outside", "unreadable", "no_context", "failed")

_END = r"(?![A-Za-z0-9])"  # only ASCII letters and digits touch a letter: `_B_` and `答案是B` give B
_PAPER_BOXED = re.compile(r"\\boxed\s*\{\s*([A-Da-d])\s*\}")
_PAPER_FINAL = re.compile(r"(?i:final\s+answer\s*(?:is|:)?)\s*\$?\s*([A-Da-d])" + _END)
_PAPER_ALONE = re.compile(r"(?<![A-Za-z0-9])([A-Da-d])" + _END)
_PAPER_OPTION = re.compile(r"([A-Da-d])\s*[:.]\s*(?i:Point)\s+[A-Da-d]")
_PAPER_CORRECT = re.compile(r"(?i:The\s+correct\s+answer\s+is)\s*([A-Da-d])")
_PAPER_START = re.compile(r"\s*([A-Da-d])" + _END)


def parse_paper(text: object) -> str | None:
    r"""The letter as the released scorer reads it, None for none.

    In this order: the last \boxed{X}, blanks allowed before the brace; the last "final answer X", with one of "is" and
    ":" and a dollar sign between; the only distinct letter that stands alone, in any case. Where several stand alone:
    the last option form "X: Point Y" or "X. Point Y"; the last "The correct answer is X", of which X may be the first
    letter of a word; a letter at the very start.

    >>> parse_paper("a point on the left wing"), parse_paper("It is a wheel, so B"), parse_paper("_B_")
    ('A', None, 'B')
    """
    if not isinstance(text, str):
        return None
    for pattern in (_PAPER_BOXED, _PAPER_FINAL):
        if found := pattern.findall(text):
            return str(found[-1]).upper()
    alone = {letter.upper() for letter in _PAPER_ALONE.findall(text)}
    if len(alone) == 1:
        return alone.pop()
    for pattern in (_PAPER_OPTION, _PAPER_CORRECT):
        if found := pattern.findall(text):
            return str(found[-1]).upper()
    start = _PAPER_START.match(text)
    return start[1].upper() if start else None


PARSERS: dict[str, Callable[[object], str | None]] = {"paper": parse_paper, "strict": parse_strict}


def parse_answer(text: object, parser: str = "strict") -> str | None:
    """The letter that an answer gives.

    Args:
        text: the answer of a model; None and other values that are not text give no letter.
        parser: "strict", which takes a letter only where it is given as the answer, or "paper", which reads as the
            released scorer does.

    Returns:
        "A" to "D", or None.

    Raises:
        UsageError: an unknown parser.

    >>> parse_answer("The answer is most likely C."), parse_answer("a wheel", parser="paper")
    ('C', 'A')
    """
    if parser not in PARSERS:
        raise unknown_name("parser", parser, PARSERS)
    return PARSERS[parser](text)


_REFUSAL = re.compile(
    r"\b(?:i\s*(?:'|’)?\s*(?:am|m)\s+(?:sorry|unable|not\s+able)|i\s+(?:can\s*not|cannot|can(?:'|’)?t|won(?:'|’)?t)"
    r"|i\s+do(?:n(?:'|’)t|\s+not)\s+(?:see|have\s+access|know)|unable\s+to\s+(?:determine|assist|help|see|view)"
    r"|as\s+an\s+ai\b|cannot\s+(?:assist|help|determine|be\s+determined)|not\s+possible\s+to\s+(?:determine|tell))",
    re.IGNORECASE,
)


def status_of(text: object, letter: str | None) -> ReadingStatus:
    """Why an answer gave its letter, or none.

    Args:
        text: the answer; None where the model was asked in vain.
        letter: what a parser read from it.

    Returns:
        "read"; "failed" (no text), "empty" (nothing in it), "outside" (a letter, but none of A to D), "refused", else
        "unreadable".
    """
    if letter is not None:
        return "read"
    if not isinstance(text, str):
        return "failed"
    if not text.strip():
        return "empty"
    given = given_letter(text)
    if given is not None and given not in "ABCD":
        return "outside"
    return "refused" if _REFUSAL.search(text) else "unreadable"
