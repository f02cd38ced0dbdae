"""Bilinear and bicubic resizing of maps as two matrix products, as torch's `interpolate` without aligned corners."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import unknown_name

Filter = Literal["bilinear", "bicubic"]
_CUBIC = -0.75  # the coefficient that torch uses


def resize(maps: NDArray[Any], height: int, width: int, method: Filter = "bilinear") -> NDArray[Any]:
    """Maps at another size, without antialiasing and without aligned corners.

    Args:
        maps: (..., h, w) float.
        height: rows of the result.
        width: columns of the result.
        method: "bilinear" or "bicubic".

    Returns:
        (..., height, width), float32 of float32 or smaller input, else float64.

    Raises:
        UsageError: an unknown method.

    >>> resize(np.array([[0.0, 1.0]]), 1, 4).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    if method not in ("bilinear", "bicubic"):
        raise unknown_name("filter", method, ("bilinear", "bicubic"))
    kind = np.result_type(maps.dtype, np.float32)
    rows = interpolation_matrix(maps.shape[-2], height, method).astype(kind)
    columns = interpolation_matrix(maps.shape[-1], width, method).astype(kind)
    return rows @ (maps.astype(kind, copy=False) @ columns.T)


@lru_cache(maxsize=64)
def interpolation_matrix(size: int, wanted: int, method: Filter) -> NDArray[np.float64]:
    """(wanted, size) float64 weights of a resize along one axis; each row sums to 1.

    >>> interpolation_matrix(2, 1, "bilinear").tolist()
    [[0.5, 0.5]]
    """
    source = (np.arange(wanted) + 0.5) * (size / wanted) - 0.5
    if method == "bilinear":
        source = np.maximum(source, 0)
    first = np.floor(source).astype(int)
    t = source - first
    if method == "bilinear":
        taps = {0: 1 - t, 1: t}
    else:
        taps = {-1: _far(1 + t), 0: _near(t), 1: _near(1 - t), 2: _far(2 - t)}
    matrix = np.zeros((wanted, size))
    for offset, weights in taps.items():
        np.add.at(matrix, (np.arange(wanted), np.clip(first + offset, 0, size - 1)), weights)
    matrix.flags.writeable = False  # shared by all callers
    return matrix


def _near(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1


def _far(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return ((_CUBIC * x - 5 * _CUBIC) * x + 8 * _CUBIC) * x - 4 * _CUBIC
