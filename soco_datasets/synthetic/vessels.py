"""Kettle, electric kettle and teapot, spout to the front: they share spout, lid, base and handle."""

from __future__ import annotations

from collections.abc import Sequence

from .mesh import (
    Paint,
    ellipsoid,
    lathe,
    rod,
    tube,
)
from .model import SIDES, Model, ModelBuilder
from .palette import (
    AMBER,
    BLACK,
    FABRICS,
    GLAZES,
    RED,
    STEEL,
    WHITE,
    shade,
    vary,
)
from .randomness import SeededDraw

Spot = tuple[float, float, float]

_QUARTERS = (("front", 1.0, 0.0), ("left", 0.0, 1.0), ("rear", -1.0, 0.0), ("right", 0.0, -1.0))
# Outlines as fractions of the greatest radius and of the height; the foot and the mouth are added.
_TEAPOT = ((0.88, 0.25), (1.0, 0.47), (0.92, 0.70), (0.68, 0.90))
_KETTLE = ((0.96, 0.0), (1.0, 0.07), (0.97, 0.35), (0.78, 0.72))
# Half of the kettle's bow: fractions of the span, and of the way from its foot to its top.
_BOW = ((1.0, 0.0), (1.05, 0.55), (0.80, 0.86), (0.45, 1.0))


def teapot(draw: SeededDraw) -> Model:
    """A round pot with a curved spout and an ear-shaped handle."""
    builder = ModelBuilder()
    wide, tall = draw.uniform(0.44, 0.52), draw.uniform(0.60, 0.72)
    base, mouth = draw.uniform(0.24, 0.30), draw.uniform(0.20, 0.25)
    color = vary(draw.pick(GLAZES), draw)
    glaze = Paint(color, shine=0.7)
    if draw.chance(0.5):
        glaze = Paint(color, vary(draw.pick((WHITE, shade(color, 0.6))), draw), "stripes", 6.0, (0.0, 0.0, 1.0), 0.7)
    trim = Paint(shade(color, draw.pick((0.6, 1.25))), shine=0.6)
    outline = [(0.0, 0.0), (base, 0.0), (base, 0.04), *_scaled(_TEAPOT, wide, tall), (mouth, tall)]
    builder.add(lathe(outline, glaze, 32, 60.0))
    _lid(builder, mouth + 0.02, tall, (0.04, 0.02, 0.10), trim)
    _knob(builder, tall + 0.09, draw.uniform(0.045, 0.06), trim)
    reach, lip = wide + draw.uniform(0.32, 0.42), tall * draw.uniform(0.92, 1.06)
    bend = [(wide * 0.80, 0.0, tall * 0.30), (wide + 0.12, 0.0, tall * 0.42), (wide + 0.20, 0.0, tall * 0.62)]
    tip = (reach, 0.0, lip)
    builder.add(tube([*bend, (reach - 0.08, 0.0, lip - 0.08), tip], [0.13, 0.10, 0.075, 0.055, 0.05], glaze, 14))
    _mark_spout(builder, (wide * 1.02, 0.0, tall * 0.38), tip, 0.12)
    swell = draw.uniform(0.24, 0.32)
    top, middle, bottom = (
        (-wide * 0.90, 0.0, tall * 0.78),
        (-wide - swell, 0.0, tall * 0.55),
        (-wide * 0.95, 0.0, tall * 0.28),
    )
    upper = [(-wide - swell * 0.6, 0.0, tall * 0.82), (-wide - swell * 0.95, 0.0, tall * 0.70)]
    lower = [(-wide - swell * 0.75, 0.0, tall * 0.38)]
    builder.add(tube([top, *upper, middle, *lower, bottom], [0.045] * 6, trim, 10))
    _mark_handle(builder, top, middle, bottom)
    _mark_rim(builder, "base", "base_rim", base, 0.02, facing=True)
    return builder.build()


def kettle(draw: SeededDraw) -> Model:
    """A kettle for the stove with a bow handle over the lid."""
    builder = ModelBuilder()
    wide, tall, mouth = draw.uniform(0.48, 0.56), draw.uniform(0.50, 0.62), draw.uniform(0.22, 0.28)
    color = vary(draw.pick((STEEL, STEEL, RED, (0.16, 0.35, 0.40), (0.85, 0.80, 0.68), (0.75, 0.45, 0.25))), draw)
    metal = Paint(color, shine=1.0)
    grip = Paint(draw.pick((BLACK, (0.35, 0.2, 0.1))), shine=0.2)
    builder.add(lathe([(0.0, 0.0), *_scaled(_KETTLE, wide, tall), (mouth, tall)], metal, 32, 35.0))
    _lid(builder, mouth + 0.015, tall, (0.04, 0.01, 0.07), Paint(shade(color, 0.85), shine=0.9))
    _knob(builder, tall + 0.065, draw.uniform(0.045, 0.055), grip)
    reach, lip = wide + draw.uniform(0.22, 0.32), tall * draw.uniform(0.88, 1.02)
    root, tip = (wide * 0.74, 0.0, tall * 0.40), (reach, 0.0, lip)
    bend = (root[0] + (reach - root[0]) * 0.6, 0.0, tall * 0.66)
    builder.add(tube([root, bend, tip], [0.12, 0.085, 0.06], metal, 14))
    _mark_spout(builder, (wide * 0.92, 0.0, tall * 0.52), tip, 0.12)
    _bow(builder, wide * 0.80, tall * 0.66, tall + draw.uniform(0.42, 0.52), grip)
    _mark_rim(builder, "base", "base_rim", wide * 0.98, 0.03, facing=True)
    return builder.build()


def kettle_electric(draw: SeededDraw) -> Model:
    """A tall jug kettle on a base plate, with a gauge on both sides and a switch at the foot of the handle."""
    builder = ModelBuilder()
    wide, tall, mouth = draw.uniform(0.38, 0.43), draw.uniform(0.95, 1.10), draw.uniform(0.27, 0.31)
    color = vary(draw.pick((STEEL, WHITE, (0.15, 0.15, 0.17), *FABRICS[:3])), draw)
    shell, plastic = Paint(color, shine=0.5), Paint(vary(draw.pick((BLACK, (0.25, 0.25, 0.27))), draw, 0.02), shine=0.3)
    plate, foot = wide + 0.05, 0.09
    builder.add(lathe([(0.0, 0.0), (plate, 0.0), (plate, 0.04), (plate - 0.04, 0.07), (0.0, 0.07)], plastic, 28))
    builder.add(lathe([(0.0, foot), (wide, foot), (wide, foot + 0.06), (mouth, tall)], shell, 32))
    _lid(builder, mouth + 0.012, tall, (0.05, 0.0, 0.05), plastic)
    _knob(builder, tall + 0.045, 0.04, plastic)
    tip = (mouth + draw.uniform(0.13, 0.18), 0.0, tall - 0.035)
    builder.add(rod((mouth * 0.75, 0.0, tall - 0.20), tip, 0.10, 0.06, shell, 14))
    _mark_spout(builder, (mouth + 0.03, 0.0, tall - 0.15), tip, 0.1)
    out = wide + draw.uniform(0.20, 0.28)
    top, bottom, middle = (-mouth, 0.0, tall - 0.06), (-wide, 0.0, foot + 0.16), (-out, 0.0, tall * 0.58)
    upper = [(-out * 0.9, 0.0, tall - 0.04), (-out, 0.0, tall * 0.82)]
    elbow = (-out * 0.97, 0.0, tall * 0.34)
    builder.add(tube([top, *upper, middle, elbow, bottom], [0.06, 0.06, 0.055, 0.055, 0.055, 0.06], plastic, 12))
    _mark_handle(builder, top, middle, bottom)
    _mark_rim(builder, "base", "base_rim", plate, 0.02, facing=True)
    builder.add(ellipsoid((elbow[0], 0.0, elbow[2] - 0.01), (0.07, 0.075, 0.035), Paint(RED, shine=0.4), count=10))
    builder.mark("kettle_electric_switch", "switch", (elbow[0] - 0.06, 0.0, elbow[2] - 0.01), None, 0.06, "functional")
    _gauges(builder, wide, mouth, foot + 0.06, tall)
    return builder.build()


def _scaled(outline: Sequence[tuple[float, float]], wide: float, tall: float) -> list[tuple[float, float]]:
    return [(radius * wide, z * tall) for radius, z in outline]


def _lid(builder: ModelBuilder, radius: float, z: float, levels: tuple[float, float, float], paint: Paint) -> None:
    """A lid: how far its edge reaches below the rim at z, how far above, and how high its middle is."""
    below, above, crown = levels
    outline = [
        (radius, z - below),
        (radius, z + above),
        (radius * 0.65, z + above + (crown - above) * 0.7),
        (0.0, z + crown),
    ]
    builder.add(lathe(outline, paint, 28))
    _mark_rim(builder, "lid", "lid_rim", radius, z + above, facing=False)


def _knob(builder: ModelBuilder, z: float, radius: float, paint: Paint) -> None:
    middle = (0.0, 0.0, z + radius * 1.5)
    builder.add(rod((0.0, 0.0, z - 0.02), middle, radius * 0.5, radius * 0.5, paint, 10))
    builder.add(ellipsoid(middle, (radius, radius, radius * 0.8), paint, count=12))
    builder.mark("kettle_lid_knob", "lid_knob", middle, None, radius * 1.2, "functional")


def _bow(builder: ModelBuilder, span: float, foot: float, top: float, grip: Paint) -> None:
    """A handle over the lid from the front to the rear wall, with a grip in the middle."""
    half = [(span * x, 0.0, foot + (top - foot) * z) for x, z in _BOW]
    other = [(-x, y, z) for x, y, z in reversed(half)]
    builder.add(tube(half + other, [0.025] * 8, Paint(STEEL, shine=0.6), 10))
    builder.add(rod(other[0], half[-1], 0.055, 0.055, grip, 12))
    for position, x in (("front", span), ("rear", -span)):
        builder.mark(f"kettle_handle_{position}_end", "handle_end", (x, 0.0, foot + 0.04), None, 0.06)
    builder.mark("kettle_handle_center", "handle_center", (0.0, 0.0, top), None, 0.07, "functional")


def _gauges(builder: ModelBuilder, wide: float, mouth: float, low: float, tall: float) -> None:
    """The two water gauges: rods let into the leaning wall."""
    bottom, top = low + (tall - low) * 0.15, low + (tall - low) * 0.75

    def wall(z: float) -> float:
        return wide + (mouth - wide) * (z - low) / (tall - low)

    layers = ((0.05, 0.012, 0.0, Paint(BLACK)), (0.035, 0.022, 0.03, Paint(AMBER, shine=0.8)))
    for side, sign in SIDES:
        for radius, out, margin, paint in layers:
            ends = [(0.0, sign * (wall(z) + out - radius), z) for z in (bottom + margin, top - margin)]
            builder.add(rod(ends[0], ends[1], radius, radius, paint, 14))
        middle = (bottom + top) / 2
        place = (0.0, sign * (wall(middle) + 0.022), middle)
        builder.mark(f"kettle_electric_gauge_{side}_center", "gauge", place, (0.0, sign, 0.0), kind="functional")


def _mark_rim(builder: ModelBuilder, part: str, concept: str, radius: float, z: float, facing: bool) -> None:
    """Four points of a circle about the axis; `facing` = seen only from their own side."""
    for position, x, y in _QUARTERS:
        normal = (x, y, 0.0) if facing else None
        builder.mark(f"kettle_{part}_{position}", concept, (x * radius, y * radius, z), normal, 0.01)


def _mark_spout(builder: ModelBuilder, root: Spot, tip: Spot, root_radius: float) -> None:
    builder.mark("kettle_spout_base", "spout_base", root, None, root_radius)
    builder.mark("kettle_spout_tip", "spout_tip", tip, None, 0.03, "functional")


def _mark_handle(builder: ModelBuilder, top: Spot, middle: Spot, bottom: Spot) -> None:
    """A handle at the rear: its two ends and the middle of its grip."""
    builder.mark("kettle_handle_top_end", "handle_end", (top[0] - 0.06, top[1], top[2]), None, 0.06)
    builder.mark("kettle_handle_bottom_end", "handle_end", (bottom[0] - 0.06, bottom[1], bottom[2]), None, 0.06)
    builder.mark("kettle_handle_center", "handle_center", middle, None, 0.06, "functional")
