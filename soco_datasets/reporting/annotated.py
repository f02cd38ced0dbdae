"""Pictures of what is annotated, without any prediction: images with their keypoints, pairs with their valid targets.

Drawn with Pillow alone, so that looking at a dataset needs no extra.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw

from .sheet import (
    GAP,
    INK,
    PAPER,
    font,
)

# One colour a concept, in the order in which they come: readable on light and dark, apart for the colour-blind.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 140, 105), (170, 51, 119), (230, 159, 0), (86, 140, 220), (102, 102, 51))
_SIDE = 420  # pixels of the longer side of each image
_TITLE, _LINE = 22, 16
_Pen = ImageDraw.ImageDraw


def annotated_image(row: Mapping[str, Any], keypoints: Mapping[str, Any] | None) -> Image.Image:
    """An image with its box and its visible keypoints, numbered, their names below.

    Args:
        row: of the config `images`, its image decoded.
        keypoints: its row of `keypoints`; None where nothing is annotated in it.
    """
    names = list(keypoints["keypoints"]) if keypoints else []
    concepts = list(keypoints["concepts"]) if keypoints else []
    picture, scale = _small(row["image"])
    pen = ImageDraw.Draw(picture)
    if row["bbox"] is not None:
        pen.rectangle([side * scale for side in row["bbox"]], outline=_COLOURS[0], width=2)
    colours = _colours(concepts)
    for number, (concept, point) in enumerate(zip(concepts, keypoints["points"] if keypoints else [], strict=True), 1):
        _mark(pen, point, scale, str(number), colours[concept])
    pose = "" if row["azimuth"] is None else f", azimuth {row['azimuth']:.0f}"
    return _panel(f"{row['image_id']}{pose}", [picture], _legend(names, concepts, colours))


def annotated_pair(row: Mapping[str, Any]) -> Image.Image:
    """A pair: query points on the left, the valid targets of each on the right under the same number.

    Args:
        row: of a pair config as `load_dataset("soco", ...)` gives it, with its images.
    """
    colours = _colours(row["concepts"])
    (source, source_scale), (target, target_scale) = (_small(row[f"{side}_image"]) for side in ("source", "target"))
    pens = ImageDraw.Draw(source), ImageDraw.Draw(target)
    if row["target_bbox"] is not None:
        pens[1].rectangle([side * target_scale for side in row["target_bbox"]], outline=_COLOURS[0], width=2)
    asked: dict[tuple[float, ...], list[int]] = {}  # a point may be a valid target of many queries
    for number, (concept, point, targets) in enumerate(
        zip(row["concepts"], row["source_points"], row["target_points"], strict=True), 1
    ):
        _mark(pens[0], point, source_scale, str(number), colours[concept])
        for place in targets:
            asked.setdefault(tuple(place), []).append(number)
    for place, numbers in asked.items():
        _mark(pens[1], place, target_scale, _spans(numbers), colours[row["concepts"][numbers[0] - 1]])
    return _panel(row["pair_id"], [source, target], _legend(row["keypoints"], row["concepts"], colours))


def asked_question(row: Mapping[str, Any]) -> Image.Image:
    """A question for vision-language models: its images as they are shown, the question, the options, the answer.

    Args:
        row: of the config `lvlm` as `load_dataset("soco", "lvlm", ...)` gives it.
    """
    shown = [row[name] for name in ("source_image", "target_image") if row[name] is not None]
    lines = [(line, INK) for line in textwrap.wrap(" ".join(row["question"].split()), 110)]
    for letter, option in zip("ABCD", row["options"], strict=True):
        right = letter == row["answer"]
        lines.append((f"{letter}. {option}" + ("   (correct)" if right else ""), _COLOURS[2] if right else INK))
    return _panel(f"{row['setting']} {row['index']}", [_small(image)[0] for image in shown], lines)


def _colours(concepts: Sequence[str | None]) -> dict[str | None, tuple[int, int, int]]:
    return {concept: _COLOURS[place % len(_COLOURS)] for place, concept in enumerate(dict.fromkeys(concepts))}


def _legend(
    names: Sequence[str], concepts: Sequence[str | None], colours: Mapping[str | None, tuple[int, int, int]]
) -> list[tuple[str, tuple[int, int, int]]]:
    return [
        (f"{number}  {name}" + (f"  ({concept})" if concept else ""), colours[concept])
        for number, (name, concept) in enumerate(zip(names, concepts, strict=True), 1)
    ]


def _small(image: Image.Image) -> tuple[Image.Image, float]:
    """The image at the size of the sheet, and what its pixels are multiplied by."""
    scale = _SIDE / max(image.size)
    size = [max(1, round(side * scale)) for side in image.size]
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS), scale


def _mark(pen: _Pen, point: Sequence[float], scale: float, label: str, colour: tuple[int, int, int]) -> None:
    """A dot, and its label up to the right of it, moved to stay inside the picture."""
    x, y = point[0] * scale, point[1] * scale
    pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour, outline=PAPER, width=1)
    left = min(x + 5, pen.im.size[0] - font(12).getlength(label) - 3)
    pen.text((left, max(y - 14, 0)), label, fill=colour, font=font(12), stroke_width=2, stroke_fill=PAPER)


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


def _panel(
    title: str, pictures: Sequence[Image.Image], lines: Sequence[tuple[str, tuple[int, int, int]]]
) -> Image.Image:
    """Title, pictures side by side, lines of text below in two columns where there are many."""
    columns = 2 if len(lines) > 12 and len(pictures) > 1 else 1
    rows = -(-len(lines) // columns)
    width = max(sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1), _SIDE)
    width = max([width, *(round(font(12).getlength(text)) * columns for text, _ in lines)])
    tall = max((picture.height for picture in pictures), default=0)
    panel = Image.new("RGB", (width, _TITLE + tall + 6 + _LINE * rows), PAPER)
    pen = ImageDraw.Draw(panel)
    pen.text((0, 3), title, fill=INK, font=font(13))
    left = 0
    for picture in pictures:
        panel.paste(picture, (left, _TITLE))
        left += picture.width + GAP
    for place, (text, colour) in enumerate(lines):
        where = (place // rows * (width // columns), _TITLE + tall + 6 + place % rows * _LINE)
        pen.text(where, text, fill=colour, font=font(12))
    return panel
