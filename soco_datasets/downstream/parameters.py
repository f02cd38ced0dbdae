"""Weights of a head: named tensors, how they are drawn, and their file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SocoError
from ..utils.tensor_files import check_tensors, write_tensors

if TYPE_CHECKING:
    import torch

Parameters = dict[str, "torch.Tensor"]


def draw_layer(shape: tuple[int, ...], generator: torch.Generator, fan_in: int | None = None) -> tuple[Any, Any]:
    """Weight and bias of a linear or convolution layer, uniform within 1 / sqrt(fan in): torch's own default.

    Args:
        shape: (out, in, ...) of the weight.
        generator: on the CPU; weights are drawn there and moved later, so that they are the same on every device.
        fan_in: inputs of an output; default: all but the first axis of `shape`.

    Returns:
        (weight of that shape, bias (out,)), float32 on the CPU.
    """
    import torch

    bound = 1 / math.sqrt(fan_in or math.prod(shape[1:]))
    weight = torch.empty(shape).uniform_(-bound, bound, generator=generator)
    return weight, torch.empty(shape[0]).uniform_(-bound, bound, generator=generator)


def draw_preserving(shape: tuple[int, ...], generator: torch.Generator, *, gain: float = 1.0, fan_in: int = 0) -> Any:
    """Weight and bias of a layer that keeps the variance of its input times gain^2; uniform, bias 0.

    Source: LeCun et al. 1998 (gain 1, for what no ReLU follows) and He et al. 2015 (gain sqrt(2), where one follows).

    Args:
        shape: (out, in, ...) of the weight.
        generator: on the CPU.
        gain: see above.
        fan_in: inputs of an output; 0 = all but the first axis of `shape`.

    Returns:
        (weight of that shape, bias (out,)), float32 on the CPU.
    """
    import torch

    bound = gain * math.sqrt(3 / (fan_in or math.prod(shape[1:])))
    return torch.empty(shape).uniform_(-bound, bound, generator=generator), torch.zeros(shape[0])


def trainable(parameters: Mapping[str, Any], device: str = "cpu") -> Parameters:
    """Copies of tensors or arrays as leaves that collect gradients, under the same names."""
    import torch

    copies = {name: torch.as_tensor(value).detach().clone().to(device) for name, value in parameters.items()}
    return {name: value.requires_grad_() for name, value in copies.items()}


def save_parameters(
    path: Path, parameters: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write weights as safetensors, atomically.

    Args:
        path: file to write.
        parameters: named tensors.
        metadata: strings kept in the file's header.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in parameters.items()}
    write_tensors(path, tensors, metadata or {})


def load_parameters(path: Path) -> tuple[Parameters, dict[str, str]]:
    """(weights on the CPU, metadata) of a file that `save_parameters` wrote.

    Raises:
        SocoError: a missing or damaged file, with its path.
    """
    from safetensors import safe_open

    try:
        check_tensors(path)
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except Exception as error:
        raise SocoError(f"Cannot read the head's weights {path}: {error}. Train the head again.") from error
