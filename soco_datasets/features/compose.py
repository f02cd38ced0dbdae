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

from ..errors import BackboneError, UsageError, unknown_name
from .derived import (
    Cells,
    DerivedBackbone,
    derived_fields,
    finest,
)
from .extractor import l2_normalise
from .families.base import Backbone
from .families.tokens import TokenBackbone, block_tokens, check_layer

if TYPE_CHECKING:
    import torch

UpsampleMode = Literal["bilinear", "bicubic"]
UPSAMPLE_MODES: tuple[str, ...] = get_args(UpsampleMode)


class CompositeBackbone(DerivedBackbone):
    """Several backbones side by side, as SD+DINO (Zhang et al. 2023) puts two.

    Each part's raw map goes to the common grid (bilinear, cell centre on cell centre), is scaled to unit length in
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

    def cells(self, parts: Sequence[Cells]) -> Cells:
        """The common grid."""
        return parts[finest(parts)] if self.grid is None else (self.grid, self.grid)

    def combine(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """See `DerivedBackbone.combine`."""
        import torch

        cells = self.cells([(part.shape[-2], part.shape[-1]) for part in maps])
        if len(maps) == 1 and tuple(maps[0].shape[-2:]) == cells:
            return maps[0]
        scaled = [l2_normalise(resample(part, cells)) * weight for part, weight in zip(maps, self.weights, strict=True)]
        return torch.cat(scaled, dim=1).to(getattr(torch, self.dtype))

    def details(self) -> dict[str, Any]:
        """See `Backbone.details`."""
        return {"composition": {"weights": list(self.weights), "grid": self.grid, "resampling": "bilinear"}}


class UpsampledBackbone(DerivedBackbone):
    """A map with `factor` times as many cells on a side, interpolated between the cells' centres.

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

    def cells(self, parts: Sequence[Cells]) -> Cells:
        """`factor` times the backbone's."""
        return parts[0][0] * self.factor, parts[0][1] * self.factor

    def combine(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """See `DerivedBackbone.combine`."""
        rows, columns = maps[0].shape[-2:]
        return resample(maps[0], self.cells([(rows, columns)]), self.mode).to(maps[0].dtype)

    def details(self) -> dict[str, Any]:
        """See `Backbone.details`."""
        return {"upsampling": {"factor": self.factor, "mode": self.mode}}


def resample(maps: torch.Tensor, cells: Cells, mode: UpsampleMode = "bilinear") -> torch.Tensor:
    """(B, C, h, w) maps to (B, C, *cells) float32, both grids over the same image; untouched where they agree.

    A coarser grid averages over its cells (antialias), a finer one interpolates between centres.
    """
    import torch

    shape = tuple(maps.shape[-2:])
    if shape == cells:
        return maps.float()
    coarser = cells[0] < shape[0] or cells[1] < shape[1]
    return torch.nn.functional.interpolate(maps.float(), size=cells, mode=mode, align_corners=False, antialias=coarser)


@dataclass(kw_only=True, eq=False)
class MultiLayerBackbone(Backbone):
    """Raw features of several layers of one transformer, stacked on the channels in the order given, from one forward.

    Attributes:
        layers: which, as asked for.
        views: the same model seen at each layer; the one at the deepest makes the forward.
    """

    layers: tuple[int, ...]
    views: tuple[TokenBackbone, ...]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `Backbone.forward`."""
        import torch

        deepest = max(range(len(self.views)), key=lambda index: _depth(self.layers[index], self.views[index]))
        kept: dict[int, Any] = {}
        handles = [
            view.block.register_forward_hook(lambda module, inputs, output, index=index: kept.update({index: output}))
            for index, view in enumerate(self.views)
            if index != deepest
        ]
        try:
            last = self.views[deepest].forward(pixels)
        finally:
            for handle in handles:
                handle.remove()
        maps = [
            last if index == deepest else view.to_map(block_tokens(kept[index]), pixels)
            for index, view in enumerate(self.views)
        ]
        return torch.cat(maps, dim=1)

    def details(self) -> dict[str, Any]:
        """See `Backbone.details`."""
        return {"layers": list(self.layers)}


def several_layers(backbone: Backbone, layers: Sequence[int] | Literal["quarters"]) -> MultiLayerBackbone:
    """Features of several layers of a loaded transformer; its own `layer` plays no part.

    Args:
        backbone: of a family of plain transformers.
        layers: block numbers, negative from the last; "quarters" = the last block of each quarter of the depth, as the
            reference's `return_multilayer` takes them.

    Raises:
        BackboneError: a model without such blocks, or without one of the layers.
        UsageError: no layer, or one named twice.
    """
    if not isinstance(backbone, TokenBackbone) or not backbone.blocks:
        raise BackboneError(
            f"{backbone.name} ({backbone.family}) gives features of one layer only: leave the layers out."
        )
    count = len(backbone.blocks)
    wanted = quarters(count) if layers == "quarters" else tuple(layers)
    depths = [check_layer(layer, count, backbone.name) for layer in wanted]
    if not depths or len(set(depths)) != len(depths):
        raise UsageError(f"Give one or more different layers of the {count} of {backbone.name}, got {list(wanted)}.")
    views = tuple(
        dataclasses.replace(backbone, layer=layer, block=backbone.blocks[depth])
        for layer, depth in zip(wanted, depths, strict=True)
    )
    shared = {field.name: getattr(backbone, field.name) for field in dataclasses.fields(Backbone)}
    changes = {"layer": None, "channels": backbone.channels * len(wanted)}
    return MultiLayerBackbone(**shared | changes, layers=tuple(wanted), views=views)


def quarters(count: int) -> tuple[int, ...]:
    """The last block of each quarter of `count` blocks, without repeats.

    >>> quarters(12), quarters(24), quarters(3)
    ((2, 5, 8, 11), (5, 11, 17, 23), (0, 1, 2))
    """
    return tuple(sorted({max(count // 4 - 1, 0), max(count // 2 - 1, 0), max(count * 3 // 4 - 1, 0), count - 1}))


def _depth(layer: int, view: TokenBackbone) -> int:
    return layer % len(view.blocks)
