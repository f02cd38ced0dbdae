"""V-JEPA 2's encoder on a single image: a clip of one frame, which the model repeats to fill a tubelet. No class token.

Positions are rotary, and their ids are counted on a grid of `config.crop_size` whatever the input: at any other size
the model silently gives features of wrongly placed patches. Here the grid follows the input. Square images only, since
the ids know one side. The predictor is neither run nor kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .base import LoadRequest
from .maps import MapFamily, MapPlan, outputs_of, tokens_to_map
from .tokens import check_layer

if TYPE_CHECKING:
    import torch


class VJepa2Family(MapFamily):
    """model_type "vjepa2", the model and its video classifiers."""

    model_types = ("vjepa2",)
    classes: ClassVar[Mapping[str, str]] = {"vjepa2": "VJEPA2Model"}

    def plan(self, model: Any, request: LoadRequest) -> MapPlan:
        """The patches of block `request.layer`."""
        model.predictor = None
        encoder, patch = model.encoder, int(model.config.patch_size)
        index = check_layer(request.layer, len(encoder.layer), request.name)

        def compute_layers(pixels: torch.Tensor, layers: Sequence[int]) -> list[torch.Tensor]:
            side = pixels.shape[2] // patch
            for block in encoder.layer:
                block.attention.grid_size = side
            clips = pixels.unsqueeze(1)  # (B, T = 1, C, H, W)
            blocks = [encoder.layer[layer] for layer in layers]
            found = [output[0] for output in outputs_of(blocks, lambda: model(clips, skip_predictor=True))]
            normed = map(encoder.layernorm, found) if request.norm == "final" else found
            return [tokens_to_map(tokens, side, side) for tokens in normed]

        return MapPlan(
            compute=lambda pixels: compute_layers(pixels, (index,))[0],
            compute_layers=compute_layers,
            num_layers=len(encoder.layer),
            patch_size=patch,
            channels=int(model.config.hidden_size),
            size_multiple=patch,
            square_only=True,
            details={"output": f"block {index}, one frame repeated {model.config.tubelet_size} times"},
        )


FAMILY = VJepa2Family()
