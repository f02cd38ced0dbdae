"""Numbered points of a pair, drawn into a picture with Pillow: blue discs on the source, green rings on the target.

Colors are those of the reports' charts; shapes differ too, so that nothing depends on the color alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

Side = Literal["source", "target"]
QUERY_COLOR, TARGET_COLOR = (0, 114, 178), (0, 158, 115)
_FINE = 3  # pixels per pixel while drawing, for smooth edges
_RADIUS = 1 / 64  # of a mark, of the picture's longest side
_INK, _PAPER = (31, 36, 48), (255, 255, 255)


def draw_pair_side(image: Image.Image, places: Sequence[Sequence[Sequence[float]]], side: Side) -> Image.Image:
    """A copy of an RGB picture with the points of one side of a pair.

    Args:
        image: the picture.
        places: for each query the points that have its number, as (x, y) in pixels of the picture.
        side: "source" draws discs, "target" rings with a cross in the middle.
    """
    layer = Image.new("RGBA", (image.width * _FINE, image.height * _FINE), (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    radius = max(4.0, max(image.size) * _RADIUS) * _FINE
    font = ImageFont.load_default(round(radius * 1.9))
    marks = [(x * _FINE, y * _FINE, str(number)) for number, points in enumerate(places, 1) for x, y in points]
    for x, y, _ in marks:
        (_disc if side == "source" else _ring)(pen, x, y, radius)
    taken = [(x - radius, y - radius, x + radius, y + radius) for x, y, _ in marks]
    for x, y, text in marks:
        box = _free_place(pen, layer.size, (x, y), radius, text, font, taken)
        taken.append(box)
        stroke = max(1, round(radius * 0.28))
        pen.text(box[:2], text, fill=_INK, font=font, anchor="lt", stroke_width=stroke, stroke_fill=_PAPER)
    layer = layer.resize(image.size, Image.Resampling.BOX)
    drawn = image.convert("RGBA")
    drawn.alpha_composite(layer)
    return drawn.convert("RGB")


_Box = tuple[float, float, float, float]


def _free_place(
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    at: tuple[float, float],
    radius: float,
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    taken: Sequence[_Box],
) -> _Box:
    """The box beside a mark that covers least of what is drawn and lies inside; the first of equals."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font, anchor="lt")
    width, height = right - left, bottom - top
    x, y = at
    near, far = radius * 0.9, radius * 1.3
    corners = [
        *((x + near, y - near - height), (x - near - width, y - near - height)),
        *((x + near, y + near), (x - near - width, y + near)),
        *((x + far, y - height / 2), (x - far - width, y - height / 2)),
        *((x - width / 2, y - far - height), (x - width / 2, y + far)),
    ]
    inside = [(min(max(cx, 2), size[0] - width - 2), min(max(cy, 2), size[1] - height - 2)) for cx, cy in corners]
    boxes = [(cx, cy, cx + width, cy + height) for cx, cy in inside]
    return min(boxes, key=lambda box: sum(_overlap(box, other) for other in taken))


def _overlap(one: _Box, other: _Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0


def _disc(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    for share, fill in ((1.0, _INK), (0.86, _PAPER), (0.62, QUERY_COLOR)):
        pen.ellipse((x - radius * share, y - radius * share, x + radius * share, y + radius * share), fill=fill)


def _ring(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    for share, width, color in ((1.15, 0.62, _INK), (1.05, 0.46, _PAPER), (0.98, 0.3, TARGET_COLOR)):
        box = (x - radius * share, y - radius * share, x + radius * share, y + radius * share)
        pen.ellipse(box, outline=color, width=max(1, round(radius * width)))
    for length, width, color in ((0.4, 0.34, _PAPER), (0.36, 0.16, TARGET_COLOR)):
        reach, line = radius * length, max(1, round(radius * width))
        pen.line((x - reach, y, x + reach, y), fill=color, width=line)
        pen.line((x, y - reach, x, y + reach), fill=color, width=line)
