"""Dense SIFT (kornia): the weight-free classical baseline, one descriptor for each 8 x 8 cell, centered on the cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import BackboneError, missing_extra
from .base import Backbone, LoadRequest

if TYPE_CHECKING:
    import torch

CELL = 8  # pixels: the stride, the side of a spatial bin, and the padding
BINS = 4
ANGLES = 8


@dataclass(kw_only=True, eq=False)
class DenseSiftBackbone(Backbone):
    """RootSIFT over the gray image; 4 x 4 bins of 8 pixels, so a descriptor looks at the 32 x 32 pixels around a cell.

    kornia centers output (i, j) on x = j * stride - padding + (BINS - 1) * bin / 2 - 1 / 2 = 8 j + 3.5: the middle of
    cell j of a grid of 8-pixel cells. Descriptors have unit length, or are zero where the image is flat.
    """

    descriptor: Any

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `Backbone.forward`."""
        import kornia

        self.check_pixels(pixels)
        maps: torch.Tensor = self.descriptor(kornia.color.rgb_to_grayscale(pixels))
        # Where nothing is to be seen kornia gives 1e-5 in every channel. Scaled to unit length that would resemble
        # every busy neighbourhood, and queries would flock to the white padding; zeros match nothing.
        return maps * (maps.norm(dim=1, keepdim=True) > 0.5)


class DenseSiftFamily:
    """model_type "dense_sift": no checkpoint, no layers, no statistics, float32 only."""

    model_types = ("dense_sift",)
    has_weights = False

    def load(self, request: LoadRequest) -> Backbone:
        """Build the descriptor. Raises `BackboneError` for options that mean nothing here."""
        if request.layer != -1 or request.norm != "none":
            raise BackboneError(f"{request.name} has no layers and no norm: leave `layer` and `norm` out.")
        if request.statistics.source != "none":
            raise BackboneError(f"{request.name} takes pixels as they are: leave `statistics` out.")
        if request.dtype != "float32":
            raise BackboneError(f"{request.name} works in float32 only, not {request.dtype}: leave `dtype` out.")
        try:
            import kornia
        except ImportError as error:
            raise missing_extra("The dense SIFT baseline", "models", "kornia") from error
        descriptor = kornia.feature.DenseSIFTDescriptor(
            num_ang_bins=ANGLES, num_spatial_bins=BINS, spatial_bin_size=CELL, stride=CELL, padding=CELL
        )
        descriptor.requires_grad_(False).eval().to(request.device)
        return DenseSiftBackbone(
            name=request.name,
            family="dense_sift",
            revision=f"kornia {kornia.__version__}",
            weights_hash=None,
            config_hash=None,
            statistics=request.statistics,
            layer=None,
            num_layers=None,
            norm="none",
            patch_size=CELL,
            size_multiple=CELL,
            num_prefix_tokens=0,
            channels=ANGLES * BINS * BINS,
            device=request.device,
            dtype="float32",
            descriptor=descriptor,
        )


FAMILY = DenseSiftFamily()
