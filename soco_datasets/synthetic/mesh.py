"""Triangle meshes of simple solids.

Object frame: x to the object's front, y to its own left, z up, the ground at z = 0. Triangles are counter-clockwise
seen from outside, so that back faces can be culled. Sines and cosines come from `math`, one value at a time: NumPy's
vectorized ones may differ in the last bit between machines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Vertex = Sequence[float] | FloatArray
RGB = tuple[float, float, float]
Texture = Literal["plain", "stripes", "spots", "fur", "wood", "checks"]


@dataclass(frozen=True)
class Paint:
    """How a surface looks.

    Attributes:
        color: RGB, 0..1.
        second: the other color of a pattern.
        texture: a solid pattern, a function of the position on the object.
        scale: patterns per unit of length.
        axis: the direction across stripes.
        shine: strength of the highlight, 0 = matt.
    """

    color: RGB
    second: RGB = (0.0, 0.0, 0.0)
    texture: Texture = "plain"
    scale: float = 1.0
    axis: tuple[float, float, float] = (1.0, 0.0, 0.0)
    shine: float = 0.0


@dataclass(frozen=True)
class Mesh:
    """Triangles with a normal at each corner and a paint each.

    Attributes:
        corners: (T, 3, 3) float64, [triangle, corner, xyz].
        normals: (T, 3, 3) float64, of unit length.
        paint_index: (T,) int64 into `paints`.
        paints: the paints.
    """

    corners: FloatArray
    normals: FloatArray
    paint_index: NDArray[np.int64]
    paints: tuple[Paint, ...]

    def __len__(self) -> int:
        return len(self.corners)


def join(meshes: Sequence[Mesh]) -> Mesh:
    """All meshes as one, equal paints merged."""
    numbers: dict[Paint, int] = {}
    for mesh in meshes:
        for paint in mesh.paints:
            numbers.setdefault(paint, len(numbers))
    index = [np.array([numbers[paint] for paint in mesh.paints])[mesh.paint_index] for mesh in meshes]
    return Mesh(
        np.concatenate([mesh.corners for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate(index),
        tuple(numbers),
    )


def unit(vectors: FloatArray) -> FloatArray:
    """Vectors (..., 3) scaled to length 1; a zero vector stays zero."""
    length = np.sqrt(vectors[..., 0] ** 2 + vectors[..., 1] ** 2 + vectors[..., 2] ** 2)
    return vectors / np.where(length > 0, length, 1.0)[..., None]


def cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Cross product of (..., 3) vectors."""
    return np.stack(
        [
            a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1],
            a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2],
            a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0],
        ],
        axis=-1,
    )


def turn(points: FloatArray, pitch: float = 0.0, roll: float = 0.0, yaw: float = 0.0) -> FloatArray:
    """Points (..., 3) turned by degrees: roll about x, then pitch about y (positive = front down), then yaw about z."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    c, s = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    y, z = y * c - z * s, y * s + z * c
    c, s = math.cos(math.radians(pitch)), math.sin(math.radians(pitch))
    x, z = x * c + z * s, z * c - x * s
    c, s = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
    x, y = x * c - y * s, x * s + y * c
    return np.stack([x, y, z], axis=-1)


def circle(count: int) -> FloatArray:
    """(count, 2) points of the unit circle, counter-clockwise from (1, 0)."""
    angles = [2.0 * math.pi * index / count for index in range(count)]
    return np.array([(math.cos(angle), math.sin(angle)) for angle in angles])


def flat(triangles: FloatArray, paint: Paint) -> Mesh:
    """A mesh of (T, 3, 3) triangles with one normal per triangle."""
    normals = unit(cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]))
    return Mesh(triangles, np.repeat(normals[:, None], 3, axis=1), np.zeros(len(triangles), np.int64), (paint,))


def _quads(corners: FloatArray, normals: FloatArray, paint: Paint) -> Mesh:
    """(Q, 4, 3) quads, counter-clockwise, as two triangles each."""
    order = [[0, 1, 2], [0, 2, 3]]
    split = corners[:, order].reshape(-1, 3, 3)
    return Mesh(split, normals[:, order].reshape(-1, 3, 3), np.zeros(len(split), np.int64), (paint,))


def _bands(lower: FloatArray, upper: FloatArray, low_normals: FloatArray, up_normals: FloatArray, paint: Paint) -> Mesh:
    """The bands between (B, N, 3) closed rings, counter-clockwise about the way from `lower` to `upper`."""

    def quads(low: FloatArray, up: FloatArray) -> FloatArray:
        return np.stack([low, np.roll(low, -1, 1), np.roll(up, -1, 1), up], axis=2).reshape(-1, 4, 3)

    return _quads(quads(lower, upper), quads(low_normals, up_normals), paint)


def _cap(ring: FloatArray, center: FloatArray, paint: Paint, outward: bool) -> Mesh:
    """A disc over an (N, 3) ring."""
    after = np.roll(ring, -1, 0)
    centers = np.broadcast_to(center, ring.shape)
    first, second = (ring, after) if outward else (after, ring)
    return flat(np.stack([centers, first, second], axis=1), paint)


def tube(
    path: Sequence[Vertex], radii: Sequence[float], paint: Paint, count: int = 12, side: Vertex = (0, 1, 0)
) -> Mesh:
    """A closed tube along a plane path.

    Args:
        path: (K, 3) points, K >= 2.
        radii: K radii.
        paint: its paint.
        count: corners of the cross-section.
        side: a vector at right angles to the plane of the path.
    """
    points = np.array(path, dtype=np.float64)
    radius = np.array(radii, dtype=np.float64)
    tangents = unit(np.concatenate([points[1:2] - points[:1], points[2:] - points[:-2], points[-1:] - points[-2:-1]]))
    binormal = np.broadcast_to(unit(np.array(side, dtype=np.float64)), points.shape)
    ring = circle(count)
    radial = cross(binormal, tangents)[:, None] * ring[None, :, :1] + binormal[:, None] * ring[None, :, 1:]
    rings = points[:, None] + radial * radius[:, None, None]
    step = points[1:] - points[:-1]
    length = np.sqrt(step[:, 0] ** 2 + step[:, 1] ** 2 + step[:, 2] ** 2)
    slope = ((radius[1:] - radius[:-1]) / length)[:, None, None]
    low = unit(radial[:-1] - tangents[:-1, None] * slope)
    up = unit(radial[1:] - tangents[1:, None] * slope)
    return join(
        [
            _bands(rings[:-1], rings[1:], low, up, paint),
            _cap(rings[0], points[0], paint, outward=False),
            _cap(rings[-1], points[-1], paint, outward=True),
        ]
    )


def rod(start: Vertex, end: Vertex, radius: float, end_radius: float, paint: Paint, count: int = 12) -> Mesh:
    """A straight capped cone stump from `start` to `end` (radius -> end_radius); a cylinder where both are equal."""
    along = np.array(end, dtype=np.float64) - np.array(start, dtype=np.float64)
    helper = np.array([0.0, 1.0, 0.0] if abs(along[1]) < 0.9 * float(np.max(np.abs(along))) else [1.0, 0.0, 0.0])
    side = cross(along, cross(helper, along))
    return tube([start, end], [radius, end_radius], paint, count, side)


def lathe(profile: Sequence[tuple[float, float]], paint: Paint, count: int = 24, crease: float = 40.0) -> Mesh:
    """A solid of revolution about z through the origin.

    Args:
        profile: (radius, z) from the bottom to the top of the outside; not capped unless it starts or ends at 0.
        paint: its paint.
        count: corners of the cross-section.
        crease: edges sharper than this many degrees stay sharp.
    """
    outline = np.array(profile, dtype=np.float64)
    step = outline[1:] - outline[:-1]
    length = np.sqrt(step[:, 0] ** 2 + step[:, 1] ** 2)
    slant = np.stack([step[:, 1], -step[:, 0]], axis=1) / length[:, None]
    low, up = slant.copy(), slant.copy()
    for index in range(1, len(slant)):
        before, after = slant[index - 1], slant[index]
        if before[0] * after[0] + before[1] * after[1] > math.cos(math.radians(crease)):
            up[index - 1] = low[index] = before + after
    ring = circle(count)

    def spin(radial_and_z: FloatArray) -> FloatArray:
        radial, height = radial_and_z[:, :1], np.repeat(radial_and_z[:, 1:], count, axis=1)
        return np.stack([radial * ring[None, :, 0], radial * ring[None, :, 1], height], axis=-1)

    rings = spin(outline)
    return _bands(rings[:-1], rings[1:], unit(spin(low)), unit(spin(up)), paint)


def ellipsoid(
    center: Vertex,
    radii: Vertex,
    paint: Paint,
    pitch: float = 0.0,
    roll: float = 0.0,
    yaw: float = 0.0,
    count: int = 14,
) -> Mesh:
    """An ellipsoid with half axes `radii` along x, y, z, turned as `turn` does."""
    steps = max(count // 2, 3)
    arc = [-math.pi / 2 + math.pi * index / steps for index in range(steps + 1)]
    ball = lathe([(max(math.cos(a), 0.0), math.sin(a)) for a in arc], paint, count, crease=180.0)
    axes = np.array(radii, dtype=np.float64)
    corners = turn(ball.corners * axes, pitch, roll, yaw) + np.array(center, dtype=np.float64)
    # On a unit sphere the normal is the position.
    normals = turn(unit(ball.corners / axes), pitch, roll, yaw)
    return Mesh(corners, normals, ball.paint_index, ball.paints)
