"""Golden retriever, cheetah and zebra: one body plan, twenty shared keypoints, different build and coat."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .mesh import (
    FloatArray,
    Mesh,
    Paint,
    Vertex,
    ellipsoid,
    join,
    tube,
    turn,
)
from .model import SIDES, Model, ModelBuilder
from .palette import BLACK, shade, vary
from .randomness import SeededDraw


@dataclass(frozen=True)
class Build:
    """Proportions in meters.

    Attributes:
        length: of the trunk.
        height: of the back above the ground.
        depth: half height of the trunk.
        girth: half width of the trunk.
        leg: half thickness of the lower leg.
        neck: how far the head is in front of and above the withers.
        head: half length, width and height of the skull.
        pitch: of the head, degrees, positive = nose down.
        muzzle: length and half width.
        ear: half width and half height.
        hanging_ears: ears hang beside the head instead of standing on it.
        tail: (backward, upward) places of its joints from the root.
        tail_radii: half thickness at each joint.
    """

    length: float
    height: float
    depth: float
    girth: float
    leg: float
    neck: tuple[float, float]
    head: tuple[float, float, float]
    pitch: float
    muzzle: tuple[float, float]
    ear: tuple[float, float]
    hanging_ears: bool
    tail: tuple[tuple[float, float], ...]
    tail_radii: tuple[float, ...]


@dataclass(frozen=True)
class Coat:
    """The paints of the parts."""

    trunk: Paint
    legs: Paint
    head: Paint
    muzzle: Paint
    ears: Paint
    tail: Paint
    tail_tip: Paint
    feet: Paint


_DARK = Paint(BLACK, shine=0.5)


def golden_retriever(draw: SeededDraw) -> Model:
    """A stocky dog with hanging ears and a bushy tail."""
    gold = vary(draw.pick(((0.80, 0.58, 0.30), (0.88, 0.72, 0.46), (0.66, 0.42, 0.20))), draw, 0.04)
    fur = Paint(gold, shade(gold, 0.70), "fur", scale=28.0)
    light = Paint(shade(gold, 1.12), shade(gold, 0.85), "fur", scale=28.0)
    ears = Paint(shade(gold, 0.72), shade(gold, 0.55), "fur", 30.0)
    coat = Coat(trunk=fur, legs=fur, head=fur, muzzle=light, ears=ears, tail=light, tail_tip=light, feet=light)
    build = Build(
        length=0.66,
        height=0.60,
        depth=0.165,
        girth=0.130,
        leg=0.036,
        neck=(0.13, 0.11),
        head=(0.115, 0.085, 0.09),
        pitch=12.0,
        muzzle=(0.135, 0.047),
        ear=(0.050, 0.090),
        hanging_ears=True,
        tail=((0.0, 0.0), (0.14, 0.05), (0.27, 0.13), (0.36, 0.20)),
        tail_radii=(0.040, 0.055, 0.045, 0.012),
    )
    return _animal(draw, build, coat)


def cheetah(draw: SeededDraw) -> Model:
    """A slender spotted cat with a small head and a long tail."""
    tan = vary(draw.pick(((0.85, 0.66, 0.38), (0.90, 0.74, 0.48), (0.78, 0.58, 0.32))), draw, 0.04)
    spots = Paint(tan, (0.12, 0.09, 0.07), "spots", scale=draw.uniform(15.0, 19.0))
    pale = Paint(shade(tan, 1.25), shade(tan, 1.1), "fur", 30.0)
    face, ears = replace(spots, scale=26.0), Paint(shade(tan, 0.55))
    coat = Coat(trunk=spots, legs=spots, head=face, muzzle=pale, ears=ears, tail=spots, tail_tip=_DARK, feet=pale)
    build = Build(
        length=0.86,
        height=0.76,
        depth=0.140,
        girth=0.110,
        leg=0.034,
        neck=(0.19, 0.12),
        head=(0.100, 0.080, 0.080),
        pitch=8.0,
        muzzle=(0.060, 0.045),
        ear=(0.036, 0.036),
        hanging_ears=False,
        tail=((0.0, 0.0), (0.10, -0.10), (0.22, -0.30), (0.40, -0.38), (0.58, -0.30)),
        tail_radii=(0.035, 0.032, 0.030, 0.030, 0.022),
    )
    return _animal(draw, build, coat)


def zebra(draw: SeededDraw) -> Model:
    """A striped horse with an upright mane and a tufted tail."""
    white, black = vary((0.90, 0.88, 0.83), draw, 0.04), vary((0.11, 0.10, 0.10), draw, 0.02)
    stripes = Paint(white, black, "stripes", draw.uniform(6.0, 7.5), (1.0, 0.0, 0.25))
    rings = replace(stripes, scale=9.0, axis=(0.15, 0.0, 1.0))
    neck = replace(stripes, axis=(0.8, 0.0, 0.6))
    dark, muzzle = Paint(black), Paint(shade(black, 2.2))
    coat = Coat(trunk=stripes, legs=rings, head=neck, muzzle=muzzle, ears=rings, tail=rings, tail_tip=dark, feet=dark)
    build = Build(
        length=1.25,
        height=1.28,
        depth=0.285,
        girth=0.250,
        leg=0.058,
        neck=(0.38, 0.42),
        head=(0.185, 0.105, 0.135),
        pitch=38.0,
        muzzle=(0.280, 0.080),
        ear=(0.045, 0.115),
        hanging_ears=False,
        tail=((0.0, 0.0), (0.07, -0.10), (0.10, -0.35), (0.11, -0.60)),
        tail_radii=(0.045, 0.035, 0.030, 0.060),
    )
    return _animal(draw, build, coat, mane=Paint(black, white, "stripes", 9.0, (0.8, 0.0, 0.6)))


def _animal(draw: SeededDraw, build: Build, coat: Coat, mane: Paint | None = None) -> Model:
    builder = ModelBuilder()
    build = _individual(draw, build)
    length, depth, girth = build.length, build.depth, build.girth
    axis = build.height - depth
    builder.add(
        ellipsoid((0, 0, axis), (length * 0.50, girth * 0.92, depth * 0.92), coat.trunk, count=20),
        ellipsoid((length * 0.27, 0, axis - depth * 0.03), (length * 0.26, girth, depth), coat.trunk, count=18),
        ellipsoid(
            (-length * 0.30, 0, axis + depth * 0.05), (length * 0.22, girth * 0.97, depth * 0.95), coat.trunk, count=18
        ),
    )
    withers = (length * 0.30, 0.0, axis - depth * 0.03 + depth * 0.99)
    builder.mark("animal_withers", "withers", withers, None, depth * 0.12)
    _head(builder, draw, build, coat, mane)
    _legs(builder, draw, build, coat)
    _tail(builder, draw, build, coat)
    return builder.build()


def _individual(draw: SeededDraw, build: Build) -> Build:
    """The build with proportions of its own."""

    def near(value: float, amount: float = 0.07) -> float:
        return value * draw.uniform(1 - amount, 1 + amount)

    size = near(1.0, 0.05)
    return replace(
        build,
        length=near(build.length),
        height=build.height * size,
        depth=near(build.depth),
        girth=near(build.girth, 0.10),
        leg=near(build.leg, 0.12),
        neck=(near(build.neck[0], 0.12), near(build.neck[1], 0.25)),
        pitch=build.pitch + draw.uniform(-8.0, 10.0),
    )


@dataclass(frozen=True)
class _Frame:
    """A turned and shifted frame for the parts of the head."""

    offset: FloatArray
    pitch: float
    yaw: float

    def point(self, x: float, y: float, z: float) -> FloatArray:
        return self.direction(x, y, z) + self.offset

    def direction(self, x: float, y: float, z: float) -> FloatArray:
        return turn(np.array([x, y, z]), self.pitch, 0.0, self.yaw)

    def mesh(self, mesh: Mesh) -> Mesh:
        corners = turn(mesh.corners, self.pitch, 0.0, self.yaw) + self.offset
        return replace(mesh, corners=corners, normals=turn(mesh.normals, self.pitch, 0.0, self.yaw))


def _head(builder: ModelBuilder, draw: SeededDraw, build: Build, coat: Coat, mane: Paint | None) -> None:
    """Neck, skull, muzzle, eyes, ears and nose."""
    long, wide, high = build.head
    shoulder = np.array([build.length * 0.36, 0.0, build.height - build.depth * 0.85])
    place = np.array([build.length * 0.40 + build.neck[0], 0.0, build.height + build.neck[1]])
    thick = build.depth * 0.72
    builder.add(
        tube(
            [shoulder, (shoulder + place) / 2 + (0, 0, thick * 0.1), place - (long * 0.25, 0, high * 0.2)],
            [thick, thick * 0.72, high * 0.80],
            coat.head,
            16,
        )
    )
    if mane is not None:
        top = place + np.array([-long * 0.3, 0, high * 0.9])
        root = shoulder + np.array([-build.length * 0.04, 0, thick * 1.05])
        middle = (top + root) / 2 + np.array([-0.02, 0, 0.03])
        for start, end in ((root, middle), (middle, top)):
            builder.add(_blade(start, end, 0.025, 0.085, mane))
    head = _Frame(place, build.pitch, draw.uniform(-14.0, 14.0))
    reach, snout = build.muzzle
    tip = long * 0.75 + reach
    builder.add(
        head.mesh(ellipsoid((0, 0, 0), build.head, coat.head, count=16)),
        head.mesh(
            tube(
                [(long * 0.35, 0, -high * 0.18), (long * 0.75 + reach * 0.5, 0, -high * 0.30), (tip, 0, -high * 0.34)],
                [wide * 0.80, snout * 1.08, snout * 0.90],
                coat.muzzle,
                14,
            )
        ),
        head.mesh(ellipsoid((tip, 0, -high * 0.36), (snout * 0.55, snout * 0.90, snout * 0.85), coat.muzzle, count=12)),
    )
    nose = (tip + snout * 0.42, 0.0, -high * 0.34 + snout * 0.38)
    builder.add(head.mesh(ellipsoid(nose, (snout * 0.32, snout * 0.48, snout * 0.36), _DARK, count=10)))
    builder.mark("animal_nose", "nose", head.point(*nose), None, snout * 0.6, "functional")
    for side, sign in SIDES:
        normal = np.array([0.52, sign * 0.70, 0.49])
        spot = normal * build.head
        radius = wide * 0.17
        builder.add(head.mesh(ellipsoid(spot, (radius, radius, radius), _DARK, count=10)))
        front = head.point(*(spot + normal * radius))
        builder.mark(f"animal_eye_{side}", "eye", front, head.direction(*normal), radius * 0.8, "functional")
        _ear(builder, head, build, coat, side, sign)


def _blade(start: FloatArray, end: FloatArray, thickness: float, height: float, paint: Paint) -> Mesh:
    """A flat upright ridge along a line in the middle plane."""
    along = end - start
    length = float(np.sqrt(along[0] ** 2 + along[2] ** 2))
    pieces = [start + along * share for share in (0.1, 0.3, 0.5, 0.7, 0.9)]
    pitch = -45.0 if along[0] > 0 else 0.0
    return join([ellipsoid(piece, (length * 0.18, thickness, height), paint, pitch, count=10) for piece in pieces])


def _ear(builder: ModelBuilder, head: _Frame, build: Build, coat: Coat, side: str, sign: float) -> None:
    long, wide, high = build.head
    half, tall = build.ear
    if build.hanging_ears:
        center, tip = (-long * 0.15, sign * wide * 1.04, high * 0.42 - tall * 0.70), -tall * 0.85
        ear = ellipsoid(center, (half, half * 0.35, tall), coat.ears, roll=sign * 8.0, count=12)
        slack = half * 0.5
    else:
        center, tip = (-long * 0.35, sign * wide * 0.66, high * 0.62 + tall * 0.75), tall * 0.85
        ear = ellipsoid(center, (half * 0.45, half, tall), coat.ears, roll=-sign * 14.0, count=12)
        slack = half
    builder.add(head.mesh(ear))
    lean = turn(np.array([0.0, 0.0, tip]), roll=sign * (8.0 if build.hanging_ears else -14.0))
    builder.mark(f"animal_ear_{side}_tip", "ear_tip", head.point(*(lean + center)), None, slack)


def _legs(builder: ModelBuilder, draw: SeededDraw, build: Build, coat: Coat) -> None:
    """Four legs in mid-step: top of the limb, knee (wrist or hock) and paw of each."""
    high, leg = build.height, build.leg
    hip_z = high - build.depth * 1.05
    for end, x in (("front", build.length * 0.34), ("rear", -build.length * 0.37)):
        for side, sign in SIDES:
            y, step = sign * build.girth * 0.62, draw.uniform(-0.10, 0.10) * high
            bulge = (build.length * 0.105, build.girth * 0.45, build.depth * 0.80)
            builder.add(ellipsoid((x, y, hip_z), bulge, coat.trunk, count=14))
            outer = (x, y + sign * bulge[1], hip_z)
            builder.mark(f"animal_leg_{end}_{side}_top", "leg_top", outer, (0.0, sign, 0.0), leg * 0.5)
            path: list[Vertex]
            if end == "front":
                knee = (x + step * 0.55 + 0.02 * high, y, high * 0.27)
                path = [(x, y, hip_z), (x - 0.02 * high, y, high * 0.48), knee, (x + step, y, leg * 0.8)]
                radii = [leg * 2.0, leg * 1.45, leg * 1.05, leg * 0.85]
            else:
                knee = (x + step * 0.6 - high * 0.10, y, high * 0.25)
                path = [(x, y, hip_z), (x + high * 0.06, y, high * 0.46), knee, (x + step - high * 0.06, y, leg * 0.8)]
                radii = [min(leg * 2.6, build.girth * 0.42), leg * 1.9, leg * 1.05, leg * 0.85]
            builder.add(tube(path, radii, coat.legs, 12))
            foot = (float(np.asarray(path[-1])[0]) + leg * 0.5, y, leg * 0.75)
            builder.add(ellipsoid(foot, (leg * 1.6, leg * 1.15, leg * 0.75), coat.feet, count=12))
            builder.mark(f"animal_leg_{end}_{side}_knee", "knee", knee, None, leg * 1.4)
            builder.mark(f"animal_leg_{end}_{side}_paw", "paw", foot, None, leg * 1.6, "functional")


def _tail(builder: ModelBuilder, draw: SeededDraw, build: Build, coat: Coat) -> None:
    radii = build.tail_radii
    root = (-build.length * 0.50, build.height - build.depth * 0.62)
    lift = draw.uniform(-0.25, 0.35)
    path = [(root[0] - back, 0.0, root[1] + up + lift * back) for back, up in build.tail]
    builder.add(tube(path, radii, coat.tail, 12))
    end, tip = path[-1], radii[-1]
    builder.add(ellipsoid(end, (tip * 1.3, tip * 1.1, tip * 1.3), coat.tail_tip, count=10))
    builder.mark("animal_tail_base", "tail_base", (root[0] - 0.01, 0.0, root[1] + radii[0] * 0.5), None, radii[0] * 1.4)
    builder.mark("animal_tail_tip", "tail_tip", end, None, max(tip * 1.6, 0.02))
