"""The contract of a family (an adapter that loads models) and of a backbone (a loaded model). No torch at import."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from ...errors import BackboneError
from ..checkpoint import Checkpoint
from ..preprocess import Statistics

if TYPE_CHECKING:
    import torch

Norm = Literal["none", "final"]
Pooling = Literal["class", "mean"]
NORMS: tuple[str, ...] = get_args(Norm)
Positions = Literal["checkpoint", "antialiased", "offset", "sincos", "rotary_fixed"]
POSITIONS: tuple[str, ...] = get_args(Positions)
Activation = Literal["checkpoint", "gelu"]
POOLINGS: tuple[str, ...] = get_args(Pooling)
DTYPES: tuple[str, ...] = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class LoadRequest:
    """What a family is asked to load.

    Attributes:
        name: what the result calls the model.
        checkpoint: its files, None for a family without weights.
        layer: which block's output, negative from the end.
        norm: "none" (raw) or "final" (through the model's final layer norm).
        statistics: what the pixels given to `Backbone.forward` were normalized with.
        device: a torch device, known to be there.
        dtype: one of `DTYPES`; weights are read in float32 and then cast.
        positions: how positions are fitted to the grid, one of `POSITIONS`.
        activation: "checkpoint" = as config.json says, or "gelu" = exact GELU instead.
    """

    name: str
    checkpoint: Checkpoint | None
    layer: int
    norm: Norm
    statistics: Statistics
    device: str
    dtype: str
    positions: Positions = "checkpoint"
    activation: Activation = "checkpoint"

    def identity(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """The fields of the `Backbone` that say what was asked for and which files it came from."""
        return {
            "name": self.name,
            "family": checkpoint.model_type,
            "revision": checkpoint.revision,
            "weights_hash": checkpoint.weights_hash,
            "config_hash": checkpoint.config_hash,
            "statistics": self.statistics,
            "layer": self.layer,
            "norm": self.norm,
            "device": self.device,
            "dtype": self.dtype,
        }


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """What one layer gives for a batch of B images.

    Attributes:
        map: (B, C, rows, columns).
        class_vector: (B, C), the layer's class token (the mean of several); None where the model has none.
    """

    map: torch.Tensor
    class_vector: torch.Tensor | None = None

    def pooled(self, pooling: Pooling) -> torch.Tensor:
        """The global vector (B, C): the class token, or the mean over the map. `class` needs a model that has one."""
        if pooling == "class" and self.class_vector is not None:
            return self.class_vector
        mean: torch.Tensor = self.map.float().flatten(2).mean(dim=2)
        return mean.to(self.map.dtype)


@dataclass(kw_only=True, eq=False)
class Backbone(ABC):
    """A frozen model that turns normalized square pixels into a map of features.

    Attributes:
        name: what the result calls it.
        family: the model type its adapter serves.
        revision: Hub commit, or the library version of a weight-free method; None for a folder.
        weights_hash: hex sha256 of the weights, None without weights.
        config_hash: hex sha256 of config.json, None without one.
        statistics: the normalization `forward` expects.
        layer: index of the block whose output is used as asked for (negative from the end), None without blocks.
        num_layers: how many blocks there are, None without blocks.
        norm: "none" or "final".
        patch_size: pixels between neighboring cells of the map.
        size_multiple: the sides of `forward`'s pixels must be multiples of this.
        fixed_size: the only side `forward`'s pixels may have, where the model cannot take others; None where it can.
        num_prefix_tokens: tokens before the first patch token (class token, registers), 0 for maps.
        channels: C.
        device: torch device, as a string.
        dtype: one of `DTYPES`.
        square_only: whether `forward` refuses H != W.
        pooling: what its global vector is: "class" (the class token of a block) or "mean" (over a block's patches).
        recipe: which recipe it was loaded by, see `recipes.py`; "checkpoint" for a model that is not listed.
        zero_padded: whether images keep the size asked for and zeros after the normalization fill the last cells up,
            instead of a resize to the nearest multiple.
        variant: how the recipe departs from the checkpoint's own network (positions, activation), JSON values.
        class_tokens: tokens at the front whose mean is the class vector; 0 where the model has none.
    """

    name: str
    family: str
    revision: str | None
    weights_hash: str | None
    config_hash: str | None
    statistics: Statistics
    layer: int | None
    num_layers: int | None
    norm: Norm
    patch_size: int
    size_multiple: int
    num_prefix_tokens: int
    channels: int
    device: str
    dtype: str
    fixed_size: int | None = None
    square_only: bool = False
    pooling: Pooling = "mean"
    class_tokens: int = 0
    recipe: str = "checkpoint"
    zero_padded: bool = False
    variant: Mapping[str, str] = field(default_factory=dict)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Backbone.__repr__  # type: ignore[method-assign]  # else `dataclass` writes one of all fields

    def __repr__(self) -> str:
        layer = "" if self.layer is None else f", layer {self.layer} of {self.num_layers}"
        kind = type(self).__name__
        where = f"{self.dtype} on {self.device}"
        return f"{kind}({self.name!r}{layer}, {self.channels} channels, patch {self.patch_size}, {where})"

    @property
    def depth(self) -> int:
        """How many layers of one shape `layer_outputs` can give; 0 for a model that gives its own layer only."""
        return 0

    @abstractmethod
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Raw features of normalized pixels.

        Args:
            pixels: (B, 3, H, W) float32 on `device`; H and W multiples of `size_multiple`, or both `fixed_size`.

        Returns:
            (B, C, H / patch_size, W / patch_size) in `dtype`, rows from the top, columns from the left.

        Raises:
            BackboneError: sides that are no multiples, or a model that gives another number of cells than it should.
        """

    def layer_outputs(self, pixels: torch.Tensor, layers: Sequence[int]) -> list[LayerOutput]:
        """The outputs of several layers from one forward.

        Args:
            pixels: as for `forward`.
            layers: block numbers from 0 below `depth`; empty = the layer the model was loaded with.

        Returns:
            One output for each layer in order (a single one for no layers), normed as the model was loaded.

        Raises:
            BackboneError: as `forward`, or layers of a model without `depth`.
        """
        if layers:
            self.check_depth()
        return [LayerOutput(self.forward(pixels))]

    def check_depth(self) -> None:
        """Raise `BackboneError` for a model that gives the layer it was loaded with and no other."""
        if not self.depth:
            raise BackboneError(f"{self.name} ({self.family}) gives features of one layer only: leave the layers out.")

    def details(self) -> dict[str, Any]:
        """What else decides the features, as JSON values, for the result record; empty for most."""
        return {}

    def check_pixels(self, pixels: torch.Tensor) -> tuple[int, int]:
        """Rows and columns of the map for these pixels; raises `BackboneError` for a shape `forward` cannot take."""
        shape = tuple(pixels.shape)
        if (
            len(shape) != 4
            or shape[1] != 3
            or min(shape[2:]) < 1
            or any(side % self.size_multiple for side in shape[2:])
        ):
            raise BackboneError(
                f"{self.name} takes pixels (B, 3, H, W) with H and W multiples of {self.size_multiple}, got {shape}."
            )
        if self.square_only and shape[2] != shape[3]:
            raise BackboneError(f"{self.name} takes square pixels only (H = W), got {shape}.")
        if self.fixed_size is not None and set(shape[2:]) != {self.fixed_size}:
            raise BackboneError(
                f"{self.name} cannot interpolate its positions: it takes images of {self.fixed_size}x{self.fixed_size} "
                f"pixels only, got {shape[2]}x{shape[3]}. Ask for image size {self.fixed_size}."
            )
        return shape[2] // self.patch_size, shape[3] // self.patch_size


class Family(Protocol):
    """An adapter: loads every model of its model types.

    Attributes:
        model_types: the values of `model_type` in config.json that it serves.
        has_weights: False for a method that needs no checkpoint.

    A family whose models normalize their pixels themselves also has `own_statistics`: what "auto" means for them.
    """

    model_types: tuple[str, ...]
    has_weights: bool

    def load(self, request: LoadRequest) -> Backbone:
        """Load the model: frozen, in eval mode, on the device, in the dtype. Raises `BackboneError`."""
