"""BEiT: one class token; relative positions as a bias of every attention, interpolated to any grid."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from .tokens import TokenFamily


class BeitFamily(TokenFamily):
    """model_type "beit".

    With `use_mean_pooling` (the default, and what published checkpoints have) the model has no norm after its last
    block: the norm belongs to the pooled vector. Then norm "final" is refused. The bias takes (tokens x tokens) floats
    a head: at 800 pixels and 12 heads 300 MB.
    """

    model_types = ("beit",)
    classes: ClassVar = {"beit": "BeitModel"}
    model_options: ClassVar = {"add_pooling_layer": False}
    # Of masked image modeling; of segmentation.
    unused = re.compile(r"^(layernorm|lm_head)\.|^(decode_head|auxiliary_head|fpn\d)\.")
    float32: ClassVar = {
        "embeddings": ("position_embeddings",),
        r"shared_position_bias|layers\.\d+\.relative_position_bias": ("relative_position_bias_table",),
    }

    def num_prefix_tokens(self, config: Any) -> int:
        """The class token."""
        return 1


FAMILY = BeitFamily()
