"""Every conversion of points between frames, in one file. NumPy only.

Frames
    pixel    pixels of the stored image (un-rotated, unpadded); x to the right, y down; what annotations use.
    square   the image padded with white on the right and at the bottom to a square of side max(width, height);
             pixel coordinates are unchanged by the padding.
    network  pixels of the square after resizing to `size` x `size`.
    unit     network / size = square / side: 0..1 over the padded square.
    cell     (column, row) of the patch grid, `grid` cells on a side.

Conventions (SOCO paper, evaluation protocol; details found by running the reference code)
    reference  the released protocol, kept bit for bit: key points are truncated to integers before and after scaling
               to the network frame; a query is sampled on an align-corners grid; a predicted cell is read as its
               top-left corner, index / grid. Together they bias a prediction by about half a patch.
    untruncated  `reference` without the truncation: the protocol of AP-10K's framework. A record says "reference" with
               "truncated" false.
    centered   the corrected one: no truncation; a cell stands for its center, (index + 0.5) / grid; queries are sampled
               on the same pixel-center grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import UsageError, unknown_name

ImageSize = tuple[int, int]  # width, height in pixels
Convention = Literal["reference", "centered", "untruncated"]
CONVENTIONS = ("reference", "centered")  # what is chosen; the benchmark says whether its `reference` truncates


def check_convention(convention: str) -> None:
    """Raise `UsageError` unless `convention` is one of `CONVENTIONS`."""
    if convention not in CONVENTIONS:
        raise unknown_name("convention", convention, CONVENTIONS)


def check_point_convention(convention: str) -> None:
    """Raise `UsageError` unless `convention` is a `Convention`: one of `CONVENTIONS` or "untruncated"."""
    if convention not in get_args(Convention):
        raise unknown_name("convention", convention, get_args(Convention))


def effective_size(requested: int, multiple: int) -> int:
    """The network size for a requested size: the nearest multiple of the patch, ties down, never below one patch.

    >>> effective_size(800, 14), effective_size(800, 16), effective_size(21, 14), effective_size(1, 14)
    (798, 800, 14, 14)
    """
    if requested < 1 or multiple < 1:
        raise UsageError(f"image size and patch multiple must be positive, got {requested} and {multiple}")
    below = requested // multiple * multiple
    above = below + multiple
    return max(multiple, below if requested - below <= above - requested else above)


def network_points(points: ArrayLike, side: ArrayLike, size: int) -> NDArray[np.int32]:
    """Pixel points to integer network pixels, with the two truncations of the `reference` convention.

    Args:
        points: (N, 2) float, pixel frame.
        side: scalar or (N,) int, side of the padded square in pixels.
        size: network size in pixels.

    Returns:
        (N, 2) int32: `trunc(float32(trunc(point) * size / side))`. The product is an integer; the division is made in
        float32, as the reference does.
    """
    whole = np.trunc(np.asarray(points, dtype=np.float64).reshape(-1, 2)).astype(np.int64)
    divisor = np.asarray(side, dtype=np.float32).reshape(-1, 1)
    return np.trunc((whole * size).astype(np.float32) / divisor).astype(np.int32)


def centered_offset(extent: ArrayLike, convention: Convention) -> NDArray[np.float64]:
    """Where images lie in squares that pad them evenly on both sides, in pixels: what is added to their points.

    Args:
        extent: (I, 2) [width, height].
        convention: "reference" = half the padding, a fraction where it is odd although the picture moves by whole
            pixels, as the released evaluation of AP-10K has it; "centered" = the whole pixels by which it moves.

    Returns:
        (I, 2) float64.

    >>> centered_offset([[100, 61]], "reference").tolist(), centered_offset([[100, 61]], "centered").tolist()
    ([[0.0, 19.5]], [[0.0, 19.0]])
    """
    check_point_convention(convention)
    sizes = np.asarray(extent, dtype=np.float64).reshape(-1, 2)
    half = (sizes.max(axis=1, keepdims=True, initial=0) - sizes) / 2
    return np.floor(half) if convention == "centered" else half


def pixels_to_unit(points: ArrayLike, side: ArrayLike) -> NDArray[np.float32]:
    """(N, 2) pixel points to float32 unit points: point / side. The inverse of `unit_to_pixels`."""
    divisor = np.asarray(side, dtype=np.float64).reshape(-1, 1)
    return (np.asarray(points, dtype=np.float64).reshape(-1, 2) / divisor).astype(np.float32)


def unit_to_pixels(points: ArrayLike, side: ArrayLike) -> NDArray[np.float64]:
    """(N, 2) unit points to float64 pixels. `pixels_to_unit` gives back the same float32 values, bit for bit."""
    factor = np.asarray(side, dtype=np.float64).reshape(-1, 1)
    return np.asarray(points, dtype=np.float32).reshape(-1, 2).astype(np.float64) * factor


def keypoints_to_unit(
    points: ArrayLike, side: ArrayLike, size: int | None, convention: Convention
) -> NDArray[np.float32]:
    """Annotated pixel points to the unit frame as `convention` sees them.

    With `reference` the points pass through the integer network frame of `size` pixels, with `untruncated` through the
    same frame in float32; `size` None (predictions that come from no fixed grid) and `centered` keep them exact.

    Returns:
        (N, 2) float32. Values may lie outside 0..1 for points outside the image.
    """
    check_point_convention(convention)
    if convention == "centered" or size is None:
        return pixels_to_unit(points, side)
    if convention == "untruncated":
        divisor = np.asarray(side, dtype=np.float64).reshape(-1, 1)
        network = np.asarray(points, dtype=np.float64).reshape(-1, 2) * size / divisor
        return network.astype(np.float32) / np.float32(size)
    return network_points(points, side, size).astype(np.float32) / np.float32(size)


def cells_to_unit(columns: ArrayLike, rows: ArrayLike, grid: int, convention: Convention) -> NDArray[np.float32]:
    """Grid cells to (N, 2) float32 unit points: the cell's top-left corner (`reference`) or its center (`centered`)."""
    check_point_convention(convention)
    cells = np.stack([np.asarray(columns), np.asarray(rows)], axis=-1).reshape(-1, 2).astype(np.float32)
    if convention == "centered":
        cells = cells + np.float32(0.5)
    return cells / np.float32(grid)


def unit_to_cells(points: ArrayLike, grid: int, convention: Convention) -> NDArray[np.float64]:
    """(N, 2) float64 [column, row] of unit points, the inverse of `cells_to_unit`; whole numbers where they are cells.

    >>> unit_to_cells(cells_to_unit([3], [5], 57, "centered"), 57, "centered").round(4).tolist()
    [[3.0, 5.0]]
    """
    check_point_convention(convention)
    cells = np.asarray(points, dtype=np.float64).reshape(-1, 2) * grid
    return cells - 0.5 if convention == "centered" else cells


def unit_to_grid_sample(points: ArrayLike, grid: int, convention: Convention) -> NDArray[np.float32]:
    """Unit points to fractional grid indices (N, 2) float32, 0 = center of the first cell, for bilinear sampling.

    `reference`: x * (grid - 1), the align-corners grid. `centered`: x * grid - 0.5.
    """
    check_point_convention(convention)
    unit = np.asarray(points, dtype=np.float32).reshape(-1, 2)
    if convention != "centered":
        return unit * np.float32(grid - 1)
    return unit * np.float32(grid) - np.float32(0.5)


@dataclass(frozen=True)
class PointMap:
    """An affine map without shear of points (x, y) from one frame to another: `scale * point + offset` on each axis.

    Frames are continuous: pixel i covers [i, i + 1), so its center is i + 0.5. A negative scale mirrors.

    Attributes:
        scale: of x and y, not 0.
        offset: of x and y, in pixels of the target frame.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) points in the target frame, float64."""
        return np.asarray(points, dtype=np.float64).reshape(-1, 2) * np.array(self.scale) + np.array(self.offset)

    def inverse(self, points: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) points of the target frame in the source frame, float64."""
        return (np.asarray(points, dtype=np.float64).reshape(-1, 2) - np.array(self.offset)) / np.array(self.scale)

    def then(self, following: PointMap) -> PointMap:
        """The map that applies this one first and `following` to its result."""
        (sx, sy), (ox, oy) = self.scale, self.offset
        (fx, fy), (gx, gy) = following.scale, following.offset
        return PointMap((sx * fx, sy * fy), (ox * fx + gx, oy * fy + gy))
