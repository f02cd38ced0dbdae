"""A vision-language model of `transformers`, loaded and queried in batches: safetensors only, no remote code.

Nothing here depends on inspect-ai: `hf_provider.py` puts this behind its interface.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import (
    BackboneError,
    UsageError,
    missing_extra,
    unknown_name,
)
from ..features.checkpoint import Checkpoint
from ..features.device import usable_device
from ..features.families.base import DTYPES
from ..features.hub_files import HubErrors
from ..features.opening import open_checkpoint_folder, open_hub
from ..utils.paths import local_path
from .hf_processor import load_processor, processor_record

if TYPE_CHECKING:
    from PIL import Image

_TEXT_FILES = ("*.json", "*.jinja", "*.txt", "*.model")  # of the tokenizer, the processor and the chat template


@dataclass(frozen=True)
class ModelLoading:
    """How a model is loaded.

    Attributes:
        device: a torch device, or "auto" = a GPU where there is one.
        dtype: one of `DTYPES`, or "auto" = bfloat16 on a GPU, float32 elsewhere.
        min_pixels: smaller pictures are enlarged to this many pixels: by the model's own processor where it has pixel
            limits (Qwen), else before the processor sees them.
        max_pixels: larger pictures are shrunk to this many pixels before the processor sees them; with `min_pixels`, a
            processor with pixel limits gets both limits and does it in one step, as released code does.
        revision: Hub commit, branch or tag.

    Raises:
        UsageError: a number of pixels below 1, or a minimum above the maximum.
    """

    device: str = "auto"
    dtype: str = "auto"
    min_pixels: int | None = None
    max_pixels: int | None = None
    revision: str | None = None

    def __post_init__(self) -> None:
        for value in (self.min_pixels, self.max_pixels):
            if value is not None and value < 1:
                raise UsageError(f"The number of pixels of a picture is at least 1; got {value}.")
        if self.min_pixels is not None and self.max_pixels is not None and self.min_pixels > self.max_pixels:
            raise UsageError(f"--min-pixels ({self.min_pixels}) is larger than --max-pixels ({self.max_pixels}).")


@dataclass(frozen=True)
class Sampling:
    """How the tokens of an answer are chosen.

    Attributes:
        temperature: 0 = greedy.
        top_p, top_k: restrict sampling to the most probable tokens; None = all.
        repetition_penalty: above 1 makes repeated tokens less probable; None = 1.
        seed: of the random numbers of each batch; the same questions in the same batches give the same answers.
    """

    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int = 0


GREEDY = Sampling()


@dataclass(frozen=True)
class Chat:
    """One turn of a user: pictures (RGB) and text, in the order they are shown.

    Attributes:
        parts: strings and `PIL.Image`s.
    """

    parts: tuple[str | Image.Image, ...]


@dataclass(frozen=True)
class Reply:
    """The answer of a model.

    Attributes:
        text: without special tokens.
        stop: "stop", "max_tokens" (cut at the limit) or "model_length" (the question did not fit; text is empty).
        input_tokens: of the question, pictures included.
        output_tokens: of the answer.
    """

    text: str
    stop: Literal["stop", "max_tokens", "model_length"]
    input_tokens: int
    output_tokens: int


@dataclass(eq=False)
class VisionLanguageModel:
    """A loaded model; `answer` queries it.

    Attributes:
        record: everything that decides its answers: weights, dtype, device, pixel limits, processor.
        min_pixels, max_pixels: limits that are applied before the processor sees a picture.
        context: how many tokens question and answer may have together, None when the config does not say.
    """

    model: Any
    processor: Any
    device: str
    max_pixels: int | None
    context: int | None
    min_pixels: int | None = None
    record: dict[str, Any] = field(default_factory=dict)

    def answer(self, chats: Sequence[Chat], max_tokens: int, sampling: Sampling = GREEDY) -> list[Reply]:
        """Answers of at most `max_tokens` new tokens, in the order of `chats`.

        A batch that does not fit in the device's memory is halved until it does.

        Raises:
            BackboneError: a single question does not fit in the device's memory.
        """
        import torch

        try:
            return self._answer(chats, max_tokens, sampling)
        except torch.OutOfMemoryError as error:
            if len(chats) == 1:
                raise BackboneError(
                    f"One question does not fit in the memory of {self.device}. Give a smaller --max-pixels, "
                    "--dtype bfloat16 or another --device."
                ) from error
        half = len(chats) // 2
        return self.answer(chats[:half], max_tokens, sampling) + self.answer(chats[half:], max_tokens, sampling)

    def _answer(self, chats: Sequence[Chat], max_tokens: int, sampling: Sampling) -> list[Reply]:
        import torch

        inputs = self._inputs(chats)
        lengths = [int(n) for n in inputs["attention_mask"].sum(dim=1)]
        fits = [self.context is None or length + max_tokens <= self.context for length in lengths]
        if not all(fits):
            fitting = [chat for chat, fit in zip(chats, fits, strict=True) if fit]
            replies = iter(self._answer(fitting, max_tokens, sampling) if fitting else [])
            return [
                next(replies) if fit else Reply("", "model_length", length, 0)
                for fit, length in zip(fits, lengths, strict=True)
            ]
        inputs = inputs.to(self.device, dtype=self.model.dtype)  # of its floating tensors only
        if sampling != GREEDY:  # else the config that loading set
            inputs["generation_config"] = _generation_config(self.model, self.processor, sampling)
        with torch.inference_mode(), _seeded(sampling, self.device):
            out = self.model.generate(**inputs, max_new_tokens=max_tokens)
        new = out if self.model.config.is_encoder_decoder else out[:, inputs["input_ids"].shape[1] :]
        texts = self.processor.tokenizer.batch_decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        ends = _ends(self.model, self.processor)
        return [
            _reply(text, tokens, length, ends)
            for text, tokens, length in zip(texts, new.tolist(), lengths, strict=True)
        ]

    def _inputs(self, chats: Sequence[Chat]) -> Any:
        """The model's tensors of a batch, padded on the left so that every answer starts in the same column."""
        conversations = [[{"role": "user", "content": [self._content(part) for part in chat.parts]}] for chat in chats]
        return self.processor.apply_chat_template(
            conversations,
            add_generation_prompt=True,
            sanitize_control_tokens=True,  # "<image>" inside a question is text, not a picture
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        )

    def _content(self, part: str | Image.Image) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        return {"type": "image", "image": shrink(enlarge(part, self.min_pixels), self.max_pixels)}


def load_vision_language_model(
    model: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    revision: str | None = None,
) -> VisionLanguageModel:
    """Load a model of text and images from a folder or the Hub.

    Args:
        model: a folder with config.json, safetensors, tokenizer and processor, or a Hub id.
        device, dtype, min_pixels, max_pixels, revision: see `ModelLoading`.

    Returns:
        The model, ready to be queried.

    Raises:
        UsageError: an unknown dtype or device, pixel limits out of range, or a revision for a folder.
        BackboneError: model not found, no safetensors, takes no images, needs code of its own, no chat template.
        MissingExtraError: torch or transformers is not installed.
    """
    for package in ("torch", "transformers", "safetensors"):
        if importlib.util.find_spec(package) is None:
            raise missing_extra("Asking a local model", "lvlm", package)
    options = ModelLoading(device, dtype, min_pixels, max_pixels, revision)
    if dtype not in ("auto", *DTYPES):
        raise unknown_name("dtype", dtype, ("auto", *DTYPES))
    checkpoint = _open(model, options.revision)
    device = usable_device(options.device)
    if dtype == "auto":
        dtype = "bfloat16" if device.startswith("cuda") else "float32"
    processor = load_processor(checkpoint)
    in_processor = options.min_pixels is not None and set_pixel_limits(processor, options)
    loaded = _load_weights(checkpoint, dtype).to(device).eval()
    loaded.generation_config = _generation_config(loaded, processor, GREEDY)
    limits = {"max_pixels": options.max_pixels}
    if options.min_pixels is not None:
        limits |= {"min_pixels": options.min_pixels}
    return VisionLanguageModel(
        model=loaded,
        processor=processor,
        device=device,
        min_pixels=None if in_processor else options.min_pixels,
        max_pixels=None if in_processor else options.max_pixels,
        context=_context(loaded.config),
        record={
            "model": checkpoint.label,
            "model_type": checkpoint.model_type,
            "revision": checkpoint.revision,
            "weights_hash": checkpoint.weights_hash,
            "config_hash": checkpoint.config_hash,
            "device": device,
            "dtype": dtype,
            "decoding": "greedy",
            **limits,
            "processor": processor_record(processor),
        },
    )


def shrink(image: Image.Image, max_pixels: int | None) -> Image.Image:
    """The picture as RGB, bicubically shrunk to at most `max_pixels` pixels, its shape kept; never enlarged."""
    from PIL import Image

    image = image.convert("RGB")
    if max_pixels is None or image.width * image.height <= max_pixels:
        return image
    factor = (max_pixels / (image.width * image.height)) ** 0.5
    size = (max(1, int(image.width * factor)), max(1, int(image.height * factor)))
    return image.resize(size, Image.Resampling.BICUBIC)


def enlarge(image: Image.Image, min_pixels: int | None) -> Image.Image:
    """The picture as RGB, bicubically enlarged to at least `min_pixels` pixels, its shape kept; never shrunk."""
    from PIL import Image

    image = image.convert("RGB")
    if min_pixels is None or image.width * image.height >= min_pixels:
        return image
    factor = (min_pixels / (image.width * image.height)) ** 0.5
    size = (math.ceil(image.width * factor), math.ceil(image.height * factor))
    return image.resize(size, Image.Resampling.BICUBIC)


def set_pixel_limits(processor: Any, options: ModelLoading) -> bool:
    """Give a processor its pixel limits; False where it has none (its sizes are sides, tiles or fixed)."""
    image_processor = processor.image_processor
    size = dict(getattr(image_processor, "size", None) or {})
    if not hasattr(image_processor, "merge_size") or not {"shortest_edge", "longest_edge"} <= set(size):
        return False
    limits = {"shortest_edge": options.min_pixels, "longest_edge": options.max_pixels}
    wanted = {**size, **{name: value for name, value in limits.items() if value is not None}}
    image_processor.size = type(image_processor.size)(**wanted)
    return True


def _open(model: str | Path, revision: str | None) -> Checkpoint:
    folder = local_path(model)
    text = str(model)
    if folder.is_dir() or isinstance(model, Path) or text.startswith((".", "/", "~")) or text.count("/") != 1:
        if revision is not None:
            raise UsageError(f"`revision` is for models of the Hub; {model} is a folder.")
        return open_checkpoint_folder(folder, label=text)
    checkpoint = open_hub(text, revision)
    with HubErrors(text, revision):
        from huggingface_hub import snapshot_download

        snapshot_download(text, revision=checkpoint.revision, allow_patterns=list(_TEXT_FILES))
    return checkpoint


def _load_weights(checkpoint: Checkpoint, dtype: str) -> Any:
    import torch
    from transformers import AutoModelForImageTextToText

    try:
        return AutoModelForImageTextToText.from_pretrained(
            checkpoint.folder,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise BackboneError(f"{checkpoint.label} cannot be loaded: {_first_line(error)}") from error


def _context(config: Any) -> int | None:
    text = config.get_text_config(decoder=True)
    length = getattr(text, "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None


def _generation_config(model: Any, processor: Any, sampling: Sampling) -> Any:
    """The checkpoint's end tokens with the given sampling, whatever its own generation config suggests.

    It takes that config's place, since `generate` fills from it whatever is not given.
    """
    from transformers import GenerationConfig

    own = model.generation_config
    ends = sorted(_ends(model, processor))
    pad = processor.tokenizer.pad_token_id
    sampled = {"temperature": sampling.temperature, "top_p": sampling.top_p or 1.0, "top_k": sampling.top_k or 0}
    return GenerationConfig(
        do_sample=sampling.temperature > 0,
        num_beams=1,
        repetition_penalty=sampling.repetition_penalty or 1.0,
        eos_token_id=ends or None,
        pad_token_id=pad if pad is not None else (ends[0] if ends else 0),
        bos_token_id=own.bos_token_id,
        decoder_start_token_id=own.decoder_start_token_id,
        **(sampled if sampling.temperature > 0 else {}),
    )


@contextmanager
def _seeded(sampling: Sampling, device: str) -> Iterator[None]:
    """Random numbers of the seed while answers are sampled; the process's own go on afterwards."""
    if sampling.temperature == 0:
        yield
        return
    import torch

    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        torch.manual_seed(sampling.seed)
        yield


def _ends(model: Any, processor: Any) -> set[int]:
    """Tokens that end an answer."""
    own = model.generation_config.eos_token_id
    listed = own if isinstance(own, list) else [own]
    return {int(token) for token in (*listed, processor.tokenizer.eos_token_id) if token is not None}


def _reply(text: str, tokens: list[int], input_tokens: int, ends: set[int]) -> Reply:
    length = next((place for place, token in enumerate(tokens) if token in ends), None)
    if length is None:
        return Reply(text.strip(), "max_tokens", input_tokens, len(tokens))
    return Reply(text.strip(), "stop", input_tokens, length)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
