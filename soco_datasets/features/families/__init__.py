"""Model families: one adapter file each, found by a checkpoint's `model_type` through `ADAPTERS`, the only table.

To add a family: write `families/<file>.py` with a `FAMILY` (see `base.py`, and `dinov2.py` for an example) and list its
model types here. An adapter's file is imported only when a model of its family is loaded.
"""

from __future__ import annotations

import importlib

from ...errors import BackboneError, worded
from .base import Family

ADAPTERS: dict[str, str] = {
    "vit": "vit",
    "deit": "vit",
    "ijepa": "vit",
    "vit_mae": "vit_mae",
    "dinov2": "dinov2",
    "dinov2_with_registers": "dinov2",
    "dinov3_vit": "dinov3_vit",
    "clip": "clip",
    "clip_vision_model": "clip",
    "metaclip_2": "clip",
    "metaclip_2_vision_model": "clip",
    "siglip": "siglip",
    "siglip_vision_model": "siglip",
    "llava_onevision": "siglip",
    "siglip2": "siglip2",
    "siglip2_vision_model": "siglip2",
    "internvl": "internvl",
    "internvl_vision": "internvl",
    "beit": "beit",
    "aimv2": "aimv2",
    "aimv2_vision_model": "aimv2",
    "pixio": "pixio",
    "radio": "radio",
    "convnext": "convnext",
    "convnextv2": "convnext",
    "dinov3_convnext": "convnext",
    "swin": "swin",
    "sam": "sam",
    "sam_vision_model": "sam",
    "sam2": "sam2",
    "sam2_video": "sam2",
    "sam2_vision_model": "sam2",
    "vjepa2": "vjepa2",
    "qwen2_5_vl": "qwen_vl",
    "qwen2_5_vl_vision": "qwen_vl",
    "qwen3_vl": "qwen_vl",
    "qwen3_vl_vision": "qwen_vl",
    "timm_wrapper": "timm_wrapper",
    "stable_diffusion": "dift",
    "dense_sift": "dense_sift",
}


def family_of(model_type: str, label: str) -> Family:
    """The adapter that serves a `model_type`.

    Args:
        model_type: as config.json says it.
        label: the model, for the error.

    Raises:
        BackboneError: no family serves it.
    """
    if model_type not in ADAPTERS:
        says = f"model_type {model_type!r}" if model_type else "no model_type"
        raise BackboneError(
            f"{label}: its config.json says {says}, which no family here serves. "
            f"Families: {', '.join(sorted(ADAPTERS))}. Any other model comes in as a plug-in, a function that gives "
            f"its maps: {worded('--model module:function', 'model=function')}. A new family is one adapter "
            "file; docs/howto/backbones.md shows both."
        )
    family: Family = importlib.import_module(f".{ADAPTERS[model_type]}", __name__).FAMILY
    return family
