"""The vision towers of Qwen2.5-VL and Qwen3-VL. Of a whole checkpoint only the tower is loaded.

Rule for the output: norm "none" is a block's own cells (14 px in Qwen2.5-VL, 16 px in Qwen3-VL); norm "final" is the
merger's output, which is what the language model sees: 2 x 2 cells in one (28 and 32 px), after the last block only.

Inside, the cells of Qwen3-VL lie in 2 x 2 blocks, and those of Qwen2.5-VL in windows of such blocks; so they do in
`last_hidden_state`. Both are undone here. Sides are multiples of a merged cell for both outputs. The processors, which
resize images to a pixel budget, are not used: the network size is what was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from .base import LoadRequest
from .maps import (
    MapFamily,
    MapPlan,
    only_last_is_normed,
    output_of,
)
from .tokens import check_layer, check_tower, load_model

if TYPE_CHECKING:
    import torch

    from ..checkpoint import Checkpoint


class QwenVlFamily(MapFamily):
    """model_type "qwen2_5_vl" and "qwen3_vl", and of their towers alone."""

    model_types = ("qwen2_5_vl", "qwen2_5_vl_vision", "qwen3_vl", "qwen3_vl_vision")
    model_options: ClassVar[Mapping[str, Any]] = {"key_mapping": {r"^(?:model\.)?visual\.": ""}}
    unused = re.compile(r"^(model|language_model|lm_head)\.")  # the language model
    float32 = re.compile(r"inv_freq$")

    def load_model(self, checkpoint: Checkpoint) -> Any:
        """The tower in float32."""
        from transformers import Qwen3VLVisionModel
        from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

        if checkpoint.config.get("vision_config") is None and "depth" not in checkpoint.config:
            check_tower(checkpoint)  # a tower that transformers 4.57 saved alone says "qwen2_5_vl" too
        third = checkpoint.model_type.startswith("qwen3")
        tower = Qwen3VLVisionModel if third else Qwen2_5_VisionTransformerPretrainedModel
        return load_model(tower, checkpoint, self.model_options, self.unused)

    def plan(self, model: Any, request: LoadRequest) -> MapPlan:
        """The cells of block `request.layer`, or the merged ones."""
        config = model.config
        patch, merge, frames = int(config.patch_size), int(config.spatial_merge_size), int(config.temporal_patch_size)
        index = check_layer(request.layer, len(model.blocks), request.name)
        only_last_is_normed(request, index, len(model.blocks), "block")
        merged = request.norm == "final"

        def compute(pixels: torch.Tensor) -> torch.Tensor:
            import torch

            batch, rows, columns = len(pixels), pixels.shape[2] // patch, pixels.shape[3] // patch
            sizes = torch.tensor([[1, rows, columns]] * batch, device=pixels.device)
            patches = blocked_patches(pixels, patch, merge, frames)
            if merged:
                cells = model(patches, grid_thw=sizes).pooler_output
                return cells.view(batch, rows // merge, columns // merge, -1).permute(0, 3, 1, 2)
            tokens = output_of(model.blocks[index], lambda: model(patches, grid_thw=sizes))
            return unblock(_leave_windows(model, tokens, sizes), batch, rows, columns, merge)

        cell = patch * merge if merged else patch
        return MapPlan(
            compute=compute,
            num_layers=len(model.blocks),
            patch_size=cell,
            channels=int(config.out_hidden_size if merged else config.hidden_size),
            size_multiple=patch * merge,
            details={"output": f"merger, {cell} px cells" if merged else f"block {index}, {cell} px cells"},
        )


def blocked_patches(pixels: torch.Tensor, patch: int, merge: int, frames: int) -> torch.Tensor:
    """(B, C, H, W) pixels as the processors of Qwen lay them out: (B * cells, C * frames * patch * patch).

    Cells go by blocks of `merge` x `merge`: block row, block column, row in the block, column in the block. A cell's
    values are ordered (channel, frame, row, column), the one frame repeated.
    """
    batch, channels, height, width = pixels.shape
    cells = pixels.reshape(
        batch, channels, height // patch // merge, merge, patch, width // patch // merge, merge, patch
    )
    cells = cells.permute(0, 2, 5, 3, 6, 1, 4, 7).unsqueeze(6)  # (B, block row, block column, row, column, C, 1, y, x)
    cells = cells.expand(*cells.shape[:6], frames, *cells.shape[7:])
    return cells.reshape(-1, channels * frames * patch * patch)


def unblock(tokens: torch.Tensor, batch: int, rows: int, columns: int, merge: int) -> torch.Tensor:
    """(B * rows * columns, C) tokens in the order of `blocked_patches` to (B, C, rows, columns)."""
    blocks = tokens.reshape(batch, rows // merge, columns // merge, merge, merge, -1)
    return blocks.permute(0, 5, 1, 3, 2, 4).reshape(batch, -1, rows, columns)


def _leave_windows(model: Any, tokens: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Tokens of Qwen2.5-VL from window order back to block order; Qwen3-VL has no windows."""
    if not hasattr(model, "window_size"):
        return tokens
    from transformers.vision_utils import get_vision_window_index

    order, _ = get_vision_window_index(sizes, model.spatial_merge_size, model.window_size, model.patch_size)
    blocks = tokens.reshape(len(order), model.spatial_merge_unit, -1)
    return blocks[order.argsort().to(tokens.device)].reshape(tokens.shape)


FAMILY = QwenVlFamily()
