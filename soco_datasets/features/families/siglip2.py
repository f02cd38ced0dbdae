"""SigLIP 2 NaFlex: takes patches instead of images, any grid. No class token, learned positions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from .tokens import TokenFamily

if TYPE_CHECKING:
    import torch


class Siglip2Family(TokenFamily):
    """model_type "siglip2" and "siglip2_vision_model".

    The checkpoint's own processor would shrink the image to `max_num_patches` (256) and pad; here every image of a
    batch has the same grid, so nothing is shrunk, padded or masked.
    """

    model_types = ("siglip2", "siglip2_vision_model")
    classes: ClassVar = dict.fromkeys(model_types, "Siglip2VisionModel")
    blocks_path = "encoder.layers"
    norm_path = "post_layernorm"
    model_options: ClassVar = {"vision_use_head": False}
    towers: ClassVar[Mapping[str, Mapping[str, str]]] = {"siglip2": {}}
    unused = re.compile(r"^text_model\.|^logit_(scale|bias)$|(^|\.)head\.")
    float32: ClassVar = {"embeddings": ("position_embedding.weight",)}

    def num_prefix_tokens(self, config: Any) -> int:
        """None."""
        return 0

    def inputs(self, pixels: torch.Tensor, *, dtype: torch.dtype, patch: int) -> dict[str, Any]:
        """Patches in raster order, each as (row, column, channel) flattened, with the grid they come from."""
        import torch

        batch, channels, height, width = pixels.shape
        rows, columns = height // patch, width // patch
        cells = pixels.to(dtype).reshape(batch, channels, rows, patch, columns, patch)
        return {
            "pixel_values": cells.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, patch * patch * channels),
            "pixel_attention_mask": torch.ones(batch, rows * columns, dtype=torch.long, device=pixels.device),
            "spatial_shapes": torch.tensor([[rows, columns]] * batch, device=pixels.device),
        }


FAMILY = Siglip2Family()
