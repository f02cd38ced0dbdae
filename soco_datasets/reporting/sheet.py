"""Panels on one sheet of paper."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from ..errors import UsageError
from ..utils.colors import INK
from ..utils.shapes import Drawing, Item, Label, Photo, text_width
from .drawing import outcome_mark, target_mark
from .style import OUTCOME_TITLES

GAP, TITLE, LINE = 16, 30, 22  # pixels: between panels, of a title, of a line of text
TEXT = 15.0  # pixels of letters


def sheet_of(
    panels: Sequence[Drawing], caption: str, columns: int = 2, legend: Sequence[tuple[Sequence[Item], str]] = ()
) -> Drawing:
    """The panels in rows under a caption.

    Args:
        panels: in reading order.
        caption: one line above them.
        columns: panels beside each other.
        legend: (mark around (0, 0), its meaning), in a line below the caption.

    Raises:
        UsageError: no panel.
    """
    if not panels:
        raise UsageError("Give at least one pair to draw.")
    width = max(panel.width for panel in panels)
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    heights = [max(panel.height for panel in row) for row in rows]
    across = min(columns, len(panels))
    wide = max(across * (width + GAP) + GAP, text_width(caption, TEXT, True) + 2 * GAP)
    lines = _legend_lines(legend, wide - 2 * GAP)
    top = GAP + TITLE + LINE * len(lines)
    sheet = Drawing(wide, sum(heights) + GAP * len(rows) + top)
    sheet.add(Label(caption, (GAP, GAP / 2 + TITLE / 2), TEXT + 1, INK, bold=True))
    for number, line in enumerate(lines):
        y = GAP / 2 + TITLE + (number + 0.5) * LINE
        for left, (mark, meaning) in line:
            key = Drawing(0, 0)
            key.add(*mark)
            sheet.paste(key, GAP + left + 10, y)
            sheet.add(Label(meaning, (GAP + left + 26, y), TEXT - 1, INK))
    for row, height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            sheet.paste(panel, GAP + column * (width + GAP), top)
        top += height + GAP
    return sheet


def _legend_lines(
    legend: Sequence[tuple[Sequence[Item], str]], width: float
) -> list[list[tuple[float, tuple[Sequence[Item], str]]]]:
    """The entries in lines of at most this width, each with its left end."""
    lines: list[list[tuple[float, tuple[Sequence[Item], str]]]] = []
    left = width + 1.0
    for entry in legend:
        need = 26 + text_width(entry[1], TEXT - 1) + 22
        if left + need > width:
            lines.append([])
            left = 0.0
        lines[-1].append((left, entry))
        left += need
    return lines


def outcome_legend(alpha: float, outcomes: Sequence[str]) -> list[tuple[list[Item], str]]:
    """The marks of these outcomes and of a valid target, with their meaning."""
    titles = {**OUTCOME_TITLES, "miss": "miss"}
    target = target_mark((0.0, 0.0), 9.0)
    found = [(target, f"valid target, radius of a hit (alpha {alpha:g})")]
    return found + [(outcome_mark(outcome, (0.0, 0.0)), titles[outcome]) for outcome in outcomes]


def fitted(image: Image.Image, at: tuple[float, float], height: float, widest: float) -> tuple[Photo, float]:
    """(the image at a height or, where it is too wide for that, a width; what its pixels are multiplied by)."""
    scale = min(height / image.height, widest / image.width)
    return Photo(image, at, (image.width * scale, image.height * scale)), scale
