"""What letter a model's answer gives: two readings of the same text, and why some texts give none.

`paper` reads as the scorer of the paper does (found from its results on closed cases): a lone "a" in any sentence is
answer A. `strict` takes a letter only where it is given as the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from .strict_answers import given_letter, parse_strict

ReadingStatus = Literal["read", "empty", "refused", "outside", "unreadable", "no_context", "failed"]
STATUSES: tuple[ReadingStatus, ...] = ("read", "empty", "refused", "outside", "unreadable", "no_context", "failed")

_PAPER_BOXED = re.compile(r"\\boxed\{\s*([A-D])\s*\}", re.IGNORECASE)
_PAPER_FINAL = re.compile(r"final\s+answer\s*(?:is\b|:)?\s*:?\s*[($*]*([A-D])\b", re.IGNORECASE)
_PAPER_ALONE = re.compile(r"\b([A-D])\b", re.IGNORECASE)
_PAPER_CORRECT = re.compile(r"correct\s+answer\s+is\s+([A-D])\b", re.IGNORECASE)
_PAPER_OPTION = re.compile(r"\b([A-D]):\s*Point\s+[A-D]\b", re.IGNORECASE)
_PAPER_START = re.compile(r"\s*([A-D])[^A-Za-z0-9]", re.IGNORECASE)


def parse_paper(text: object) -> str | None:
    r"""The letter as the paper's scorer reads it, None for none.

    In this order: the last \boxed{X}; the last "final answer is X"; the only distinct letter that stands alone, in any
    case; the last "correct answer is X"; the last "X: Point Y"; a letter at the very start.

    >>> parse_paper("a point on the left wing"), parse_paper("It is a wheel, so B")
    ('A', None)
    """
    if not isinstance(text, str):
        return None
    for pattern in (_PAPER_BOXED, _PAPER_FINAL):
        if found := pattern.findall(text):
            return str(found[-1]).upper()
    alone = {letter.upper() for letter in _PAPER_ALONE.findall(text)}
    if len(alone) == 1:
        return alone.pop()
    for pattern in (_PAPER_CORRECT, _PAPER_OPTION):
        if found := pattern.findall(text):
            return str(found[-1]).upper()
    start = _PAPER_START.match(text)
    return start[1].upper() if start else None


PARSERS: dict[str, Callable[[object], str | None]] = {"paper": parse_paper, "strict": parse_strict}

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
