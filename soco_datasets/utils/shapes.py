"""A drawing of shapes, text and photographs, and the same as pixels. Pillow alone."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from PIL import Image, ImageDraw, ImageFont

from .colors import INK, PAPER
from .text import clean

Point = tuple[float, float]
_Box = tuple[int, int, int, int]
_SMOOTH = 3  # pixels drawn per pixel of the picture and axis


@dataclass(frozen=True)
class Stroke:
    """One thing drawn, in pixels of the drawing from its top left corner.

    Attributes:
        kind: "path" (open), "polygon" (closed) or "circle".
        points: of the path or polygon; the center of the circle.
        radius: of the circle.
        fill, stroke: colors (#rrggbb), None for none.
        width: of the stroke.
        dashed: the stroke.
    """

    kind: Literal["path", "polygon", "circle"]
    points: tuple[Point, ...]
    radius: float = 0.0
    fill: str | None = None
    stroke: str | None = None
    width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True)
class Label:
    """A line of text; `at` is its left end, middle or right end at the middle of its height."""

    text: str
    at: Point
    size: float = 14.0
    color: str = INK
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False
    halo: str | None = None


@dataclass(frozen=True)
class Photo:
    """A photograph with its top left corner at `at`, shown at `size`."""

    image: Image.Image
    at: Point
    size: tuple[float, float]


Item = Stroke | Label | Photo


class Drawing:
    """What is drawn, in order.

    Args:
        width, height: pixels.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = round(width), round(height)
        self.items: list[Item] = []

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height

    def add(self, *items: Item) -> None:
        """Draw something above what is there."""
        self.items.extend(items)

    def paste(self, other: Drawing, left: float, top: float) -> None:
        """Draw another drawing at a place."""
        self.items.extend(_moved(item, left, top) for item in other.items)

    def texts(self) -> list[str]:
        """The text of every label, in order."""
        return [item.text for item in self.items if isinstance(item, Label)]


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of a line of text in pixels."""
    return float(_font(round(size)).getlength(clean(text))) * (1.06 if bold else 1.0)


def to_image(drawing: Drawing) -> Image.Image:
    """The drawing as an RGB image, antialiased."""
    sheet, items = Image.new("RGB", drawing.size, PAPER), drawing.items
    runs: Iterable[tuple[_Box, Sequence[Item]]] = [((0, 0, *drawing.size), items)]
    if items and isinstance(items[0], Photo) and items[0].at == (0, 0):  # only what is drawn on it is antialiased
        sheet.paste(_resized(items[0]))
        runs = _runs(items[1:])
    for (left, top, right, bottom), some in runs:
        box = max(left, 0), max(top, 0), min(right, drawing.width), min(bottom, drawing.height)
        if box[0] < box[2] and box[1] < box[3]:
            part = _smooth(sheet.crop(box), [_moved(item, -box[0], -box[1]) for item in some])
            sheet.paste(part, box)
    return sheet


def _resized(photo: Photo) -> Image.Image:
    size = max(1, round(photo.size[0])), max(1, round(photo.size[1]))
    return photo.image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _smooth(background: Image.Image, items: Iterable[Item]) -> Image.Image:
    """A picture with items drawn on it, antialiased."""
    sheet = background.resize((background.width * _SMOOTH, background.height * _SMOOTH), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(sheet)
    for item in items:
        if isinstance(item, Photo):
            image = _resized(item)
            image = image.resize((image.width * _SMOOTH, image.height * _SMOOTH), Image.Resampling.NEAREST)
            sheet.paste(image, (round(item.at[0] * _SMOOTH), round(item.at[1] * _SMOOTH)))
        elif isinstance(item, Label):
            _pixel_label(pen, item)
        else:
            _pixel_shape(pen, item)
    return sheet.reduce(_SMOOTH)


def _runs(items: Iterable[Item]) -> Iterator[tuple[_Box, list[Item]]]:
    """Items in order, in runs of which each touches one before it, with the box of pixels around them."""
    box, run = (0, 0, 0, 0), list[Item]()
    for item in items:
        left, top, right, bottom = _extent(item)
        if run and left < box[2] and box[0] < right and top < box[3] and box[1] < bottom:
            box = min(left, box[0]), min(top, box[1]), max(right, box[2]), max(bottom, box[3])
            run.append(item)
            continue
        if run:
            yield box, run
        box, run = (left, top, right, bottom), [item]
    if run:
        yield box, run


def _extent(item: Item) -> _Box:
    """Left, top, right and bottom of the pixels that an item may touch."""
    if isinstance(item, Stroke):
        across, along = ([point[axis] for point in item.points] or [0.0] for axis in (0, 1))
        around = item.radius + item.width + 1
        edges = min(across) - around, min(along) - around, max(across) + around, max(along) + around
    elif isinstance(item, Photo):
        edges = *item.at, item.at[0] + item.size[0] + 1, item.at[1] + item.size[1] + 1
    else:
        width, around = text_width(item.text, item.size, bold=True), item.size + 3
        left = item.at[0] - {"start": 0.0, "middle": 0.5, "end": 1.0}[item.anchor] * width
        edges = left - around, item.at[1] - around, left + width + around, item.at[1] + around
    return math.floor(edges[0]), math.floor(edges[1]), math.ceil(edges[2]), math.ceil(edges[3])


def _pixel_label(pen: ImageDraw.ImageDraw, label: Label) -> None:
    anchor = {"start": "l", "middle": "m", "end": "r"}[label.anchor] + "m"
    x, y = label.at[0] * _SMOOTH, label.at[1] * _SMOOTH
    style: dict[str, Any] = {"fill": label.color, "font": _font(round(label.size * _SMOOTH)), "anchor": anchor}
    if label.halo is not None:
        pen.text((x, y), clean(label.text), stroke_width=3 * _SMOOTH // 2, stroke_fill=label.halo, **style)
    pen.text((x, y), clean(label.text), **style)


def _pixel_shape(pen: ImageDraw.ImageDraw, shape: Stroke) -> None:
    points = [(x * _SMOOTH, y * _SMOOTH) for x, y in shape.points]
    width = max(1, round(shape.width * _SMOOTH))
    if shape.kind == "circle":
        (x, y), radius = points[0], shape.radius * _SMOOTH + width / 2 * (shape.stroke is not None)
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(box, fill=shape.fill, outline=shape.stroke, width=width if shape.stroke else 0)
    elif shape.kind == "polygon":
        if shape.fill is not None:
            pen.polygon(points, fill=shape.fill)
        if shape.stroke is not None:
            pen.line([*points, points[0], points[1]], fill=shape.stroke, width=width, joint="curve")
    else:
        for start, end in _dashes(points, 6 * _SMOOTH) if shape.dashed else itertools.pairwise(points):
            pen.line((*start, *end), fill=shape.stroke, width=width)


def _dashes(points: Sequence[Point], length: float) -> Iterator[tuple[Point, Point]]:
    """Every other piece of so many pixels of a straight line."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    whole = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    number = max(1, int(whole / (1.7 * length)) + 1)
    for piece in range(number):
        a, b = piece * 1.7 * length / max(whole, 1e-9), min(1.0, (piece * 1.7 + 1) * length / max(whole, 1e-9))
        yield (x0 + a * (x1 - x0), y0 + a * (y1 - y0)), (x0 + b * (x1 - x0), y0 + b * (y1 - y0))


def _moved(item: Item, left: float, top: float) -> Item:
    if isinstance(item, Stroke):
        return replace(item, points=tuple((x + left, y + top) for x, y in item.points))
    return replace(item, at=(item.at[0] + left, item.at[1] + top))


@functools.cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own font."""
    return ImageFont.load_default(size)
