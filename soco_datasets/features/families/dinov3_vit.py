"""DINOv3 ViT: one class token, then the registers; rotary positions for any grid."""

from __future__ import annotations

from typing import Any, ClassVar

from .tokens import TokenFamily


class DINOv3ViTFamily(TokenFamily):
    """model_type "dinov3_vit"."""

    model_types = ("dinov3_vit",)
    classes: ClassVar = {"dinov3_vit": "DINOv3ViTModel"}
    blocks_path = "model.layer"
    norm_path = "norm"
    float32: ClassVar = {"rope_embeddings": ("inv_freq",)}  # rounded frequencies would turn every angle

    def num_prefix_tokens(self, config: Any) -> int:
        """The class token and the registers."""
        return 1 + int(config.num_register_tokens)


FAMILY = DINOv3ViTFamily()
