"""CLIP (OpenAI, LAION, DataComp) and MetaCLIP 2: the vision tower. One class token, learned positions.

A whole checkpoint or a vision model alone; text tower and projections are left on disk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from .tokens import TokenFamily


class CLIPFamily(TokenFamily):
    """model_type "clip", "metaclip_2" and their vision models.

    The patches of the class's `last_hidden_state` have not been through `post_layernorm`, only the pooled token has;
    norm "final" puts them through it.
    """

    model_types = ("clip", "clip_vision_model", "metaclip_2", "metaclip_2_vision_model")
    classes: ClassVar = {
        "clip": "CLIPVisionModel",
        "clip_vision_model": "CLIPVisionModel",
        "metaclip_2": "MetaClip2VisionModel",
        "metaclip_2_vision_model": "MetaClip2VisionModel",
    }
    blocks_path = "encoder.layers"
    norm_path = "post_layernorm"
    forward_options: ClassVar = {"interpolate_pos_encoding": True}
    towers: ClassVar[Mapping[str, Mapping[str, str]]] = {"clip": {}, "metaclip_2": {}}
    unused = re.compile(r"^text_model\.|^(text_projection|visual_projection)\.|^logit_scale$|embeddings\.position_ids$")
    position_rules = ("antialiased",)
    float32: ClassVar = {"embeddings": ("position_embedding.weight",)}

    def num_prefix_tokens(self, config: Any) -> int:
        """The class token."""
        return 1


FAMILY = CLIPFamily()
