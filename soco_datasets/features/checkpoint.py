"""A model checkpoint as checked files: its config, weights and image statistics. No torch.

What can be wrong with the files is reported here, before any work starts: a broken config, no weights, only a pickle, a
shard missing, a truncated file, statistics that are missing or unusual. `opening.py` makes a `Checkpoint`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import BackboneError, worded
from ..utils.foreign import read_json_text
from ..utils.tensor_files import check_tensors
from .preprocess import NAMED_STATISTICS, NO_STATISTICS, Statistics

CONFIG_FILE = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
PREPROCESSOR = "preprocessor_config.json"
PROCESSOR = "processor_config.json"  # newer checkpoints nest the same fields below "image_processor" here
VIDEO_PREPROCESSOR = "video_preprocessor_config.json"  # the only one of models of videos (V-JEPA 2)
PIPELINE = "model_index.json"  # of diffusers, in place of config.json
_PICKLES = ("*.bin", "*.pth", "*.pt", "*.ckpt")
CONVERT = (
    "Convert it once, for example with "
    "`transformers.AutoModel.from_pretrained(SOURCE).save_pretrained(FOLDER)`, which writes model.safetensors, "
    "and copy preprocessor_config.json beside it"
)


@dataclass(frozen=True)
class Checkpoint:
    """A checked checkpoint on disk.

    Attributes:
        folder: where its files are.
        label: what to call it in errors: the Hub id or the folder as the user gave it.
        config: config.json.
        weights: the safetensors files, sorted by name.
        revision: the Hub commit, None for a folder of the user's.
    """

    folder: Path
    label: str
    config: dict[str, Any]
    weights: tuple[Path, ...]
    revision: str | None

    @property
    def model_type(self) -> str:
        """What config.json says it is; "" when it says nothing."""
        return model_type_of(self.config)

    @cached_property
    def weights_hash(self) -> str:
        """Hex sha256 of the weights files' bytes, one after the other; for a single file its own sha256."""
        digest = hashlib.sha256()
        for path in self.weights:
            with open(path, "rb") as file:
                while block := file.read(1 << 22):
                    digest.update(block)
        return digest.hexdigest()

    @cached_property
    def config_hash(self) -> str:
        """Hex sha256 of config.json: the same weights with another config (heads, activation) are another model."""
        return hashlib.sha256((self.folder / CONFIG_FILE).read_bytes()).hexdigest()

    def statistics(self) -> Statistics:
        """Mean and std from the checkpoint's own preprocessor file.

        Raises:
            BackboneError: there is no such file, or it asks for something other than /255 and mean/std per channel.
        """
        return _read_statistics(self.folder, self.label, self.config)


def model_type_of(config: dict[str, Any]) -> str:
    """The key of the family that serves a config.json (or model_index.json); "" when it says nothing."""
    if "architecture" in config and "pretrained_cfg" in config and not config.get("model_type"):
        return "timm_wrapper"  # timm's own form; transformers knows it by the same sign
    if config.get("_class_name") == "StableDiffusionPipeline":  # 1.x and 2.x; later ones take more than a prompt
        return "stable_diffusion"
    if "RADIOModel" in (config.get("architectures") or ()):  # NVIDIA's own form, which names no model_type
        return "radio"
    return str(config.get("model_type") or config.get("_class_name") or "")


def read_json(path: Path, label: str) -> dict[str, Any]:
    """A JSON object from a file of the model `label`; raises `BackboneError` for anything else."""
    try:
        content = read_json_text(path.read_bytes(), finite=False)
    except (OSError, ValueError) as error:
        raise BackboneError(f"{label}: {path.name} cannot be read ({error}). Get the file again.") from error
    if not isinstance(content, dict):
        raise BackboneError(f"{label}: {path.name} holds no JSON object. Get the file again.")
    return content


def find_weights(folder: Path, label: str) -> tuple[Path, ...]:
    """The safetensors files of a folder, sorted by name; raises `BackboneError` when there are none or not all."""
    single = folder / WEIGHTS
    if single.is_file():
        return (single,)
    index = folder / WEIGHTS_INDEX
    if index.is_file():
        shards = tuple(folder / name for name in shards_of(index, label))
        absent = [path.name for path in shards if not path.is_file()]
        if absent:
            raise BackboneError(
                f"{label} is half downloaded: {WEIGHTS_INDEX} names {len(shards)} files, missing: {', '.join(absent)}. "
                "Download them."
            )
        return shards
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise BackboneError(
            f"{label} has only a pickle ({', '.join(pickles)}), which can run code when loaded; only safetensors are "
            f"loaded. {CONVERT}."
        )
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    found = f" It has {', '.join(others)}; rename the model's file to {WEIGHTS}." if others else ""
    raise BackboneError(
        f"{label} has a {CONFIG_FILE} but no weights ({WEIGHTS}).{found} Download the weights beside it."
    )


def shards_of(index: Path, label: str) -> list[str]:
    """Names of the weights files that an index of sharded weights lists; raises `BackboneError` for a broken one."""
    table = read_json(index, label).get("weight_map")
    names = sorted({str(name) for name in table.values()}) if isinstance(table, dict) else []
    if not names or any(Path(name).name != name for name in names):
        raise BackboneError(f"{label}: {index.name} has no `weight_map` of file names in this folder. Get it again.")
    return names


def check_safetensors(path: Path, label: str) -> None:
    """Raise `BackboneError` unless the file's header is sound and its length is what the header says."""
    with open(path, "rb") as file:
        start = file.read(64)
        file.seek(0, 2)
        size = file.tell()
    if start.startswith(b"version https://git-lfs"):
        raise BackboneError(f"{label}: {path.name} is a Git LFS pointer, not the weights. Run `git lfs pull`.")
    length = int.from_bytes(start[:8], "little")
    problem = ""
    if size < 8 or length > size - 8:
        problem = "it ends inside its header"
    else:
        with open(path, "rb") as file:
            file.seek(8)
            try:
                check_tensors(path)
                header = read_json_text(file.read(length))
                end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"))
                if size != 8 + length + end:
                    problem = f"it has {size} bytes where its header promises {8 + length + end}"
            except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                problem = "its header is not that of a safetensors file"
    if problem:
        raise BackboneError(f"{label}: {path.name} is truncated or damaged: {problem}. Download it again.")


def _read_statistics(folder: Path, label: str, config: dict[str, Any]) -> Statistics:
    advice = f"pass {worded('--statistics', 'statistics=')}{' or '.join(repr(name) for name in NAMED_STATISTICS)}"
    if (folder / PREPROCESSOR).is_file():
        name = PREPROCESSOR
        fields = read_json(folder / PREPROCESSOR, label)
    elif (folder / PROCESSOR).is_file():
        name = PROCESSOR
        nested = read_json(folder / PROCESSOR, label)
        fields = nested.get("image_processor") or nested.get("video_processor") or {}
        if not isinstance(fields, dict):
            raise BackboneError(f"{label}: {name} has no settings below `image_processor`, got {fields!r}: {advice}.")
    elif (folder / VIDEO_PREPROCESSOR).is_file():
        name = VIDEO_PREPROCESSOR
        fields = read_json(folder / VIDEO_PREPROCESSOR, label)
    elif model_type_of(config) == "timm_wrapper":
        name = CONFIG_FILE
        trained = config.get("pretrained_cfg") or {}
        fields = {"image_mean": trained.get("mean"), "image_std": trained.get("std")}
    else:
        raise BackboneError(f"{label} has no {PREPROCESSOR}, so its image statistics are unknown: {advice}.")
    factor = fields.get("rescale_factor", 1 / 255)
    if fields.get("do_rescale") is False or not _is_number(factor) or abs(float(factor) - 1 / 255) > 1e-9:
        asked = "do_rescale is false" if fields.get("do_rescale") is False else f"rescale_factor is {factor}"
        raise BackboneError(
            f"{label}: {name} does not scale pixels by 1/255 ({asked}), which is unsupported: {advice}."
        )
    if fields.get("do_flip_channel_order"):
        raise BackboneError(f"{label}: {name} asks for images in BGR (do_flip_channel_order), which is unsupported.")
    if fields.get("do_normalize") is False:
        return NO_STATISTICS
    mean, std = _triple(fields.get("image_mean")), _triple(fields.get("image_std"))
    if mean is None or std is None or min(std) <= 0 or not all(0 <= value <= 1 for value in mean):
        raise BackboneError(
            f"{label}: {name} gives image_mean {fields.get('image_mean')} and image_std {fields.get('image_std')}; "
            f"expected three numbers each for pixels in 0..1, std above 0. Fix the file or {advice}."
        )
    return Statistics(mean, std, "checkpoint")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _triple(value: object) -> tuple[float, float, float] | None:
    """Three numbers from a list of three or from one number for all channels; None for anything else."""
    values = [value] * 3 if _is_number(value) else value
    if not isinstance(values, list) or len(values) != 3 or not all(_is_number(item) for item in values):
        return None
    red, green, blue = (float(item) for item in values)
    return (red, green, blue)
