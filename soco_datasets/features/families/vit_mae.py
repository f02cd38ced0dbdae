"""ViT-MAE: the encoder with every patch kept, in raster order. One class token, fixed sine positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .tokens import TokenFamily

if TYPE_CHECKING:
    import torch


class ViTMAEFamily(TokenFamily):
    """model_type "vit_mae".

    By default the model drops 75 % of the patches and shuffles the rest, differently in every forward. A mask ratio of
    0 keeps them all, and noise that grows along the patches keeps their order: it is sorted to choose and to shuffle.
    """

    model_types = ("vit_mae",)
    classes: ClassVar = {"vit_mae": "ViTMAEModel"}
    model_options: ClassVar = {"mask_ratio": 0.0}
    forward_options: ClassVar = {"interpolate_pos_encoding": True}
    position_rules = ("sincos",)
    float32: ClassVar = {"embeddings": ("position_embeddings",)}

    def num_prefix_tokens(self, config: Any) -> int:
        """The class token."""
        return 1

    def inputs(self, pixels: torch.Tensor, *, dtype: torch.dtype, patch: int) -> dict[str, Any]:
        """Pixels and the noise that leaves the order of patches as it is."""
        import torch

        batch, _, height, width = pixels.shape
        order = torch.arange(height // patch * (width // patch), dtype=torch.float32, device=pixels.device)
        return super().inputs(pixels, dtype=dtype, patch=patch) | {"noise": order.expand(batch, -1)}


FAMILY = ViTMAEFamily()
