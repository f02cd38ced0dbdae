"""Pixels to the normalized tensor of a network, on its device; and the precision of a GPU's products."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..utils.process_state import ProcessSetting
from .preprocess import Statistics, normalize

if TYPE_CHECKING:
    import torch

    from .families.base import Backbone


def network_input(pixels: NDArray[Any], statistics: Statistics, device: str) -> torch.Tensor:
    """(B, H, W, 3) pixels to the (B, 3, H, W) float32 tensor of `normalize`, on a device.

    To a GPU go the bytes, a quarter of the floats, from pinned memory; it does the same three roundings.
    """
    import torch

    if not device.startswith("cuda"):
        return torch.from_numpy(normalize(pixels, statistics)).to(device)
    there = torch.from_numpy(pixels).pin_memory().to(device, non_blocking=True).permute(0, 3, 1, 2).float()
    # Divisors are tensors: torch multiplies by the reciprocal of a number, which rounds otherwise.
    scale, mean, std = (
        torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1)
        for values in ((255.0,), statistics.mean, statistics.std)
    )
    return there.div(scale).sub_(mean).div_(std).contiguous()


def tf32_products(wanted: bool) -> AbstractContextManager[None]:
    """Float32 products in the TF32 format while it lasts, where wanted; what was set before is put back."""
    return _tf32_allowed() if wanted else contextlib.nullcontext()


def _allow_tf32() -> Callable[[], None]:
    import torch

    products = torch.get_float32_matmul_precision()
    convolutions = torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True

    def restore() -> None:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions

    return restore


_tf32_allowed = ProcessSetting(_allow_tf32)


def compiled_forward(backbone: Backbone) -> Callable[[torch.Tensor], torch.Tensor]:
    """The backbone's forward through `torch.compile`, one kernel set a batch size."""
    import torch

    compiled: Callable[[torch.Tensor], torch.Tensor] = torch.compile(backbone.forward, dynamic=False)
    return compiled
