"""Pictures of a question: the source with its marker, the target with lettered points. Drawn when a row is opened.

What is to be drawn stands behind the image's address ("soco://FOLDER!/IMAGE_ID#marks=arrow,red;A,12.5,30.0;..."), so a
row stores no picture. Everything has a white and a black outline, which shows on any background.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ...errors import UsageError, unknown_name
from .label_layout import Canvas, LabelBox, _Point, arrow_tail, mark_radii, place_labels

SHAPES = ("arrow", "circle", "cross", "square")
COLORS = {
    "red": (226, 24, 38),
    "blue": (24, 90, 226),
    "yellow": (255, 214, 0),
    "purple": (148, 36, 190),
    "green": (16, 150, 60),
}
MARKS = "marks="
SOURCE = "*"  # stands for the marker of the source where candidates have their letter
_FINE = 4  # pixels per pixel while drawing, for smooth edges
_FINEST = 1600  # side of what is drawn so
_TINY = 4.0  # radius of a mark, pixels: smaller ones have no room for outlines
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)

Color = tuple[int, int, int]
DrawInstruction = Callable[[ImageDraw.ImageDraw, Callable[[_Point], _Point], float], None]


@dataclass(frozen=True)
class MarkerStyle:
    """How the source is marked and the candidates are colored. Raises `UsageError` for what there is not."""

    shape: str = "arrow"
    color: str = "red"

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise unknown_name("marker", self.shape, SHAPES)
        if self.color not in COLORS:
            raise unknown_name("marker color", self.color, COLORS)


def draw_source(image: Image.Image, point: Sequence[float], style: MarkerStyle | None = None) -> Image.Image:
    """A copy of an RGB image with a marker at `point` (pixels of the image). Tiny images are enlarged, see `Canvas`."""
    style = style or MarkerStyle()
    canvas = Canvas.of(*image.size)
    picture = _on_canvas(image, canvas)
    _draw_marker(picture, canvas, canvas.point(point), style)
    return picture


def draw_candidates(
    image: Image.Image, points: Mapping[str, Sequence[float]], style: MarkerStyle | None = None
) -> Image.Image:
    """A copy of an RGB image with lettered points, letter -> point (pixels of the image), see `place_labels`."""
    style = style or MarkerStyle()
    canvas = Canvas.of(*image.size)
    picture = _on_canvas(image, canvas)
    places = [canvas.point(point) for point in points.values()]
    boxes = place_labels(canvas, places)
    color = COLORS[style.color]
    radii = mark_radii(canvas, places)
    for place, box, radius in zip(places, boxes, radii, strict=True):
        _draw_leader(picture, canvas, place, box, color, min(canvas.unit * 0.1, radius))
    for place, radius in zip(places, radii, strict=True):
        _draw_dot(picture, canvas, place, color, radius)
    for letter, box in zip(points, boxes, strict=True):
        label = _label(letter, canvas.unit, color)
        picture.paste(label, box[:2], label)
    return picture


def marks_tag(style: MarkerStyle, points: Mapping[str, Sequence[float]]) -> str:
    """What follows the address of an image with markers; `points` is {`SOURCE`: point} or letter -> point.

    >>> marks_tag(MarkerStyle(), {"*": (12.5, 30)})
    '#marks=arrow,red;*,12.5,30.0'
    """
    parts = [f"{name},{float(x)!r},{float(y)!r}" for name, (x, y) in points.items()]
    return f"#{MARKS}{';'.join([f'{style.shape},{style.color}', *parts])}"


def parse_marks(tag: str) -> tuple[MarkerStyle, dict[str, _Point]]:
    """The inverse of `marks_tag`, for what follows "#". Raises `UsageError` for anything else."""
    try:
        style, *parts = tag.removeprefix(MARKS).split(";")
        shape, color = style.split(",")
        points = {name: (float(x), float(y)) for name, x, y in (part.split(",") for part in parts)}
    except ValueError:
        raise UsageError(f"{tag!r} does not say what to draw (such as {MARKS}arrow,red;*,12.5,30.0).") from None
    return MarkerStyle(shape, color), points


def draw_tagged(image: Image.Image, tag: str, address: str = "") -> DrawnImage:
    """An image with the markers of its tag drawn in; it carries `address`, so that it need not be stored."""
    style, points = parse_marks(tag)
    if SOURCE in points:
        picture = draw_source(image, points[SOURCE], style)
    else:
        picture = draw_candidates(image, points, style)
    return DrawnImage.of(picture, address)


def encode_tagged(image: Image.Image, tag: str) -> bytes:
    """The same as the bytes of a JPEG, for those who want a file (an upload, the TSV form)."""
    return encode(draw_tagged(image, tag))


def encode(image: Image.Image) -> bytes:
    """JPEG of high quality, without color subsampling: markers stay sharp."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


class DrawnImage(Image.Image):
    """An RGB image that `datasets` stores again by its address until it is changed."""

    _address = ""
    _digest = b""

    @classmethod
    def of(cls, picture: Image.Image, address: str) -> DrawnImage:
        """Take over a picture's pixels."""
        drawn = cls()
        drawn.im, drawn._mode, drawn._size = picture.im, picture.mode, picture.size
        drawn._address, drawn._digest = address, _digest(picture)
        return drawn

    @property
    def filename(self) -> str:
        """The address, "" once the image was changed: where it is "", `datasets` stores the pixels."""
        return self._address if self._address and self._digest == _digest(self) else ""

    def __reduce__(self) -> tuple[Any, ...]:
        """Other processes get the pixels."""
        return Image.frombytes, (self.mode, self.size, self.tobytes())


def _digest(image: Image.Image) -> bytes:
    return hashlib.sha256(f"{image.mode}{image.size}".encode() + image.tobytes()).digest()


def _on_canvas(image: Image.Image, canvas: Canvas) -> Image.Image:
    picture = image.convert("RGB")
    if picture.size != canvas.content:
        picture = picture.resize(canvas.content, Image.Resampling.BICUBIC)
    if canvas.size != canvas.content:
        padded = Image.new("RGB", canvas.size, _WHITE)
        padded.paste(picture)
        return padded
    return picture.copy() if picture is image else picture


def _draw_marker(picture: Image.Image, canvas: Canvas, at: _Point, style: MarkerStyle) -> None:
    unit, color = canvas.unit, COLORS[style.color]
    x, y = at
    radius, width = unit * 0.5, unit * 0.16
    square = [(x - radius, y - radius), (x + radius, y - radius), (x + radius, y + radius), (x - radius, y + radius)]
    if style.shape == "arrow":
        tail = arrow_tail(canvas, at, unit * 1.9, unit * 0.2)
        _stroke(
            picture, canvas, [[tail, _toward(at, tail, unit * 0.5)]], width * 1.2, color, head=_head(at, tail, unit)
        )
    elif style.shape == "cross":
        _stroke(picture, canvas, [square[::2], square[1::2]], width, color)
    elif style.shape == "square":
        _stroke(picture, canvas, [[*square, square[0]]], width, color)
    else:
        turns = [math.tau * i / 48 for i in range(49)]
        ring = [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in turns]
        _stroke(picture, canvas, [ring], width, color)


def _draw_dot(picture: Image.Image, canvas: Canvas, at: _Point, color: Color, radius: float) -> None:
    """A disc with a hole at the exact point, so that what it marks can be seen; a tiny one in black and white alone."""
    rings: tuple[tuple[float, Color], ...] = ((1.0, _BLACK), (0.86, _WHITE), (0.7, color), (0.24, _ink(color)))
    if radius < _TINY:
        rings = ((1.0, _BLACK), (0.6, _WHITE))

    def draw(pen: ImageDraw.ImageDraw, place: Callable[[_Point], _Point], fine: float) -> None:
        for share, fill in rings:
            _disc(pen, place(at), radius * share * fine, fill)

    _fine(picture, canvas, _around([at], radius + 1), draw)


def _draw_leader(picture: Image.Image, canvas: Canvas, at: _Point, box: LabelBox, color: Color, width: float) -> None:
    """A line from a point to its label, hidden under both where they are close."""
    end = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    _stroke(picture, canvas, [[at, end]], max(1.5, width), color)


def _stroke(
    picture: Image.Image,
    canvas: Canvas,
    lines: Sequence[Sequence[_Point]],
    width: float,
    color: Color,
    head: Sequence[_Point] = (),
) -> None:
    """Lines with round ends (and the head of an arrow) in a color, outlined in white and that in black."""
    outline = max(1.0, width * 0.3)

    def draw(pen: ImageDraw.ImageDraw, place: Callable[[_Point], _Point], fine: float) -> None:
        for extra, fill in ((2 * outline, _BLACK), (outline, _WHITE), (0.0, color)):
            for line in lines:
                _line(pen, [place(point) for point in line], (width + 2 * extra) * fine, fill)
            if head:
                corners = [place(point) for point in head]
                pen.polygon(corners, fill=fill)
                if extra:
                    _line(pen, [*corners, corners[0]], 2 * extra * fine, fill)

    every = [point for line in lines for point in line] + list(head)
    _fine(picture, canvas, _around(every, width / 2 + 2 * outline + 1), draw)


def _line(pen: ImageDraw.ImageDraw, points: Sequence[_Point], width: float, fill: Color) -> None:
    pen.line(list(points), fill=fill, width=max(1, round(width)))
    for point in points:
        _disc(pen, point, width / 2, fill)


def _disc(pen: ImageDraw.ImageDraw, at: _Point, radius: float, fill: Color) -> None:
    pen.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), fill=fill)


def _toward(start: _Point, end: _Point, distance: float) -> _Point:
    """The point `distance` from `start` on the way to `end`."""
    length = math.dist(start, end)
    return (
        start[0] + (end[0] - start[0]) * distance / length,
        start[1] + (end[1] - start[1]) * distance / length,
    )


def _head(tip: _Point, tail: _Point, unit: float) -> list[_Point]:
    """The corners of an arrow head whose tip is at `tip`."""
    x, y = _toward(tip, tail, unit * 0.85)
    across = ((tail[1] - tip[1]) / math.dist(tip, tail), (tip[0] - tail[0]) / math.dist(tip, tail))
    half = unit * 0.38
    return [tip, (x + across[0] * half, y + across[1] * half), (x - across[0] * half, y - across[1] * half)]


def _around(points: Iterable[_Point], margin: float) -> LabelBox:
    xs, ys = zip(*points, strict=True)
    return (
        math.floor(min(xs) - margin), math.floor(min(ys) - margin),
        math.ceil(max(xs) + margin), math.ceil(max(ys) + margin),
    )  # fmt: skip


def _fine(picture: Image.Image, canvas: Canvas, box: LabelBox, draw: DrawInstruction) -> None:
    """Draw on a finer layer over `box`, clipped to the canvas, and lay it over the picture."""
    left, top = max(0, box[0]), max(0, box[1])
    right, bottom = min(canvas.size[0], box[2]), min(canvas.size[1], box[3])
    width, height = right - left, bottom - top
    if width < 1 or height < 1:
        return
    fine = max(1, min(_FINE, _FINEST // max(width, height)))
    layer = Image.new("RGBA", (width * fine, height * fine), (0, 0, 0, 0))
    draw(ImageDraw.Draw(layer), lambda point: ((point[0] - left) * fine - 0.5, (point[1] - top) * fine - 0.5), fine)
    layer = layer.resize((width, height), Image.Resampling.BOX)
    picture.paste(layer, (left, top), layer)


@lru_cache(maxsize=64)
def _label(letter: str, unit: int, color: Color) -> Image.Image:
    """(unit, unit) RGBA: the letter on a plate of the color."""
    side = unit * _FINE
    layer = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    for inset, fill in ((0.0, _BLACK), (0.05, _WHITE), (0.1, color)):
        edge = side * inset
        pen.rounded_rectangle((edge, edge, side - 1 - edge, side - 1 - edge), side * (0.22 - inset), fill=fill)
    font = ImageFont.load_default(side * 0.72)
    pen.text((side / 2, side / 2), letter, fill=_ink(color), font=font, anchor="mm", stroke_width=side * 0.02)
    return layer.resize((unit, unit), Image.Resampling.BOX)


def _ink(color: Color) -> Color:
    """Black on a bright color, white on a dark one."""
    return _BLACK if 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 150 else _WHITE
