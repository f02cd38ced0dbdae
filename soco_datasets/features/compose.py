"""Features made of features: several backbones side by side, several layers of one, a finer grid.

    CompositeBackbone    maps of several backbones, brought to one grid, each scaled to unit length, weighted, stacked
    UpsampledBackbone    a map made finer by a whole factor; nothing learned
    MultiLayerBackbone   several layers of one backbone from one forward, stacked raw
    (heads.HeadBackbone  a learned projection)

Each is a backbone, so they nest. `expression.load_model_expression` makes them from text.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..errors import UsageError, unknown_name
from .derived import Cells, DerivedBackbone, derived_fields, finest
from .extractor import l2_normalize
from .families.base import Backbone
from .families.tokens import check_layer

if TYPE_CHECKING:
    import torch

UpsampleMode = Literal["bilinear", "bicubic"]
UPSAMPLE_MODES: tuple[str, ...] = get_args(UpsampleMode)


class CompositeBackbone(DerivedBackbone):
    """Several backbones side by side, as SD+DINO (Zhang et al. 2023) puts two.

    Each part's raw map goes to the common grid (bilinear, cell center on cell center), is scaled to unit length in
    every cell and multiplied by its weight; the results are stacked on the channels. The cosine similarity of two
    composite features is thus the mean of the parts' similarities with the squares of the weights.
    A single part at its own grid is passed on as it is, bit for bit.

    Attributes:
        weights: one above 0 for each part.
        grid: cells on a side of the common grid; None = that of the finest part.
    """

    def __init__(
        self, parts: Sequence[Backbone], weights: Sequence[float] | None = None, grid: int | None = None
    ) -> None:
        """Put backbones side by side.

        Raises:
            UsageError: another number of weights than of parts, a weight or grid that is not positive.
            BackboneError: no parts, or parts on different devices.
        """
        super().__init__(**derived_fields(parts))
        self.weights = (1.0,) * len(parts) if weights is None else tuple(float(weight) for weight in weights)
        if len(self.weights) != len(parts) or not all(math.isfinite(weight) and weight > 0 for weight in self.weights):
            raise UsageError(
                f"Give one weight above 0 for each of the {len(parts)} backbones, got {list(self.weights)}."
            )
        if grid is not None and grid < 1:
            raise UsageError(f"The common grid must have a positive number of cells, got {grid}.")
        self.grid = grid

    def grid_size(self, parts: Sequence[Cells]) -> Cells:
        """The common grid."""
        return parts[finest(parts)] if self.grid is None else (self.grid, self.grid)

    def combine(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """See `DerivedBackbone.combine`."""
        import torch

        cells = self.grid_size([(part.shape[-2], part.shape[-1]) for part in maps])
        if len(maps) == 1 and tuple(maps[0].shape[-2:]) == cells:
            return maps[0]
        scaled = [l2_normalize(resample(part, cells)) * weight for part, weight in zip(maps, self.weights, strict=True)]
        return torch.cat(scaled, dim=1).to(getattr(torch, self.dtype))

    def details(self) -> dict[str, Any]:
        """See `Backbone.details`."""
        return {"composition": {"weights": list(self.weights), "grid": self.grid, "resampling": "bilinear"}}


class UpsampledBackbone(DerivedBackbone):
    """A map with `factor` times as many cells on a side, interpolated between the cells' centers.

    Attributes:
        factor: a whole number above 1.
        mode: one of `UPSAMPLE_MODES`.
    """

    def __init__(self, backbone: Backbone, factor: int, mode: UpsampleMode = "bilinear") -> None:
        """Make a backbone's map finer. Raises `UsageError` for a factor below 2 or an unknown mode."""
        if isinstance(factor, bool) or not isinstance(factor, int) or factor < 2:
            raise UsageError(f"Features are upsampled by a whole factor of 2 or more, got {factor!r}.")
        if mode not in UPSAMPLE_MODES:
            raise unknown_name("upsampling", mode, UPSAMPLE_MODES)
        super().__init__(**derived_fields((backbone,)) | {"name": f"{backbone.name} x{factor}"})
        self.factor = factor
        self.mode: UpsampleMode = mode

    def grid_size(self, parts: Sequence[Cells]) -> Cells:
        """`factor` times the backbone's."""
        return parts[0][0] * self.factor, parts[0][1] * self.factor

    def combine(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """See `DerivedBackbone.combine`."""
        rows, columns = maps[0].shape[-2:]
        return resample(maps[0], self.grid_size([(rows, columns)]), self.mode).to(maps[0].dtype)

    def details(self) -> dict[str, Any]:
        """See `Backbone.details`."""
        return {"upsampling": {"factor": self.factor, "mode": self.mode}}


def resample(maps: torch.Tensor, cells: Cells, mode: UpsampleMode = "bilinear") -> torch.Tensor:
    """(B, C, h, w) maps to (B, C, *cells) float32, both grids over the same image; untouched where they agree.

    A coarser grid averages over its cells (antialias), a finer one interpolates between centers.
    """
    import torch

    shape = tuple(maps.shape[-2:])
    if shape == cells:
        return maps.float()
    coarser = cells[0] < shape[0] or cells[1] < shape[1]
    return torch.nn.functional.interpolate(maps.float(), size=cells, mode=mode, align_corners=False, antialias=coarser)


@dataclass(kw_only=True, eq=False)
class MultiLayerBackbone(Backbone):
    """Raw features of several layers of one model, stacked on the channels in the order given, from one forward.

    Attributes:
        layers: which, as asked for.
        model: the model; its own `layer` plays no part.
    """

    layers: tuple[int, ...]
    model: Backbone

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `Backbone.forward`."""
        import torch

        depths = [layer % self.model.depth for layer in self.layers]
        return torch.cat([output.map for output in self.model.layer_outputs(pixels, depths)], dim=1)

    def details(self) -> dict[str, Any]:
        """See `Backbone.details`."""
        return {"layers": list(self.layers)}


def several_layers(backbone: Backbone, layers: Sequence[int] | Literal["quarters"]) -> MultiLayerBackbone:
    """Features of several layers of a loaded model; its own `layer` plays no part.

    Args:
        backbone: with layers of one shape, such as a plain transformer.
        layers: block numbers, negative from the last; "quarters" = the last block of each quarter of the depth, as the
            reference's `return_multilayer` takes them.

    Raises:
        BackboneError: a model without such blocks, or without one of the layers.
        UsageError: no layer, or one named twice.
    """
    backbone.check_depth()
    count = backbone.depth
    wanted = quarters(count) if layers == "quarters" else tuple(layers)
    depths = [check_layer(layer, count, backbone.name) for layer in wanted]
    if not depths or len(set(depths)) != len(depths):
        raise UsageError(f"Give one or more different layers of the {count} of {backbone.name}, got {list(wanted)}.")
    shared = {field.name: getattr(backbone, field.name) for field in dataclasses.fields(Backbone)}
    changes = {"layer": None, "channels": backbone.channels * len(wanted), "pooling": "mean", "class_tokens": 0}
    return MultiLayerBackbone(**shared | changes, layers=tuple(wanted), model=backbone)


def quarters(count: int) -> tuple[int, ...]:
    """The last block of each quarter of `count` blocks, without repeats.

    >>> quarters(12), quarters(24), quarters(3)
    ((2, 5, 8, 11), (5, 11, 17, 23), (0, 1, 2))
    """
    return tuple(sorted({max(count // 4 - 1, 0), max(count // 2 - 1, 0), max(count * 3 // 4 - 1, 0), count - 1}))
