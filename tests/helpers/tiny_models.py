"""Tiny random checkpoints on disk, one for each model type, saved as a user's would be: weights, config, preprocessor.

`TOKEN_MODELS` is the table; `make(kind, folder)` builds one. Kinds are model types, or a variant of one after a `/`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "do_center_crop": True,
}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
NONE = {"do_normalize": False}

VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 8,
    "image_size": 56,
}
MLP_RATIO: dict[str, Any] = {name: value for name, value in VISION.items() if name != "intermediate_size"}
TEXT: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 40,
    "max_position_embeddings": 8,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
LANGUAGE: dict[str, Any] = {**TEXT, "model_type": "qwen2", "num_key_value_heads": 2}


def randomize(model: Any, seed: int = 3) -> Any:
    """Every parameter away from its neutral start: zero tables and unit norms would hide mistakes.

    Weights are small enough that each cell's feature stays mostly its own patch's.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.rsplit(".", 1)[-1].startswith("lambda") or ("norm" in name and name.endswith("weight")):
                parameter.copy_(1 + 0.2 * noise)
            elif parameter.ndim < 2:
                parameter.copy_(0.2 * noise)
            elif "position" in name or "token" in name:
                parameter.copy_(0.5 * noise)
            else:
                fan_in = parameter[0].numel()
                parameter.copy_(noise / fan_in**0.5)
    return model.eval()


def save(model: Any, folder: Path, preprocessor: dict[str, Any]) -> Path:
    """Save a randomized model with its preprocessor file; gives the folder back."""
    randomize(model).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def _plain(folder: Path, name: str, preprocessor: dict[str, Any], **options: Any) -> Path:
    """`<name>Model(<name>Config(**options))` of transformers."""
    import transformers as tf

    stem = name.removesuffix("Model").removesuffix("ForPreTraining")
    config = getattr(tf, f"{stem}Config")(**options)
    return save(getattr(tf, name)(config), folder, preprocessor)


def _paired(folder: Path, name: str, preprocessor: dict[str, Any], vision: dict[str, Any]) -> Path:
    """A two-tower model with its text tower, as CLIP's are published."""
    import transformers as tf

    text = TEXT if "Siglip" not in name else {**TEXT, "projection_size": vision["hidden_size"]}
    config = getattr(tf, f"{name}Config")(text_config=text, vision_config=vision, projection_dim=12)
    return save(getattr(tf, f"{name}Model")(config), folder, preprocessor)


def _chat(folder: Path, name: str, preprocessor: dict[str, Any], vision: dict[str, Any]) -> Path:
    """A vision-language model with its language model."""
    import transformers as tf

    config = getattr(tf, f"{name}Config")(text_config=LANGUAGE, vision_config=vision)
    return save(getattr(tf, f"{name}ForConditionalGeneration")(config), folder, preprocessor)


_SIGLIP_VISION = {**VISION, "model_type": "siglip_vision_model"}
_SIGLIP2 = {**{name: value for name, value in VISION.items() if name != "image_size"}, "num_patches": 49}
_INTERNVL = {**VISION, "model_type": "internvl_vision", "norm_type": "rms_norm", "use_qk_norm": True}
_BEIT = {**VISION, "layer_scale_init_value": 0.5}

TOKEN_MODELS: dict[str, Callable[[Path], Path]] = {
    "vit": partial(_plain, name="ViTModel", preprocessor=IMAGENET, **VISION),
    "deit": partial(_plain, name="DeiTModel", preprocessor=IMAGENET, **VISION),
    "ijepa": partial(_plain, name="IJepaModel", preprocessor=IMAGENET, **VISION),
    "vit_mae": partial(
        _plain,
        name="ViTMAEForPreTraining",
        preprocessor=IMAGENET,
        **VISION,
        decoder_hidden_size=16,
        decoder_num_attention_heads=2,
        decoder_num_hidden_layers=1,
        decoder_intermediate_size=16,
    ),
    "dinov2": partial(_plain, name="Dinov2Model", preprocessor=IMAGENET, **MLP_RATIO),
    "dinov2_with_registers": partial(
        _plain, name="Dinov2WithRegistersModel", preprocessor=IMAGENET, num_register_tokens=4, **MLP_RATIO
    ),
    "dinov3_vit": partial(_plain, name="DINOv3ViTModel", preprocessor=IMAGENET, num_register_tokens=4, **VISION),
    "clip": partial(_paired, name="CLIP", preprocessor=CLIP, vision=VISION),
    "clip_vision_model": partial(_plain, name="CLIPVisionModel", preprocessor=CLIP, **VISION),
    "metaclip_2": partial(_paired, name="MetaClip2", preprocessor=CLIP, vision=VISION),
    "metaclip_2_vision_model": partial(_plain, name="MetaClip2VisionModel", preprocessor=CLIP, **VISION),
    "siglip": partial(_paired, name="Siglip", preprocessor=HALF, vision=VISION),
    "siglip_vision_model": partial(_plain, name="SiglipVisionModel", preprocessor=HALF, **VISION),
    "siglip2": partial(_paired, name="Siglip2", preprocessor=HALF, vision=_SIGLIP2),
    "siglip2_vision_model": partial(_plain, name="Siglip2VisionModel", preprocessor=HALF, **_SIGLIP2),
    "llava_onevision": partial(_chat, name="LlavaOnevision", preprocessor=HALF, vision=_SIGLIP_VISION),
    "internvl": partial(_chat, name="InternVL", preprocessor=IMAGENET, vision=_INTERNVL),
    "internvl_vision": partial(
        _plain, name="InternVLVisionModel", preprocessor=IMAGENET, **{**VISION, "use_mean_pooling": False}
    ),
    "beit": partial(
        _plain,
        name="BeitModel",
        preprocessor=HALF,
        **_BEIT,
        use_relative_position_bias=True,
        use_mean_pooling=True,
    ),
    "beit/class_token": partial(
        _plain,
        name="BeitModel",
        preprocessor=HALF,
        **_BEIT,
        use_shared_relative_position_bias=True,
        use_absolute_position_embeddings=True,
        use_mask_token=True,
        use_mean_pooling=False,
    ),
    "aimv2": partial(_paired, name="Aimv2", preprocessor=CLIP, vision={**VISION, "is_native": True}),
    "aimv2_vision_model": partial(_plain, name="Aimv2VisionModel", preprocessor=CLIP, is_native=True, **VISION),
    "aimv2_vision_model/fixed": partial(_plain, name="Aimv2VisionModel", preprocessor=CLIP, **VISION),
    "pixio": partial(_plain, name="PixioModel", preprocessor=IMAGENET, **MLP_RATIO),
    "radio": partial(_plain, name="RadioModel", preprocessor=NONE, max_img_size=112, **MLP_RATIO),
}


def make(kind: str, folder: Path) -> Path:
    """Build the tiny checkpoint of a kind in `folder`; gives the folder back."""
    return TOKEN_MODELS[kind](folder)
