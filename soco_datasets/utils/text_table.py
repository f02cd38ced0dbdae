"""Tables for a terminal: aligned, fitted to its width, with styles where colors are taken.

Where a table is too wide, the columns that it names as expendable are left out, which a line below it says; the columns
that still do not fit are continued below, with the first one repeated. Cells are never cut or wrapped, except a last
column of prose.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .terminal import filled, print_pieces, terminal_width
from .text import clean

GOOD, BAD, BEST, DIM = "green", "dark_orange", "bold", "dim"
_GAP = "  "

Line = list[tuple[str, str]]  # pieces of (text, style)


@dataclass(frozen=True)
class TextTable:
    """Rows of cells.

    Attributes:
        rows: of equal length, a heading first.
        left: columns that are aligned to the left besides the first; None = all.
        expendable: titles of columns in the order in which they are left out where the terminal is too narrow.
        hint: where the columns that are left out are shown, such as "--json".
        prose: whether the last column is prose, which is filled into the room that is left.
        styles: (row, column) or (row, None) for a whole row -> `rich` style.
    """

    rows: Sequence[Sequence[str]]
    left: Collection[int] | None = ()
    expendable: Sequence[str] = ()
    hint: str = ""
    prose: bool = False
    styles: Mapping[tuple[int, int | None], str] = field(default_factory=dict)

    def lines(self, width: int | None = None) -> list[Line]:
        """The lines of the table, and a note below it of what is left out.

        Args:
            width: columns of the terminal; None = any number.
        """
        shown, hidden = self._without_expendable(width)
        lines: list[Line] = []
        for part in shown._parts(width):
            lines += [[], *part] if lines else part
        if hidden:
            also = f" (see {self.hint})" if self.hint else ""
            note = f"Hidden (terminal too narrow): {', '.join(hidden)}{also}."
            lines += [[(line, DIM)] for line in filled(note, width).split("\n")]
        return lines

    def text(self, width: int | None = None) -> str:
        """The lines without styles, each with a newline at its end; `width` as of `lines`."""
        return "".join("".join(text for text, _ in line).rstrip() + "\n" for line in self.lines(width))

    def print(self) -> None:
        """Print the table on stdout, fitted to the terminal."""
        for line in self.lines(terminal_width()):
            print_pieces(line)

    def _without_expendable(self, width: int | None) -> tuple[TextTable, list[str]]:
        kept = list(range(len(self.rows[0])))
        hidden: list[str] = []
        for title in self.expendable:
            if self._fits(kept, width):
                break
            found = [place for place in kept if self.rows[0][place] == title]
            kept = [place for place in kept if place not in found]
            hidden += [title] * bool(found)
        return self._columns(kept), hidden

    def _parts(self, width: int | None) -> list[list[Line]]:
        """The lines of each part: all columns, or as many at a time as fit beside the first."""
        columns = list(range(len(self.rows[0])))
        if self.prose or self._fits(columns, width):
            return [self._aligned(width)]
        parts: list[list[int]] = [[0]]
        for column in columns[1:]:
            if len(parts[-1]) > 1 and not self._fits([*parts[-1], column], width):
                parts.append([0])
            parts[-1].append(column)
        return [self._columns(part)._aligned(None) for part in parts]

    def _columns(self, kept: Sequence[int]) -> TextTable:
        place_of = {old: new for new, old in enumerate(kept)}
        styles = {
            (row, None if column is None else place_of[column]): style
            for (row, column), style in self.styles.items()
            if column is None or column in place_of
        }
        left = None if self.left is None else {place_of[old] for old in self.left if old in place_of}
        return replace(self, rows=[[row[place] for place in kept] for row in self.rows], left=left, styles=styles)

    def _aligned(self, width: int | None) -> list[Line]:
        rows = [[clean(cell) for cell in row] for row in self.rows]
        widths = self._widths(range(len(rows[0])))
        before = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
        lines: list[Line] = []
        for number, row in enumerate(rows):
            style = self.styles.get((number, None), "")
            *cells, last = row
            further: list[str] = []
            if self.prose and width is not None:
                last, *further = filled(last, width - before).split("\n")
            line: Line = []
            for place, cell in enumerate(cells if self.prose else row):
                room = " " * (widths[place] - display_width(cell))
                start, end = ("", room) if place == 0 or self.left is None or place in self.left else (room, "")
                line += [(start, ""), (cell, self.styles.get((number, place), style)), (end + _GAP, "")]
            lines.append([*line, (last, self.styles.get((number, len(cells)), style))] if self.prose else line)
            lines += [[(" " * before + text, style)] for text in further]
        return lines

    def _widths(self, columns: Iterable[int]) -> list[int]:
        return [max(display_width(clean(row[place])) for row in self.rows) for place in columns]

    def _fits(self, columns: Sequence[int], width: int | None) -> bool:
        return width is None or sum(self._widths(columns)) + len(_GAP) * (len(columns) - 1) <= width


def display_width(text: str) -> int:
    """Columns a terminal gives to `text`: 2 for a wide East Asian character, 0 for a combining mark.

    >>> display_width("car"), display_width("ピアノ"), display_width("the\\u0301ie\\u0300re")
    (3, 6, 7)
    """
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def best_in_columns(
    rows: Sequence[Sequence[str]], columns: Iterable[int], lowest: Collection[int] = ()
) -> list[tuple[int, int]]:
    """(row, column) of the best number of each column, all of several equal ones.

    Args:
        rows: cells, a heading first; those that are no number are passed over.
        columns: to look at.
        lowest: columns in which lower is better.
    """
    found = []
    for column in columns:
        values = {row: value for row, cells in enumerate(rows) if row and (value := _number(cells[column])) is not None}
        if len(values) > 1:
            best = min(values.values()) if column in lowest else max(values.values())
            found += [(row, column) for row, value in values.items() if value == best]
    return found


def _number(cell: str) -> float | None:
    try:
        return float(cell.rstrip("*").replace(",", ""))
    except ValueError:
        return None


def format_percent(pck: float | None) -> str:
    """A fraction as percent with two decimals, "-" for None.

    >>> format_percent(0.12345), format_percent(None)
    ('12.35', '-')
    """
    return "-" if pck is None else f"{100 * pck:.2f}"
