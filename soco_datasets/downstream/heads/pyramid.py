"""The feature pyramid of the 3D detection probe: four maps of one patch grid to levels p2, p3, p4, p5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...errors import UsageError
from ..parameters import Parameters, draw_preserving

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LEVELS = ("p2", "p3", "p4", "p5")
STRIDES = {"p2": 4, "p3": 8, "p4": 16, "p5": 32}  # pixels per cell; a patch of 14 is treated as one of 16


def init_pyramid(
    widths: Sequence[int], generator: torch.Generator, hidden: int = 512, outputs: int = 256
) -> Parameters:
    """Weights: "project.i", "level.i.mix" (1 x 1), "level.0.up", "level.1.up", "level.3.down", "out.i" (3 x 3).

    Args:
        widths: channels of the four maps, from the earliest to the deepest layer.
        generator: on the CPU.
        hidden: channels inside.
        outputs: channels of each level.

    Returns:
        Each with ".weight" and ".bias"; the weight of "up" is (in, out, k, k), as torch stores it. Drawn so that every
        layer keeps the variance of its input: with torch's default, made for ReLU networks with normalization, a
        hundredth of the features' spread would reach the heads, below that of the biases.
    """
    if len(widths) != len(LEVELS):
        raise UsageError(f"The pyramid takes the maps of {len(LEVELS)} layers; given: {len(widths)}.")
    shapes: dict[str, tuple[int, ...]] = {}
    for level, width in enumerate(widths):
        shapes |= {f"project.{level}": (hidden, width, 1, 1), f"level.{level}.mix": (hidden, hidden, 1, 1)}
        shapes[f"out.{level}"] = (outputs, hidden, 3, 3)
    shapes |= {"level.0.up": (hidden, hidden, 4, 4), "level.1.up": (hidden, hidden, 2, 2)}
    shapes["level.3.down"] = (hidden, hidden, 3, 3)
    parameters: Parameters = {}
    for name, shape in shapes.items():
        # An enlarged cell comes from one cell, so its inputs are the channels alone.
        fan_in = shape[0] if name.endswith(".up") else 0
        parameters[f"{name}.weight"], parameters[f"{name}.bias"] = draw_preserving(shape, generator, fan_in=fan_in)
    return parameters


def pyramid_forward(parameters: Mapping[str, Tensor], maps: Sequence[Tensor]) -> dict[str, Tensor]:
    """Levels of the pyramid.

    Args:
        parameters: named as by `init_pyramid`.
        maps: four (B, D_i, h, w) float; odd sides are padded by zeros (right, below) first.

    Returns:
        {"p2": (B, C, 4 h, 4 w), "p3": (B, C, 2 h, 2 w), "p4": (B, C, h, w), "p5": (B, C, h / 2, w / 2)}.

    Raises:
        UsageError: another number of maps than four.
    """
    from torch.nn import functional

    if len(maps) != len(LEVELS):
        raise UsageError(f"The pyramid takes the maps of {len(LEVELS)} layers; given: {len(maps)}.")

    def convolved(name: str, values: Tensor, stride: int = 1) -> Tensor:
        weight = parameters[f"{name}.weight"]
        bias = parameters[f"{name}.bias"]
        return functional.conv2d(values, weight, bias, stride=stride, padding=weight.shape[-1] // 2)

    def enlarged(name: str, values: Tensor, stride: int) -> Tensor:
        weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
        return functional.conv_transpose2d(values, weight, bias, stride=stride)

    def doubled(values: Tensor) -> Tensor:
        return functional.interpolate(values, scale_factor=2, mode="nearest")

    even = [functional.pad(one, (0, one.shape[-1] % 2, 0, one.shape[-2] % 2)) for one in maps]
    mixed = [convolved(f"level.{i}.mix", convolved(f"project.{i}", one)) for i, one in enumerate(even)]
    p5 = convolved("level.3.down", mixed[3], stride=2)
    p4 = mixed[2] + doubled(p5)
    p3 = enlarged("level.1.up", mixed[1], 2) + doubled(p4)
    p2 = enlarged("level.0.up", mixed[0], 4) + doubled(p3)
    return {
        name: convolved(f"out.{i}", one) for i, (name, one) in enumerate(zip(LEVELS, (p2, p3, p4, p5), strict=True))
    }
