"""AIMv2: no class token, RMS norms. Only "native" checkpoints (sine positions) take any size."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from .tokens import TokenFamily


class Aimv2Family(TokenFamily):
    """model_type "aimv2_vision_model" and "aimv2" (with a text tower).

    The others have a learned table that `transformers` does not interpolate: they run at the size they were trained at.
    """

    model_types = ("aimv2", "aimv2_vision_model")
    classes: ClassVar = dict.fromkeys(model_types, "Aimv2VisionModel")
    blocks_path = "encoder.layers"
    norm_path = "rms_norm"
    model_options: ClassVar = {"use_head": False}
    towers: ClassVar[Mapping[str, Mapping[str, str]]] = {"aimv2": {r"^vision_model\.": ""}}
    unused = re.compile(r"^text_model\.|^(text_projection|visual_projection)\.|^logit_scale$|(^|\.)head\.")

    def num_prefix_tokens(self, config: Any) -> int:
        """None."""
        return 0

    def fixed_size(self, config: Any) -> int | None:
        """The size of the position table, None for native checkpoints."""
        return None if config.is_native else int(config.image_size // config.patch_size * config.patch_size)


FAMILY = Aimv2Family()
