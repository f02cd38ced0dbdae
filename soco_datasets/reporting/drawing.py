"""Drawings written as PNG, JPEG, SVG or PDF, and the marks of outcomes.

`soco view` and `soco demo` draw with it. PNG and JPEG need Pillow alone; SVG and PDF hold vectors and text, with the
photographs embedded as JPEG. A PDF needs the extra `report`.
"""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from PIL import Image

from ..errors import UsageError
from ..records.made_files import write_made
from ..utils.colors import INK, MARK_INK, PAPER
from ..utils.shapes import Drawing, Item, Label, Photo, Point, Stroke, to_image
from ..utils.text import clean
from .style import MISS_COLOR, OUTCOME_COLORS, OUTCOME_SHAPES, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "jpg", "jpeg", "svg", "pdf")
_FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"
_JPEG = 88
_CROSS = ((-1, -0.5), (-0.5, -1), (0, -0.5), (0.5, -1), (1, -0.5), (0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5), (-0.5, 1))


def outcome_mark(outcome: str, at: Point, number: int | str = "", size: float = 8.0) -> list[Item]:
    """The mark of an outcome ("miss" where its kind is unknown) with its number, as everywhere in the toolkit.

    A hit is a disc, a near miss a ring, a swap a diamond, another part a square, background and "miss" a cross.

    Args:
        outcome: of `style.OUTCOME_COLORS`, or "miss".
        at: its center.
        number: written into it; in smaller marks beside it.
        size: half its width, pixels.
    """
    color, shape = OUTCOME_COLORS.get(outcome, MISS_COLOR), OUTCOME_SHAPES.get(outcome, "cross")
    x, y = at
    edge: dict[str, Any] = {"fill": color, "stroke": PAPER, "width": max(1.0, size / 6)}
    drawn: list[Item]
    corners: tuple[Point, ...]
    if shape == "disc":
        drawn = [Stroke("circle", (at,), size, **edge)]
    elif shape == "ring":
        drawn = [Stroke("circle", (at,), size, **edge), Stroke("circle", (at,), 0.62 * size, fill=PAPER)]
    elif shape == "square":
        corners = ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9))
        drawn = [Stroke("polygon", tuple((x + size * a, y + size * b) for a, b in corners), **edge)]
    elif shape == "diamond":
        corners = ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0))
        drawn = [Stroke("polygon", tuple((x + size * a, y + size * b) for a, b in corners), **edge)]
    else:
        corners = (*_CROSS, (-1, 0.5), (-0.5, 0))
        drawn = [Stroke("polygon", tuple((x + size * 1.15 * a, y + size * 1.15 * b) for a, b in corners), **edge)]
    if number == "":
        return drawn
    if size >= 7:
        return [*drawn, Label(str(number), at, 1.3 * size, MARK_INK, "middle", bold=True)]
    return [*drawn, Label(str(number), (x + size + 2, y - size), 11, INK, bold=True, halo=PAPER)]


def target_mark(at: Point, radius: float, bounds: Point | None = None) -> list[Item]:
    """A valid target: its point as a plus and the circle within which a prediction is a hit.

    Args:
        at, radius: of the circle.
        bounds: width and height of the photograph from (0, 0); the circle is only drawn inside it.
    """
    x, y = at
    plus = (((x - 5, y), (x + 5, y)), ((x, y - 5), (x, y + 5)))
    arcs = [None] if bounds is None else _arcs_within(at, radius, bounds)
    drawn: list[Item] = []
    for color, wide in ((MARK_INK, 2.6), (PAPER, 1.2)):
        drawn += [
            Stroke("circle", (at,), radius, stroke=color, width=wide)
            if arc is None
            else Stroke("path", arc, stroke=color, width=wide)
            for arc in arcs
        ]
    for color, wide in ((MARK_INK, 3.4), (PAPER, 1.8)):
        drawn += [Stroke("path", line, stroke=color, width=wide) for line in plus]
    return drawn


def _arcs_within(at: Point, radius: float, bounds: Point) -> list[tuple[Point, ...] | None]:
    """The pieces of a circle that are inside (0, 0) to `bounds`, as polylines; [None] where it is all inside."""
    (x, y), (width, height) = at, bounds
    if radius <= min(x, y, width - x, height - y):
        return [None]
    arcs: list[list[Point]] = [[]]
    for step in range(97):
        angle = step * math.tau / 96
        point = x + radius * math.cos(angle), y + radius * math.sin(angle)
        if 0 <= point[0] <= width and 0 <= point[1] <= height:
            arcs[-1].append(point)
        elif arcs[-1]:
            arcs.append([])
    return [tuple(arc) for arc in arcs if len(arc) > 1]


def picture_format(path: Path) -> str:
    """The format that a file name asks for.

    Raises:
        UsageError: none, or one that is not written.
    """
    form = path.suffix[1:].lower()
    if form not in FORMATS:
        raise UsageError(f"Cannot write {path.name}: pictures are written as {', '.join('.' + f for f in FORMATS)}.")
    return form


def save_drawing(drawing: Drawing, path: Path, *, overwrite: bool = False) -> Path:
    """Write a drawing in the format of the file name: .png and .jpg as pixels, .svg and .pdf as vectors.

    Raises:
        UsageError: another format, or another file is there and is not to be overwritten.
        MissingExtraError: a PDF without matplotlib.
        SocoError: the file cannot be written.
    """
    return write_made(path.parent, {path.name: drawing_bytes(drawing, picture_format(path))}, overwrite=overwrite)[0]


def drawing_bytes(drawing: Drawing, form: str) -> bytes:
    """The file of a drawing in one of `FORMATS`. Raises `MissingExtraError` for a PDF without matplotlib."""
    if form == "svg":
        return to_svg(drawing).encode("utf-8")
    if form == "pdf":
        return to_pdf(drawing)
    buffer = io.BytesIO()
    to_image(drawing).save(buffer, **({"format": "PNG"} if form == "png" else {"format": "JPEG", "quality": 92}))
    return buffer.getvalue()


def to_svg(drawing: Drawing) -> str:
    """The drawing as SVG: vectors, text as text, photographs as JPEG data."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width} {drawing.height}" '
        f'width="{drawing.width}" height="{drawing.height}" font-family={quoteattr(_FONT)}>',
        f'<rect width="{drawing.width}" height="{drawing.height}" fill="{PAPER}"/>',
        *map(_svg_item, drawing.items),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _svg_item(item: Item) -> str:
    if isinstance(item, Photo):
        data = base64.b64encode(_jpeg(item)).decode()
        return (
            f'<image x="{item.at[0]:.1f}" y="{item.at[1]:.1f}" width="{item.size[0]:.1f}" height="{item.size[1]:.1f}" '
            f'preserveAspectRatio="none" href="data:image/jpeg;base64,{data}"/>'
        )
    if isinstance(item, Label):
        halo = "" if item.halo is None else f' stroke="{item.halo}" stroke-width="3" paint-order="stroke"'
        bold = ' font-weight="bold"' if item.bold else ""
        return (
            f'<text x="{item.at[0]:.1f}" y="{item.at[1] + 0.35 * item.size:.1f}" font-size="{item.size:g}" '
            f'fill="{item.color}" text-anchor="{item.anchor}"{bold}{halo}>{escape(clean(item.text))}</text>'
        )
    stroke = "" if item.stroke is None else f' stroke="{item.stroke}" stroke-width="{item.width:.2f}"'
    look = f'fill="{item.fill or "none"}"{stroke}{" stroke-dasharray=" + quoteattr("6 4") if item.dashed else ""}'
    if item.kind == "circle":
        (x, y) = item.points[0]
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{item.radius:.1f}" {look}/>'
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in item.points)
    return f'<{"polyline" if item.kind == "path" else "polygon"} points="{points}" {look}/>'


def to_figure(drawing: Drawing, width: float | None = None) -> Figure:
    """The drawing as a matplotlib figure. Raises `MissingExtraError` without matplotlib.

    Args:
        drawing: in pixels.
        width: of the figure, inches; None = a hundredth for each pixel.
    """
    width = drawing.width / 100 if width is None else width
    point = 72 * width / drawing.width  # points in a pixel
    figure, ax = new_figure(width * drawing.height / drawing.width, width)
    from matplotlib.patches import Circle, Polygon
    from matplotlib.patheffects import withStroke

    figure.set_layout_engine("none")
    ax.set_position((0, 0, 1, 1))
    ax.set_axis_off()
    for order, item in enumerate(drawing.items):
        if isinstance(item, Photo):
            (x, y), (w, h) = item.at, item.size
            pixels = Image.open(io.BytesIO(_jpeg(item)))
            ax.imshow(pixels, extent=(x, x + w, y + h, y), aspect="auto", interpolation="none", zorder=order)
        elif isinstance(item, Label):
            where = {"start": "left", "middle": "center", "end": "right"}[item.anchor]
            effects = [] if item.halo is None else [withStroke(linewidth=2, foreground=item.halo)]
            ax.text(
                *item.at, clean(item.text), fontsize=point * item.size, color=item.color, ha=where,
                va="center_baseline", fontweight="bold" if item.bold else "normal", parse_math=False,
                path_effects=effects, zorder=order,
            )  # fmt: skip
        elif item.kind == "path":
            look = {"color": item.stroke, "linewidth": point * item.width, "zorder": order}
            ax.plot(*zip(*item.points, strict=True), "--" if item.dashed else "-", **look)
        else:
            edge: dict[str, Any] = {
                "facecolor": item.fill or "none",
                "edgecolor": item.stroke or "none",
                "linewidth": point * item.width,
                "zorder": order,
            }
            is_circle = item.kind == "circle"
            ax.add_patch(
                Circle(item.points[0], item.radius, **edge) if is_circle else Polygon(item.points, closed=True, **edge)
            )
    ax.set_xlim(0, drawing.width)
    ax.set_ylim(drawing.height, 0)
    return figure


def to_pdf(drawing: Drawing) -> bytes:
    """The drawing as PDF with embedded TrueType fonts. Raises `MissingExtraError` without matplotlib."""
    buffer = io.BytesIO()
    to_figure(drawing).savefig(buffer, format="pdf", facecolor=PAPER, metadata={"CreationDate": None, "Producer": None})
    return buffer.getvalue()


def _jpeg(photo: Photo) -> bytes:
    """A photograph as JPEG, with at most twice the pixels that it is shown at per axis."""
    image = photo.image.convert("RGB")
    most = 2 * round(max(photo.size))
    if max(image.size) > most:
        image = image.copy()
        image.thumbnail((most, most), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=_JPEG, optimize=True)
    return buffer.getvalue()
