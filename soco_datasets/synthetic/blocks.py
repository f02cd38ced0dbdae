"""Blocks with six four-cornered faces, and flat panels laid on them (windows, lamps, plates)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .mesh import (
    FloatArray,
    Mesh,
    Paint,
    cross,
    flat,
    join,
    unit,
)

FaceName = Literal["front", "rear", "left", "right", "top", "bottom"]
FACES: tuple[FaceName, ...] = ("front", "rear", "left", "right", "top", "bottom")


@dataclass(frozen=True)
class Face:
    """A four-cornered face in the object's own terms.

    Attributes:
        grid: (2, 2, 3) float64 corners, [across, up]. Across goes from the object's right to its left on the front,
            rear, top and bottom, and from rear to front on the left and right. Up goes from bottom to top, and from
            rear to front on the top and bottom.
        flip: whether across x up points inwards.
    """

    grid: FloatArray
    flip: bool

    @property
    def normal(self) -> FloatArray:
        """(3,) outward normal."""
        across, up = self.grid[1, 0] - self.grid[0, 0], self.grid[0, 1] - self.grid[0, 0]
        normal = unit(cross(across, up))
        return -normal if self.flip else normal

    def at(self, across: float, up: float, lift: float = 0.0) -> FloatArray:
        """(3,) the point at fractions `across` and `up` of the face, `lift` above it."""
        low = self.grid[0, 0] * (1 - across) + self.grid[1, 0] * across
        high = self.grid[0, 1] * (1 - across) + self.grid[1, 1] * across
        return low * (1 - up) + high * up + self.normal * lift

    def panel(self, across: tuple[float, float], up: tuple[float, float], paint: Paint, lift: float = 0.01) -> Mesh:
        """A one-sided rectangle on the face, lifted a little so that it is in front of what it lies on."""
        corners = np.stack(
            [
                self.at(across[0], up[0], lift),
                self.at(across[1], up[0], lift),
                self.at(across[1], up[1], lift),
                self.at(across[0], up[1], lift),
            ]
        )
        order = [[0, 2, 1], [0, 3, 2]] if self.flip else [[0, 1, 2], [0, 2, 3]]
        return flat(corners[order], paint)


@dataclass(frozen=True)
class Block:
    """Eight corners: (2, 2, 2, 3) float64, indexed [rear/front, right/left, bottom/top]."""

    corners: FloatArray

    def face(self, name: FaceName) -> Face:
        """One of its faces."""
        c = self.corners
        if name in ("front", "rear"):
            return Face(c[1 if name == "front" else 0], flip=name == "rear")
        if name in ("left", "right"):
            return Face(c[:, 1 if name == "left" else 0], flip=name == "left")
        level = c[:, :, 1 if name == "top" else 0]
        return Face(level.transpose(1, 0, 2), flip=name == "top")

    def corner(self, along: str, side: str, level: str) -> FloatArray:
        """(3,) the corner at front/rear, left/right, top/bottom."""
        return self.corners[int(along == "front"), int(side == "left"), int(level == "top")]

    def mesh(self, paint: Paint) -> Mesh:
        """All six faces in one paint."""
        return join([self.face(name).panel((0.0, 1.0), (0.0, 1.0), paint, lift=0.0) for name in FACES])


def block(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> Block:
    """An upright box: rear..front, right..left, bottom..top."""
    return stump(x, y, z, x, y)


def stump(
    x: tuple[float, float],
    y: tuple[float, float],
    z: tuple[float, float],
    top_x: tuple[float, float],
    top_y: tuple[float, float],
) -> Block:
    """A block whose top is another rectangle than its bottom."""
    corners = np.zeros((2, 2, 2, 3))
    for level, (xs, ys) in enumerate(((x, y), (top_x, top_y))):
        for along in range(2):
            for side in range(2):
                corners[along, side, level] = (xs[along], ys[side], z[level])
    return Block(corners)


def bar(start: tuple[float, float, float], end: tuple[float, float, float], width: float, depth: float) -> Block:
    """A slanting upright bar: a rectangle `depth` (x) by `width` (y) from `start` (below) to `end` (above)."""
    corners = np.zeros((2, 2, 2, 3))
    for level, (x, y, z) in enumerate((start, end)):
        for along, dx in enumerate((-depth / 2, depth / 2)):
            for side, dy in enumerate((-width / 2, width / 2)):
                corners[along, side, level] = (x + dx, y + dy, z)
    return Block(corners)
