"""NAVI, multi-view correspondence: decoding, object crops, matching of 3D points, recall by rotation angle.

Two views of an object give rasters of 3D points (meters, each in its own camera's frame) and feature maps. Every point
of view 0 is matched to the point of view 1 with the most similar descriptor, the most distinct matches are kept, and a
match is right where its 3D points, brought to one frame, are nearer than a threshold. Source of the protocol: Probe3D
(El Banani et al. 2024); data set: NAVI (Jampani et al. 2023).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from .resampling import resize

DEPTH_CODE = 655.35  # meters times code
MATCHES_KEPT = 1000
THRESHOLDS = (0.01, 0.02, 0.05)  # meters
BIN_EDGES = (0, 30, 60, 90, 120)  # degrees; a bin holds its lower edge, not its upper
_SMALLEST = 1e-9  # cosine distances below this count as this


def depth_from_codes(codes: ArrayLike) -> NDArray[np.float64]:
    """Depth in meters of 16-bit disparity codes; 0 = none stays 0.

    >>> depth_from_codes(np.array([0, 1000, 65535], dtype=np.uint16)).round(5).tolist()
    [0.0, 0.65535, 0.01]
    """
    values = np.asarray(codes, dtype=np.float64)
    return np.divide(DEPTH_CODE, values, out=np.zeros_like(values), where=values > 0)


def rotations_from_quaternions(quaternions: ArrayLike) -> NDArray[np.float64]:
    """Rotation matrices of quaternions (w, x, y, z) of any length above 0.

    Args:
        quaternions: (..., 4) float.

    Returns:
        (..., 3, 3) float64.

    Raises:
        UsageError: a quaternion of length 0 or not finite.

    >>> rotations_from_quaternions([2.0, 0.0, 0.0, 0.0]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    values = np.asarray(quaternions, dtype=np.float64)
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise UsageError("A camera's quaternion has length 0 or is not finite; it gives no rotation.")
    w, x, y, z = np.moveaxis(values / lengths, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotation_angles(transforms: ArrayLike) -> NDArray[np.float64]:
    """Rotation angles in degrees, 0 to 180, of (..., 3, 3) rotations or (..., 4, 4) rigid transforms.

    >>> rotation_angles([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).tolist()
    90.0
    """
    r = np.asarray(transforms, dtype=np.float64)[..., :3, :3]
    skew = [r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]]
    sine = np.sqrt(sum(part * part for part in skew))
    return np.asarray(np.degrees(np.arctan2(sine, np.trace(r, axis1=-2, axis2=-1) - 1)))


def square_crop(mask: ArrayLike) -> tuple[int, int, int]:
    """(top, left, side) in pixels of the square around an object's mask, as the reference cuts it.

    The side is the longer distance between the first and the last row or column, so the mask's last row and column fall
    outside; the square is centered (half a pixel right or below) and pushed in from the image's border.

    Args:
        mask: (h, w) bool.

    Raises:
        UsageError: an empty mask.

    >>> square_crop(np.pad(np.ones((3, 5), bool), ((4, 4), (0, 6))))
    (3, 0, 4)
    """
    pixels = np.asarray(mask, dtype=bool)
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(rows):
        raise UsageError("The mask is empty: there is no object to crop around.")
    height, width = int(rows[-1] - rows[0]), int(columns[-1] - columns[0])
    side = max(height, width)
    top, left = int(rows[0]) - (side - height) // 2, int(columns[0]) - (side - width) // 2
    inside = [max(0, min(start, size - side)) for start, size in zip((top, left), pixels.shape, strict=True)]
    return inside[0], inside[1], side


def match_descriptors(
    first: ArrayLike, second: ArrayLike, block: int = 2048
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Nearest descriptor by cosine distance and how distinct it is.

    Args:
        first: (n, C) float descriptors.
        second: (m, C) float descriptors, m >= 2.
        block: rows of `first` at a time; the distances take block * m numbers of their type (float32 or float64).

    Returns:
        (n,) int64 rows of `second` (the first of equal ones) and (n,) float64 weights 1 - d1 / d2 in [0, 1], d1 <= d2
        being the two smallest cosine distances, each at least 1e-9.

    Raises:
        UsageError: fewer than two candidates, shapes that do not fit.
    """
    one, two = (_unit(np.asarray(values)) for values in (first, second))
    if one.ndim != 2 or two.ndim != 2 or one.shape[1] != two.shape[1] or len(two) < 2:
        raise UsageError(f"Descriptors {one.shape} and {two.shape} must be (n, C) and (m, C) with m of at least 2.")
    nearest = np.empty(len(one), dtype=np.int64)
    weights = np.empty(len(one))
    for start in range(0, len(one), block):
        similarity = one[start : start + block] @ two.T
        rows = np.arange(len(similarity))
        best = similarity.argmax(axis=1)
        distance_1 = np.maximum(1 - similarity[rows, best].astype(np.float64), _SMALLEST)
        similarity[rows, best] = -np.inf
        distance_2 = np.maximum(1 - similarity.max(axis=1).astype(np.float64), _SMALLEST)
        nearest[start : start + block] = best
        weights[start : start + block] = 1 - distance_1 / distance_2
    return nearest, weights


def matched_points(
    features: tuple[ArrayLike, ArrayLike],
    points: tuple[ArrayLike, ArrayLike],
    transform: ArrayLike,
    *,
    keep: int = MATCHES_KEPT,
) -> dict[str, Any]:
    """Match view 0 to view 1 and give the most distinct matches in the frame of camera 1.

    Args:
        features: two (C, h, w) float maps; resized to the rasters (bicubic, corners not aligned).
        points: two (3, H, W) float rasters of points in meters, each in its camera's frame; z <= 0 or NaN = no point.
        transform: (4, 4), takes points of camera 0 to camera 1.
        keep: matches of the highest weight (the earlier point where equal).

    Returns:
        {"angle": degrees, "points": [n0, n1], "weights": (n,), "cells": (n, 2, 2) [row, column] in either raster,
        "moved": (n, 3) points of view 0 in camera 1, "found": (n, 3) the points of view 1 that they are matched to,
        "errors": (n,) meters between the two}, the most distinct match first. With no point in view 0 or fewer than two
        in view 1 there is no match, n = 0.

    Raises:
        UsageError: shapes that do not fit.
    """
    rigid = np.asarray(transform, dtype=np.float64)
    rasters = [np.asarray(raster, dtype=np.float64) for raster in points]
    if rigid.shape != (4, 4) or any(raster.ndim != 3 or len(raster) != 3 for raster in rasters):
        raise UsageError("Give a (4, 4) transform and rasters (3, H, W) of points.")
    seen = [np.isfinite(raster).all(axis=0) & (raster[2] > 0) for raster in rasters]
    clouds = [raster[:, mask].T for raster, mask in zip(rasters, seen, strict=True)]
    result: dict[str, Any] = {"angle": float(rotation_angles(rigid)), "points": [len(cloud) for cloud in clouds]}
    if not len(clouds[0]) or len(clouds[1]) < 2:
        none = {name: np.empty((0, 3)) for name in ("moved", "found")}
        return {**result, **none, "weights": np.empty(0), "cells": np.empty((0, 2, 2), int), "errors": np.empty(0)}
    descriptors = [
        resize(np.asarray(values), mask.shape[0], mask.shape[1], "bicubic")[:, mask].T
        for values, mask in zip(features, seen, strict=True)
    ]
    nearest, weights = match_descriptors(descriptors[0], descriptors[1])
    kept = np.argsort(-weights, kind="stable")[:keep]
    moved = clouds[0][kept] @ rigid[:3, :3].T + rigid[:3, 3]
    found = clouds[1][nearest[kept]]
    cells = np.stack([np.argwhere(seen[0])[kept], np.argwhere(seen[1])[nearest[kept]]], axis=1)
    errors = np.linalg.norm(moved - found, axis=1)
    return {**result, "weights": weights[kept], "cells": cells, "moved": moved, "found": found, "errors": errors}


def match_scores(matches: Mapping[str, Any], thresholds: Sequence[float] = THRESHOLDS) -> dict[str, Any]:
    """What is right of the matches of a pair.

    Args:
        matches: of `matched_points`.
        thresholds: meters; a match is right strictly below.

    Returns:
        {"angle": degrees, "points": [n0, n1], "matches": number measured, "weight_sum", "median_error": meters,
        "recall": {threshold: share}}; median and recalls are None without a match.
    """
    errors = matches["errors"]
    return {
        "angle": matches["angle"],
        "points": matches["points"],
        "matches": len(errors),
        "weight_sum": float(matches["weights"].sum()),
        "median_error": float(np.median(errors)) if len(errors) else None,
        "recall": {str(one): float((errors < one).mean()) if len(errors) else None for one in thresholds},
    }


def pair_recall(
    features: tuple[ArrayLike, ArrayLike],
    points: tuple[ArrayLike, ArrayLike],
    transform: ArrayLike,
    *,
    keep: int = MATCHES_KEPT,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, Any]:
    """`match_scores` of `matched_points`: match view 0 to view 1 and measure the matches in 3D."""
    return match_scores(matched_points(features, points, transform, keep=keep), thresholds)


def bin_means(angles: ArrayLike, values: ArrayLike, edges: Sequence[float] = BIN_EDGES) -> list[dict[str, Any]]:
    """Mean of the pairs' values in each angle bin.

    Args:
        angles: (N,) degrees.
        values: (N,) float; a pair without a value (NaN or None) is left out.
        edges: (B + 1,) rising degrees; a bin holds its lower edge, not its upper.

    Returns:
        B times {"mean": float, None for an empty bin, "pairs": count}.

    >>> bin_means([0, 30, 45, 120], [1.0, 0.5, 0.25, 0.0], edges=[0, 30, 60, 90])
    [{'mean': 1.0, 'pairs': 1}, {'mean': 0.375, 'pairs': 2}, {'mean': None, 'pairs': 0}]
    """
    degrees, numbers = np.asarray(angles, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if degrees.shape != numbers.shape or degrees.ndim != 1:
        raise UsageError(f"Angles {degrees.shape} and values {numbers.shape} must have one shape (N,).")
    result = []
    for low, high in itertools.pairwise(edges):
        held = numbers[(degrees >= low) & (degrees < high) & ~np.isnan(numbers)]
        result.append({"mean": float(held.mean()) if len(held) else None, "pairs": len(held)})
    return result


def recall_summary(
    pairs: Sequence[Mapping[str, Any]], edges: Sequence[float] = BIN_EDGES, thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, Any]:
    """Recall over pairs, in all and by angle bin.

    Args:
        pairs: results of `pair_recall` with these thresholds.
        edges: of the bins, degrees.
        thresholds: meters.

    Returns:
        {"recall_all": {threshold: mean over pairs}, "bins": {threshold: {"0-30": {"mean", "pairs"}, ...}}, "pairs":
        pairs with a match, "pairs_left_out": pairs without}; means over no pair are None.
    """
    angles = [pair["angle"] for pair in pairs]
    overall: dict[str, float | None] = {}
    bins: dict[str, dict[str, Any]] = {}
    names = [f"{low:g}-{high:g}" for low, high in itertools.pairwise(edges)]
    scored = sum(pair["matches"] > 0 for pair in pairs)
    for threshold in map(str, thresholds):
        values = np.array([pair["recall"][threshold] for pair in pairs], dtype=np.float64)
        overall[threshold] = float(np.nanmean(values)) if scored else None
        bins[threshold] = dict(zip(names, bin_means(angles, values, edges), strict=True))
    return {"recall_all": overall, "bins": bins, "pairs": scored, "pairs_left_out": len(pairs) - scored}


def _unit(vectors: NDArray[Any]) -> NDArray[Any]:
    lengths = np.sqrt(np.einsum("nc,nc->n", vectors, vectors, dtype=np.float64))
    kind = np.result_type(vectors.dtype, np.float32)
    return (vectors / np.maximum(lengths, 1e-12)[:, None]).astype(kind)
