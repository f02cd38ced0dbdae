"""Car, bus and ambulance: they share wheels, mirrors, lamps, plates and the windscreen."""

from __future__ import annotations

from . import vehicle_parts as parts
from .blocks import block, stump
from .mesh import Paint, rod
from .model import SIDES, Model, ModelBuilder
from .palette import (
    AMBER,
    CAR_COLORS,
    RED,
    STEEL,
    WHITE,
    shade,
    vary,
)
from .randomness import SeededDraw
from .vehicle_parts import DARK, FLANKS, GLAZING


def car(draw: SeededDraw) -> Model:
    """A saloon or hatchback."""
    builder = ModelBuilder()
    length, width = draw.uniform(3.9, 4.6), draw.uniform(1.65, 1.85)
    belt, roof = draw.uniform(0.86, 0.96), draw.uniform(1.38, 1.55)
    deck = draw.pick((0.05, 0.10, 0.55, 0.65))
    front, half = length / 2, width / 2
    paint = Paint(vary(draw.pick(CAR_COLORS), draw), shine=0.35)
    lower = block((-front, front), (-half, half), (0.26, 0.66))
    shoulder = stump(
        (-front, front), (-half, half), (0.66, belt), (-front + 0.06, front - 0.24), (-half + 0.06, half - 0.06)
    )
    cabin = stump(
        (-front + 0.08 + deck, front - 1.10),
        (-half + 0.08, half - 0.08),
        (belt, roof),
        (-front + 0.42 + deck, front - 1.85),
        (-half + 0.26, half - 0.26),
    )
    builder.add(*(part.mesh(paint) for part in (lower, shoulder, cabin)))
    builder.add(lower.face("front").panel((0.27, 0.73), (0.5, 0.9), DARK))
    builder.add(cabin.face("rear").panel((0.1, 0.9), (0.15, 0.85), GLAZING))
    trim = Paint(shade(paint.color, 0.45))
    for side in FLANKS:
        window, flank, upper = cabin.face(side), lower.face(side), shoulder.face(side)
        builder.add(
            window.panel((0.10, 0.49), (0.10, 0.88), GLAZING), window.panel((0.53, 0.92), (0.10, 0.88), GLAZING)
        )
        for seam in (0.33, 0.50, 0.69):
            builder.add(*(face.panel((seam - 0.003, seam + 0.003), (0.0, 1.0), trim) for face in (flank, upper)))
    parts.add_windscreen(builder, cabin.face("front"), (0.08, 0.92))
    parts.add_wheels(builder, length * 0.31, -length * 0.29, half, draw.uniform(0.31, 0.35))
    parts.add_mirrors(builder, (front - 1.30, half - 0.05, belt + 0.10), (0.07, 0.12, 0.085), paint)
    parts.add_front_lamps(builder, lower.face("front"), (0.58, 0.93))
    parts.add_rear_lamps(builder, lower.face("rear"), (0.58, 0.93))
    parts.add_plate(builder, "front", lower.face("front"), (0.12, 0.40))
    parts.add_plate(builder, "rear", lower.face("rear"), (0.30, 0.58))
    parts.add_door_handles(builder, lower, "car_doorhandle_front", 0.53, 0.86)
    parts.add_door_handles(builder, lower, "car_doorhandle_rear", 0.36, 0.86)
    parts.mark_corners(builder, cabin, "car_roof", "car_roof_corner")
    return builder.build()


def bus(draw: SeededDraw) -> Model:
    """A city bus with its doors on the right."""
    builder = ModelBuilder()
    length, roof = draw.uniform(7.2, 9.6), draw.uniform(2.9, 3.2)
    front, half = length / 2, 1.25
    paint = Paint(vary(draw.pick(CAR_COLORS), draw), shine=0.2)
    band = Paint(vary(draw.pick((WHITE, shade(paint.color, 0.5), (0.9, 0.8, 0.3))), draw))
    body = stump(
        (-front, front), (-half, half), (0.38, roof), (-front + 0.04, front - 0.12), (-half + 0.08, half - 0.08)
    )
    builder.add(body.mesh(paint))
    face, right = body.face("front"), body.face("right")
    builder.add(face.panel((0.2, 0.8), (0.86, 0.96), DARK), face.panel((0.28, 0.72), (0.88, 0.94), Paint(AMBER), 0.02))
    builder.mark("bus_display_front_center", "display", face.at(0.5, 0.91, 0.02), face.normal, kind="functional")
    builder.add(body.face("rear").panel((0.15, 0.85), (0.5, 0.85), GLAZING))
    for side in FLANKS:
        flank = body.face(side)
        builder.add(flank.panel((0.0, 1.0), (0.20, 0.30), band))
        for index in range(6):
            start = 0.03 + index * 0.94 / 6
            builder.add(flank.panel((start + 0.008, start + 0.94 / 6 - 0.008), (0.48, 0.82), GLAZING, 0.012))
    for position, middle in (("front", 0.93), ("middle", 0.5)):
        low, high = middle - 0.06, middle + 0.06
        builder.add(right.panel((low, high), (0.03, 0.86), Paint(STEEL), 0.025))
        builder.add(right.panel((low + 0.008, middle - 0.004), (0.07, 0.82), GLAZING, 0.04))
        builder.add(right.panel((middle + 0.004, high - 0.008), (0.07, 0.82), GLAZING, 0.04))
        place = right.at(middle, 0.44, 0.04)
        builder.mark(f"bus_door_{position}_center", "door_center", place, right.normal, kind="functional")
    parts.add_windscreen(builder, face, (0.36, 0.83))
    parts.add_wheels(builder, length * 0.27, -length * 0.26, half, 0.48)
    parts.add_mirrors(builder, (front - 0.06, half, roof * 0.66), (0.09, 0.15, 0.26), DARK)
    parts.add_front_lamps(builder, face, (0.13, 0.22))
    parts.add_rear_lamps(builder, body.face("rear"), (0.12, 0.26))
    parts.add_plate(builder, "front", face, (0.03, 0.09))
    parts.add_plate(builder, "rear", body.face("rear"), (0.05, 0.11))
    parts.mark_corners(builder, body, "bus_carriage", "carriage_corner", ("top", "bottom"))
    return builder.build()


def ambulance(draw: SeededDraw) -> Model:
    """A van cab with a box behind it: a colored stripe, a cross on the flanks, blue lights on the roof."""
    builder = ModelBuilder()
    length, width = draw.uniform(5.2, 6.0), draw.uniform(2.0, 2.2)
    front, half = length / 2, width / 2
    roof, cab_roof = draw.uniform(2.5, 2.75), draw.uniform(1.95, 2.1)
    white = Paint(vary(draw.pick((WHITE, (0.95, 0.93, 0.84), (0.92, 0.86, 0.35))), draw, 0.03), shine=0.2)
    stripe = Paint(vary(draw.pick((RED, AMBER, (0.1, 0.25, 0.6), (0.1, 0.5, 0.3))), draw, 0.04))
    wall = front - draw.uniform(1.75, 1.95)
    carriage = block((-front, wall), (-half, half), (0.32, roof))
    nose = stump(
        (wall, front), (-half + 0.04, half - 0.04), (0.32, 1.12), (wall, front - 0.14), (-half + 0.1, half - 0.1)
    )
    cab = stump(
        (wall, front - 0.5),
        (-half + 0.11, half - 0.11),
        (1.12, cab_roof),
        (wall, front - 1.2),
        (-half + 0.2, half - 0.2),
    )
    builder.add(*(part.mesh(white) for part in (carriage, nose, cab)))
    builder.add(nose.face("front").panel((0.27, 0.73), (0.42, 0.72), DARK))
    for side in FLANKS:
        flank, door = carriage.face(side), nose.face(side)
        builder.add(flank.panel((0.0, 1.0), (0.24, 0.38), stripe), door.panel((0.0, 0.99), (0.60, 0.86), stripe))
        builder.add(flank.panel((0.66, 0.92), (0.62, 0.86), GLAZING))
        builder.add(
            flank.panel((0.36, 0.44), (0.50, 0.90), stripe), flank.panel((0.26, 0.54), (0.635, 0.765), stripe, 0.015)
        )
        builder.mark(f"ambulance_cross_{side}_center", "emblem", flank.at(0.40, 0.70, 0.015), flank.normal)
        builder.add(cab.face(side).panel((0.06, 0.74), (0.10, 0.86), GLAZING))
        builder.add(door.panel((0.05, 0.06), (0.1, 1.0), DARK), door.panel((0.55, 0.56), (0.1, 1.0), DARK))
    rear = carriage.face("rear")
    builder.add(rear.panel((0.0, 1.0), (0.24, 0.38), stripe), rear.panel((0.495, 0.505), (0.05, 0.95), DARK, 0.015))
    builder.add(rear.panel((0.12, 0.44), (0.55, 0.85), GLAZING), rear.panel((0.56, 0.88), (0.55, 0.85), GLAZING))
    blue = Paint((0.12, 0.30, 0.95), shine=0.8)
    for side_name, sign in SIDES:
        x, y = wall - 0.25, sign * (half - 0.4)
        builder.add(rod((x, y, roof), (x, y, roof + 0.22), 0.19, 0.15, blue))
        builder.mark(f"ambulance_siren_{side_name}", "siren", (x, y, roof + 0.12), None, 0.2, "functional")
    parts.add_windscreen(builder, cab.face("front"), (0.08, 0.92))
    parts.add_wheels(builder, length * 0.31, -length * 0.27, half, 0.38)
    parts.add_mirrors(builder, (front - 0.72, half - 0.02, 1.32), (0.08, 0.13, 0.19), DARK)
    parts.add_front_lamps(builder, nose.face("front"), (0.48, 0.70))
    parts.add_rear_lamps(builder, rear, (0.08, 0.20))
    parts.add_plate(builder, "front", nose.face("front"), (0.12, 0.26))
    parts.add_plate(builder, "rear", rear, (0.10, 0.16))
    parts.add_door_handles(builder, nose, "car_doorhandle_front", 0.14, 0.93)
    parts.mark_corners(builder, cab, "car_roof", "car_roof_corner", ends=("front",))
    parts.mark_corners(builder, carriage, "ambulance_carriage", "carriage_corner", ("top", "bottom"))
    return builder.build()
