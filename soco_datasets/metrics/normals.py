"""Surface normals: angular errors per image, in degrees, and shares below thresholds.

Which pixels count is decided by the depth (above 0), not by the normal: a true normal of length 0 on a counted pixel
has cosine 0, an error of 90 degrees. Source of the protocol: Probe3D (El Banani et al. 2024).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from .depth import mean_over_images

THRESHOLDS = {"d1": 11.25, "d2": 22.5, "d3": 30.0}  # degrees
NUMBERS = ("rmse", *THRESHOLDS)
_SHORTEST = 1e-8  # below this length a vector has no direction


def angular_errors(prediction: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Angles between predicted and true directions, in degrees.

    Args:
        prediction: (3, ...) float directions of any length.
        truth: (3, ...) float, same shape.

    Returns:
        (...) float64, 0 to 180; 90 where either vector has length 0.

    >>> angular_errors([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]], [[-2.0, 0.0], [0.0, 0.0], [0.0, 0.0]]).tolist()
    [180.0, 90.0]
    """
    found, true = np.asarray(prediction, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if found.shape != true.shape or found.ndim < 1 or found.shape[0] != 3:
        raise UsageError(f"Predicted {found.shape} and true normals {true.shape} must both be (3, ...).")
    lengths = [np.maximum(np.sqrt((one * one).sum(axis=0)), _SHORTEST) for one in (found, true)]
    cosine = (found * true).sum(axis=0) / lengths[0] / lengths[1]
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


def image_normal_scores(prediction: ArrayLike, truth: ArrayLike, valid: ArrayLike) -> dict[str, Any]:
    """Scores of one image's normals.

    Args:
        prediction: (3, h, w) float.
        truth: (3, h, w) float.
        valid: (h, w) bool, pixels that count (true depth above 0 and at most 10 m).

    Returns:
        {"rmse": degrees, "d1", "d2", "d3": shares below 11.25, 22.5, 30 degrees, "pixels": count,
        "zero_normals": counted pixels whose true normal has length 0}; numbers are None without a counted pixel.

    Raises:
        UsageError: shapes that differ, a normal on a counted pixel that is not finite.
    """
    mask = np.asarray(valid, dtype=bool)
    found, true = np.asarray(prediction), np.asarray(truth)
    if found.shape != true.shape or found.shape != (3, *mask.shape):
        raise UsageError(f"Normals {found.shape} and {true.shape} and mask {mask.shape} do not fit: (3, h, w), (h, w).")
    found, true = found[:, mask], true[:, mask]
    pixels = int(mask.sum())
    if not pixels:
        return {**dict.fromkeys(NUMBERS), "pixels": 0, "zero_normals": 0}
    for name, values in (("predicted", found), ("true", true)):
        if not np.isfinite(values).all():
            raise UsageError(f"{int((~np.isfinite(values)).any(axis=0).sum())} {name} normals are not finite.")
    errors = angular_errors(found, true)
    scores: dict[str, Any] = {"rmse": float(np.sqrt(np.mean(errors**2)))}
    scores |= {name: float((errors < limit).mean()) for name, limit in THRESHOLDS.items()}
    return {**scores, "pixels": pixels, "zero_normals": int((~true.any(axis=0)).sum())}


def normal_scores(predictions: ArrayLike, truths: ArrayLike, valid: ArrayLike) -> dict[str, Any]:
    """Scores of a set of images' normals.

    Args:
        predictions: (B, 3, h, w) float.
        truths: (B, 3, h, w) float.
        valid: (B, h, w) bool.

    Returns:
        {"images": per image, see `image_normal_scores`, "mean": plain mean of each number over images with a counted
        pixel, "count": how many those are, "images_left_out": how many have none}.
    """
    triples = zip(np.asarray(predictions), np.asarray(truths), np.asarray(valid, dtype=bool), strict=True)
    scores = [image_normal_scores(*one) for one in triples]
    mean, count = mean_over_images(scores, NUMBERS)
    return {"images": scores, "mean": mean, "count": count, "images_left_out": len(scores) - count}
