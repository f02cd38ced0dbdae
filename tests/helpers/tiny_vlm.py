"""Tiny randomly initialized vision-language models in local folders, with their tokenizers and processors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>", "<image>", "<video>", "<IMG_CONTEXT>", "<img>", "</img>", "<pad>",
)  # fmt: skip
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}


def qwen2_5_vl(folder: Path, **changes: Any) -> Path:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    tokenizer = _tokenizer("<|vision_start|><|image_pad|><|vision_end|>")
    ids = _ids(tokenizer)
    config = Qwen2_5_VLConfig(
        text_config={
            **_TEXT,
            **changes,
            "vocab_size": len(tokenizer),
            "rope_scaling": {"type": "mrope", "rope_type": "default", "mrope_section": [1, 1, 2]},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 4,
            "out_hidden_size": 32,
            "patch_size": 14,
            "fullatt_block_indexes": [1],
            "window_size": 112,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    size = {"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 16}
    return _save(folder, Qwen2_5_VLForConditionalGeneration, config, tokenizer, Qwen2VLImageProcessorPil(size=size))


def qwen3_vl(folder: Path) -> Path:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    tokenizer = _tokenizer("<|vision_start|><|image_pad|><|vision_end|>")
    ids = _ids(tokenizer)
    config = Qwen3VLConfig(
        text_config={
            **_TEXT,
            "head_dim": 8,
            "vocab_size": len(tokenizer),
            "rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [2, 1, 1]},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 4,
            "out_hidden_size": 32,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    images = Qwen2VLImageProcessorPil(size={"shortest_edge": 32 * 32, "longest_edge": 32 * 32 * 16}, patch_size=16)
    return _save(folder, Qwen3VLForConditionalGeneration, config, tokenizer, images)


def llava_onevision(folder: Path) -> Path:
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

    tokenizer = _tokenizer("<image>")
    pinpoints = [[56, 56], [56, 112], [112, 56]]
    config = LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **_TEXT, "vocab_size": len(tokenizer)},
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 56,
            "patch_size": 14,
            "vision_use_head": False,
        },
        image_token_id=_ids(tokenizer)["<image>"],
        video_token_id=_ids(tokenizer)["<video>"],
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
    )
    images = LlavaOnevisionImageProcessorPil(size={"height": 56, "width": 56}, image_grid_pinpoints=pinpoints)
    extra = {
        "num_image_tokens": 16,
        "vision_feature_select_strategy": "full",
        "processor_class": "LlavaOnevisionProcessor",
    }
    return _save(folder, LlavaOnevisionForConditionalGeneration, config, tokenizer, images, extra)


def internvl(folder: Path) -> Path:
    from transformers import InternVLConfig, InternVLForConditionalGeneration
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    tokenizer = _tokenizer("<IMG_CONTEXT>\n")
    config = InternVLConfig(
        text_config={"model_type": "qwen2", **_TEXT, "vocab_size": len(tokenizer)},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": [56, 56],
            "patch_size": [14, 14],
        },
        image_token_id=_ids(tokenizer)["<IMG_CONTEXT>"],
        image_seq_length=4,
    )
    images = GotOcr2ImageProcessorPil(size={"height": 56, "width": 56}, crop_to_patches=False)
    extra = {"image_seq_length": 4, "processor_class": "InternVLProcessor"}
    return _save(folder, InternVLForConditionalGeneration, config, tokenizer, images, extra)


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "llava_onevision": llava_onevision,
    "internvl": internvl,
}


def _tokenizer(image: str) -> Any:
    """Byte-level with merges of nothing: 256 tokens and the special ones."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<pad>",
        chat_template=TEMPLATE.replace("IMAGE", image),
        extra_special_tokens={
            "image_token": "<image>" if image == "<image>" else "<|image_pad|>",
            "video_token": "<video>" if image == "<image>" else "<|video_pad|>",
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
        },
    )


def _ids(tokenizer: Any) -> dict[str, int]:
    return {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}


def _save(
    folder: Path, model_class: Any, config: Any, tokenizer: Any, images: Any, fields: dict[str, Any] | None = None
) -> Path:
    import json

    import torch

    torch.manual_seed(0)
    model = model_class(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(10)  # else every answer is the same whatever is asked and shown
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    images.save_pretrained(folder)
    if fields:
        (folder / "processor_config.json").write_text(json.dumps(fields))
    return folder
