"""What all families of plain vision transformers share: loading through `transformers`, one block's tokens, the map."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import BackboneError
from ...utils.process_state import ProcessSetting
from ..checkpoint import Checkpoint
from .base import Backbone, LayerOutput, LoadRequest, Pooling, Positions
from .positions import fit_positions

if TYPE_CHECKING:
    import torch

# Parameters that never reach the features: heads, poolers, and the token of masked pre-training.
_HARMLESS = re.compile(r"(^|\.)(pooler|classifier|cls_classifier|distillation_classifier|decoder)\.|(^|\.)mask_token$")


@dataclass(kw_only=True, eq=False)
class TokenBackbone(Backbone):
    """A transformer whose block outputs are (B, num_prefix_tokens + h * w, C), patches in raster order."""

    module: torch.nn.Module
    block: torch.nn.Module
    final_norm: torch.nn.Module | None  # None where the model has none
    inputs: Callable[[torch.Tensor], Mapping[str, Any]]  # pixels -> the keyword arguments of `module`
    blocks: Sequence[torch.nn.Module] = ()  # all of them, for features of several layers; none where that cannot be

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `Backbone.forward`."""
        return self.layer_outputs(pixels, ())[0].map

    @property
    def depth(self) -> int:
        """See `Backbone.depth`."""
        return len(self.blocks)

    def layer_outputs(self, pixels: torch.Tensor, layers: Sequence[int]) -> list[LayerOutput]:
        """See `Backbone.layer_outputs`."""
        self.check_pixels(pixels)
        blocks = [self.blocks[layer] for layer in layers] or [self.block]
        return [self._output(tokens, pixels) for tokens in self._block_outputs(blocks, pixels)]

    def _output(self, tokens: torch.Tensor, pixels: torch.Tensor) -> LayerOutput:
        """The map and class vector, normed as asked for, of one block's output (B, tokens, C) for these pixels."""
        rows, columns = self.check_pixels(pixels)
        if self.norm == "final" and self.final_norm is not None:
            tokens = self.final_norm(tokens)
        count, expected = tokens.shape[1], self.num_prefix_tokens + rows * columns
        if count != expected:
            raise BackboneError(
                f"{self.name} gave {count} tokens for {pixels.shape[-2]}x{pixels.shape[-1]} pixels; expected {expected}"
                f" = {self.num_prefix_tokens} prefix + {rows}x{columns} patches of {self.patch_size}. "
                "Its config disagrees with what the model does."
            )
        patches = tokens[:, self.num_prefix_tokens :]
        maps = patches.transpose(1, 2).reshape(tokens.shape[0], -1, rows, columns)
        return LayerOutput(maps, self._class_vector(tokens))

    def _class_vector(self, tokens: torch.Tensor) -> torch.Tensor | None:
        if self.class_tokens < 2:
            return tokens[:, 0] if self.class_tokens else None
        mean: torch.Tensor = tokens[:, : self.class_tokens].float().mean(dim=1)
        return mean.to(tokens.dtype)

    def _block_outputs(self, blocks: Sequence[torch.nn.Module], pixels: torch.Tensor) -> list[torch.Tensor]:
        """What blocks themselves return, (B, tokens, C) each, from one forward.

        Hooks, because what `hidden_states[-1]` holds (before or after the final norm) depends on class, config and
        release of transformers, and because they keep the layers asked for in memory instead of all.
        """
        kept: dict[int, Any] = {}
        handles = [
            block.register_forward_hook(lambda module, inputs, output, number=number: kept.update({number: output}))
            for number, block in enumerate(blocks)
        ]
        try:
            self.module(**self.inputs(pixels))
        finally:
            for handle in handles:
                handle.remove()
        return [block_tokens(kept[number]) for number in range(len(blocks))]


def block_tokens(output: Any) -> torch.Tensor:
    """The tokens (B, tokens, C) in what a transformer block returns: them, or a tuple that begins with them."""
    tokens: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return tokens


class TokenFamily(ABC):
    """A family of plain vision transformers: says where a class of `transformers` keeps its parts.

    A subclass names its classes and where they keep blocks and norm, and says how many tokens come before the patches.

    Attributes:
        model_types: the values of `model_type` in config.json that it serves.
        classes: model type -> name of the class of `transformers` that serves it.
        blocks_path: where the class keeps its blocks, dotted.
        norm_path: where it keeps the norm after the last block, dotted; None where it has none.
        model_options: for the constructor or the config, at loading.
        forward_options: for every forward.
        towers: for checkpoints that hold more than a vision model: model type -> renamings (patterns) of their
            weights that the class does not make itself.
        unused: names of weights that a checkpoint may hold beyond the class: they never reach the features.
        float32: which tensors stay in float32 when the model is cast: pattern of a module's name -> names of its
            tensors, dotted. What the module gives is cast instead. For position tables that the class interpolates in
            their own dtype, and for constants: both drift when they are rounded first.
        position_rules: other ways to fit positions that the family can take, see `positions.py`.
        embeddings_path: where the class keeps its positions, dotted.
        pooling: what the global vector is where there are class tokens; without any it is the mean.
    """

    model_types: tuple[str, ...]
    has_weights = True
    classes: ClassVar[Mapping[str, str]] = {}
    blocks_path: ClassVar[str] = "layers"
    norm_path: ClassVar[str | None] = "layernorm"
    model_options: ClassVar[Mapping[str, Any]] = {}
    forward_options: ClassVar[Mapping[str, Any]] = {}
    towers: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    unused: ClassVar[re.Pattern[str] | None] = None
    float32: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    pooling: ClassVar[Pooling] = "class"
    position_rules: ClassVar[tuple[Positions, ...]] = ()
    embeddings_path: ClassVar[str] = "embeddings"

    def class_tokens(self, config: Any) -> int:
        """How many tokens at the front are class tokens: their mean is the class vector."""
        return min(1, self.num_prefix_tokens(config))

    @abstractmethod
    def num_prefix_tokens(self, config: Any) -> int:
        """How many tokens come before the first patch."""

    def model_class(self, model_type: str) -> Any:
        """The class of `transformers` that serves a model type."""
        import transformers

        return getattr(transformers, self.classes[model_type])

    def blocks(self, model: Any) -> torch.nn.ModuleList:
        """Its transformer blocks, in order."""
        blocks: torch.nn.ModuleList = model.get_submodule(self.blocks_path)
        return blocks

    def final_norm(self, model: Any) -> torch.nn.Module | None:
        """The norm after the last block, None where the model has none."""
        norm = None if self.norm_path is None else model.get_submodule(self.norm_path)
        return None if type(norm).__name__ == "Identity" else norm

    def fixed_size(self, config: Any) -> int | None:
        """The only image size that works, where positions cannot be interpolated."""
        return None

    def inputs(self, pixels: torch.Tensor, *, dtype: torch.dtype, patch: int) -> dict[str, Any]:
        """The keyword arguments of a forward.

        Args:
            pixels: (B, 3, H, W) float32, normalized; sides are multiples of `patch`.
            dtype: what the model computes in.
            patch: pixels on a side of a patch.
        """
        return {"pixel_values": pixels.to(dtype), **self.forward_options}

    def cast(self, model: Any, dtype: torch.dtype) -> None:
        """Cast the float32 model in place, except what `float32` names."""
        kept: set[int] = set()
        for name, module in model.named_modules():
            for tensors in (names for pattern, names in self.float32.items() if re.fullmatch(pattern, name)):
                kept.update(id(attrgetter(tensor)(module)) for tensor in tensors)
                module.register_forward_hook(_cast_output(dtype))
        for tensor in chain(model.parameters(), model.buffers()):
            if tensor.is_floating_point() and id(tensor) not in kept:
                tensor.data = tensor.data.to(dtype)

    def apply_recipe(self, model: Any, request: LoadRequest, patch: int) -> None:
        """Change positions and activation as the request says; raises `BackboneError` for what the family cannot do."""
        if request.positions not in ("checkpoint", *self.position_rules):
            raise BackboneError(f"{request.name}: its family has no positions {request.positions!r}; leave them out.")
        if request.positions != "checkpoint":
            prefix = self.num_prefix_tokens(model.config)
            fit_positions(model.get_submodule(self.embeddings_path), request.positions, prefix, patch)
        if request.activation == "gelu":
            exact_gelu(model, request.name)

    def load(self, request: LoadRequest) -> Backbone:
        """Load one model, see `Family.load`."""
        import torch

        checkpoint = request.checkpoint
        if checkpoint is None:
            raise BackboneError(f"{request.name} needs a checkpoint.")
        model = self.load_model(checkpoint)
        blocks = self.blocks(model)
        block = blocks[check_layer(request.layer, len(blocks), request.name)]
        final_norm = self.final_norm(model)
        patch = _patch_size(model.config, checkpoint.label)
        self.apply_recipe(model, request, patch)
        if request.norm == "final" and final_norm is None:
            raise BackboneError(f"{request.name} has no norm after its last block: leave `norm` out, or give 'none'.")
        dtype = getattr(torch, request.dtype)
        class_tokens = self.class_tokens(model.config)
        if request.dtype != "float32":
            self.cast(model, dtype)
        model.requires_grad_(False).eval().to(request.device)
        return TokenBackbone(
            **request.identity(checkpoint),
            num_layers=len(blocks),
            patch_size=patch,
            size_multiple=patch,
            fixed_size=self.fixed_size(model.config),
            num_prefix_tokens=self.num_prefix_tokens(model.config),
            channels=int(model.config.hidden_size),
            pooling=self.pooling if class_tokens else "mean",
            class_tokens=class_tokens,
            module=model,
            block=block,
            blocks=tuple(blocks),
            final_norm=final_norm,
            inputs=partial(self.inputs, dtype=dtype, patch=patch),
        )

    def load_options(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """What `from_pretrained` is given for a checkpoint. Raises `BackboneError` for one without a vision tower."""
        options = dict(self.model_options)
        if checkpoint.model_type in self.towers:
            check_tower(checkpoint)
            options["key_mapping"] = dict(self.towers[checkpoint.model_type])
        return options

    def load_model(self, checkpoint: Checkpoint) -> Any:
        """The vision model of a checkpoint, in float32; of one that holds more, only the vision tower is loaded.

        Raises:
            BackboneError: it has no vision tower, or does not load (see the function `load_model`).
        """
        options = self.load_options(checkpoint)
        model = load_model(self.model_class(checkpoint.model_type), checkpoint, options, self.unused)
        sides = getattr(model.config, "image_size", None)
        if isinstance(sides, list | tuple) and len(set(sides)) != 1:
            raise BackboneError(
                f"{checkpoint.label} was trained on images of {tuple(sides)}; its positions can be interpolated only "
                "from a square grid, so it does not work here."
            )
        return model


def exact_gelu(model: Any, label: str) -> None:
    """Replace the activation of every block's MLP by the exact GELU; raises `BackboneError` where there is none."""
    from torch.nn import GELU

    mlps = [module for module in model.modules() if hasattr(module, "activation_fn")]
    if not mlps:
        raise BackboneError(f"{label} keeps no activation that could be replaced by GELU: leave it out.")
    for module in mlps:
        module.activation_fn = GELU()


def check_tower(checkpoint: Checkpoint) -> None:
    """Raise `BackboneError` for a checkpoint of more than a vision model whose config has no vision tower."""
    if not isinstance(checkpoint.config.get("vision_config"), dict):
        raise BackboneError(
            f"{checkpoint.label} has no vision tower: a config.json of model_type {checkpoint.model_type!r} should "
            "have a `vision_config`. Give the checkpoint of a model that takes images."
        )


def check_layer(layer: int, count: int, name: str) -> int:
    """The block index for a layer that may be negative; raises `BackboneError` when there is no such block."""
    if not -count <= layer < count:
        raise BackboneError(
            f"{name} has no layer {layer}: it has {count} blocks, 0 to {count - 1}, or -{count} to -1 from the end."
        )
    return layer % count


def load_model(
    model_class: Any, checkpoint: Checkpoint, options: Mapping[str, Any], unused: re.Pattern[str] | None = None
) -> Any:
    """A model of `transformers` in float32 whose every parameter that matters came from the checkpoint.

    Args:
        model_class: the class; for a tower of a larger checkpoint the tower's own.
        checkpoint: its files.
        options: for `from_pretrained`, such as the `key_mapping` that takes a tower's prefix off.
        unused: names of weights that the checkpoint may have beyond the model: the rest around a tower.

    Raises:
        BackboneError: the config cannot be built, or disagrees with the weights (missing, surplus, misshapen).
    """
    import torch

    try:
        with quiet_transformers():
            model, info = model_class.from_pretrained(
                checkpoint.folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported below, with the names
                **options,
            )
    except Exception as error:  # transformers raises many kinds here; all mean that this checkpoint does not load
        reason = str(error).strip() or type(error).__name__
        raise BackboneError(f"{checkpoint.label} does not load as {model_class.__name__}: {reason}") from error
    problems = [f"{name} is missing" for name in sorted(info["missing_keys"]) if not _HARMLESS.search(name)]
    problems += [
        f"{name} is not in the model"
        for name in sorted(info["unexpected_keys"])
        if not (_HARMLESS.search(name) or (unused and unused.search(name)))
    ]
    problems += [
        f"{name} is {tuple(found)} where the config asks for {tuple(wanted)}"
        for name, found, wanted in sorted(info["mismatched_keys"], key=str)
    ]
    problems += [str(message) for message in info.get("error_msgs") or ()]
    if problems:
        shown = "\n".join(f"  {problem}" for problem in problems[:8])
        more = f"\n  and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise BackboneError(
            f"{checkpoint.label}: config.json disagrees with the weights in {len(problems)} place(s), so parts of the "
            f"model would be random. Get both from the same checkpoint:\n{shown}{more}"
        )
    if getattr(model.config, "num_channels", 3) != 3:
        raise BackboneError(
            f"{checkpoint.label} takes {model.config.num_channels} channels; only RGB models work here."
        )
    for module in model.modules():
        if hasattr(module, "config"):
            module.config.return_dict = True  # a checkpoint may say otherwise, and outputs are read by name
    return model


def _patch_size(config: Any, label: str) -> int:
    patch = config.patch_size
    sides = set(patch) if isinstance(patch, list | tuple) else {patch}
    if len(sides) != 1:
        raise BackboneError(f"{label} has patches of {patch}; only square patches work here.")
    return int(sides.pop())


def _cast_output(dtype: torch.dtype) -> Callable[..., Any]:
    """A forward hook that casts the floating tensors a module gives."""

    def cast(output: torch.Tensor) -> torch.Tensor:
        return output.to(dtype) if output.is_floating_point() else output

    def hook(module: torch.nn.Module, inputs: Any, output: Any) -> Any:
        return tuple(cast(one) for one in output) if isinstance(output, tuple) else cast(output)

    return hook


def _silence_transformers() -> Callable[[], None]:
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()

    def restore() -> None:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()

    return restore


quiet_transformers = ProcessSetting(_silence_transformers)
"""No load report and no progress bar: what matters of them is raised as an error."""
