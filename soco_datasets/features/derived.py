"""A backbone made of other backbones: the contract that `extractor.py` knows; see `compose.py` and `heads.py`.

A derived backbone never sees an image. Each part gets the pixels it would get alone, at its own network size and with
its own statistics, and the derived backbone combines the parts' maps.
"""

from __future__ import annotations

import hashlib
import json
import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import BackboneError
from .families.base import DTYPES, Backbone
from .preprocess import NO_STATISTICS, Statistics

if TYPE_CHECKING:
    import torch

Cells: TypeAlias = tuple[int, int]  # rows, columns


@dataclass(kw_only=True, eq=False)
class DerivedBackbone(Backbone):
    """Combines the maps of `parts`.

    `patch_size` is the smallest of the parts'; the map itself may be finer or coarser: `check_pixels` and
    `grid_size` say how many cells it has. `forward` takes pixels of one size for all parts, normalized with
    `statistics`; `DenseFeatureExtractor` gives each part its own size instead.
    """

    parts: tuple[Backbone, ...]

    @abstractmethod
    def grid_size(self, parts: Sequence[Cells]) -> Cells:
        """Rows and columns of the combined map, from those of the parts' maps."""

    @abstractmethod
    def combine(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """The (B, channels, rows, columns) map in `dtype`, from the parts' raw (B, C, h, w) maps."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `Backbone.forward`."""
        self.check_pixels(pixels)
        return self.combine([part.forward(_normalized_for(part, pixels, self.statistics)) for part in self.parts])

    def check_pixels(self, pixels: torch.Tensor) -> Cells:
        """Rows and columns of the combined map, see `Backbone.check_pixels`."""
        super().check_pixels(pixels)
        return self.grid_size([part.check_pixels(pixels) for part in self.parts])


def _normalized_for(part: Backbone, pixels: torch.Tensor, statistics: Statistics) -> torch.Tensor:
    if part.statistics == statistics:
        return pixels
    mean, std = (pixels.new_tensor(values).view(1, 3, 1, 1) for values in (part.statistics.mean, part.statistics.std))
    return (pixels - mean) / std


def finest(grids: Sequence[Cells]) -> int:
    """Index of the map with most cells, the first among equals."""
    return max(range(len(grids)), key=lambda index: grids[index][0] * grids[index][1])


def derived_fields(parts: Sequence[Backbone]) -> dict[str, Any]:
    """The fields of `Backbone` that follow from the parts: those of a single part, what several have in common.

    Raises:
        BackboneError: parts on different devices, or none.
    """
    if not parts:
        raise BackboneError("A composition needs at least one backbone.")
    devices = {part.device for part in parts}
    if len(devices) > 1:
        raise BackboneError(f"The parts of a composition must be on one device, got {', '.join(sorted(devices))}.")
    first = parts[0]
    single = len(parts) == 1
    statistics = {part.statistics for part in parts}
    return {
        "name": "+".join(part.name for part in parts),
        "family": first.family if single else "composite",
        "revision": first.revision if single else None,
        "weights_hash": combined_hash(part.weights_hash for part in parts),
        "config_hash": combined_hash(part.config_hash for part in parts),
        "statistics": first.statistics if len(statistics) == 1 else NO_STATISTICS,
        "layer": first.layer if single else None,
        "num_layers": first.num_layers if single else None,
        "norm": first.norm if single else "none",
        "patch_size": min(part.patch_size for part in parts),
        "size_multiple": math.lcm(*(part.size_multiple for part in parts)),
        "num_prefix_tokens": first.num_prefix_tokens if single else 0,
        "channels": sum(part.channels for part in parts),
        "device": first.device,
        "dtype": _common_dtype(parts),
        "fixed_size": first.fixed_size if single else None,
        "recipe": " + ".join(dict.fromkeys(part.recipe for part in parts)),
        "zero_padded": all(part.zero_padded for part in parts),
        "square_only": any(part.square_only for part in parts),
        "parts": tuple(parts),
    }


def combined_hash(hashes: Iterable[str | None]) -> str | None:
    """One hash that stands for several: the hash itself where there is one, else the sha256 of their JSON list."""
    found = list(hashes)
    if len(found) == 1 or not any(found):
        return found[0] if found else None
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def _common_dtype(parts: Sequence[Backbone]) -> str:
    """The parts' dtype where they agree, else float32, which holds them all."""
    dtypes = {part.dtype for part in parts}
    return dtypes.pop() if len(dtypes) == 1 else DTYPES[0]


def backbone_identity(backbone: Backbone) -> dict[str, Any]:
    """What makes two backbones give the same features, as JSON values: weights, layer, norm, statistics, parts.

    The layer is counted from the first, so that -1 and 11 of 12 are one. Size, device and precision are left out.
    """
    layer = backbone.layer
    if layer is not None and backbone.num_layers:
        layer %= backbone.num_layers
    found: dict[str, Any] = {
        "name": backbone.name,
        "weights_hash": backbone.weights_hash,
        "layer": layer,
        "norm": backbone.norm,
        "statistics": [list(backbone.statistics.mean), list(backbone.statistics.std)],
        **backbone.variant,
        **backbone.details(),
    }
    if isinstance(backbone, DerivedBackbone):
        found["parts"] = [backbone_identity(part) for part in backbone.parts]
    return found
