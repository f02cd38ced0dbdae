"""PIXIO: several class tokens (8), learned positions."""

from __future__ import annotations

from typing import Any, ClassVar

from .tokens import TokenFamily


class PixioFamily(TokenFamily):
    """model_type "pixio".

    `PixioModel`, never `PixioBackbone`, whose outer norm is in no checkpoint and would be random.
    """

    model_types = ("pixio",)
    classes: ClassVar = {"pixio": "PixioModel"}
    float32: ClassVar = {"embeddings": ("position_embeddings",)}

    def class_tokens(self, config: Any) -> int:
        """All of them, as the model's own pooling takes them."""
        return int(config.n_cls_tokens)

    def num_prefix_tokens(self, config: Any) -> int:
        """The class tokens."""
        return int(config.n_cls_tokens)


FAMILY = PixioFamily()
