"""SAM 2's vision encoder (Hiera and its feature pyramid); `layer` is a stage of Hiera, strides 4, 8, 16, 32.

Rule for the output: norm "none" is the stage's own NHWC output; norm "final" is the pyramid's map of that stage (256
channels), which SAM 2 has for its finest `num_feature_levels` stages only (0 to 2: strides 4, 8, 16), so it needs an
explicit `layer`. Of a whole checkpoint only the encoder is loaded.

Sides must be multiples of the first window in pixels (8 cells of 4 = 32): the window part of the position table is
tiled, and anything else fails inside with a bare RuntimeError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import BackboneError
from .base import LoadRequest
from .maps import MapFamily, MapPlan, output_of
from .tokens import check_layer

if TYPE_CHECKING:
    import torch


class Sam2Family(MapFamily):
    """model_type "sam2", "sam2_video" (what released checkpoints say) and, for the encoder alone, its own."""

    model_types = ("sam2", "sam2_video", "sam2_vision_model")
    towers = ("sam2", "sam2_video")
    classes: ClassVar[Mapping[str, str]] = dict.fromkeys(model_types, "Sam2VisionModel")
    model_options: ClassVar[Mapping[str, Any]] = {"key_mapping": {r"^vision_encoder\.": ""}}
    unused = re.compile(
        r"^(prompt_encoder|mask_decoder|shared_image_embedding|memory_\w+|mask_downsample|object_pointer_proj"
        r"|temporal_positional_encoding_projection_layer)\.|^(no_memory_\w+|no_object_pointer|occlusion_spatial_\w+|"
        r"memory_temporal_positional_encoding)$"
    )
    float32 = re.compile(r"\bpos_embed(_window)?$")

    def plan(self, model: Any, request: LoadRequest) -> MapPlan:
        """The map of stage `request.layer`, or the pyramid's."""
        config, hiera = model.config, model.backbone.config
        count = len(hiera.blocks_per_stage)
        index = check_layer(request.layer, count, request.name)
        pyramid = request.norm == "final"
        if pyramid and index >= config.num_feature_levels:
            raise BackboneError(
                f"{request.name} keeps pyramid maps (norm 'final') of stages 0 to {config.num_feature_levels - 1}, not "
                f"of stage {index}: give one of those as layer, or norm 'none'."
            )
        blocks = model.backbone.blocks
        last_block = blocks[model.backbone.stage_ends[index]]
        blocks[0].register_forward_pre_hook(_as_weights)

        def compute(pixels: torch.Tensor) -> torch.Tensor:
            if pyramid:
                return model(pixels).fpn_hidden_states[index]
            return output_of(last_block, lambda: model(pixels)).permute(0, 3, 1, 2)

        stem, window = int(hiera.patch_stride[0]), int(hiera.window_size_per_stage[0])
        strides = [stem * 2 ** min(stage, hiera.num_query_pool_stages) for stage in range(count)]
        what = "feature pyramid" if pyramid else "Hiera"
        return MapPlan(
            compute=compute,
            num_layers=count,
            patch_size=strides[index],
            channels=int(config.fpn_hidden_size if pyramid else hiera.embed_dim_per_stage[index]),
            size_multiple=math.lcm(stem * window, strides[-1]),
            details={"output": f"{what}, stage {index} of {count}, stride {strides[index]}"},
        )


def _as_weights(block: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The position table stays float32 when the model is cast; its sum with the patches goes on as the weights are."""
    return (inputs[0].to(next(block.parameters()).dtype), *inputs[1:])


FAMILY = Sam2Family()
