"""PCK, the only one: normalized errors of predicted points, and which of them are hits. NumPy only, no Python loops.

PCK = percentage of correct keypoints: the share of queries whose prediction lies nearer to a valid target than alpha
times the normaliser. The arithmetic follows the reference bit for bit: points go to the unit frame and are compared in
float32, the normaliser is divided by the image side in float64 first, and a hit is strictly below alpha.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..config import check_alphas, check_normalizer
from ..errors import UsageError
from ..geometry import Convention, keypoints_to_unit, pixels_to_unit


def keypoint_errors(
    predictions: ArrayLike,
    targets: ArrayLike,
    offsets: ArrayLike,
    side: ArrayLike,
    normaliser: ArrayLike,
    *,
    convention: Convention = "reference",
    size: int | None = None,
) -> NDArray[np.float32]:
    """Distance of each prediction to the nearest of its query's valid targets, divided by the normaliser.

    Args:
        predictions: (N, 2) float64, pixels of the target image.
        targets: (M, 2) float64, pixels; the valid targets of all queries, one query after another.
        offsets: (N + 1,) int; the targets of query i are `targets[offsets[i]:offsets[i + 1]]`.
        side: (N,) or scalar; max(width, height) of the target image, pixels.
        normaliser: (N,) or scalar float64, pixels; see `normalisers`.
        convention: how annotated points reach the unit frame, see `geometry`.
        size: network size in pixels that `reference` truncates targets in; None leaves them exact.

    Returns:
        (N,) float32, in units of the normaliser; NaN for a query without a target.

    Raises:
        UsageError: shapes that do not fit, a point that is not finite, a side or normaliser that is not above 0.

    Two queries in an image of 200 x 100 pixels, the first with two valid targets:

    >>> errors = keypoint_errors(
    ...     predictions=[[100, 50], [20, 20]], targets=[[90, 50], [0, 0], [20, 60]], offsets=[0, 2, 3],
    ...     side=200, normaliser=100, convention="centered",
    ... )
    >>> errors.round(3).tolist(), hits(errors, [0.2, 0.05]).tolist()
    ([0.10000000149011612, 0.4000000059604645], [[True, False], [False, False]])
    """
    predicted, target = _points(predictions, "predictions"), _points(targets, "targets")
    starts = _offsets(offsets, len(predicted), len(target))
    sides, scales = _positive(side, len(predicted), "side"), _positive(normaliser, len(predicted), "normaliser")
    counts = np.diff(starts)
    owner = np.repeat(np.arange(len(predicted)), counts)

    unit = keypoints_to_unit(target, sides[owner], size, convention)
    distance = _lengths(pixels_to_unit(predicted, sides).take(owner, axis=0) - unit)

    errors = np.full(len(predicted), np.nan, dtype=np.float32)
    answered = counts > 0
    if answered.any():
        # Queries without targets take no room, so the starts of the others bound their targets exactly.
        errors[answered] = np.minimum.reduceat(distance, starts[:-1][answered])
    errors /= (scales / sides).astype(np.float32)
    return errors


def unit_errors(
    predictions: NDArray[np.float32], targets: NDArray[np.float32], normaliser: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(N,) float32 errors of points in the unit frame with one target each, to the last bit those of `keypoint_errors`.

    Args:
        predictions: (N, 2), from `geometry.pixels_to_unit`.
        targets: (N, 2), from `geometry.keypoints_to_unit`.
        normaliser: (N,) normaliser / side of the target image, divided in float64.
    """
    return _lengths(predictions - targets) / normaliser


def hits(errors: ArrayLike, alphas: Sequence[float]) -> NDArray[np.bool_]:
    """(A, N) bool: whether each of N errors is strictly below each of A thresholds, compared in float32.

    NaN (nothing to score) is no hit; `aggregation.aggregate` leaves such queries out of every count.
    """
    thresholds = np.asarray(check_alphas(alphas), dtype=np.float32)
    return np.asarray(errors, dtype=np.float32)[None, :] < thresholds[:, None]


def normalisers(
    boxes: ArrayLike, sizes: ArrayLike, normaliser: str = "bbox", masks: ArrayLike | None = None
) -> NDArray[np.float64]:
    """What the errors in each target image are divided by, in pixels.

    Args:
        boxes: (N, 4) float64 [left, top, right, bottom], a row of NaN where the image has no box.
        sizes: (N, 2) [width, height].
        normaliser: "bbox" = longest side of the box, or of the image where there is none; "image" = of the image;
            "mask" = of the tight box around the object's mask, as `mask_length` measures it.
        masks: (N,) lengths for "mask" in pixels, which the caller brings: SOCO has boxes and no masks.

    Returns:
        (N,) float64.

    Raises:
        UsageError: a box without area or with its corners swapped, a size or mask length that is not above 0 (the row
            is named), "mask" without lengths.
    """
    check_normalizer(normaliser)
    extent = np.asarray(sizes, dtype=np.float64).reshape(-1, 2)
    bad = ~(np.isfinite(extent) & (extent > 0))
    if bad.any():
        row = int(bad.any(axis=1).argmax())
        raise UsageError(f"Row {row}: image size {extent[row].tolist()} is not [width, height] above 0.")
    if normaliser == "mask":
        if masks is None:
            raise UsageError("This data has no masks: give their lengths, or take the normaliser bbox or image.")
        return _positive(masks, len(extent), "masks")
    corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if len(corners) != len(extent):
        raise UsageError(f"There are {len(corners)} boxes but {len(extent)} image sizes; give one each.")
    longest = np.maximum(*extent.T)
    if normaliser == "image":
        return longest
    left, top, right, bottom = corners.T  # by columns: a reduction over each row's few numbers is many times slower
    absent = np.isnan(left) & np.isnan(top) & np.isnan(right) & np.isnan(bottom)
    width, height = right - left, bottom - top
    bad = ~absent & ~(np.isfinite(width) & (width > 0) & np.isfinite(height) & (height > 0))
    if bad.any():
        row = int(bad.argmax())
        raise UsageError(
            f"Row {row}: box {corners[row].tolist()} is not [left, top, right, bottom] with left < right and "
            "top < bottom. Put it right, or give no box to divide by the image instead."
        )
    return np.where(absent, longest, np.maximum(width, height))


def mask_length(mask: ArrayLike) -> float:
    """Longest side of the tight box around the true pixels of an (h, w) mask, in pixels: what "mask" divides by.

    >>> mask_length([[0, 0, 0, 0], [0, 1, 1, 1], [0, 0, 1, 0]])
    3.0
    """
    pixels = np.asarray(mask, dtype=bool)
    if pixels.ndim != 2 or not pixels.any():
        raise UsageError(f"A mask must have shape (h, w) and at least one true pixel, got shape {pixels.shape}.")
    extents = [np.flatnonzero(pixels.any(axis=axis)) for axis in (0, 1)]
    return float(max(line[-1] - line[0] + 1 for line in extents))


def bbox_normaliser(bbox: Sequence[float] | None, size: Sequence[int]) -> float:
    """`normalisers` for one image: longest side of its box, or of the image where `bbox` is None, in pixels.

    >>> bbox_normaliser([10, 20, 60, 50], (200, 100)), bbox_normaliser(None, (200, 100))
    (50.0, 200.0)
    """
    box = [np.nan] * 4 if bbox is None else bbox
    if len(box) != 4:
        raise UsageError(f"A box is [left, top, right, bottom] or None, got {list(box)}.")
    return float(normalisers([box], [size])[0])


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) float32 lengths of (N, 2) float32 vectors, rounded where the reference rounds (torch's norm on a CPU).

    It adds y * y to the rounded x * x with one fused multiply-add, so y * y itself is never rounded to float32; float64
    holds it exactly.
    """
    x, y = vectors.T.copy()  # numbers side by side
    exact = y.astype(np.float64)
    lengths: NDArray[np.float32] = np.sqrt((x * x + exact * exact).astype(np.float32))
    return lengths


def _points(points: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(points, dtype=np.float64)
    array = array.reshape(0, 2) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != 2:
        raise UsageError(f"{name} must have shape (N, 2), got {array.shape}.")
    bad = ~np.isfinite(array)
    if bad.any():
        row = int(bad.any(axis=1).argmax())
        raise UsageError(f"{name}[{row}] = {array[row].tolist()} is not a finite point.")
    return array


def _offsets(offsets: ArrayLike, queries: int, targets: int) -> NDArray[np.int64]:
    array = np.asarray(offsets, dtype=np.int64)
    if array.shape != (queries + 1,) or array[0] != 0 or array[-1] != targets or (np.diff(array) < 0).any():
        raise UsageError(
            f"offsets must rise from 0 to the number of targets in {queries + 1} steps, one more than there are "
            f"predictions; got shape {array.shape} for {queries} predictions and {targets} targets."
        )
    return array


def _positive(values: ArrayLike, number: int, name: str) -> NDArray[np.float64]:
    given = np.asarray(values, dtype=np.float64)
    if given.shape not in ((), (number,)):
        raise UsageError(f"{name} must be one number or have shape ({number},), got {given.shape}.")
    array = np.broadcast_to(given, (number,))
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        row = int(bad.argmax())
        raise UsageError(f"{name}[{row}] = {array[row]} must be finite and above 0.")
    return array
