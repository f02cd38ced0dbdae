"""What families share that give maps instead of one sequence of tokens: hierarchical models, towers, diffusion."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import BackboneError
from ..checkpoint import Checkpoint
from .base import Backbone, LayerOutput, LoadRequest
from .tokens import check_tower, load_model

if TYPE_CHECKING:
    import torch

Compute = Callable[["torch.Tensor"], "torch.Tensor"]
ComputeLayers = Callable[["torch.Tensor", Sequence[int]], "list[torch.Tensor]"]


@dataclass(frozen=True, kw_only=True)
class MapPlan:
    """How one output of a loaded model becomes a map.

    Attributes:
        compute: pixels (B, 3, H, W) in the model's dtype -> (B, C, H / patch_size, W / patch_size).
        num_layers: how many layers (blocks or stages) could have been asked for.
        patch_size: pixels between neighbouring cells of this output.
        channels: C of this output.
        size_multiple: what the sides of the pixels must be multiples of.
        num_prefix_tokens: tokens before the patches that `compute` takes off.
        square_only: whether the model is right for square pixels only.
        fixed_size: the only side the pixels may have, None where the model takes others.
        resolution: pixels on a side of the finest thing the output can show: 0 for `patch_size`, more where the model
            upsamples what it gives.
        compute_layers: pixels and layers from 0 -> the map of each from one forward, all of the shape of `compute`'s;
            None for a model whose layers differ in shape.
        details: what else decides the features, as JSON values; `output` says in words which one it is.
    """

    compute: Compute
    num_layers: int
    patch_size: int
    channels: int
    size_multiple: int
    num_prefix_tokens: int = 0
    square_only: bool = False
    fixed_size: int | None = None
    resolution: int = 0
    compute_layers: ComputeLayers | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True, eq=False)
class MapBackbone(Backbone):
    """A model whose map `compute` makes; see `MapPlan` for `resolution`."""

    module: torch.nn.Module
    compute: Compute
    resolution: int
    compute_layers: ComputeLayers | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `Backbone.forward`."""
        import torch

        self.check_pixels(pixels)
        return self._checked(self.compute(pixels.to(getattr(torch, self.dtype))), pixels)

    @property
    def depth(self) -> int:
        """See `Backbone.depth`."""
        return (self.num_layers or 0) if self.compute_layers else 0

    def layer_outputs(self, pixels: torch.Tensor, layers: Sequence[int]) -> list[LayerOutput]:
        """See `Backbone.layer_outputs`."""
        import torch

        if not layers or self.compute_layers is None:
            return super().layer_outputs(pixels, layers)
        self.check_pixels(pixels)
        maps = self.compute_layers(pixels.to(getattr(torch, self.dtype)), layers)
        return [LayerOutput(self._checked(one, pixels)) for one in maps]

    def _checked(self, maps: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        rows, columns = self.check_pixels(pixels)
        wanted = (pixels.shape[0], self.channels, rows, columns)
        if tuple(maps.shape) != wanted:
            raise BackboneError(
                f"{self.name} gave a map {tuple(maps.shape)} for {pixels.shape[-2]}x{pixels.shape[-1]} pixels; "
                f"expected {wanted} (B, C, h, w). Its config disagrees with what the model does."
            )
        return maps

    def details(self) -> dict[str, Any]:
        """See `Backbone.details`."""
        return dict(self.extra)


class MapFamily(ABC):
    """A family that says, for a loaded model, which output is the map and where its cells lie.

    Attributes:
        model_types: the values of `model_type` in config.json that it serves.
        classes: model type -> name of the class of `transformers` that serves it.
        towers: model types of checkpoints that hold more than a vision model, whose config is their `vision_config`.
        model_options: for `from_pretrained`, such as the `key_mapping` that takes a tower's prefix off.
        unused: names of weights that a checkpoint may hold beyond the class: they never reach the features.
        float32: names of tensors that stay in float32 when the model is cast: position tables and frequencies, which
            drift when they are rounded before they are interpolated or multiplied.
    """

    model_types: tuple[str, ...]
    has_weights = True
    classes: ClassVar[Mapping[str, str]] = {}
    towers: tuple[str, ...] = ()
    model_options: ClassVar[Mapping[str, Any]] = {}
    unused: ClassVar[re.Pattern[str] | None] = None
    float32: ClassVar[re.Pattern[str] | None] = None

    @abstractmethod
    def plan(self, model: Any, request: LoadRequest) -> MapPlan:
        """The output that `request.layer` and `request.norm` ask for; raises `BackboneError` where there is none."""

    def load_model(self, checkpoint: Checkpoint) -> Any:
        """The model in float32, of a larger checkpoint only the vision tower; raises `BackboneError`."""
        import transformers

        name = self.classes[checkpoint.model_type]
        return load_model(getattr(transformers, name), checkpoint, self.model_options, self.unused)

    def load(self, request: LoadRequest) -> Backbone:
        """Load one model, see `Family.load`."""
        import torch

        checkpoint = request.checkpoint
        if checkpoint is None:
            raise BackboneError(f"{request.name} needs a checkpoint.")
        if checkpoint.model_type in self.towers:
            check_tower(checkpoint)
        model = self.load_model(checkpoint)
        plan = self.plan(model, request)
        if request.dtype != "float32":
            cast_except(model, getattr(torch, request.dtype), self.float32)
        model.requires_grad_(False).eval().to(request.device)
        return map_backbone(request, checkpoint, model, plan)


def map_backbone(request: LoadRequest, checkpoint: Checkpoint, module: torch.nn.Module, plan: MapPlan) -> MapBackbone:
    """The backbone of a loaded module, already frozen, cast and on the device."""
    return MapBackbone(
        **request.identity(checkpoint),
        num_layers=plan.num_layers,
        patch_size=plan.patch_size,
        size_multiple=plan.size_multiple,
        num_prefix_tokens=plan.num_prefix_tokens,
        channels=plan.channels,
        square_only=plan.square_only,
        fixed_size=plan.fixed_size,
        resolution=plan.resolution or plan.patch_size,
        module=module,
        compute=plan.compute,
        compute_layers=plan.compute_layers,
        extra=plan.details,
    )


def cast_except(model: torch.nn.Module, dtype: torch.dtype, float32: re.Pattern[str] | None) -> None:
    """Cast a model's floating tensors in place, except those whose name matches `float32`."""
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        if tensor.is_floating_point() and not (float32 and float32.search(name)):
            tensor.data = tensor.data.to(dtype)


def only_last_is_normed(request: LoadRequest, index: int, count: int, what: str = "stage") -> None:
    """Raise `BackboneError` for norm "final" of another stage than the last: the model's norm does not fit it."""
    if request.norm == "final" and index != count - 1:
        raise BackboneError(
            f"{request.name} has its final norm after {what} {count - 1} only, not after {index}: give norm 'none', or "
            f"layer {count - 1}."
        )


def tokens_to_map(tokens: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """(B, rows * columns, C) tokens in raster order to (B, C, rows, columns).

    Raises:
        BackboneError: there are more or fewer tokens.
    """
    if tokens.shape[1] != rows * columns:
        raise BackboneError(f"The model gave {tokens.shape[1]} tokens; expected {rows * columns} = {rows}x{columns}.")
    return tokens.transpose(1, 2).unflatten(2, (rows, columns))


class _EnoughError(Exception):
    """The block that was waited for has run."""


def output_of(block: torch.nn.Module, run: Callable[[], object]) -> Any:
    """What `block` returns while `run` runs the model, which is stopped there: nothing after it is computed or kept.

    Raises:
        BackboneError: the model never reached the block.
    """
    return outputs_of([block], run)[0]


def outputs_of(blocks: Sequence[torch.nn.Module], run: Callable[[], object]) -> list[Any]:
    """As `output_of`, of several blocks; the model is stopped after the last of them that runs."""
    kept: dict[int, Any] = {}

    def keep(number: int) -> Callable[[torch.nn.Module, Any, Any], None]:
        def hook(module: torch.nn.Module, inputs: Any, output: Any) -> None:
            kept[number] = output
            if len(kept) == len(blocks):
                raise _EnoughError

        return hook

    handles = [block.register_forward_hook(keep(number)) for number, block in enumerate(blocks)]
    try:
        run()
    except _EnoughError:
        return [kept[number] for number in range(len(blocks))]
    finally:
        for handle in handles:
            handle.remove()
    missing = next(number for number in range(len(blocks)) if number not in kept)
    raise BackboneError(f"The model never ran its {type(blocks[missing]).__name__}.")
