"""Parts and keypoints that all vehicles have."""

from __future__ import annotations

from .blocks import (
    Block,
    Face,
    FaceName,
    block,
)
from .mesh import Paint, ellipsoid, rod
from .model import ENDS, SIDES, ModelBuilder
from .palette import (
    AMBER,
    BLACK,
    GLASS,
    LAMP,
    RED,
    RUBBER,
    STEEL,
    WHITE,
)

GLAZING = Paint(GLASS, shine=0.5)
DARK = Paint(BLACK)
FLANKS: tuple[FaceName, ...] = ("left", "right")


def add_windscreen(builder: ModelBuilder, face: Face, up: tuple[float, float]) -> None:
    """A front window between two heights of a face, with its four corners."""
    across = (0.06, 0.94)
    builder.add(face.panel(across, up, GLAZING))
    for level, height in (("top", up[1]), ("bottom", up[0])):
        for side, place in (("left", across[1]), ("right", across[0])):
            name = f"vehicle_windscreen_{level}_{side}"
            builder.mark(name, "windscreen_corner", face.at(place, height, 0.01), face.normal)


def add_wheels(builder: ModelBuilder, front: float, rear: float, half: float, radius: float) -> None:
    """Four wheels at x = front and rear, flush with the flanks at y = +-half; their centers on the outer faces."""
    rim = Paint(STEEL, shine=0.5)
    for end, _ in ENDS:
        x = front if end == "front" else rear
        for side, sign in SIDES:
            y = [sign * (half + out) for out in (-0.22, 0.004, 0.03, 0.045, 0.06)]
            builder.add(
                rod((x, y[0], radius * 1.05), (x, y[1], radius * 1.05), radius * 1.18, radius * 1.18, DARK, 24),
                rod((x, y[0], radius), (x, y[2], radius), radius, radius * 0.97, Paint(RUBBER), 24),
                rod((x, y[1], radius), (x, y[3], radius), radius * 0.64, radius * 0.60, rim, 16),
                rod((x, y[1], radius), (x, y[4], radius), radius * 0.20, radius * 0.16, DARK, 10),
            )
            name = f"vehicle_wheel_{end}_{side}_center"
            builder.mark(name, "wheel_center", (x, y[4], radius), (0, sign, 0), kind="functional")


def add_mirrors(
    builder: ModelBuilder, place: tuple[float, float, float], size: tuple[float, float, float], paint: Paint
) -> None:
    """Two mirrors; `place` is where the left one begins, `size` its half depth, half width and half height."""
    x, y, z = place
    for side, sign in SIDES:
        middle = sign * (y + size[1])
        builder.add(ellipsoid((x, middle, z), size, paint, count=10))
        builder.add(rod((x, sign * (y - 0.05), z - size[2] * 0.6), (x, middle, z), 0.03, 0.03, DARK, 6))
        builder.mark(f"vehicle_mirror_{side}", "mirror", (x, middle, z), None, max(size), "functional")


def add_front_lamps(builder: ModelBuilder, face: Face, up: tuple[float, float]) -> None:
    """Headlights, and indicators beside them at the outer edges."""
    for side, lamp, indicator in (("left", (0.76, 0.93), (0.94, 0.995)), ("right", (0.07, 0.24), (0.005, 0.06))):
        builder.add(face.panel(lamp, up, Paint(LAMP, shine=0.6)), face.panel(indicator, up, Paint(AMBER, shine=0.4)))
        height = (up[0] + up[1]) / 2
        place = face.at((lamp[0] + lamp[1]) / 2, height, 0.01)
        builder.mark(f"vehicle_headlight_{side}_center", "headlight", place, face.normal, kind="functional")
        place = face.at((indicator[0] + indicator[1]) / 2, height, 0.01)
        builder.mark(f"vehicle_front_{side}_indicator", "indicator", place, face.normal, kind="functional")


def add_rear_lamps(builder: ModelBuilder, face: Face, up: tuple[float, float]) -> None:
    """Tail lights."""
    for side, lamp in (("left", (0.84, 0.98)), ("right", (0.02, 0.16))):
        builder.add(face.panel(lamp, up, Paint(RED, shine=0.5)))
        place = face.at((lamp[0] + lamp[1]) / 2, (up[0] + up[1]) / 2, 0.01)
        builder.mark(f"vehicle_taillight_{side}_center", "taillight", place, face.normal, kind="functional")


def add_plate(builder: ModelBuilder, end: str, face: Face, up: tuple[float, float]) -> None:
    """A number plate in the middle of the front or rear face."""
    builder.add(face.panel((0.37, 0.63), up, Paint(WHITE), 0.02))
    inner = (up[0] * 0.7 + up[1] * 0.3, up[0] * 0.3 + up[1] * 0.7)
    builder.add(face.panel((0.41, 0.59), inner, DARK, 0.025))
    place = face.at(0.5, (up[0] + up[1]) / 2, 0.025)
    builder.mark(f"vehicle_numberplate_{end}", "numberplate", place, face.normal)


def add_door_handles(builder: ModelBuilder, body: Block, name: str, across: float, up: float) -> None:
    """A handle on both flanks, `across` from rear to front."""
    for side, sign in SIDES:
        face = body.face("left" if side == "left" else "right")
        x, y, z = (float(value) for value in face.at(across, up))
        depth = sorted((y, y + sign * 0.05))
        builder.add(block((x - 0.11, x + 0.11), (depth[0], depth[1]), (z - 0.025, z + 0.025)).mesh(DARK))
        builder.mark(f"{name}_{side}", "door_handle", (x, y + sign * 0.05, z), face.normal, kind="functional")


def mark_corners(
    builder: ModelBuilder,
    body: Block,
    name: str,
    concept: str,
    levels: tuple[str, ...] = ("top",),
    ends: tuple[str, ...] = ("front", "rear"),
) -> None:
    """Corners of a block as keypoints `<name>_<end>[_<level>]_<side>`; the level is said where there are several."""
    for end in ends:
        for level in levels:
            for side, _ in SIDES:
                parts = [name, end, level, side] if len(levels) > 1 else [name, end, side]
                builder.mark("_".join(parts), concept, body.corner(end, side, level))
