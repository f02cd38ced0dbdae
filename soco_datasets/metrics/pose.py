"""Object pose from three angles: bins, mirrored angles, rotation errors and their summary, ImageNet3D.

Angles are (azimuth, elevation, theta) in radians; the rotation is Rz(theta) Rx(elevation - pi/2) Rz(-azimuth).
Sources: ImageNet3D (Ma et al. 2024), PASCAL3D+ (Xiang et al. 2014).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError

BINS = 40  # over a full turn
TURN = 2 * np.pi
SHARES = {"below_10_degrees": np.pi / 18, "below_30_degrees": np.pi / 6}  # strict


def angle_bins(angles: ArrayLike, bins: int = BINS) -> NDArray[np.int64]:
    """Bin of each angle over a full turn [0, 2 pi); any angle, negative ones too, wraps into it.

    Args:
        angles: radians, any shape.
        bins: number of bins.

    >>> angle_bins([0.0, -1e-9, 2 * np.pi, np.pi]).tolist()
    [0, 39, 0, 20]
    """
    wrapped = np.mod(_finite(angles), TURN)
    return np.minimum(np.floor(wrapped / TURN * bins).astype(np.int64), bins - 1)


def bin_middles(bins: ArrayLike, count: int = BINS) -> NDArray[np.float64]:
    """Angle in the middle of each bin, radians.

    >>> bin_middles([0, 1], count=4).round(4).tolist()
    [0.7854, 2.3562]
    """
    return (np.asarray(bins) + 0.5) * (TURN / count)


def mirrored_angles(angles: ArrayLike) -> NDArray[np.float64]:
    """Angles of the mirrored image: azimuth -> 2 pi - azimuth (in [0, 2 pi)), theta -> -theta, elevation stays.

    Args:
        angles: (..., 3) radians.

    >>> mirrored_angles([np.pi / 2, 0.25, 0.5]).round(4).tolist()
    [4.7124, 0.25, -0.5]
    """
    azimuth, elevation, theta = np.moveaxis(_finite(angles), -1, 0)
    return np.stack([np.mod(TURN - azimuth, TURN), elevation, -theta], axis=-1)


def rotations_from_angles(angles: ArrayLike) -> NDArray[np.float64]:
    """(..., 3, 3) float64 rotations of (..., 3) angles, radians."""
    azimuth, elevation, theta = np.moveaxis(_finite(angles), -1, 0)
    return _turn(theta, "z") @ _turn(elevation - np.pi / 2, "x") @ _turn(-azimuth, "z")


def rotation_errors(predicted: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Angle of the rotation between predicted and true poses.

    Args:
        predicted: (..., 3) angles, radians.
        truth: (..., 3) angles, radians.

    Returns:
        (...) float64, radians, 0 to pi.

    >>> float(rotation_errors([0.5, 0.1, 0.0], [0.5, 0.1, -0.25]).round(6))
    0.25
    """
    between = np.swapaxes(rotations_from_angles(truth), -1, -2) @ rotations_from_angles(predicted)
    skew = (between - np.swapaxes(between, -1, -2))[..., (2, 0, 1), (1, 2, 0)]
    return np.arctan2(np.sqrt((skew * skew).sum(axis=-1)), np.trace(between, axis1=-2, axis2=-1) - 1)


def pose_scores(errors: ArrayLike) -> dict[str, Any]:
    """Summary of rotation errors.

    Args:
        errors: (N,) radians.

    Returns:
        {"below_10_degrees", "below_30_degrees": shares, strict; "mean_degrees", "median_degrees",
        "median_degrees_reference": the lower of the two middle ones, "objects": N}; None everywhere for N = 0.

    >>> pose_scores([0.1, 0.7])["below_30_degrees"], pose_scores([])["median_degrees"]
    (0.5, None)
    """
    values = _finite(errors).ravel()
    if not len(values):
        names = (*SHARES, "mean_degrees", "median_degrees", "median_degrees_reference")
        return {**dict.fromkeys(names), "objects": 0}
    scores: dict[str, Any] = {name: float((values < limit).mean()) for name, limit in SHARES.items()}
    degrees = np.sort(np.degrees(values))
    return {
        **scores,
        "mean_degrees": float(degrees.mean()),
        "median_degrees": float(np.median(degrees)),
        "median_degrees_reference": float(degrees[(len(degrees) - 1) // 2]),
        "objects": len(degrees),
    }


def pose_scores_by_class(errors: ArrayLike, classes: ArrayLike) -> dict[str, Any]:
    """Scores of each class and the plain mean of each number over classes.

    Args:
        errors: (N,) radians.
        classes: (N,) labels of any kind.

    Returns:
        {"per_class": {label: see `pose_scores`}, "mean_over_classes": {number: mean}, "classes": count}.
    """
    values, labels = np.asarray(errors, dtype=np.float64), np.asarray(classes)
    if values.shape != labels.shape:
        raise UsageError(f"Errors {values.shape} and classes {labels.shape} must have one shape (N,).")
    per_class = {str(label): pose_scores(values[labels == label]) for label in np.unique(labels)}
    names = [name for name in pose_scores([]) if name != "objects"]
    means = {n: float(np.mean([s[n] for s in per_class.values()])) if per_class else None for n in names}
    return {"per_class": per_class, "mean_over_classes": means, "classes": len(per_class)}


def _finite(angles: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(angles, dtype=np.float64)
    if not np.isfinite(values).all():
        raise UsageError(f"{int((~np.isfinite(values)).sum())} angles are not finite.")
    return values


def _turn(angle: NDArray[np.float64], axis: str) -> NDArray[np.float64]:
    """(..., 3, 3) rotations about an axis."""
    one, zero = np.ones_like(angle), np.zeros_like(angle)
    c, s = np.cos(angle), np.sin(angle)
    rows = (
        [[c, -s, zero], [s, c, zero], [zero, zero, one]]
        if axis == "z"
        else [[one, zero, zero], [zero, c, -s], [zero, s, c]]
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
