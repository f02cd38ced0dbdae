"""C-RADIO as `transformers.RadioModel`: class tokens and registers first; normalizes its pixels itself.

Checkpoints come in two forms: with a config of `transformers` (C-RADIOv4), or with NVIDIA's own, which names an
architecture of timm and expects NVIDIA's code to be run (v2, v3). Of those no code is run: `released_config` reads the
sizes from the weights. `transformers` itself maps the names of the weights of both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import BackboneError
from ..checkpoint import Checkpoint
from ..preprocess import NO_STATISTICS, Statistics
from .base import Backbone, LoadRequest
from .tokens import TokenFamily

if TYPE_CHECKING:
    import torch


HEADS = {"vit_base_patch16_224": 12, "vit_large_patch16_224": 16, "vit_huge_patch16_224": 16}
"""Attention heads of the architectures of timm that RADIOs are built on: the one size that no weight tells."""


class RadioFamily(TokenFamily):
    """model_type "radio".

    The model subtracts mean and divides by std itself, so it is given pixels in 0..1; statistics are "none" whatever a
    preprocessor file says. It has no norm after its last block.
    """

    model_types = ("radio",)
    classes: ClassVar = {"radio": "RadioModel"}
    own_statistics: Statistics = NO_STATISTICS
    blocks_path = "encoder.layer"
    norm_path = None
    pooling = "mean"  # the class token (of its first teacher) is given where it is asked for
    # Heads that imitate its teachers; scalings that come after the last block.
    unused = re.compile(r"(^|\.)(adaptors|(inter_)?feature_normalizer)\.")
    float32: ClassVar = {"input_conditioner": ("norm_mean", "norm_std"), "embeddings": ("position_embedding",)}

    def num_prefix_tokens(self, config: Any) -> int:
        """The class tokens (one a teacher) and the registers."""
        return int(config.num_cls_tokens) + int(config.num_registers)

    def inputs(self, pixels: torch.Tensor, *, dtype: torch.dtype, patch: int) -> dict[str, Any]:
        """Pixels in float32: they are normalized first, and cast then."""
        return {"pixel_values": pixels}

    def load_options(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """As any; for NVIDIA's form of config.json with the config made from it and the weights."""
        from transformers import RadioConfig

        options = super().load_options(checkpoint)
        if "args" in checkpoint.config:
            options["config"] = RadioConfig(**released_config(checkpoint))
        return options

    def load(self, request: LoadRequest) -> Backbone:
        """As any; statistics asked for by name are refused."""
        if request.statistics.source not in ("none", "checkpoint"):
            raise BackboneError(
                f"{request.name} normalizes its pixels itself; statistics {request.statistics.source!r} would "
                "normalize them twice. Leave `statistics` out."
            )
        return super().load(replace(request, statistics=NO_STATISTICS))


def released_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The fields of a `RadioConfig` for a checkpoint in NVIDIA's own form.

    All tokens before the patches are counted as class tokens: which of them are registers does not reach the features.

    Raises:
        BackboneError: an architecture that is not served, or weights that are not of this form.
    """
    name = (checkpoint.config.get("args") or {}).get("model")
    if name not in HEADS:
        raise BackboneError(
            f"{checkpoint.label} is a RADIO built on {name!r}; served are {', '.join(HEADS)}, and every RADIO saved by "
            "transformers. timm has other RADIOs."
        )
    shapes = _shapes(checkpoint)
    root = "radio_model.model."
    try:
        prefix, hidden = shapes[root + "patch_generator.cls_token.token"]
        pixels = shapes[root + "patch_generator.embedder.weight"][1]
        positions = shapes[root + "patch_generator.pos_embed"][1]
        width = shapes[root + "blocks.0.mlp.fc1.weight"][0]
        summaries = shapes["radio_model.summary_idxs"][0]
    except (KeyError, IndexError, ValueError) as error:
        raise BackboneError(
            f"{checkpoint.label}: its config.json is in NVIDIA's form, its weights are not ({error})."
        ) from error
    patch = round((pixels / 3) ** 0.5)
    return {
        "hidden_size": hidden,
        "num_hidden_layers": len({key.split(".")[3] for key in shapes if key.startswith(root + "blocks.")}),
        "num_attention_heads": HEADS[name],
        "mlp_ratio": width / hidden,
        "qkv_bias": root + "blocks.0.attn.qkv.bias" in shapes,
        "patch_size": patch,
        "max_img_size": round(positions**0.5) * patch,
        "num_cls_tokens": prefix,
        "num_registers": 0,
        "summary_idxs": list(range(summaries)),
    }


def _shapes(checkpoint: Checkpoint) -> Mapping[str, list[int]]:
    """The shape of every weight, read from the headers of its files."""
    from safetensors import safe_open

    shapes: dict[str, list[int]] = {}
    for path in checkpoint.weights:
        with safe_open(path, "pt") as file:
            shapes.update({name: file.get_slice(name).get_shape() for name in file.keys()})  # noqa: SIM118  not a dict
    return shapes


FAMILY = RadioFamily()
