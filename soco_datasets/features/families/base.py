"""The contract of a family (an adapter that loads models) and of a backbone (a loaded model). No torch at import."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from ...errors import BackboneError
from ..checkpoint import Checkpoint
from ..preprocess import Statistics

if TYPE_CHECKING:
    import torch

Norm = Literal["none", "final"]
NORMS: tuple[str, ...] = get_args(Norm)
DTYPES: tuple[str, ...] = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class LoadRequest:
    """What a family is asked to load.

    Attributes:
        name: what the result calls the model.
        checkpoint: its files, None for a family without weights.
        layer: which block's output, negative from the end.
        norm: "none" (raw) or "final" (through the model's final layer norm).
        statistics: what the pixels given to `Backbone.forward` were normalised with.
        device: a torch device, known to be there.
        dtype: one of `DTYPES`; weights are read in float32 and then cast.
    """

    name: str
    checkpoint: Checkpoint | None
    layer: int
    norm: Norm
    statistics: Statistics
    device: str
    dtype: str

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


@dataclass(kw_only=True, eq=False)
class Backbone(ABC):
    """A frozen model that turns normalised square pixels into a map of features.

    Attributes:
        name: what the result calls it.
        family: the model type its adapter serves.
        revision: Hub commit, or the library version of a weight-free method; None for a folder.
        weights_hash: hex sha256 of the weights, None without weights.
        config_hash: hex sha256 of config.json, None without one.
        statistics: the normalisation `forward` expects.
        layer: index of the block whose output is used as asked for (negative from the end), None without blocks.
        num_layers: how many blocks there are, None without blocks.
        norm: "none" or "final".
        patch_size: pixels between neighbouring cells of the map.
        size_multiple: the sides of `forward`'s pixels must be multiples of this.
        fixed_size: the only side `forward`'s pixels may have, where the model cannot take others; None where it can.
        num_prefix_tokens: tokens before the first patch token (class token, registers), 0 for maps.
        channels: C.
        device: torch device, as a string.
        dtype: one of `DTYPES`.
        square_only: whether `forward` refuses H != W.
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

    @abstractmethod
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Raw features of normalised pixels.

        Args:
            pixels: (B, 3, H, W) float32 on `device`; H and W multiples of `size_multiple`, or both `fixed_size`.

        Returns:
            (B, C, H / patch_size, W / patch_size) in `dtype`, rows from the top, columns from the left.

        Raises:
            BackboneError: sides that are no multiples, or a model that gives another number of cells than it should.
        """

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

    A family whose models normalise their pixels themselves also has `own_statistics`: what "auto" means for them.
    """

    model_types: tuple[str, ...]
    has_weights: bool

    def load(self, request: LoadRequest) -> Backbone:
        """Load the model: frozen, in eval mode, on the device, in the dtype. Raises `BackboneError`."""
