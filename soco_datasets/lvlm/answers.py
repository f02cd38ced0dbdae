"""What letter a model's answer gives: two readings of the same text, and why some texts give none.

`paper` reads as the scorer of the paper does (found from its results on closed cases): a lone "a" in any sentence is
answer A. `strict` takes a letter only where it is given as the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

Status = Literal["read", "empty", "refused", "outside", "unreadable", "no_context", "failed"]
STATUSES: tuple[Status, ...] = ("read", "empty", "refused", "outside", "unreadable", "no_context", "failed")

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


_MARKUP = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mathit|rm|bf)\b\s*")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{+\s*((?:[^{}]|\{[^{}]*\})*?)\s*\}+")
_DECORATION = re.compile(r"[*_`$~#<>\\]+|\{|\}|^\s*[-•]\s+", re.MULTILINE)
_LETTER = r"[(\[\"'“‘]*\s*(?:(?:option|choice|point|letter)[\s:-]*)?[(\[\"'“‘]*([A-Z])[)\]\"'”’]*"
# After the letter: an end, punctuation, or for any other word than A's noun a reason. "A point" is an article.
_AFTER = r"(?=$|\s*[.,;:!?)\]\n]|\s*[-–—]|\s+(?:because|since|as|for|which|not|in|on|at|based|is)\b)"
_STATED = re.compile(
    r"(?:\banswer|\bcorrect\s+(?:option|choice|point|letter)|\b(?:i|we)\s+(?:choose|select|pick|would\s+choose))"
    r"(?:\s+is|\s*:|\s+would\s+be|\s*=|(?<=choose)|(?<=select)|(?<=pick))\s*:?\s*" + _LETTER + _AFTER,
    re.IGNORECASE,
)
_CLAIMED = re.compile(r"\b((?-i:[A-Z]))\b[)\]\"'”’]*\s+is\s+(?:the\s+)?(?:correct|right|best|answer)\b", re.IGNORECASE)
_WHOLE = re.compile(r"\s*" + _LETTER + r"\s*[.:;,!]?\s*", re.IGNORECASE)
_AT_START = re.compile(
    r"[ \t]*(?:(?:option|choice|point)[\s:-]+)?[(\[]*([A-Z])(?:[)\]]+[.:]?|[.:](?!\w)|,(?=\s+(?:because|since|as)\b))",
    re.IGNORECASE,
)
_HEDGE = re.compile(r"\s*[,/]?\s*(?:\b(?:or|and)\b|/|&)\s*(?:option|choice|point)?\s*[(\[]?\b([A-D])\b", re.IGNORECASE)
_ANOTHER = re.compile(r"\b([A-D]):")
_LIST = re.compile(r"\s*,\s*[(\[]?([A-D])\b(?!\s+[a-z])")
_THINKING = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL | re.IGNORECASE)


def parse_strict(text: object) -> str | None:
    r"""The capital letter A to D that the text gives as its answer, None where it gives none or more than one.

    Understood, in this order: the last \boxed{X}; the last "answer: X", "the correct option is X", "I choose X"; the
    last "X is correct"; a text that is nothing but the letter, or whose only such line it is; "X.", "X)", "(X)" or "X:"
    at the start of the only line that has it. Markdown, LaTeX, brackets and quotes do not matter, nor what stands
    between <think> tags. The article "a", small letters, "A or B" and "maybe B" are no answers.

    >>> parse_strict("A point on the left wing"), parse_strict("A or B"), parse_strict("**Answer:** (C)")
    (None, None, 'C')
    """
    found = _given(text)
    return found if found is not None and found in "ABCD" else None


def _given(text: object) -> str | None:
    """As `parse_strict`, but any capital letter: E is an answer too, if no valid one."""
    if not isinstance(text, str):
        return None
    plain = _THINKING.sub("", text)
    boxed = [_single(_plain(inside)) for inside in _BOXED.findall(_MARKUP.sub("", plain))]
    if boxed:
        return boxed[-1]
    plain = _plain(plain)
    stated = [match for match in _STATED.finditer(plain) if match[1].isupper()]
    if stated:
        return _unless_hedged(stated[-1], plain)
    if claimed := _CLAIMED.findall(plain):
        return str(claimed[-1])
    lines = [line for line in plain.splitlines() if line.strip()]
    alone = {letter for letter in map(_single, lines) if letter}
    if alone:
        return alone.pop() if len(alone) == 1 else None
    starts = [match for match in map(_AT_START.match, lines) if match and match[1].isupper()]
    if len({match[1] for match in starts}) == 1 and not set(_ANOTHER.findall(starts[0].string)) - {starts[0][1]}:
        return _unless_hedged(starts[0], starts[0].string)
    return None


def _plain(text: str) -> str:
    return _DECORATION.sub("", _MARKUP.sub("", text))


def _single(text: str) -> str | None:
    """The letter of a text that is nothing else."""
    match = _WHOLE.fullmatch(text)
    return match[1] if match and match[1].isupper() else None


def _unless_hedged(match: re.Match[str], text: str) -> str | None:
    """The letter of a match, None where another one is offered right behind it."""
    rest = text[match.end() :]
    other = _HEDGE.match(rest) or _LIST.match(rest)
    return None if other and other[1].isupper() and other[1] != match[1] else match[1]


PARSERS: dict[str, Callable[[object], str | None]] = {"paper": parse_paper, "strict": parse_strict}

_REFUSAL = re.compile(
    r"\b(?:i\s*(?:'|’)?\s*(?:am|m)\s+(?:sorry|unable|not\s+able)|i\s+(?:can\s*not|cannot|can(?:'|’)?t|won(?:'|’)?t)"
    r"|i\s+do(?:n(?:'|’)t|\s+not)\s+(?:see|have\s+access|know)|unable\s+to\s+(?:determine|assist|help|see|view)"
    r"|as\s+an\s+ai\b|cannot\s+(?:assist|help|determine|be\s+determined)|not\s+possible\s+to\s+(?:determine|tell))",
    re.IGNORECASE,
)


def status_of(text: object, letter: str | None) -> Status:
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
    given = _given(text)
    if given is not None and given not in "ABCD":
        return "outside"
    return "refused" if _REFUSAL.search(text) else "unreadable"
