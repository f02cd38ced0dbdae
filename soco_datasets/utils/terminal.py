"""The terminal: whether there is one, how wide it is, how much is reported on it, and consoles that write to it.

Off a terminal nothing is colored, boxed, wrapped or shortened. Texts are printed as they are: `rich` markup in names,
paths and messages is never interpreted.
"""

from __future__ import annotations

import enum
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, TextIO

from .text import clean_lines

if TYPE_CHECKING:
    from rich.console import Console

_LEAST = 20  # columns that prose is filled to at least
_UNLIMITED = 1 << 16  # columns of a console that wraps nothing


class Verbosity(enum.IntEnum):
    """How much a command reports beside its result: `--quiet`, neither option, `--verbose`."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


_verbosity: ContextVar[Verbosity] = ContextVar("soco_verbosity", default=Verbosity.NORMAL)


def verbosity() -> Verbosity:
    """How much the running command reports; NORMAL outside of a command."""
    return _verbosity.get()


def set_verbosity(level: Verbosity) -> None:
    """Set how much is reported in this context; the command line gives each command a context of its own."""
    _verbosity.set(level)


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether a stream (None: stdout) is a terminal that takes colors and cursor movements."""
    stream = sys.stdout if stream is None else stream
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):  # no stream at all, or a closed one
        return False


def terminal_width(stream: TextIO | None = None) -> int | None:
    """Columns of the terminal or of the variable COLUMNS; None where there is neither, so nothing has to be fitted."""
    if not is_terminal(stream) and "COLUMNS" not in os.environ:
        return None
    return shutil.get_terminal_size().columns


def console(stream: TextIO | None = None) -> Console:
    """A console on a stream (None: stdout): colors only on a terminal and without NO_COLOR, no markup, no wrapping
    where there is no width to fit.
    """
    from rich.console import Console

    stream = sys.stdout if stream is None else stream
    terminal = is_terminal(stream)
    return Console(
        file=stream,
        force_terminal=terminal,
        color_system="auto" if terminal else None,
        width=terminal_width(stream) or _UNLIMITED,
        markup=False,
        highlight=False,
        emoji=False,
    )


def print_text(text: object, *, style: str = "", stream: TextIO | None = None, end: str = "\n") -> None:
    """Print a text, cleaned, never wrapped; in a `rich` style where the stream (None: stdout) is a terminal."""
    stream = sys.stdout if stream is None else stream
    if style and is_terminal(stream):
        console(stream).print(clean_lines(text), style=style, soft_wrap=True, end=end)
    else:
        print(clean_lines(text), file=stream, end=end)


def print_pieces(pieces: Iterable[tuple[str, str]], *, stream: TextIO | None = None) -> None:
    """Print one line of (text, `rich` style) pieces as `print_text` prints a text; styles only on a terminal."""
    stream = sys.stdout if stream is None else stream
    if is_terminal(stream):
        from rich.text import Text

        line = Text.assemble(*((clean_lines(text), style) for text, style in pieces))
        line.rstrip()
        console(stream).print(line, soft_wrap=True)
    else:
        print("".join(clean_lines(text) for text, _ in pieces).rstrip(), file=stream)


def filled(text: str, width: int | None, indent: str = "") -> str:
    """Prose in lines of at most `width` columns, or as it is for None; words are never broken.

    Args:
        text: lines of prose.
        width: columns.
        indent: of the lines after the first of each line of `text`.
    """
    if width is None:
        return text
    wide = max(width, _LEAST)
    return "\n".join(
        textwrap.fill(line, wide, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        for line in text.split("\n")
    )


def print_note(text: object) -> None:
    """A note on stderr, filled to the width of a terminal; hidden by `--quiet`."""
    if verbosity() is not Verbosity.QUIET:
        width = terminal_width(sys.stderr) if is_terminal(sys.stderr) else None
        print_text(filled(str(text), width), stream=sys.stderr)
