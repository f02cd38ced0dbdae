"""ConvNeXt, ConvNeXt V2 and DINOv3 ConvNeXt: `layer` is a stage, the map its NCHW output.

Stage 0 has stride 4 (or the stem's), each later one twice the stride of the one before: 4, 8, 16, 32. Stages after the
asked one are not run, so sides need be multiples of that stage's stride only. The `Backbone` classes of `transformers`
put a norm after each stage that no checkpoint of a model has; the Model classes used here do not. Norm "final" is the
model's own layer norm, cell by cell, which exists for the last stage only (ConvNeXt applies it to the pooled map,
DINOv3 to each cell).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from .base import LoadRequest
from .maps import MapFamily, MapPlan, only_last_is_normed
from .tokens import check_layer

if TYPE_CHECKING:
    import torch


class ConvNextFamily(MapFamily):
    """model_type "convnext", "convnextv2" and "dinov3_convnext"."""

    model_types = ("convnext", "convnextv2", "dinov3_convnext")
    classes: ClassVar[Mapping[str, str]] = {
        "convnext": "ConvNextModel",
        "convnextv2": "ConvNextV2Model",
        "dinov3_convnext": "DINOv3ConvNextModel",
    }

    def plan(self, model: Any, request: LoadRequest) -> MapPlan:
        """The map of stage `request.layer`."""
        dinov3 = model.config.model_type == "dinov3_convnext"
        stages = model.model.stages if dinov3 else model.encoder.stages
        index = check_layer(request.layer, len(stages), request.name)
        only_last_is_normed(request, index, len(stages))
        norm = (model.layer_norm if dinov3 else model.layernorm) if request.norm == "final" else None

        def compute(pixels: torch.Tensor) -> torch.Tensor:
            maps = pixels if dinov3 else model.embeddings(pixels)
            for stage in stages[: index + 1]:
                maps = stage(maps)
            return maps if norm is None else norm(maps.movedim(1, -1)).movedim(-1, 1)

        stem = 4 if dinov3 else int(model.config.patch_size)
        stride = stem * 2**index
        return MapPlan(
            compute=compute,
            num_layers=len(stages),
            patch_size=stride,
            channels=int(model.config.hidden_sizes[index]),
            size_multiple=stride,
            details={"output": f"stage {index} of {len(stages)}, stride {stride}"},
        )


FAMILY = ConvNextFamily()
