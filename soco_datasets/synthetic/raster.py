"""Scan conversion of triangles into a z-buffer, vectorized over all rows and pixels at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .mesh import FloatArray


@dataclass(frozen=True)
class Buffer:
    """What is seen at each pixel center.

    Attributes:
        depth: (H, W) float64, infinite where nothing is.
        triangle: (H, W) int64, -1 where nothing is.
    """

    depth: FloatArray
    triangle: NDArray[np.int64]


@dataclass(frozen=True)
class _Edges:
    """Edge functions a x + b y + c >= 0 inside, (T, 3) each, one per opposite corner, and twice the area (T,)."""

    a: FloatArray
    b: FloatArray
    c: FloatArray
    area: FloatArray


def rasterize(pixels: FloatArray, depth: FloatArray, width: int, height: int) -> Buffer:
    """Draw triangles that face the camera (clockwise on the screen, y down, is the back).

    Args:
        pixels: (T, 3, 2) corners in pixels.
        depth: (T, 3) depth of the corners; a triangle with a corner at or behind the camera is left out.
        width: of the image in pixels.
        height: of the image in pixels.

    Returns:
        the nearest triangle and its depth at each pixel center; of equally near ones the first.
    """
    edges = _edges(pixels)
    kept = np.flatnonzero((edges.area > 1e-9) & (_least(depth) > 1e-6))
    row_triangle, rows = _rows(pixels, kept, height)
    candidate, pixel = _spans(edges, row_triangle, rows, width)
    # 1 / depth is linear on the screen; barycentric weights are edge functions over the area.
    inverse = (1.0 / depth) / np.where(edges.area > 1e-9, edges.area, 1.0)[:, None]
    slope_x, slope_y, offset = (_weighted(inverse, term) for term in (edges.a, edges.b, edges.c))
    x, y = pixel_centers(pixel, width)
    nearness = slope_x[candidate] * x + slope_y[candidate] * y + offset[candidate]
    best = np.zeros(width * height)
    np.maximum.at(best, pixel, nearness)
    wins = nearness == best[pixel]
    nobody = len(pixels)
    triangle = np.full(width * height, nobody, dtype=np.int64)
    np.minimum.at(triangle, pixel[wins], candidate[wins])
    seen = triangle < nobody
    distance = np.full(width * height, np.inf)
    distance[seen] = 1.0 / best[seen]
    shape = (height, width)
    return Buffer(distance.reshape(shape), np.where(seen, triangle, -1).reshape(shape))


def pixel_centers(pixel: NDArray[np.int64], width: int) -> tuple[FloatArray, FloatArray]:
    """x and y of the centers of flat pixel indices in an image `width` wide."""
    row = pixel // width
    return (pixel - row * width).astype(np.float64) + 0.5, row.astype(np.float64) + 0.5


class Barycentric:
    """Perspective-correct weights of the corners of triangles given as to `rasterize`."""

    def __init__(self, pixels: FloatArray, depth: FloatArray) -> None:
        edges = _edges(pixels)
        self._a, self._b, self._c = edges.a / depth, edges.b / depth, edges.c / depth

    def at(self, triangle: NDArray[np.int64], x: FloatArray, y: FloatArray) -> FloatArray:
        """(N, 3) weights in N triangles at one pixel each, which must lie in the triangle; they add up to 1."""
        weights = self._a[triangle] * x[:, None] + self._b[triangle] * y[:, None] + self._c[triangle]
        weights /= (weights[:, 0] + weights[:, 1] + weights[:, 2])[:, None]
        return weights


def _edges(pixels: FloatArray) -> _Edges:
    x, y = pixels[..., 0], pixels[..., 1]
    after, last = [1, 2, 0], [2, 0, 1]
    # With y down, a counter-clockwise outline has negative area: swap the sign so that the front is positive.
    a = y[:, last] - y[:, after]
    b = x[:, after] - x[:, last]
    c = x[:, last] * y[:, after] - x[:, after] * y[:, last]
    return _Edges(a, b, c, c[:, 0] + c[:, 1] + c[:, 2])


def _rows(pixels: FloatArray, kept: NDArray[np.int64], height: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each kept triangle with each image row whose center it may cross."""
    y = np.clip(pixels[kept, :, 1], -1.0, height + 1.0)
    first = np.maximum(np.ceil(_least(y) - 0.5).astype(np.int64), 0)
    last = np.minimum(np.floor(-_least(-y) - 0.5).astype(np.int64), height - 1)
    which, step = _expand(np.maximum(last - first + 1, 0))
    return kept[which], first[which] + step


def _spans(
    edges: _Edges, triangle: NDArray[np.int64], rows: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each (triangle, row) with each pixel inside: the triangle and the flat pixel index."""
    low, high = np.full(len(rows), -1.0), np.full(len(rows), width + 1.0)
    y = rows + 0.5
    for corner in range(3):
        a = edges.a[triangle, corner]
        rest = edges.b[triangle, corner] * y + edges.c[triangle, corner]
        level = a == 0
        bound = -rest / np.where(level, 1.0, a)
        low = np.maximum(low, np.where(a > 0, bound, np.where(level & (rest < 0), width + 1.0, -1.0)))
        high = np.minimum(high, np.where(a < 0, bound, width + 1.0))
    first = np.maximum(np.ceil(np.minimum(low, width + 1.0) - 0.5).astype(np.int64), 0)
    last = np.minimum(np.floor(np.maximum(high, -1.0) - 0.5).astype(np.int64), width - 1)
    which, step = _expand(np.maximum(last - first + 1, 0))
    return triangle[which], rows[which] * width + first[which] + step


def _expand(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For counts (3, 0, 2): the items (0, 0, 0, 2, 2) and the steps (0, 1, 2, 0, 1)."""
    which = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return which, np.arange(len(which)) - starts[which]


def _weighted(weights: FloatArray, terms: FloatArray) -> FloatArray:
    return weights[:, 0] * terms[:, 0] + weights[:, 1] * terms[:, 1] + weights[:, 2] * terms[:, 2]


def _least(values: FloatArray) -> FloatArray:
    """(T,) smallest of (T, 3); much faster than `min(axis=1)` on so short an axis."""
    return np.minimum(np.minimum(values[:, 0], values[:, 1]), values[:, 2])
