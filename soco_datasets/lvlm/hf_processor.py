"""The processor of a vision-language checkpoint, without torchvision and without its video half.

`AutoProcessor` builds the video processors too, and those need torchvision, so it refuses Qwen2.5-VL, Qwen3-VL,
InternVL and LLaVA-OneVision where that is missing. Questions have pictures only: the processor's own class is built
from its tokenizer and its PIL image processor, so that pixels are the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ..errors import BackboneError
from ..features.checkpoint import Checkpoint

_BULKY = ("image_grid_pinpoints", "image_processor_type", "processor_class", "_processor_class", "auto_map")
_INTERNAL = {"internvl_chat": "Take the same model in transformers' own form, whose name ends in -HF."}


def load_processor(checkpoint: Checkpoint) -> Any:
    """The processor of a checkpoint: `apply_chat_template` and a `tokenizer` padded on the left.

    Raises:
        BackboneError: the model takes no images and text, is served by code of its own only, or has no chat template.
    """
    config = _config(checkpoint)
    processor_class = _processor_class(checkpoint, config)
    try:
        processor = _build(checkpoint, processor_class)
    except (ValueError, OSError, ImportError, TypeError, AttributeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BackboneError(
            f"{checkpoint.label}: its processor ({processor_class.__name__}) cannot be loaded: {reason}. It needs the "
            "tokenizer's files and preprocessor_config.json (or processor_config.json) beside config.json."
        ) from error
    processor.chat_template = _chat_template(processor)
    if not processor.chat_template:
        raise BackboneError(
            f"{checkpoint.label} has no chat template, so how to ask it is unknown. Add chat_template.jinja beside "
            "config.json, or take a model tuned on instructions."
        )
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "left"  # answers start where the question ends
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor


def processor_record(processor: Any) -> dict[str, Any]:
    """What the processor does to pixels and words, as JSON: its class, sizes, limits, statistics, chat template."""
    image_processor = processor.image_processor
    fields = json.loads(image_processor.to_json_string())
    fields |= processor._merge_kwargs()["images_kwargs"]  # InternVL cuts pictures into tiles whatever its file says
    kept = {name: value for name, value in fields.items() if name not in _BULKY and value is not None}
    return {
        "class": type(processor).__name__,
        "image_processor": type(image_processor).__name__,
        "chat_template_hash": hashlib.sha256(processor.chat_template.encode()).hexdigest(),
        **kept,
    }


def _config(checkpoint: Checkpoint) -> Any:
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    kind = checkpoint.model_type
    try:
        config = AutoConfig.from_pretrained(checkpoint.folder, trust_remote_code=False, local_files_only=True)
    except (ValueError, OSError) as error:
        own_code = " with code of its own, which is never run" if checkpoint.config.get("auto_map") else ""
        raise BackboneError(
            f"{checkpoint.label} is of type {kind!r}{own_code}; transformers does not know it. "
            f"{_INTERNAL.get(kind, 'Take a checkpoint of a family that transformers has.')}"
        ) from error
    if config.model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise BackboneError(
            f"{checkpoint.label} is of type {kind!r}, which takes no image input: it cannot be asked about pictures. "
            "Take an image-text-to-text model, such as Qwen/Qwen2.5-VL-7B-Instruct."
        )
    return config


def _processor_class(checkpoint: Checkpoint, config: Any) -> Any:
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    if type(config) not in PROCESSOR_MAPPING:
        raise BackboneError(f"{checkpoint.label}: transformers has no processor for the type {config.model_type!r}.")
    return PROCESSOR_MAPPING[type(config)]


def _build(checkpoint: Checkpoint, processor_class: Any) -> Any:
    from transformers import AutoImageProcessor, AutoTokenizer

    folder: dict[str, Any] = {
        "pretrained_model_name_or_path": checkpoint.folder,
        "local_files_only": True,
        "trust_remote_code": False,
    }
    parts = {
        "tokenizer": lambda: AutoTokenizer.from_pretrained(**folder),
        "image_processor": lambda: AutoImageProcessor.from_pretrained(**folder, backend="pil"),
    }
    arguments = [parts[name]() if name in parts else None for name in processor_class.get_attributes()]
    fields, _ = processor_class.get_processor_dict(checkpoint.folder, local_files_only=True)
    return _picture_half(processor_class).from_args_and_dict(arguments, fields)


def _chat_template(processor: Any) -> str | None:
    """The processor's own template, else its tokenizer's; of several named ones the default."""
    for owner in (processor, processor.tokenizer):
        template = getattr(owner, "chat_template", None)
        template = template.get("default") if isinstance(template, dict) else template
        if template:
            return str(template)
    return None


def _picture_half(processor_class: Any) -> Any:
    """The same class, content with None where a video processor or a feature extractor would be."""

    def check(self: Any, name: str, argument: Any) -> Any:
        return None if argument is None else processor_class.check_argument_for_proper_class(self, name, argument)

    return type(processor_class.__name__, (processor_class,), {"check_argument_for_proper_class": check})
