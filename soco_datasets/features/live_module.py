"""A `torch.nn.Module` in Python's memory as a plug-in: its maps, the hash of its weights, and leaving it as it was."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BackboneError

if TYPE_CHECKING:
    import torch

_DECLARED = ("statistics", "size_multiple", "image_size", "square_only", "revision", "name")


class ModuleFeatures:
    """Calls a module for maps (B, C, h, w), whatever of these it gives.

    A module of `transformers` is asked for `last_hidden_state` (that of its `base_model`, after its final norm), whose
    last h x w tokens are the map; any other module must give the map itself.

    Args:
        module: what is called; the module inside of one that is compiled or wrapped for data parallelism.
        function: `(module, images) -> (B, C, h, w)` in place of all that; what it declares takes precedence.
        statistics: in place of what the module declares.

    Attributes:
        module: the module itself.
        stride: pixels between neighboring cells; None = to be found by a probe image.

    The other attributes are those of a plug-in that the module declares.
    """

    stride: int | None
    statistics: Any

    def __init__(
        self,
        module: torch.nn.Module,
        function: Callable[[Any, torch.Tensor], torch.Tensor] | None = None,
        statistics: Any = None,
    ) -> None:
        self.module = unwrapped(module)
        self._function = function
        self.name = self.__name__ = type(self.module).__name__
        for source in (self.module, function):
            for attribute in _DECLARED:
                if (value := getattr(source, attribute, None)) is not None and not callable(value):
                    setattr(self, attribute, value)
        if statistics is not None:
            self.statistics = statistics
        self.stride = getattr(function, "stride", None) or _declared_stride(self.module)
        self._base = _transformers_base(self.module) if function is None else None
        if self._base is not None and getattr(self, "statistics", None) is None:
            raise BackboneError(
                f'How are the pixels of {self.name} normalized? Say it: model.statistics = "imagenet" (or "clip", '
                '"half", (mean, std), or "none" for pixels in 0..1).'
            )

    def to(self, device: str) -> None:
        """Move the module, where it is elsewhere."""
        if device_of(self.module) != device:
            self.module.to(device)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) float32 images to what the module makes of them.

        Not in inference mode: what a module keeps between calls would be of no use to its training.
        """
        import torch

        kind = images.device.type
        with torch.inference_mode(False), torch.no_grad(), torch.autocast(kind, enabled=False):
            images = images.clone().to(dtype_of(self.module))
            if self._function is not None:
                return self._function(self.module, images)
            if self._base is None:
                found: torch.Tensor = self.module(images)
                return found
            return self._map_of(self._base, images)

    def _map_of(self, base: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        accepts = inspect.signature(base.forward).parameters
        options = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in accepts else {}
        states: torch.Tensor = base(pixel_values=images, **options).last_hidden_state
        if states.ndim != 3 or self.stride is None:
            return states
        rows, columns = images.shape[-2] // self.stride, images.shape[-1] // self.stride
        patches = states[:, max(0, states.shape[1] - rows * columns) :]
        if patches.shape[1] != rows * columns:
            return states
        return patches.transpose(1, 2).reshape(len(images), -1, rows, columns)


def is_live_module(model: object) -> bool:
    """Whether it is a `torch.nn.Module` in memory, not a class of one. Does not import torch."""
    return not isinstance(model, type) and any(
        kind.__name__ == "Module" and kind.__module__ == "torch.nn.modules.module" for kind in type(model).__mro__
    )


def unwrapped(module: Any) -> torch.nn.Module:
    """The module inside of a compiled or data-parallel one."""
    import torch

    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    while isinstance(module, parallel) or hasattr(module, "_orig_mod"):
        module = module.module if isinstance(module, parallel) else module._orig_mod
    found: torch.nn.Module = module
    return found


def state_hash(module: torch.nn.Module) -> str:
    """Hex sha256 of a module's parameters and buffers as they are now: names, types, shapes and bytes."""
    import torch

    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if not isinstance(value, torch.Tensor):
            continue
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        content = value.detach().cpu().contiguous().flatten()
        digest.update(content.view(torch.uint8).numpy().data if content.numel() else b"")
    return digest.hexdigest()


def device_of(module: torch.nn.Module) -> str | None:
    """The torch device of a module's parameters and buffers, None where it has none."""
    first = next((*module.parameters(), *module.buffers()).__iter__(), None)
    return None if first is None else str(first.device)


def dtype_of(module: torch.nn.Module) -> torch.dtype:
    """The floating type of a module's parameters; float32 where it has none."""
    import torch

    return next((value.dtype for value in module.parameters() if value.is_floating_point()), torch.float32)


@contextlib.contextmanager
def undisturbed(module: torch.nn.Module) -> Iterator[None]:
    """Put back, after the body: each submodule's train or eval mode, `requires_grad`, the device and all random states.

    Random states are those of Python, NumPy and torch (CPU and every CUDA device).
    """
    modes = [(one, one.training) for one in module.modules()]
    grads = [(one, one.requires_grad) for one in module.parameters()]
    device = device_of(module)
    with random_states_kept():
        try:
            yield
        finally:
            if device is not None and device_of(module) != device:
                module.to(device)
            for one, training in modes:
                one.training = training
            for parameter, wanted in grads:
                parameter.requires_grad_(wanted)


@contextlib.contextmanager
def random_states_kept() -> Iterator[None]:
    """Put back the random states of Python, NumPy and torch after the body."""
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _declared_stride(module: torch.nn.Module) -> int | None:
    config = getattr(module, "config", None)
    for value in (
        getattr(module, "stride", None),
        getattr(module, "patch_size", None),
        getattr(config, "patch_size", None),
    ):
        sides = set(value) if isinstance(value, tuple | list) else {value}
        side = sides.pop() if len(sides) == 1 else None
        if isinstance(side, int) and not isinstance(side, bool):
            return side
    return None


def _transformers_base(module: torch.nn.Module) -> torch.nn.Module | None:
    """The model of `transformers` that gives hidden states of images, None for any other module."""
    if getattr(module, "main_input_name", None) != "pixel_values" or not hasattr(module, "config"):
        return None
    base: torch.nn.Module = getattr(module, "base_model", module)
    return base
