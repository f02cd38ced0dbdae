"""The strict reading of an answer: a letter, only where the text gives it as its answer."""

from __future__ import annotations

import re

from .answer_claims import claimed_letter, claims
from .answer_text import marked_letters, without_markup, without_thought

_LONGEST = 20_000  # characters; of a longer answer only its end is read, so that a hostile one takes no hours
_TAGGED = re.compile(r"<(?:final[_ ]?)?answer>\s*([a-d])\s*</(?:final[_ ]?)?answer>", re.IGNORECASE)
_FIELD = re.compile(  # of a JSON object
    r"[\"'](?:(?:final|correct|best|selected|chosen|predicted)?[_ ]?(?:answer|choice|option|letter|point|label|match)"
    r"|selection|prediction|result|response)[\"']\s*:\s*[\"']\s*[(\[]?(?:(?:point|option)\s+)?([A-Da-d])[)\].]?\s*[\"']",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\?(?:boxed|fbox)\s*\{+\s*((?:[^{}]|\{[^{}]*\})*?)\s*\}+")
_SMALL = re.compile(r"\W*(?:point |option )?\W{0,2}([a-d])\W{0,2}(?:point \1)?\W*")
_REPEATED = re.compile(r"\W*@([A-Z])(?:[\s,.]+@\1)*\W*")
_LEADS = re.compile(
    r"\W*@([A-Z])(?: =|[.:;,)!/-](?! ?@)| ?(?:[–—-]|//?) |\s+(?:the|because|since|as|due|in|on|at|given"
    r"|\()\b(?! wrong| other))"
)
_ITEM = re.compile(r"@([A-Z])(?:[.:]| [=:])(?=\s?\w)")


def parse_strict(text: object) -> str | None:
    r"""The letter A to D that the text gives as its answer, None where it gives none or more than one.

    Read, in this order: an answer tag or field of JSON; the last \boxed{X}; a text or a line of it that is nothing but
    the letter; what its sentences claim ("the answer is X", "X matches the marked point", "not X", see `answer_rules`);
    the letter that the only line that begins with one begins with ("X. the mirror"). Markdown, LaTeX, HTML, brackets,
    quotes and full-width letters do not matter, nor does what a model thinks before </think>. A small letter counts
    only where nothing else is there ("b", \boxed{b}) or in brackets. The article "a", "A or B", "maybe B", "not B" and
    "B-pillar" are not answers.

    >>> parse_strict("A point on the left wing"), parse_strict("A or B"), parse_strict("**Answer:** (C)")
    (None, None, 'C')
    >>> parse_strict("It is point C in the second image."), parse_strict("Not A.")
    ('C', None)
    """
    found = given_letter(text)
    return found if found is not None and found in "ABCD" else None


def given_letter(text: object) -> str | None:
    """As `parse_strict`, but any capital letter: E is an answer too, although not a valid one."""
    if not isinstance(text, str):
        return None
    answer = without_thought(text)[-_LONGEST:]
    for pattern in (_TAGGED, _FIELD):
        if given := {letter.upper() for letter in pattern.findall(answer)}:
            return given.pop() if len(given) == 1 else None
    plain = without_markup(answer)
    boxed: list[str] = _BOXED.findall(plain)
    return _read(boxed[-1] if boxed else plain)


def _read(plain: str) -> str | None:
    if small := _SMALL.fullmatch(plain):
        return small[1].upper()
    text = marked_letters(plain)
    if whole := _REPEATED.fullmatch(text):
        return whole[1]
    lines = [line for line in text.split("\n") if line.strip()]
    alone = {match[1] for line in lines if (match := _REPEATED.fullmatch(line))}
    if len(alone) == 1:
        return alone.pop()
    rest = [line for line in lines if not _REPEATED.fullmatch(line)]  # several: a list of the options
    return claimed_letter("\n".join(rest)) or _leading(rest)


def _leading(lines: list[str]) -> str | None:
    """The letter that the only line that begins with one begins with: "B. the mirror", "B because it is red"."""
    starts = [match for match in map(_LEADS.match, lines) if match]
    if len(starts) != 1 or len(set(_ITEM.findall("\n".join(lines)))) > 1:
        return None
    return None if claims(starts[0].string)[0].verdict in ("rejects", "doubts") else starts[0][1]
