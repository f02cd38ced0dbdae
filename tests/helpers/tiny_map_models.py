"""Tiny random checkpoints of the families that give maps, saved as they are published, whole: SAM with its decoder,
the Qwen towers with a language model, Stable Diffusion as a pipeline's folder, timm models in timm's own form.

`MAP_MODELS` is the table, keys as in `tiny_models`; a builder skips the test that calls it where a package is missing.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from helpers.tiny_models import CLIP, HALF, IMAGENET, LANGUAGE, TEXT, randomize

_STAGES: dict[str, Any] = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
_SWIN: dict[str, Any] = {"embed_dim": 8, "depths": [2, 2], "num_heads": [1, 2], "window_size": 3, "image_size": 48}
_SAM: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "mlp_dim": 64,
    "image_size": 96,
    "patch_size": 16,
    "window_size": 4,
    "global_attn_indexes": [1],
    "output_channels": 12,
    "num_pos_feats": 4,
}
_DECODER: dict[str, Any] = {
    "hidden_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "mlp_dim": 8,
    "iou_head_hidden_dim": 8,
}
_HIERA: dict[str, Any] = {
    "model_type": "sam2_hiera_det_model",
    "hidden_size": 8,
    "num_attention_heads": 1,
    "blocks_per_stage": [1, 1, 2, 1],
    "embed_dim_per_stage": [8, 16, 24, 32],
    "num_attention_heads_per_stage": [1, 1, 1, 1],
    "global_attention_blocks": [3],
}
_SAM2: dict[str, Any] = {"backbone_config": _HIERA, "backbone_channel_list": [32, 24, 16, 8], "fpn_hidden_size": 12}
_VJEPA2: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 8,
    "crop_size": 32,
    "pred_hidden_size": 24,
    "pred_num_attention_heads": 2,
    "pred_num_hidden_layers": 1,
}
_TOWER: dict[str, Any] = {"depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 16}
_QWEN25: dict[str, Any] = {**_TOWER, "window_size": 56, "fullatt_block_indexes": [1]}
_QWEN3: dict[str, Any] = {**_TOWER, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}


def local(model: Any) -> Any:
    """Randomize, and let convolutions look at their own cell first and attention bring less than there is.

    So it is in trained models; random taps would move a neighbour's feature as much as the cell's own.
    """
    import torch

    randomize(model)
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Conv2d) and module.kernel_size != module.stride:
                own = torch.zeros(module.kernel_size)
                rows, columns = (
                    slice(pad, pad + stride) for pad, stride in zip(module.padding, module.stride, strict=True)
                )
                own[rows, columns] = 1
                module.weight *= 0.05 + 0.95 * own
                module.weight *= (own.numel() / own.sum()) ** 0.5
            if name.endswith(("pwconv2", "attn.proj", "attention.proj", "o_proj", "to_out.0", "conv2")):
                module.weight *= 0.2
    return model


def _save(model: Any, folder: Path, preprocessor: dict[str, Any], name: str = "preprocessor_config.json") -> Path:
    local(model).save_pretrained(folder)
    (folder / name).write_text(json.dumps(preprocessor))
    return folder


def _plain(folder: Path, name: str, preprocessor: dict[str, Any] = IMAGENET, **options: Any) -> Path:
    """`<name>Model(<name>Config(**options))` of transformers."""
    import transformers as tf

    return _save(getattr(tf, f"{name}Model")(getattr(tf, f"{name}Config")(**options)), folder, preprocessor)


def _segmenter(folder: Path, name: str, vision: dict[str, Any]) -> Path:
    """SAM or SAM 2 with prompt encoder and mask decoder."""
    import transformers as tf

    config = getattr(tf, f"{name}Config")(
        vision_config=vision,
        mask_decoder_config=_DECODER,
        prompt_encoder_config={"hidden_size": 12, "image_size": 96, "mask_input_channels": 4},
    )
    return _save(getattr(tf, f"{name}Model")(config), folder, IMAGENET)


def _vjepa2(folder: Path) -> Path:
    """A video classifier, with its statistics where those of videos are kept."""
    import transformers as tf

    model = tf.VJEPA2ForVideoClassification(tf.VJEPA2Config(**_VJEPA2, num_pooler_layers=1))
    return _save(model, folder, IMAGENET, "video_preprocessor_config.json")


def _qwen(folder: Path, name: str, vision: dict[str, Any], preprocessor: dict[str, Any]) -> Path:
    """A Qwen model with its language model."""
    import transformers as tf

    text = {name: value for name, value in LANGUAGE.items() if name != "model_type"}
    config = getattr(tf, f"{name}Config")(text_config=text, vision_config=vision)
    return _save(getattr(tf, f"{name}ForConditionalGeneration")(config), folder, preprocessor)


def _timm(folder: Path, architecture: str, **arguments: Any) -> Path:
    """A timm model with its classifier, as timm puts them on the Hub."""
    timm = import_timm()
    from timm.models import save_for_hf

    model = local(timm.create_model(architecture, pretrained=False, num_classes=5, **arguments))
    save_for_hf(model, str(folder), model_args=arguments, safe_serialization=True)
    (folder / "pytorch_model.bin").unlink(missing_ok=True)
    return folder


def import_timm() -> Any:
    """timm, or a skip."""
    for package in ("timm", "torchvision"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    return importlib.import_module("timm")


def _mend_torchvision() -> None:
    """Let torchvision be imported, where it is installed.

    Beside the CPU build of torch, PyPI's torchvision cannot load its compiled part and then fails at import for want of
    two operators, which neither timm nor transformers calls here: they are declared.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    import torch

    try:
        importlib.import_module("torchvision")
        return
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT.append(library)  # what it declares lives as long as it does


_KEPT: list[Any] = []
_mend_torchvision()


def _stable_diffusion(folder: Path) -> Path:
    """A pipeline's folder: text encoder, tokenizer, autoencoder, U-Net, scheduler."""
    pytest.importorskip("diffusers", reason="diffusers is not installed")
    import transformers as tf
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

    levels = {"block_out_channels": (4, 4, 8, 8), "layers_per_block": 1, "norm_num_groups": 2}
    unet = UNet2DConditionModel(
        **levels,
        sample_size=8,
        attention_head_dim=2,
        cross_attention_dim=TEXT["hidden_size"],
        use_linear_projection=True,
    )
    vae = AutoencoderKL(
        **levels,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        sample_size=64,
    )
    local(unet).save_pretrained(folder / "unet")
    local(vae).save_pretrained(folder / "vae")
    DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012).save_pretrained(
        folder / "scheduler"
    )
    randomize(tf.CLIPTextModel(tf.CLIPTextConfig(**TEXT))).save_pretrained(folder / "text_encoder")
    _tokenizer(folder / "tokenizer")
    parts = {
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.8.0", **parts}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True)
    words = ["<|startoftext|>", "<|endoftext|>", "a", "b", "a</w>", "b</w>", "ab</w>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    special = {"bos_token": words[0], "eos_token": words[1], "unk_token": words[1], "pad_token": words[1]}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    settings = {**special, "model_max_length": TEXT["max_position_embeddings"], "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


MAP_MODELS: dict[str, Callable[[Path], Path]] = {
    "convnext": partial(_plain, name="ConvNext", **_STAGES),
    "convnextv2": partial(_plain, name="ConvNextV2", **_STAGES),
    "dinov3_convnext": partial(_plain, name="DINOv3ConvNext", **_STAGES),
    "swin": partial(_plain, name="Swin", **_SWIN),
    "sam": partial(_segmenter, name="Sam", vision=_SAM),
    "sam_vision_model": partial(_plain, name="SamVision", **_SAM),
    "sam2": partial(_segmenter, name="Sam2", vision=_SAM2),
    "sam2_vision_model": partial(_plain, name="Sam2Vision", **_SAM2),
    "vjepa2": _vjepa2,
    "qwen2_5_vl": partial(_qwen, name="Qwen2_5_VL", vision=_QWEN25, preprocessor=CLIP),
    "qwen3_vl": partial(_qwen, name="Qwen3VL", vision=_QWEN3, preprocessor=HALF),
    "timm_wrapper": partial(
        _timm, architecture="vit_pe_spatial_tiny_patch16_512", embed_dim=32, depth=2, num_heads=2, img_size=64
    ),
    "timm_wrapper/vit": partial(
        _timm, architecture="vit_tiny_patch16_224", embed_dim=32, depth=2, num_heads=2, img_size=64, reg_tokens=2
    ),
    "timm_wrapper/swin": partial(
        _timm,
        architecture="swin_tiny_patch4_window7_224",
        embed_dim=16,
        depths=(2, 2),
        num_heads=(1, 2),
        window_size=4,
        img_size=64,
    ),
    "timm_wrapper/convnext": partial(
        _timm, architecture="convnext_tiny", dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), ls_init_value=0.1
    ),
    "stable_diffusion": _stable_diffusion,
}


def make_map_model(kind: str, folder: Path) -> Path:
    """Build the tiny checkpoint of a kind in `folder`; gives the folder back."""
    return MAP_MODELS[kind](folder)
