"""Swin: `layer` is a stage, the map its tokens before they are merged for the next stage.

Strides are 4, 8, 16, 32 (the patch times 2 per stage). The map equals entry `layer + 1` of the `reshaped_hidden_states`
of `SwinModel(..., output_hidden_states=True, output_hidden_states_before_downsampling=True)`. `SwinBackbone` is not
used: it adds a norm per stage that no checkpoint has, so they are random. Norm "final" is the model's own layer norm,
which exists for the last stage only.

A map that is not a multiple of the window is padded by the model with zeros that take part in the attention, as always
in Swin; a map smaller than the window is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import BackboneError
from .base import LoadRequest
from .maps import (
    MapFamily,
    MapPlan,
    only_last_is_normed,
    output_of,
    tokens_to_map,
)
from .tokens import check_layer

if TYPE_CHECKING:
    import torch


class SwinFamily(MapFamily):
    """model_type "swin"."""

    model_types = ("swin",)
    classes: ClassVar[Mapping[str, str]] = {"swin": "SwinModel"}
    model_options: ClassVar[Mapping[str, Any]] = {"add_pooling_layer": False}
    unused = re.compile(r"^hidden_states_norms\.")  # of a model saved as `SwinBackbone`

    def plan(self, model: Any, request: LoadRequest) -> MapPlan:
        """The map of stage `request.layer`."""
        stages = model.encoder.layers
        index = check_layer(request.layer, len(stages), request.name)
        only_last_is_normed(request, index, len(stages))
        window = int(model.config.window_size)
        stride = int(model.config.patch_size) * 2**index
        last_block = stages[index].blocks[-1]

        def compute(pixels: torch.Tensor) -> torch.Tensor:
            rows, columns = pixels.shape[2] // stride, pixels.shape[3] // stride
            if min(rows, columns) < window:
                raise BackboneError(
                    f"{request.name} attends in windows of {window}x{window} cells of {stride} pixels: it takes images "
                    f"of at least {window * stride} pixels a side, got {pixels.shape[2]}x{pixels.shape[3]}."
                )
            _restore_windows(stages, window)
            tokens = output_of(last_block, lambda: model(pixels, interpolate_pos_encoding=True))[0]
            if request.norm == "final":
                tokens = model.layernorm(tokens)
            return tokens_to_map(tokens, rows, columns)

        return MapPlan(
            compute=compute,
            num_layers=len(stages),
            patch_size=stride,
            channels=int(model.config.embed_dim) * 2**index,
            size_multiple=stride,
            details={"output": f"stage {index} of {len(stages)}, stride {stride}, before merging"},
        )


def _restore_windows(stages: Any, window: int) -> None:
    """Undo what an earlier, smaller image left behind: `SwinLayer` stores a window cut down to a small map for good."""
    for stage in stages:
        for number, block in enumerate(stage.blocks):
            block.window_size = window
            block.shift_size = 0 if number % 2 == 0 else window // 2


FAMILY = SwinFamily()
