"""InternVL's vision tower (InternViT as `transformers` has it), alone or in the whole model. One class token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from .siglip import LANGUAGE_PARTS, VISION_TOWER
from .tokens import TokenFamily


class InternVLFamily(TokenFamily):
    """model_type "internvl" and "internvl_vision".

    The map of the tower itself, one cell a patch: the model's own tiling to 448 pixels and the merging of 2 x 2 cells
    before its language model are no part of it. With `use_mean_pooling` (as published) there is no final norm.
    """

    model_types = ("internvl", "internvl_vision")
    classes: ClassVar = dict.fromkeys(model_types, "InternVLVisionModel")
    blocks_path = "encoder.layer"
    towers: ClassVar[Mapping[str, Mapping[str, str]]] = {"internvl": {VISION_TOWER: ""}}
    unused = re.compile(LANGUAGE_PARTS)
    pooling = "mean"  # as every tower of a vision-language model
    float32: ClassVar = {"embeddings": ("position_embeddings",)}

    def num_prefix_tokens(self, config: Any) -> int:
        """The class token."""
        return 1


FAMILY = InternVLFamily()
