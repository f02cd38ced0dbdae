"""SAM's vision encoder at any multiple of its patch. Of a whole SAM checkpoint only the encoder is loaded.

Rule for the output: norm "none" is the NHWC output of a block, before the neck (what probing work uses); norm "final"
is the neck's 256-channel map, which exists after the last block only.

`SamVisionModel` itself takes its native size only (1024) and raises for any other. Here the absolute position table is
resized (bicubic, as the probing reference does), and the relative ones of the global blocks are resized by the blocks
(linear) once they see another grid; at the native size nothing is resized.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .base import LoadRequest
from .maps import MapFamily, MapPlan, only_last_is_normed
from .tokens import check_layer

if TYPE_CHECKING:
    import torch


class SamFamily(MapFamily):
    """model_type "sam" and, for the encoder alone, "sam_vision_model"."""

    model_types = ("sam", "sam_vision_model")
    towers = ("sam",)
    classes: ClassVar[Mapping[str, str]] = {"sam": "SamVisionModel", "sam_vision_model": "SamVisionModel"}
    unused = re.compile(r"^(prompt_encoder|mask_decoder|shared_image_embedding)\.")
    float32 = re.compile(r"pos_embed$")

    def plan(self, model: Any, request: LoadRequest) -> MapPlan:
        """The map of block `request.layer`, or the neck's."""
        encoder, config = model.vision_encoder, model.config
        index = check_layer(request.layer, len(encoder.layers), request.name)
        only_last_is_normed(request, index, len(encoder.layers), "block")
        neck = encoder.neck if request.norm == "final" else None

        def compute_layers(pixels: torch.Tensor, layers: Sequence[int]) -> list[torch.Tensor]:
            hidden = encoder.patch_embed.projection(pixels).permute(0, 2, 3, 1)
            if encoder.pos_embed is not None:
                hidden = hidden + _resize_table(encoder.pos_embed, hidden.shape[1], hidden.shape[2]).to(hidden.dtype)
            found = {}
            for number, block in enumerate(encoder.layers[: max(layers) + 1]):
                hidden = block(hidden)
                if number in layers:
                    found[number] = hidden.permute(0, 3, 1, 2) if neck is None else neck(hidden)
            return [found[layer] for layer in layers]

        patch = int(config.patch_size)
        return MapPlan(
            compute=lambda pixels: compute_layers(pixels, (index,))[0],
            compute_layers=compute_layers if neck is None else None,
            num_layers=len(encoder.layers),
            patch_size=patch,
            channels=int(config.hidden_size if neck is None else config.output_channels),
            size_multiple=patch,
            details={
                "output": "neck" if neck is not None else f"block {index}, before the neck",
                "positions": f"resized from the {int(config.image_size) // patch}-cell grid of {config.image_size} px",
            },
        )


def _resize_table(table: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """(1, h, w, C) positions to (1, rows, columns, C)."""
    import torch

    if tuple(table.shape[1:3]) == (rows, columns):
        return table
    resized = torch.nn.functional.interpolate(table.permute(0, 3, 1, 2), size=(rows, columns), mode="bicubic")
    return resized.permute(0, 2, 3, 1)


FAMILY = SamFamily()
