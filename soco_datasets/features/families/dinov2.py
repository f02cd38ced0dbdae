"""DINOv2 with and without registers: one class token, then the registers, then the patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .tokens import TokenFamily

if TYPE_CHECKING:
    import torch


class Dinov2Family(TokenFamily):
    """model_type "dinov2" and "dinov2_with_registers"; positions are interpolated to any multiple of the patch."""

    model_types = ("dinov2", "dinov2_with_registers")
    position_rules = ("offset",)

    def model_class(self, model_type: str) -> Any:
        """The class of `transformers`."""
        from transformers import Dinov2Model, Dinov2WithRegistersModel

        return Dinov2Model if model_type == "dinov2" else Dinov2WithRegistersModel

    def blocks(self, model: Any) -> torch.nn.ModuleList:
        """The transformer blocks."""
        layers: torch.nn.ModuleList = model.encoder.layer
        return layers

    def num_prefix_tokens(self, config: Any) -> int:
        """The class token and the registers; forgetting the registers shifts the map silently."""
        return 1 + int(getattr(config, "num_register_tokens", 0))


FAMILY = Dinov2Family()
