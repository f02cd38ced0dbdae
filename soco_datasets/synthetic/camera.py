"""A pinhole camera around an object.

Azimuth: 0 looks at the object's front, 90 at its left side, 180 at its rear, 270 at its right side. Elevation: 0 is
level, positive looks down. Image x to the right, y down, pixel i spans [i, i + 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .mesh import FloatArray, Vertex


@dataclass(frozen=True)
class Camera:
    """Position, axes and lens.

    Attributes:
        position: (3,) in the object frame.
        right, down, forward: (3,) unit axes.
        focal: in pixels.
        center: principal point in pixels; off the middle of the image where the image is a crop.
    """

    position: FloatArray
    right: FloatArray
    down: FloatArray
    forward: FloatArray
    focal: float = 1.0
    center: tuple[float, float] = (0.0, 0.0)

    def project(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Points (..., 3) to pixels (..., 2) and depth (...) along the viewing direction, > 0 in front."""
        offset = points - self.position
        x, y, depth = (_dot(offset, axis) for axis in (self.right, self.down, self.forward))
        pixels = np.stack([self.center[0] + self.focal * x / depth, self.center[1] + self.focal * y / depth], axis=-1)
        return pixels, depth

    def rays(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """(..., 3) directions through pixels; position + depth * ray is the point at that depth."""
        across = ((x - self.center[0]) / self.focal)[..., None]
        below = ((y - self.center[1]) / self.focal)[..., None]
        return self.forward + self.right * across + self.down * below

    def at_depth(self, x: FloatArray, y: FloatArray, depth: FloatArray) -> FloatArray:
        """(..., 3) points seen at pixels x, y at a depth along the viewing direction: the inverse of `project`."""
        points: FloatArray = self.position + self.rays(x, y) * depth[..., None]
        return points

    def with_lens(self, focal: float, center: tuple[float, float]) -> Camera:
        """The same place and direction with another lens."""
        return Camera(self.position, self.right, self.down, self.forward, focal, center)


def orbit(target: Vertex, distance: float, azimuth: float, elevation: float) -> Camera:
    """A camera looking at `target` from `distance`; angles in degrees, elevation strictly within -90..90."""
    az, el = math.radians(azimuth), math.radians(elevation)
    outward = np.array([math.cos(el) * math.cos(az), math.cos(el) * math.sin(az), math.sin(el)])
    right = np.array([-math.sin(az), math.cos(az), 0.0])
    down = np.array([math.sin(el) * math.cos(az), math.sin(el) * math.sin(az), -math.cos(el)])
    return Camera(np.array(target, dtype=np.float64) + outward * distance, right, down, -outward)


def _dot(vectors: FloatArray, axis: FloatArray) -> FloatArray:
    return vectors[..., 0] * axis[0] + vectors[..., 1] * axis[1] + vectors[..., 2] * axis[2]
