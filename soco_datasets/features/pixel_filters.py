"""Resampling of (height, width, 3) pixels. PIL and NumPy only.

bicubic, bilinear, nearest   PIL: widens the filter when it shrinks (antialiased), rounds to bytes
linear_point, nearest_point  without antialiasing and rounding, float32: torch's `interpolate` with
                             `align_corners=False`, modes "bilinear" and "nearest"
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import UsageError
from ..geometry import ImageSize

Filter = Literal["bicubic", "bilinear", "nearest", "linear_point", "nearest_point"]
FILTERS: tuple[str, ...] = get_args(Filter)


def resample_pixels(pixels: NDArray[Any], size: ImageSize, filter: Filter) -> NDArray[Any]:
    """Pixels resized to `size` (width, height).

    Args:
        pixels: (H, W, 3) uint8; float32 too for the two `_point` filters.
        size: of the result.
        filter: one of `FILTERS`.

    Returns:
        (height, width, 3): uint8 from PIL's filters, float32 from `linear_point`, the given dtype from `nearest_point`.
    """
    width, height = size
    if filter == "nearest_point":
        rows = np.arange(height) * pixels.shape[0] // height
        columns = np.arange(width) * pixels.shape[1] // width
        return pixels[rows][:, columns]
    if filter == "linear_point":
        return _linear(_linear(pixels.astype(np.float32), height, 0), width, 1)
    if pixels.dtype != np.uint8:
        raise UsageError(f"The filter {filter!r} takes bytes, not {pixels.dtype}: add the step `RoundDown` before it.")
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling[filter.upper()]))


def _linear(pixels: NDArray[np.float32], count: int, axis: int) -> NDArray[np.float32]:
    """Linear interpolation between pixel centers along an axis, clamped at the ends."""
    length = pixels.shape[axis]
    places = ((np.arange(count) + 0.5) * (length / count) - 0.5).clip(0)
    first = np.minimum(places.astype(np.int64), length - 1)
    second = np.minimum(first + 1, length - 1)
    share = (places - first).astype(np.float32).reshape([-1 if number == axis else 1 for number in range(3)])
    before, after = pixels.take(first, axis=axis), pixels.take(second, axis=axis)
    result: NDArray[np.float32] = before * (1 - share) + after * share
    return result
