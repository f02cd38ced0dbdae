"""Chair, armchair and highchair: they share legs, seat corners and backrest."""

from __future__ import annotations

from .blocks import (
    Block,
    bar,
    block,
    stump,
)
from .mesh import RGB, Paint, rod
from .model import (
    ENDS,
    SIDES,
    Model,
    ModelBuilder,
)
from .palette import (
    FABRICS,
    GLAZES,
    STEEL,
    WOODS,
    shade,
    vary,
)
from .randomness import SeededDraw


def _wood(color: RGB, draw: SeededDraw) -> Paint:
    base = vary(color, draw, 0.04)
    return Paint(base, shade(base, 0.72), "wood", scale=9.0, shine=0.1)


def _cloth(draw: SeededDraw) -> Paint:
    base = vary(draw.pick(FABRICS), draw)
    if draw.chance(0.35):
        return Paint(base, shade(base, 1.35), "checks", scale=draw.uniform(9.0, 13.0))
    return Paint(base, shade(base, 0.85), "fur", scale=60.0)


def _legs(
    builder: ModelBuilder,
    foot: tuple[float, float],
    hip: tuple[float, float],
    height: float,
    width: float,
    paint: Paint,
) -> None:
    """Four legs from the ground at (+-x, +-y) = foot to `height` at hip."""
    for end, along in ENDS:
        for side, sign in SIDES:
            low, high = (along * foot[0], sign * foot[1], 0.0), (along * hip[0], sign * hip[1], height)
            builder.add(bar(low, high, width, width).mesh(paint))
            name = f"chair_leg_{end}_{side}_bottom"
            builder.mark(name, "leg_bottom", (low[0], low[1], 0.005), None, width)


def _seat(builder: ModelBuilder, seat: Block) -> None:
    """The four upper corners and the middle of the seat."""
    for end, _ in ENDS:
        for side, _ in SIDES:
            place = seat.corner(end, side, "top")
            builder.mark(f"chair_seat_{end}_{side}_corner", "seat_corner", place, None, 0.01)
    top = seat.face("top")
    builder.mark("chair_seat_center", "seat_center", top.at(0.5, 0.5), top.normal, kind="functional")


def _backrest(builder: ModelBuilder, back: Block) -> None:
    """The two upper corners and the middle of the front of the backrest."""
    for side, _ in SIDES:
        place = (back.corner("front", side, "top") + back.corner("rear", side, "top")) / 2
        builder.mark(f"chair_backrest_top_{side}", "backrest_corner", place, None, 0.03)
    face = back.face("front")
    builder.mark("chair_backrest_center", "backrest_center", face.at(0.5, 0.55), face.normal, 0.01, "functional")


def chair(draw: SeededDraw) -> Model:
    """A wooden chair with four straight legs."""
    builder = ModelBuilder()
    half_x, half_y = draw.uniform(0.20, 0.23), draw.uniform(0.20, 0.24)
    height, top = draw.uniform(0.43, 0.49), draw.uniform(0.86, 1.02)
    lean, leg = draw.uniform(0.05, 0.12), draw.uniform(0.035, 0.05)
    wood = _wood(draw.pick(WOODS), draw)
    cover = _cloth(draw) if draw.chance(0.6) else wood
    seat = block((-half_x, half_x), (-half_y, half_y), (height - 0.045, height))
    splay = draw.uniform(0.0, 0.03)
    inset = leg / 2
    _legs(
        builder,
        (half_x - inset + splay, half_y - inset + splay),
        (half_x - inset, half_y - inset),
        height - 0.045,
        leg,
        wood,
    )
    builder.add(seat.mesh(cover))
    rear = -half_x + inset
    for _, sign in SIDES:
        y = sign * (half_y - inset)
        builder.add(bar((rear, y, height), (rear - lean, y, top), leg, leg).mesh(wood))
    split, span = draw.uniform(0.30, 0.55), (-half_y + 0.01, half_y - 0.01)
    low, low_x, top_x = height + (top - height) * split, rear - lean * split, rear - lean
    back = stump((low_x - 0.012, low_x + 0.022), span, (low, top), (top_x - 0.012, top_x + 0.022), span)
    builder.add(back.mesh(cover if draw.chance(0.5) else wood))
    for _, sign in SIDES:
        y = sign * (half_y - inset)
        builder.add(block((-half_x + leg, half_x - leg), (y - 0.01, y + 0.01), (0.16, 0.185)).mesh(wood))
    _seat(builder, seat)
    _backrest(builder, back)
    return builder.build()


def armchair(draw: SeededDraw) -> Model:
    """A padded armchair on short legs."""
    builder = ModelBuilder()
    half_x, half_y = draw.uniform(0.38, 0.43), draw.uniform(0.40, 0.46)
    seat_z, arm_z, top = draw.uniform(0.40, 0.46), draw.uniform(0.58, 0.66), draw.uniform(0.88, 1.02)
    arm, thick, foot = draw.uniform(0.12, 0.16), draw.uniform(0.15, 0.20), draw.uniform(0.09, 0.14)
    cloth = _cloth(draw)
    cushion = Paint(shade(cloth.color, 1.18), shade(cloth.color, 1.05), "fur", scale=60.0)
    _legs(
        builder,
        (half_x - 0.05, half_y - 0.05),
        (half_x - 0.06, half_y - 0.06),
        foot,
        0.06,
        _wood(draw.pick(WOODS), draw),
    )
    inner = half_y - arm
    base = block((-half_x, half_x - 0.02), (-half_y + 0.01, half_y - 0.01), (foot, seat_z - 0.13))
    seat = block((-half_x + thick, half_x + 0.01), (-inner, inner), (seat_z - 0.13, seat_z))
    back = stump(
        (-half_x, -half_x + thick),
        (-half_y + 0.03, half_y - 0.03),
        (seat_z - 0.13, top),
        (-half_x - 0.08, -half_x + thick - 0.12),
        (-half_y + 0.06, half_y - 0.06),
    )
    builder.add(base.mesh(cloth), seat.mesh(cushion), back.mesh(cloth))
    _seat(builder, seat)
    _backrest(builder, back)
    for side, sign in SIDES:
        middle = sign * (inner + half_y) / 2
        rest = block((-half_x + 0.02, half_x), (middle - arm / 2, middle + arm / 2), (foot, arm_z))
        roll = rod((-half_x + 0.02, middle, arm_z), (half_x + 0.012, middle, arm_z), arm / 2, arm / 2, cloth, 14)
        builder.add(rest.mesh(cloth), roll)
        builder.mark(f"chair_armrest_{side}_front", "armrest_end", (half_x + 0.012, middle, arm_z), (1, 0, 0))
        builder.mark(
            f"chair_armrest_{side}_rear", "armrest_root", (-half_x + thick, middle, arm_z + arm / 2), (0, 0, 1)
        )
    return builder.build()


def highchair(draw: SeededDraw) -> Model:
    """A child's chair on long splayed legs with a tray and a footrest."""
    builder = ModelBuilder()
    half_x, half_y = draw.uniform(0.16, 0.19), draw.uniform(0.17, 0.20)
    height, top = draw.uniform(0.54, 0.62), draw.uniform(0.96, 1.08)
    metal = draw.chance(0.4)
    frame = Paint(STEEL, shine=0.6) if metal else _wood(draw.pick(WOODS), draw)
    color = vary(draw.pick(GLAZES + FABRICS), draw)
    plastic = Paint(color, shine=0.25)
    splay = draw.uniform(0.09, 0.14)
    _legs(builder, (half_x + splay, half_y + splay * 0.7), (half_x - 0.03, half_y - 0.03), height - 0.04, 0.036, frame)
    seat = block((-half_x, half_x), (-half_y, half_y), (height - 0.04, height))
    back = stump(
        (-half_x - 0.03, -half_x + 0.02),
        (-half_y, half_y),
        (height, top),
        (-half_x - 0.12, -half_x - 0.07),
        (-half_y + 0.02, half_y - 0.02),
    )
    builder.add(seat.mesh(plastic), back.mesh(plastic))
    _seat(builder, seat)
    _backrest(builder, back)
    arm_z = height + draw.uniform(0.17, 0.21)
    for side, sign in SIDES:
        y = sign * (half_y - 0.01)
        builder.add(block((-half_x - 0.03, half_x + 0.02), (y - 0.02, y + 0.02), (arm_z - 0.03, arm_z)).mesh(frame))
        builder.add(block((half_x - 0.03, half_x), (y - 0.015, y + 0.015), (height, arm_z - 0.03)).mesh(frame))
        builder.mark(f"chair_armrest_{side}_rear", "armrest_root", (-half_x - 0.01, y, arm_z), (0, 0, 1), 0.03)
    tray = block((half_x - 0.06, half_x + 0.20), (-half_y - 0.05, half_y + 0.05), (arm_z, arm_z + 0.03))
    builder.add(tray.mesh(Paint(shade(color, 1.3) if draw.chance(0.5) else (0.9, 0.9, 0.88), shine=0.3)))
    for end, _ in ENDS:
        for side, _ in SIDES:
            builder.mark(
                f"highchair_tray_{end}_{side}_corner", "tray_corner", tray.corner(end, side, "top"), None, 0.01
            )
    rest_z = height * 0.42
    reach = half_x + splay * 0.55
    rest = block((reach - 0.02, reach + 0.10), (-half_y - 0.04, half_y + 0.04), (rest_z, rest_z + 0.025))
    builder.add(rest.mesh(frame))
    for side, sign in SIDES:
        place = (reach + 0.10, sign * (half_y + 0.04), rest_z + 0.0125)
        builder.mark(f"highchair_footrest_{side}", "footrest_end", place, None, 0.02, "functional")
    return builder.build()
