"""Mixed precision of training heads: products in bfloat16, weights, activations of losses and sums in float32."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import unknown_name

PRECISIONS = ("float32", "bfloat16")
F = TypeVar("F", bound=Callable[..., Any])


def with_precision(function: F, precision: str, device: str) -> F:
    """The function with matrix products and convolutions in a precision.

    No loss is scaled: bfloat16 has the range of float32.

    Args:
        function: computes a loss.
        precision: one of `PRECISIONS`; "float32" = the function itself.
        device: where it computes.

    Raises:
        UsageError: an unknown precision.
    """
    import torch

    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    if precision == "float32":
        return function

    @functools.wraps(function)
    def mixed(*arguments: Any, **options: Any) -> Any:
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            return function(*arguments, **options)

    return mixed  # type: ignore[return-value]


def full_precision(function: F) -> F:
    """Decorator of a function of tensors that needs all digits: without autocast, 16-bit arguments as float32."""

    @functools.wraps(function)
    def exact(*arguments: Any, **options: Any) -> Any:
        import torch

        device = next((one.device.type for one in arguments if isinstance(one, torch.Tensor)), "cpu")
        with torch.autocast(device, enabled=False):
            return function(*map(_widened, arguments), **{name: _widened(value) for name, value in options.items()})

    return exact  # type: ignore[return-value]


def _widened(value: Any) -> Any:
    import torch

    is_narrow = isinstance(value, torch.Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return value.float() if is_narrow else value
