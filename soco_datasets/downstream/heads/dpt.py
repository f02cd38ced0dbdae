"""The DPT-style decoder of the depth and normals probes: four maps to one of 16 times the patch grid, without norms.

Each map goes through a 1 x 1 convolution to `hidden` channels and bilinear x 2. From the deepest map up: the residual
unit `merge` of (residual unit `skip` of the map + what came from below); then bilinear x 4, two 3 x 3 convolutions with
a ReLU between, bilinear x 2. A residual unit is x + ReLU(conv3(ReLU(conv3(x)))). These are not the units of the DPT in
`transformers`. Source: the probes of Probe3D (El Banani et al. 2024), after DPT (Ranftl et al. 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...errors import UsageError
from ..parameters import Parameters, draw_layer
from ..precision import full_precision
from .linear import upsampled

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LEVELS = 4
DEPTH_BINS = 256
DEPTH_RANGE = (0.001, 10.0)  # meters, both ends included
NORMAL_OUTPUTS = 4  # a direction and the uncertainty


def init_dpt(widths: Sequence[int], outputs: int, generator: torch.Generator, hidden: int = 512) -> Parameters:
    """Weights of a decoder.

    Args:
        widths: channels of the four maps, from the earliest to the deepest layer.
        outputs: channels of the result (256 depth bins, 4 for normals).
        generator: on the CPU.
        hidden: channels inside.

    Returns:
        "project.i", "fuse.i.skip.j", "fuse.i.merge.j", "head.j", each with ".weight" (out, in, k, k) and ".bias"; level
        3, the deepest, has no skip.

    Raises:
        UsageError: another number of maps than four.
    """
    if len(widths) != LEVELS:
        raise UsageError(f"The decoder takes the maps of {LEVELS} layers; given: {len(widths)}.")
    shapes = {f"project.{level}": (hidden, width, 1, 1) for level, width in enumerate(widths)}
    for level in range(LEVELS):
        units = ("merge",) if level == LEVELS - 1 else ("skip", "merge")
        shapes |= {f"fuse.{level}.{unit}.{j}": (hidden, hidden, 3, 3) for unit in units for j in (0, 1)}
    shapes |= {"head.0": (hidden, hidden, 3, 3), "head.1": (outputs, hidden, 3, 3)}
    parameters: Parameters = {}
    for name, shape in shapes.items():
        parameters[f"{name}.weight"], parameters[f"{name}.bias"] = draw_layer(shape, generator)
    return parameters


def dpt_forward(parameters: Mapping[str, Tensor], maps: Sequence[Tensor]) -> Tensor:
    """Decode four maps of one grid.

    Args:
        parameters: named as by `init_dpt`.
        maps: four (B, D_i, h, w) float, from the earliest to the deepest layer.

    Returns:
        (B, outputs, 16 h, 16 w).

    Raises:
        UsageError: another number of maps than four.
    """
    if len(maps) != LEVELS:
        raise UsageError(f"The decoder takes the maps of {LEVELS} layers; given: {len(maps)}.")
    below = None
    for level in reversed(range(LEVELS)):
        grid = maps[level].shape[-2:]
        current = upsampled(_convolved(parameters, f"project.{level}", maps[level]), (2 * grid[0], 2 * grid[1]))
        if below is not None:
            current = _residual(parameters, f"fuse.{level}.skip", current) + below
        below = _residual(parameters, f"fuse.{level}.merge", current)
    assert below is not None
    height, width = below.shape[-2:]
    fine = upsampled(below, (4 * height, 4 * width))
    fine = _convolved(parameters, "head.1", _convolved(parameters, "head.0", fine).relu())
    return upsampled(fine, (8 * height, 8 * width))


@full_precision
def depth_from_bins(logits: Tensor) -> Tensor:
    """(B, H, W) depth in meters of (B, bins, H, W) outputs: the mean of evenly spaced depths, weighted ReLU + 0.1."""
    import torch

    weights = logits.relu() + 0.1
    depths = torch.linspace(*DEPTH_RANGE, logits.shape[1], dtype=torch.float64).to(logits)
    return torch.einsum("bkhw,k->bhw", weights, depths) / weights.sum(dim=1)


def predicted_depth(parameters: Mapping[str, Tensor], maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """(B, height, width) depth in meters, bilinear from the decoder's raster."""
    return upsampled(depth_from_bins(dpt_forward(parameters, maps))[:, None], size)[:, 0]


def predicted_normals(
    parameters: Mapping[str, Tensor], maps: Sequence[Tensor], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """(B, 3, height, width) directions of any length and (B, height, width) uncertainty, bicubic from the raster."""
    output = upsampled(dpt_forward(parameters, maps), size, "bicubic")
    return output[:, :3], output[:, 3]


def _convolved(parameters: Mapping[str, Tensor], name: str, maps: Tensor) -> Tensor:
    from torch.nn import functional

    weight = parameters[f"{name}.weight"]
    return functional.conv2d(maps, weight, parameters[f"{name}.bias"], padding=weight.shape[-1] // 2)


def _residual(parameters: Mapping[str, Tensor], name: str, maps: Tensor) -> Tensor:
    return maps + _convolved(parameters, f"{name}.1", _convolved(parameters, f"{name}.0", maps).relu()).relu()
