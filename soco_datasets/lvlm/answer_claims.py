"""What each sentence of an answer claims about the options that it names, and which option follows from all claims.

The text comes from `answer_text.marked_letters`: "@B" is an option, "@BC" are options beside each other. What stands
before and behind an option in its sentence decides what is claimed, by the rules of `answer_rules`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .answer_rules import RULES, Verdict

_MOST = 300  # mentions that are read, the last ones: a model that repeats itself gives thousands
_NEAR = 200  # characters before and behind an option that are read
_SENTENCE_END = re.compile(r"(?<=[.!;])\s+|(?<=[?])\s+(?!yes\b|no\b)|\n")  # "Is it B? Yes." is one


@dataclass(frozen=True)
class _Rule:
    verdict: Verdict
    before: re.Pattern[str]
    after: re.Pattern[str]


def _rule(verdict: Verdict, pattern: str) -> _Rule:
    before, after = re.split("(?:^| )@(?: |$)", pattern, maxsplit=1)
    return _Rule(verdict, re.compile(rf"(?:{before})\s*$"), re.compile(rf"\s*+(?:[:)]\s*+)?(?:{after})"))


_RULES = [_rule(verdict, pattern) for verdict, patterns in RULES for pattern in patterns.values()]


@dataclass(frozen=True)
class Claim:
    """What a sentence says about one option or about several beside each other ("AB")."""

    letters: str
    verdict: Verdict | Literal["mentions"]
    ends: bool  # the sentence ends with it


def claims(text: str) -> list[Claim]:
    """The claims of a text of `marked_letters`, in its order.

    >>> [(claim.letters, claim.verdict) for claim in claims("@AD are wrong. it is @B, not @C.")]
    [('AD', 'rejects'), ('B', 'states'), ('C', 'rejects')]
    """
    found: list[Claim] = []
    first, *rest = text.rsplit("@", _MOST)
    near = "@".join([first[-_NEAR:] if len(rest) == _MOST else first, *rest])
    for sentence in _SENTENCE_END.split(near):
        for match in re.finditer(r"@([A-Z]+)", sentence):
            before, after = sentence[max(0, match.start() - _NEAR) : match.start()], sentence[match.end() :][:_NEAR]
            found.append(Claim(match[1], _verdict(before, after), not re.search(r"[\w:]", after)))
    return found


def _verdict(before: str, after: str) -> Verdict | Literal["mentions"]:
    for rule in _RULES:
        if rule.before.search(before) and rule.after.match(after):
            # "The answer seems to be @A, but @B is closer."
            turns = rule.verdict == "gives" and re.search(r"\b(?:but|however|though|wait)\b", before)
            return "states" if turns else rule.verdict
    return "mentions"


def claimed_letter(text: str) -> str | None:
    """The letter that follows from the claims of a text, None for none or more than one.

    The last option that is given counts; else the only one left where all others are rejected; else the only one that
    is supported, or that a sentence ends with, if no other is left.
    """
    every = claims(text)
    for verdict in ("states", "gives"):
        if given := [claim.letters for claim in every if claim.verdict == verdict]:
            return given[-1] if len(given[-1]) == 1 else None
    rejected = {letter for claim in every if claim.verdict == "rejects" for letter in claim.letters}
    left = [claim for claim in every if claim.verdict != "rejects" and not set(claim.letters) <= rejected]
    letters = {letter for claim in left for letter in claim.letters} - rejected
    if len(letters) != 1 or any(claim.verdict == "doubts" for claim in left):
        return None
    enough = len(rejected & set("ABCD")) == 3 or any(claim.verdict == "supports" or claim.ends for claim in left)
    return letters.pop() if enough else None
