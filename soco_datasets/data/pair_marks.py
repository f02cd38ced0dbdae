"""Numbered points of a pair, drawn into its pictures: one color per concept, the same number in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..utils.colors import CONCEPT_COLORS, MARK_INK, PAPER
from ..utils.shapes import Drawing, Label, Stroke, text_width


def concept_colors(concepts: Sequence[str | None]) -> dict[str | None, str]:
    """Concept -> the color of its marks, in the order in which the concepts come."""
    return {
        concept: CONCEPT_COLORS[place % len(CONCEPT_COLORS)] for place, concept in enumerate(dict.fromkeys(concepts))
    }


def mark_pair(row: Mapping[str, Any], source: tuple[Drawing, float], target: tuple[Drawing, float]) -> None:
    """Draw the number of each query at its point in the source, and at its valid targets in the target.

    Args:
        row: of a pair config: "concepts", "source_points", "target_points".
        source, target: the drawing with the picture, and its pixels per pixel of the picture.
    """
    colors = concept_colors(row["concepts"])
    asked: dict[tuple[float, ...], list[int]] = {}  # a point may be a valid target of many queries
    for number, (concept, point, targets) in enumerate(
        zip(row["concepts"], row["source_points"], row["target_points"], strict=True), 1
    ):
        numbered_mark(source[0], point, source[1], str(number), colors[concept])
        for place in targets:
            asked.setdefault(tuple(place), []).append(number)
    for place, numbers in asked.items():
        numbered_mark(target[0], place, target[1], _spans(numbers), colors[row["concepts"][numbers[0] - 1]])


def numbered_mark(drawing: Drawing, point: Sequence[float], scale: float, label: str, color: str) -> None:
    """Draw a disc with its number; where several numbers share a point, a pill beside it, moved to stay inside.

    Args:
        drawing: with the picture.
        point: (x, y) in pixels of the picture.
        scale: pixels of the drawing per pixel of the picture.
        label: the number, or several such as "1-3,7".
        color: fill of the mark, #rrggbb.
    """
    x, y = point[0] * scale, point[1] * scale
    if len(label) <= 2:
        drawing.add(Stroke("circle", ((x, y),), 9, fill=color, stroke=PAPER, width=1.4))
        drawing.add(Label(label, (x, y), 11.5, MARK_INK, "middle", bold=True))
        return
    half = text_width(label, 12) / 2 + 5
    drawing.add(Stroke("circle", ((x, y),), 4.5, fill=color, stroke=PAPER, width=1.4))
    x = min(max(x, half + 1), drawing.width - half - 1)
    y = y - 15 if y > 26 else y + 15
    corners = ((x - half, y - 9), (x + half, y - 9), (x + half, y + 9), (x - half, y + 9))
    drawing.add(Stroke("polygon", corners, fill=color, stroke=PAPER, width=1.4))
    drawing.add(Label(label, (x, y), 12, MARK_INK, "middle"))


def _spans(numbers: Sequence[int]) -> str:
    """Ascending numbers in short.

    >>> _spans([1, 2, 3, 7, 9, 10])
    '1-3,7,9,10'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs)
