"""Losses of the segmentation, pose, depth and normals heads. Each is a mean over what counts, NaN for nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .precision import full_precision

if TYPE_CHECKING:
    import torch
    from torch import Tensor

STRIDES = (1, 2, 4, 6)  # of the gradient loss: the released code takes 2 i, not 2^i
_SHIFT = 0.001  # meters, added before the logarithm
_CLAMP = 1e-4  # of the cosine, away from where acos has no gradient


@full_precision
def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy over the counted pixels of a batch.

    Args:
        logits: (B, C, H, W) float.
        masks: (B, H, W) integer labels, 0 = not counted.
    """
    from torch.nn import functional

    return functional.cross_entropy(logits.flatten(2), masks.flatten(1).long(), ignore_index=0)


@full_precision
def pose_loss(logits: Tensor, bins: Tensor) -> Tensor:
    """Sum of the three angles' cross-entropies, each a mean over objects.

    Args:
        logits: (B, 3, bins) float.
        bins: (B, 3) integer.
    """
    from torch.nn import functional

    return sum(functional.cross_entropy(logits[:, angle], bins[:, angle].long()) for angle in range(3))  # type: ignore[return-value]


def valid_depth_mask(truth: Tensor, max_depth: float = 10.0) -> Tensor:
    """(B, H, W) bool: true depths above 0 and at most 10 m; NaN does not count."""
    return (truth > 0) & (truth <= max_depth)


@full_precision
def silog_loss(prediction: Tensor, truth: Tensor) -> Tensor:
    """Scale-invariant loss of the log difference g over all valid pixels: sqrt(mean g^2 - 0.85 (mean g)^2).

    Args:
        prediction: (B, H, W) float, meters.
        truth: (B, H, W) float, meters; 0, NaN or above 10 m = missing.
    """
    difference, _ = _log_difference(prediction, truth)
    held = difference[valid_depth_mask(truth)]
    variance = (held * held).mean() - 0.85 * held.mean() ** 2
    return variance.clamp(min=1e-12).sqrt()  # the clamp keeps the gradient finite where the prediction is perfect


@full_precision
def gradient_loss(prediction: Tensor, truth: Tensor) -> Tensor:
    """Sum over strides of the mean over images of |difference of the log difference two places apart|.

    At each stride, differences along y and x count where both pixels are valid, and an image's sum is divided by its
    number of valid pixels at that stride (an image without any adds 0).

    Args:
        prediction: (B, H, W) float, meters.
        truth: (B, H, W) float, meters; 0, NaN or above 10 m = missing.
    """
    difference, valid = _log_difference(prediction, truth)
    total = difference.new_zeros(())
    for stride in STRIDES:
        part, mask = difference[:, ::stride, ::stride], valid[:, ::stride, ::stride]
        along_y = (part[:, 2:] - part[:, :-2]).abs() * (mask[:, 2:] & mask[:, :-2])
        along_x = (part[:, :, 2:] - part[:, :, :-2]).abs() * (mask[:, :, 2:] & mask[:, :, :-2])
        image = along_y.sum(dim=(1, 2)) + along_x.sum(dim=(1, 2))
        total = total + (image / mask.sum(dim=(1, 2)).clamp(min=1)).mean()
    return total


@full_precision
def depth_loss(prediction: Tensor, truth: Tensor) -> Tensor:
    """10 x silog + 0.5 x gradient, see `silog_loss` and `gradient_loss`."""
    return 10 * silog_loss(prediction, truth) + 0.5 * gradient_loss(prediction, truth)


@full_precision
def normal_angles(prediction: Tensor, truth: Tensor) -> Tensor:
    """(B, H, W) angles in radians between (B, 3, H, W) directions; the cosine is clamped 1e-4 inside [-1, 1]."""
    import torch
    from torch.nn import functional

    cosine = functional.cosine_similarity(prediction, truth, dim=1)
    return torch.acos(cosine.clamp(-1 + _CLAMP, 1 - _CLAMP))


@full_precision
def normals_loss(prediction: Tensor, truth: Tensor, valid: Tensor, uncertainty: Tensor | None = None) -> Tensor:
    """Loss of normals over the valid pixels of a batch.

    Args:
        prediction: (B, 3, H, W) float, directions of any length.
        truth: (B, 3, H, W) float.
        valid: (B, H, W) bool.
        uncertainty: (B, H, W) float k; kappa = ELU(k) + 1.01. None = the plain mean angle in radians.

    Returns:
        Mean of ln(1 + exp(-kappa pi)) - ln(kappa^2 + 1) + kappa theta.
    """
    import torch
    from torch.nn import functional

    theta = normal_angles(prediction, truth)[valid]
    if uncertainty is None:
        return theta.mean()
    kappa = functional.elu(uncertainty[valid]) + 1.01
    return (torch.log1p(torch.exp(-kappa * math.pi)) - torch.log(kappa * kappa + 1) + kappa * theta).mean()


def _log_difference(prediction: Tensor, truth: Tensor) -> tuple[Tensor, torch.Tensor]:
    """ln(p + 0.001) - ln(t + 0.001), 0 where the truth is missing, and which pixels are valid."""
    import torch

    valid = valid_depth_mask(truth)
    found = torch.where(valid, prediction, torch.ones_like(prediction))
    true = torch.where(valid, truth.to(prediction.dtype), torch.ones_like(prediction))
    return torch.log(found + _SHIFT) - torch.log(true + _SHIFT), valid
