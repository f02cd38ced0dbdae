"""Text of others (file names, manifests, submissions) on its way to a terminal, a page or a chart."""

from __future__ import annotations

import unicodedata


def clean(text: object) -> str:
    """A name as one line of printable text: control, direction and surrogate characters become U+FFFD.

    >>> clean("car\\nfront"), clean("a\\u202eb")
    ('car�front', 'a�b')
    """
    return "".join("\ufffd" if _is_unprintable(char) else char for char in str(text))


def clean_lines(text: object) -> str:
    """A text of several lines, each one cleaned.

    >>> clean_lines("car\\n\\x1b[2Jfront")
    'car\\n�[2Jfront'
    """
    return "\n".join(clean(line) for line in str(text).split("\n"))


def _is_unprintable(char: str) -> bool:
    if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return char not in "\u200c\u200d"  # these two join letters and emoji
    return ord(char) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(char) <= 0xFDEF  # no characters, and no XML either
