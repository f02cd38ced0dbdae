"""Zero-shot point tracking: each query's descriptor is looked up in every frame, without training."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..metrics.tracking import RASTER


def zero_shot_tracks(features: ArrayLike, queries: ArrayLike, raster: int = RASTER) -> NDArray[np.float64]:
    """The cell of highest cosine similarity to each query in each frame.

    A query is read from its frame's map at cell coordinates x / raster * w - 0.5 and y / raster * h - 0.5, bilinear,
    clamped to the border; the answer is the center of the best cell (the first in row order where equal).

    Args:
        features: (T, C, h, w) float, one map per frame.
        queries: (N, 3) float [frame, y, x], pixels of the raster.
        raster: pixels a side.

    Returns:
        (N, T, 2) float64 [x, y], pixels of the raster.

    Raises:
        UsageError: shapes that do not fit, a query outside the frames or not finite, a feature that is not finite.

    >>> maps = np.zeros((2, 2, 1, 2)); maps[0, :, 0, 0] = maps[1, :, 0, 1] = [0, 1]; maps[0, 0, 0, 1] = 1
    >>> zero_shot_tracks(maps, [[0, 128, 64]]).tolist()
    [[[64.0, 128.0], [192.0, 128.0]]]
    """
    maps, asked = np.asarray(features), np.asarray(queries, dtype=np.float64).reshape(-1, 3)
    if maps.ndim != 4:
        raise UsageError(f"Features of a video are (frames, channels, height, width); given: {maps.shape}.")
    frames, _, height, width = maps.shape
    if not np.isfinite(asked).all() or ((asked[:, 0] < 0) | (asked[:, 0] > frames - 1)).any():
        raise UsageError(f"Queries must be finite and lie in the {frames} frames of the video.")
    maps = maps.astype(np.result_type(maps.dtype, np.float32), copy=False)
    descriptors = _unit(_bilinear(maps, asked, raster), axis=1)
    tracks = np.empty((len(asked), frames, 2))
    for frame in range(frames):
        cells = maps[frame].reshape(maps.shape[1], height * width)
        if not np.isfinite(cells).all():
            raise UsageError(f"The features of frame {frame} are not finite. Extract them again.")
        best = (descriptors @ _unit(cells, axis=0)).argmax(axis=1)
        tracks[:, frame, 0] = (best % width + 0.5) * raster / width
        tracks[:, frame, 1] = (best // width + 0.5) * raster / height
    return tracks


def _bilinear(maps: NDArray[np.floating], queries: NDArray[np.float64], raster: int) -> NDArray[np.floating]:
    """(N, C) descriptors read between the cells of each query's frame."""
    height, width = maps.shape[2:]
    x = np.clip(queries[:, 2] / raster * width - 0.5, 0, width - 1)
    y = np.clip(queries[:, 1] / raster * height - 0.5, 0, height - 1)
    left, top, frame = np.floor(x).astype(int), np.floor(y).astype(int), queries[:, 0].astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    dx, dy = ((value - np.floor(value)).astype(maps.dtype)[:, None] for value in (x, y))
    upper = maps[frame, :, top, left] * (1 - dx) + maps[frame, :, top, right] * dx
    lower = maps[frame, :, bottom, left] * (1 - dx) + maps[frame, :, bottom, right] * dx
    return upper * (1 - dy) + lower * dy


def _unit(vectors: NDArray[np.floating], axis: int) -> NDArray[np.floating]:
    return vectors / np.maximum(np.sqrt((vectors * vectors).sum(axis=axis, keepdims=True)), 1e-12)
