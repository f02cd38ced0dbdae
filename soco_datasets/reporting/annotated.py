"""Drawings of what is annotated, without predictions: images with their keypoints, pairs with their valid targets."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from ..data.pair_marks import concept_colors, mark_pair, numbered_mark
from ..utils.colors import INK, MARK_INK, PAPER, SERIES
from ..utils.shapes import Drawing, Label, Stroke, text_width
from .sheet import GAP, LINE, TEXT, TITLE, fitted

_HEIGHT, _WIDEST = 380.0, 560.0  # pixels of each photograph
_BOX = SERIES[0]
_CORRECT = "#00734f"
_LINES = 18  # of a legend, in a column
_Line = tuple[str, str | None]  # text of a legend, the color of its number


def annotated_image(row: Mapping[str, Any], keypoints: Mapping[str, Any] | None) -> Drawing:
    """An image with its box and its visible keypoints, numbered, their names below.

    Args:
        row: of the config `images`, its image decoded.
        keypoints: its row of `keypoints`; None where nothing is annotated in it.
    """
    names = list(keypoints["keypoints"]) if keypoints else []
    concepts = list(keypoints["concepts"]) if keypoints else []
    picture, scale = _photograph(row["image"], row["bbox"])
    colors = concept_colors(concepts)
    for number, (concept, point) in enumerate(zip(concepts, keypoints["points"] if keypoints else [], strict=True), 1):
        numbered_mark(picture, point, scale, str(number), colors[concept])
    pose = "" if row["azimuth"] is None else f", azimuth {row['azimuth']:.0f}°"
    return _panel(f"{row['image_id']}{pose}", [picture], _legend(names, concepts, colors))


def annotated_pair(row: Mapping[str, Any]) -> Drawing:
    """A pair: query points on the left, the valid targets of each on the right under the same number.

    Args:
        row: of a pair config as `load_dataset("soco", ...)` gives it, with its images.
    """
    colors = concept_colors(row["concepts"])
    source, source_scale = _photograph(row["source_image"], None)
    target, target_scale = _photograph(row["target_image"], row["target_bbox"])
    mark_pair(row, (source, source_scale), (target, target_scale))
    return _panel(row["pair_id"], [source, target], _legend(row["keypoints"], row["concepts"], colors))


def asked_question(row: Mapping[str, Any]) -> Drawing:
    """A question for vision-language models: its images as they are shown, the question, the options, the answer.

    Args:
        row: of the config `lvlm` as `load_dataset("soco", "lvlm", ...)` gives it.
    """
    shown = [row[name] for name in ("source_image", "target_image") if row[name] is not None]
    lines: list[_Line] = [(line, None) for line in textwrap.wrap(" ".join(row["question"].split()), 100)]
    for letter, option in zip("ABCD", row["options"], strict=True):
        correct = letter == row["answer"]
        lines.append((f"{letter}. {option}" + ("   (correct)" if correct else ""), _CORRECT if correct else None))
    pictures = [_photograph(image, None)[0] for image in shown]
    return _panel(f"{row['setting']} {row['index']}", pictures, lines, colored_text=True)


def _legend(names: Sequence[str], concepts: Sequence[str | None], colors: Mapping[str | None, str]) -> list[_Line]:
    return [
        (f"{number}  {name}" + (f"  ({concept})" if concept else ""), colors[concept])
        for number, (name, concept) in enumerate(zip(names, concepts, strict=True), 1)
    ]


def _photograph(image: Image.Image, box: Sequence[float] | None) -> tuple[Drawing, float]:
    """The image at the size of the sheet with its box, and what its pixels are multiplied by."""
    photo, scale = fitted(image, (0.0, 0.0), _HEIGHT, _WIDEST)
    drawing = Drawing(*photo.size)
    drawing.add(photo)
    if box is not None:
        left, top, right, bottom = (side * scale for side in box)
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        for color, width in ((PAPER, 4.0), (_BOX, 2.0)):
            drawing.add(Stroke("polygon", corners, stroke=color, width=width))
    return drawing, scale


def _panel(title: str, pictures: Sequence[Drawing], lines: Sequence[_Line], colored_text: bool = False) -> Drawing:
    """Title, pictures side by side, lines of text below in as many columns as fit."""
    across = sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1)
    longest = max((text_width(text, TEXT) + 34 for text, _ in lines), default=0.0)
    width = max(across, longest, text_width(title, TEXT, True), _HEIGHT)
    columns = 1
    if lines and not colored_text:
        columns = max(1, min(3, int(width // longest)), -(-len(lines) // _LINES))
        width = max(width, columns * longest)
    rows = -(-len(lines) // columns)
    tall = max((picture.height for picture in pictures), default=0)
    panel = Drawing(width, TITLE + tall + 8 + LINE * rows)
    panel.add(Label(title, (0.0, TITLE / 2), TEXT, INK, bold=True))
    left = 0.0
    for picture in pictures:
        panel.paste(picture, left, TITLE)
        left += picture.width + GAP
    for place, (text, color) in enumerate(lines):
        x, y = place // rows * (width / columns), TITLE + tall + 8 + (place % rows + 0.5) * LINE
        if colored_text:
            panel.add(Label(text, (x, y), TEXT, color or INK, bold=color is not None))
            continue
        panel.add(Stroke("circle", ((x + 8, y),), 6, fill=color, stroke=MARK_INK, width=0.8))
        panel.add(Label(text, (x + 22, y), TEXT, INK))
    return panel
