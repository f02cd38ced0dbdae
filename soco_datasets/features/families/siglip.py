"""SigLIP, SigLIP 2 of fixed resolution (also model_type "siglip") and LLaVA-OneVision's tower, which is a SigLIP.

No class token: every token is a patch. Learned positions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from ...errors import BackboneError
from ..checkpoint import Checkpoint
from .tokens import TokenFamily

LANGUAGE_PARTS = r"^(model\.)?(language_model|multi_modal_projector|lm_head|image_newline)\b"
"""Weights of a vision-language model that are not its vision tower's."""

VISION_TOWER = r"^(model\.)?vision_tower\."
"""Where a vision-language model keeps its vision tower's weights; the release of transformers decides which."""


class SiglipFamily(TokenFamily):
    """model_type "siglip", "siglip_vision_model" and "llava_onevision".

    The pooling head is left out: it comes after the features.
    """

    model_types = ("siglip", "siglip_vision_model", "llava_onevision")
    classes: ClassVar = dict.fromkeys(model_types, "SiglipVisionModel")
    blocks_path = "encoder.layers"
    norm_path = "post_layernorm"
    model_options: ClassVar = {"vision_use_head": False}
    forward_options: ClassVar = {"interpolate_pos_encoding": True}  # without it other sizes raise
    towers: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "siglip": {},
        "llava_onevision": {VISION_TOWER + r"(vision_model\.)?": ""},
    }
    unused = re.compile(rf"^text_model\.|^logit_(scale|bias)$|(^|\.)head\.|embeddings\.position_ids$|{LANGUAGE_PARTS}")
    position_rules = ("antialiased",)
    float32: ClassVar = {"embeddings": ("position_embedding.weight",)}

    def num_prefix_tokens(self, config: Any) -> int:
        """None."""
        return 0

    def load_options(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """As any; LLaVA-OneVision may be built with any tower, a SigLIP is the one published."""
        vision = checkpoint.config.get("vision_config")
        kind = vision.get("model_type") if isinstance(vision, dict) else None
        if checkpoint.model_type == "llava_onevision" and kind not in (None, "siglip_vision_model"):
            raise BackboneError(
                f"{checkpoint.label}: its vision tower is a {kind!r}; of LLaVA-OneVision only SigLIP towers are "
                "served. Save the tower alone with `model.model.vision_tower.save_pretrained(FOLDER)` and give FOLDER."
            )
        return super().load_options(checkpoint)


FAMILY = SiglipFamily()
