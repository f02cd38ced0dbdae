"""A table of a report, and the same table as Markdown, CSV and LaTeX.

Text in a cell is data: whatever it holds, it stays in its cell and means nothing to the format.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..utils.text import clean

Cell = str | int | float | None
CellKind = Literal["text", "percent", "count", "number"]

NOTHING = "–"
_OPENING = re.compile(r"""(^|[\s(\[])(['"])(?=\S)""")  # a straight quote before a word opens
_LEFT = {"'": "`", '"': "``"}
_FORMULA = re.compile(r"[=@]|[+-](?!\d+(\.\d+)?$)")


@dataclass(frozen=True)
class Column:
    """A column: its heading, and what its cells are.

    `percent` cells are 0..100 and get two decimals, `number` cells three, `count` cells thousands in the HTML.

    Attributes:
        name: heading.
        kind: of the cells.
        best: which of its numbers is the best: "max", "min" or "" (none).
        ends: "low" or "high" for an end of the interval of the last column before it that is neither.
    """

    name: str
    kind: CellKind = "text"
    best: str = ""
    ends: str = ""


@dataclass(frozen=True)
class ReportTable:
    """A table.

    Attributes:
        key: stem of its files, letters, digits and underscores.
        title: heading.
        note: what the numbers are, one or two sentences.
        columns: C of them.
        rows: each with C cells; None where there is nothing.
        references: numbers of rows that are not results, such as those of a paper or of chance; never the best.
    """

    key: str
    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    references: frozenset[int] = frozenset()

    def best_cells(self) -> set[tuple[int, int]]:
        """(row, column) of the best numbers, as printed, among rows that agree in all texts but the model.

        Where a group has one result only, nothing is the best.
        """
        texts = [c for c, column in enumerate(self.columns) if column.kind == "text" and column.name != "model"]
        groups: dict[tuple[Cell, ...], list[int]] = {}
        for number, row in enumerate(self.rows):
            if number not in self.references:
                groups.setdefault(tuple(row[c] for c in texts), []).append(number)
        found: set[tuple[int, int]] = set()
        for c, column in enumerate(self.columns):
            for members in groups.values() if column.best else ():
                shown = {
                    r: float(format_cell(self.rows[r][c], column.kind)) for r in members if _is_number(self.rows[r][c])
                }
                if len(shown) > 1:
                    best = max(shown.values()) if column.best == "max" else min(shown.values())
                    found |= {(r, c) for r, value in shown.items() if value == best}
        return found

    def texts(self, nothing: str = NOTHING) -> list[list[str]]:
        """The cells as text, headings not included."""
        return [
            [format_cell(cell, column.kind, nothing) for cell, column in zip(row, self.columns, strict=True)]
            for row in self.rows
        ]


def format_cell(cell: Cell, kind: CellKind, nothing: str = NOTHING) -> str:
    """A cell as text.

    >>> format_cell(12.345, "percent"), format_cell(None, "percent"), format_cell(3, "count"), format_cell("a", "text")
    ('12.35', '–', '3', 'a')
    """
    if cell is None:
        return nothing
    if isinstance(cell, str):
        return clean(cell)
    digits = {"percent": 2, "number": 3}.get(kind)
    return str(cell) if digits is None else f"{round(cell, digits) + 0.0:.{digits}f}"  # + 0.0: no negative zero


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float)


def to_markdown(table: ReportTable) -> str:
    """The table as GitHub Markdown under its title, numbers to the right."""
    head = [_markdown(column.name) for column in table.columns]
    rule = ["---" if column.kind == "text" else "--:" for column in table.columns]
    body = [[_markdown(cell) for cell in row] for row in table.texts()]
    lines = [f"| {' | '.join(row)} |" for row in (head, rule, *body)]
    return f"## {_markdown(table.title)}\n\n{_markdown(table.note)}\n\n" + "\n".join(lines) + "\n"


def to_csv(table: ReportTable) -> str:
    """The table as CSV with a header; numbers with all their digits, empty cells where there is nothing.

    A text that a spreadsheet would take for a formula (it begins with =, +, - or @ and is no number) gets an apostrophe
    in front; nothing else is changed.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([_csv(clean(column.name)) for column in table.columns])
    writer.writerows(
        [_csv(clean(cell)) if isinstance(cell, str) else _whole(cell) for cell in row] for row in table.rows
    )
    return buffer.getvalue()


def _whole(cell: float | None) -> str:
    """A number with all its digits; no negative zero."""
    return "" if cell is None else repr(cell + 0.0) if isinstance(cell, float) else str(cell)


def to_latex(table: ReportTable) -> str:
    """The table as a LaTeX `table` with booktabs rules, for XeLaTeX, LuaLaTeX or pdfLaTeX with UTF-8 input.

    The best numbers are bold, and an interval is the subscript of its score: `$17.2_{[0.0, 40.1]}$`.
    """
    shown = [c for c, column in enumerate(table.columns) if not column.ends]
    align = "".join("l" if table.columns[c].kind == "text" else "r" for c in shown)
    head = " & ".join(_latex(table.columns[c].name) for c in shown)
    best = table.best_cells()
    body = [
        " & ".join(_latex_cell(table, row, c, (number, c) in best) for c in shown) + r" \\"
        for number, row in enumerate(table.rows)
    ]
    return "\n".join(
        [
            r"\begin{table}", r"\centering", rf"\caption{{{_latex(table.title)}. {_latex(table.note)}}}",
            rf"\label{{tab:soco-{table.key.replace('_', '-')}}}", rf"\begin{{tabular}}{{{align}}}", r"\toprule",
            head + r" \\", r"\midrule", *body, r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
        ]
    )  # fmt: skip


def _latex_cell(table: ReportTable, row: Sequence[Cell], place: int, best: bool) -> str:
    column, cell = table.columns[place], row[place]
    text = format_cell(cell, column.kind)
    if not _is_number(cell) or column.kind not in ("percent", "number"):
        return _latex(text)
    number = rf"\mathbf{{{text}}}" if best else text
    ends = {}
    for after, bound in zip(table.columns[place + 1 : place + 3], row[place + 1 : place + 3], strict=True):
        if not after.ends:
            break
        if _is_number(bound):
            ends[after.ends] = f"{bound:.{1 if column.kind == 'percent' else 2}f}"
    if len(ends) == 2:
        return f"${number}_{{[{ends['low']}, {ends['high']}]}}$"
    return f"${number}$" if best or text.startswith("-") else text


TABLE_FORMATS: Mapping[str, Callable[[ReportTable], str]] = {"md": to_markdown, "csv": to_csv, "tex": to_latex}


def table_files(tables: Sequence[ReportTable], folder: str = "") -> dict[str, str]:
    """Every table in every format: `FOLDER<key>.<format>` -> text."""
    return {
        f"{folder}{table.key}.{suffix}": text_of(table) for table in tables for suffix, text_of in TABLE_FORMATS.items()
    }


def _markdown(text: str) -> str:
    """Text that Markdown shows as it is, HTML and column bars included."""
    escaped = re.sub(r"([\\`*_{}\[\]#|~$^])", r"\\\1", clean(text))
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r":(?=\S)", "&#58;", escaped)  # no link, no emoji


def _csv(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "−": r"\textminus{}", "…": r"\ldots{}", "[": "{[}", "]": "{]}", "–": "--",
    "*": "{*}",
}  # fmt: skip


def _latex(text: str) -> str:
    quoted = _OPENING.sub(lambda match: match[1] + _LEFT[match[2]], clean(text))
    parts = re.split("(?<=-)(?=-)", quoted)  # two hyphens of a name are not a dash
    return "{}".join("".join(_LATEX.get(char, char) for char in part) for part in parts)
