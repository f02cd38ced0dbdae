"""The strict reading of an answer: a capital letter, only where the text gives it as its answer."""

from __future__ import annotations

import re
import unicodedata

# What stands around words: removed, or turned into plain text, before anything is read.
_THOUGHT = re.compile(r"^.*[<◁]/think(?:ing)?[>▷]|[<◁]think(?:ing)?[>▷].*$", re.DOTALL | re.IGNORECASE)
_ANSWER_TAG = re.compile(r"<(?:final[_ ]?)?answer>", re.IGNORECASE)
_CLOSING = re.compile(r"</(?:[a-z][\w-]+|s)>|<\|[^|<>]*\|>|<end_of_turn>", re.IGNORECASE)
_OPENING = re.compile(r"<[a-z][\w-]+>", re.IGNORECASE)
_INVISIBLE = re.compile("[\u200b-\u200d\u2060\ufeff]")
_SPACES, _LINES = re.compile(r"[^\S\n]+"), re.compile(r"\s*\n\s*")
_FOREIGN = str.maketrans("。、【】「」", ".,[][]")
_MARKUP = re.compile(r"\\(?:text|math)?(?:text|bf|it|rm|sf|tt)\b\s*|\\(?:text|emph)\b\s*|\\[,;:! ]|\\q?quad\b")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{+\s*((?:[^{}]|\{[^{}]*\})*?)\s*\}+")
_DECORATION = re.compile(r"[*_`$~#<>\\]+|\{|\}|^\s*[-•]\s+", re.MULTILINE)

_LETTER = r"[(\[\"'“‘]{0,3}\s*(?:(?:option|choice|point|letter)\b[\s:-]{0,3})?[(\[\"'“‘]{0,3}([A-Z])[)\]\"'”’]{0,3}"
# After the letter: an end, punctuation, or for any other word than A's noun a reason. "A point" is an article, and
# "B-pillar" is a word.
_AFTER = r"(?=$|\s*[.,;:!?)\]\n]|\s*[–—]|\s+-|-\s|\s+(?:because|since|as|for|which|not|in|on|at|based|is)\b)"
_NOUN = r"(?:option|choice|point|letter|match|location|position)"
_SUBJECT = (
    rf"(?:\banswer|\b(?:correct|right|best|chosen|selected|corresponding|matching)\s+{_NOUN}|\bcorresponds"
    r"|\bmy\s+(?:choice|pick))"
)
_STATED = re.compile(
    rf"(?:{_SUBJECT}[\"']?(?:\s+(?:in|to|for|of)\s(?:(?!\b(?-i:[A-Z])\b)[^.:\n]){{1,60}}?)??"
    r"(?:(?:\s+is|'s|\s+(?:must|should|would|will)\s+be|\s*[:=–—]|\s+-)\s*:?|\s+(?=\(?[A-Z]\)?\s*(?:[.\n]|$)))"
    rf"|\bcorresponds\s+to(?=\s+{_NOUN})|\b(?:i|we)(?:\s+would|\s+will|'d|'ll)?\s+(?:choose|select|pick|go\s+with)\s*:?)"
    r"\s*" + _LETTER + _AFTER,
    re.IGNORECASE,
)
_MARKED = r"the\s+(?:marked|reference|highlighted|indicated|described|query|same|red|blue|yellow|purple|green)\b"
_CLAIMED = re.compile(
    r"\b((?-i:[A-Z]))\b[)\]\"'”’]{0,3}(?:\s+in\s+the\s+(?:second|target)\s+(?:image|picture))?\s+"
    r"(?:is\s+(?:the\s+)?(?:correct|right|best|answer|most\s+(?:accurate|appropriate|suitable))\b"
    rf"|(?:best\s+)?(?:corresponds\s+(?:best\s+)?to|matches)\s+{_MARKED})",
    re.IGNORECASE,
)
_CONCLUDED = re.compile(
    r"(?:\b(?:so|therefore|thus|hence|it\s+is|it's)\b\s*[,:]?\s*" + _LETTER + r")\s*[.!]?\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_WHOLE = re.compile(r"\s*" + _LETTER + r"\s*[.:;,!]?\s*", re.IGNORECASE)
_AT_START = re.compile(
    r"[ \t]*(?:(?:option|choice|point)[\s:-]+)?[(\[]{0,3}([A-Z])"
    r"(?:[)\]]{1,3}[.:]?|\s?[.:](?!\w)|(?=\s+[-–—]\s)|,?(?=\s+(?:because|since|as)\b))",
    re.IGNORECASE,
)
_AT_END = re.compile(r"[^:]*:\s*" + _LETTER + r"\s*[.!]?\s*", re.IGNORECASE)
_HEDGE = re.compile(
    r"[)\]\"'”’]{0,3}\s*[,/(]?\s*(?:\b(?:or|and)\b|/|&)\s*(?:option|choice|point)?\s*[(\[]?\b([A-D])\b", re.IGNORECASE
)
_ANOTHER = re.compile(r"\b([A-D]):")
_LIST = re.compile(r"[)\]\"'”’]{0,3}\s*,\s*[(\[]?([A-D])\b(?!\s+[a-z])")


def parse_strict(text: object) -> str | None:
    r"""The capital letter A to D that the text gives as its answer, None where it gives none or more than one.

    Understood, in this order: the last \boxed{X}; the last "answer: X", "the correct option is X", "the corresponding
    point is X", "I choose X"; the last "X is correct", "X corresponds to the marked point"; the last "so X" that ends
    its line; a text that is nothing but the letter, or whose only such line it is; "X.", "X)", "(X)", "X:", "X - " at
    the start of the only line that has it; ": X" at the end of the last line. Markdown, LaTeX, tags, JSON, brackets,
    quotes and full-width letters do not matter, nor what a model thinks before </think>. The article "a", small
    letters, "A or B", "maybe B" and "B-pillar" are no answers.

    >>> parse_strict("A point on the left wing"), parse_strict("A or B"), parse_strict("**Answer:** (C)")
    (None, None, 'C')
    """
    found = given_letter(text)
    return found if found is not None and found in "ABCD" else None


def given_letter(text: object) -> str | None:
    """As `parse_strict`, but any capital letter: E is an answer too, if no valid one."""
    if not isinstance(text, str):
        return None
    words = _OPENING.sub("", _CLOSING.sub("\n", _ANSWER_TAG.sub("\nAnswer: ", _THOUGHT.sub("", text))))
    words = _INVISIBLE.sub("", unicodedata.normalize("NFKC", words)).translate(_FOREIGN)
    words = _LINES.sub("\n", _SPACES.sub(" ", words))  # what follows looks for short gaps only
    boxed: list[str] = _BOXED.findall(_MARKUP.sub("", words))
    return _read(boxed[-1] if boxed else words)


def _read(text: str) -> str | None:
    plain = _DECORATION.sub("", _MARKUP.sub("", text))
    for pattern in (_STATED, _CLAIMED, _CONCLUDED):
        if found := [match for match in pattern.finditer(plain) if match[1].isupper()]:
            return _unless_hedged(found[-1], plain)
    lines = [line for line in plain.splitlines() if line.strip()]
    alone = {letter for letter in map(_single, lines) if letter}
    if alone:
        return alone.pop() if len(alone) == 1 else None
    starts = [match for match in map(_AT_START.match, lines) if match and match[1].isupper()]
    if len({match[1] for match in starts}) == 1 and not set(_ANOTHER.findall(starts[0].string)) - {starts[0][1]}:
        return _unless_hedged(starts[0], starts[0].string)
    end = _AT_END.fullmatch(lines[-1]) if lines else None
    return end[1] if end and end[1].isupper() else None


def _single(text: str) -> str | None:
    """The letter of a text that is nothing else."""
    match = _WHOLE.fullmatch(text)
    return match[1] if match and match[1].isupper() else None


def _unless_hedged(match: re.Match[str], text: str) -> str | None:
    """The letter of a match, None where another one is offered right behind it."""
    rest = text[match.end() :]
    other = _HEDGE.match(rest) or _LIST.match(rest)
    return None if other and other[1].isupper() and other[1] != match[1] else match[1]
