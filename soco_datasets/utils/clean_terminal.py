"""What reaches a terminal: text, line breaks, colors and the cursor moves of progress bars, and no other control.

Names of models, files and people come from strangers. A terminal obeys what it is sent: titles, the clipboard, answers
typed back. Each printer cleans its names (`text.clean`); this stands behind all of them, those of other libraries
(rich, tqdm, logging, warnings) included, and only where a stream is a terminal: files and pipes stay byte for byte.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from .text import clean

_COLOR = r"\x1b\[[0-9;]{0,48}m"
_CURSOR = r"\x1b\[(?:\d{0,3}[ABCDGK]|\d{0,3};?\d{0,3}H|\?25[lh]|\?2026[lh])"
_KEPT = re.compile(rf"({_COLOR}|{_CURSOR}|[\n\r\t\b])")
_CONCEAL = 8
_COLORS = {"5": 3, "2": 5}  # numbers that a color of 256 or of 24 bit takes after 38 or 48, itself included


def without_controls(text: str) -> str:
    """A text in which every control character is replaced but line breaks, colors and moves of the cursor.

    >>> without_controls("\\x1b[1mname\\x1b[0m\\x1b]0;title\\x07\\n")
    '\\x1b[1mname\\x1b[0m�]0;title�\\n'
    """
    if text.isprintable():
        return text
    return "".join(
        part if place % 2 and not _conceals(part) else clean(part) for place, part in enumerate(_KEPT.split(text))
    )


def _conceals(sequence: str) -> bool:
    """Whether a sequence of colors and styles hides the text that follows."""
    if not sequence.endswith("m"):
        return False
    numbers = sequence[2:-1].split(";")
    while numbers:
        color = numbers[0] in ("38", "48") and len(numbers) > 1
        if numbers[0] and int(numbers[0]) == _CONCEAL:
            return True
        numbers = numbers[_COLORS.get(numbers[1], 1) if color else 1 :]
    return False


class CleanStream:
    """A text stream whose writes go through `without_controls`; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the cleaned text; gives the length of the text as it was."""
        self._stream.write(without_controls(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def clean_terminals() -> Iterator[None]:
    """Standard output and error cleaned where they are terminals, for as long as the body runs."""
    before = sys.stdout, sys.stderr
    for name, stream in zip(("stdout", "stderr"), before, strict=True):
        if stream is not None and stream.isatty():
            setattr(sys, name, CleanStream(stream))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
