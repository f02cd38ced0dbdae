"""Linear heads: semantic segmentation on a feature map, three pose angles on a global vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..parameters import Parameters, draw_layer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ANGLES = 3


def init_segmentation(width: int, classes: int, generator: torch.Generator) -> Parameters:
    """Weight (classes, width) and bias (classes,) of the segmentation head, label 0 included in `classes`."""
    weight, bias = draw_layer((classes, width), generator)
    return {"weight": weight, "bias": bias}


def segmentation_logits(parameters: Mapping[str, Tensor], features: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits at a size, computed on the patch grid and then upsampled.

    Bilinear weights sum to one, so a 1 x 1 convolution with bias commutes with the upsampling: the result is that of
    upsampling the features first (`segmentation_logits_features_first`), at a fraction of the memory.

    Args:
        parameters: "weight" (C, D) and "bias" (C,).
        features: (B, D, h, w) float.
        size: (height, width) of the result.

    Returns:
        (B, C, height, width).
    """
    return upsampled(_convolved(parameters, features), size)


def segmentation_logits_features_first(
    parameters: Mapping[str, Tensor], features: Tensor, size: tuple[int, int]
) -> Tensor:
    """The same logits in the order of the reference: features upsampled, then the 1 x 1 convolution."""
    return _convolved(parameters, upsampled(features, size))


def upsampled(maps: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """(B, C, h, w) maps at another size, bilinear or bicubic, corners not aligned."""
    from torch.nn import functional

    return functional.interpolate(maps, size=size, mode=mode, align_corners=False)


def init_pose(width: int, bins: int, generator: torch.Generator) -> Parameters:
    """Weight (3, bins, width) and bias (3, bins) of three linear layers: azimuth, elevation, theta."""
    import torch

    layers = [draw_layer((bins, width), generator) for _ in range(ANGLES)]
    return {"weight": torch.stack([one[0] for one in layers]), "bias": torch.stack([one[1] for one in layers])}


def pose_logits(parameters: Mapping[str, Tensor], vectors: Tensor) -> Tensor:
    """(B, 3, bins) logits of (B, D) global vectors; parameters are "weight" (3, bins, D) and "bias" (3, bins)."""
    weight, bias = parameters["weight"], parameters["bias"]
    return (vectors @ weight.flatten(0, 1).T).unflatten(1, bias.shape) + bias


def _convolved(parameters: Mapping[str, Tensor], features: Tensor) -> Tensor:
    from torch.nn import functional

    return functional.conv2d(features, parameters["weight"][:, :, None, None], parameters["bias"])
