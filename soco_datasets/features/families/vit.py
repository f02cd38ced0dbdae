"""ViT and its near copies DeiT and I-JEPA: learned positions; they differ in the tokens before the patches.

DINO v1 and supervised checkpoints are `ViTModel`, and so is a DeiT without distillation (its model_type is "vit").
"""

from __future__ import annotations

from typing import Any, ClassVar

from .tokens import TokenFamily

PREFIX_TOKENS = {
    "vit": 1,  # class
    "deit": 2,  # class and distillation
    "ijepa": 0,  # none: `[:, 1:]` would lose a patch
}


class ViTFamily(TokenFamily):
    """model_type "vit", "deit" and "ijepa"."""

    model_types = tuple(PREFIX_TOKENS)
    classes: ClassVar = {"vit": "ViTModel", "deit": "DeiTModel", "ijepa": "IJepaModel"}
    model_options: ClassVar = {"add_pooling_layer": False}
    forward_options: ClassVar = {"interpolate_pos_encoding": True}  # without it other sizes raise
    position_rules = ("offset",)
    float32: ClassVar = {"embeddings": ("position_embeddings",)}

    def num_prefix_tokens(self, config: Any) -> int:
        """By model type, see `PREFIX_TOKENS`."""
        return PREFIX_TOKENS[config.model_type]


FAMILY = ViTFamily()
