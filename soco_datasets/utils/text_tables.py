"""Tables as plain text: aligned columns, numbers in percent."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

from .text import clean

_GAP = "  "


def format_percent(pck: float | None) -> str:
    """A fraction as percent with two decimals, "-" for None.

    >>> format_percent(0.12345), format_percent(None)
    ('12.35', '-')
    """
    return "-" if pck is None else f"{100 * pck:.2f}"


def display_width(text: str) -> int:
    """Columns a terminal gives to `text`: 2 for a wide East Asian character, 0 for a combining mark.

    >>> display_width("car"), display_width("ピアノ"), display_width("the\\u0301ie\\u0300re")
    (3, 6, 7)
    """
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def align(rows: Sequence[Sequence[str]], right: bool = True, left: Collection[int] = ()) -> str:
    """Rows of equal length as text. Control characters of cells are replaced.

    Args:
        rows: of cells.
        right: whether columns are aligned to the right; the first never is.
        left: columns that are aligned to the left all the same.
    """
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(display_width(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            " " * (width - display_width(cell)) + cell
            if right and index and index not in left
            else cell + " " * (width - display_width(cell))
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(_GAP.join(cells).rstrip() + "\n")
    return "".join(lines)
