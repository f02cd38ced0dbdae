"""Monocular depth: RMSE in meters and shares of near predictions, scale-aware and scale-invariant.

Each number is taken per image over its valid pixels, then averaged over the images that have any. Source of the
protocol: Probe3D (El Banani et al. 2024), whose scale-aware RMSE is "metric depth".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError

MAX_DEPTH = 10.0  # meters; anything deeper counts as missing
DELTAS = {"d1": 1.25, "d2": 1.25**2, "d3": 1.25**3}
NUMBERS = ("rmse", *DELTAS)


def valid_depth(truth: ArrayLike, max_depth: float = MAX_DEPTH) -> NDArray[np.bool_]:
    """Which true depths count: finite, above 0 and at most `max_depth` meters.

    >>> valid_depth([0.0, 2.0, 10.0, 10.1, float("nan")]).tolist()
    [False, True, True, False, False]
    """
    values = np.asarray(truth)
    with np.errstate(invalid="ignore"):
        return (values > 0) & (values <= max_depth)


def fit_scale_shift(prediction: ArrayLike, truth: ArrayLike) -> tuple[float, float]:
    """Scale and shift (meters) that bring predictions nearest to the truth by least squares.

    Args:
        prediction: (n,) float, the valid pixels of one image.
        truth: (n,) float, meters.

    Returns:
        (scale, shift); (1, 0) where the fit is singular (no pixel, one pixel, a constant prediction).

    >>> fit_scale_shift([1.0, 2.0, 3.0], [3.0, 5.0, 7.0]), fit_scale_shift([2.0, 2.0], [1.0, 3.0])
    ((2.0, 1.0), (1.0, 0.0))
    """
    found, true = np.asarray(prediction, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if len(found) < 2:
        return 1.0, 0.0
    centered = found - found.mean()
    spread = float(centered @ centered)
    if not spread > 1e-12 * float(found @ found):
        return 1.0, 0.0
    scale = float(centered @ (true - true.mean())) / spread
    return scale, float(true.mean() - scale * found.mean())


def image_depth_scores(prediction: ArrayLike, truth: ArrayLike, *, align: bool = False) -> dict[str, Any]:
    """Depth scores of one image.

    Args:
        prediction: (h, w) float, meters.
        truth: (h, w) float, meters; 0, NaN or above 10 m = missing.
        align: fit scale and shift on the valid pixels first (scale-invariant).

    Returns:
        {"rmse": meters, "d1", "d2", "d3": shares of max(p / t, t / p) below 1.25, 1.25^2, 1.25^3, "pixels": count}; a
        prediction of 0 or below is in no share. Without a valid pixel every number is None and the count 0.

    Raises:
        UsageError: shapes that differ, a prediction on a valid pixel that is not finite.

    >>> image_depth_scores([[1.0, 4.0]], [[2.0, 4.0]])["d1"]
    0.5
    """
    found, true = np.asarray(prediction, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if found.shape != true.shape:
        raise UsageError(f"Predicted depth {found.shape} and true depth {true.shape} must have one shape.")
    valid = valid_depth(truth)
    found, true = found[valid], true[valid]
    if not len(true):
        return {**dict.fromkeys(NUMBERS), "pixels": 0}
    if not np.isfinite(found).all():
        raise UsageError(f"{int((~np.isfinite(found)).sum())} predicted depths on valid pixels are not finite.")
    if align:
        scale, shift = fit_scale_shift(found, true)
        found = scale * found + shift
    positive = np.maximum(found, np.finfo(np.float64).tiny)
    with np.errstate(over="ignore"):
        ratio = np.where(found > 0, np.maximum(positive / true, true / positive), np.inf)
    scores: dict[str, Any] = {"rmse": float(np.sqrt(np.mean((found - true) ** 2)))}
    scores |= {name: float((ratio < limit).mean()) for name, limit in DELTAS.items()}
    return {**scores, "pixels": len(true)}


def mean_over_images(
    scores: Sequence[Mapping[str, Any]], names: Sequence[str] = NUMBERS
) -> tuple[dict[str, float | None], int]:
    """(plain mean of each number over the images that have it, how many those are); None with 0 images.

    >>> mean_over_images([{"rmse": 1.0}, {"rmse": None}, {"rmse": 2.0}], ["rmse"])
    ({'rmse': 1.5}, 2)
    """
    counted = [one for one in scores if all(one[name] is not None for name in names)]
    if not counted:
        return dict.fromkeys(names), 0
    return {name: float(np.mean([one[name] for one in counted])) for name in names}, len(counted)


def depth_scores(predictions: ArrayLike, truths: ArrayLike) -> dict[str, Any]:
    """Depth scores of a set of images.

    Args:
        predictions: (B, h, w) float, meters.
        truths: (B, h, w) float, meters; 0, NaN or above 10 m = missing.

    Returns:
        {"scale_aware": [...], "scale_invariant": [...] (per image, see `image_depth_scores`), "alignment": [(scale,
        shift), ...], "scale_aware_mean", "scale_invariant_mean": plain means over images with a valid pixel (None
        without), "images": how many those are, "images_left_out": how many have none}.
    """
    found, true = np.asarray(predictions), np.asarray(truths)
    aware = [image_depth_scores(p, t) for p, t in zip(found, true, strict=True)]
    aligned = [image_depth_scores(p, t, align=True) for p, t in zip(found, true, strict=True)]
    fits = [fit_scale_shift(p[valid_depth(t)], t[valid_depth(t)]) for p, t in zip(found, true, strict=True)]
    aware_mean, images = mean_over_images(aware)
    aligned_mean, _ = mean_over_images(aligned)
    return {
        "scale_aware": aware,
        "scale_invariant": aligned,
        "alignment": fits,
        "scale_aware_mean": aware_mean,
        "scale_invariant_mean": aligned_mean,
        "images": images,
        "images_left_out": len(aware) - images,
    }
