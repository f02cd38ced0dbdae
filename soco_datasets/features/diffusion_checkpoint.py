"""A Stable Diffusion pipeline as a checked `Checkpoint`: model_index.json beside one folder a part. No torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import BackboneError
from .checkpoint import (
    CONFIG_FILE,
    PIPELINE,
    Checkpoint,
    check_safetensors,
    model_type_of,
    read_json,
)
from .hub_files import bytes_to_download
from .preprocess import NAMED_STATISTICS, Statistics

MODEL_TYPE = "stable_diffusion"
PART_WEIGHTS = {
    "text_encoder": "model.safetensors",
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
}
TOKENIZER = ("tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt")
SCHEDULER = "scheduler/scheduler_config.json"
# What a pipeline's folder must have. Files of the tokenizer differ between releases, so those are not listed.
FILES = (
    PIPELINE,
    SCHEDULER,
    *(f"{part}/{name}" for part, weights in PART_WEIGHTS.items() for name in (CONFIG_FILE, weights)),
)


@dataclass(frozen=True)
class PipelineCheckpoint(Checkpoint):
    """A checked pipeline; `config` is model_index.json, `weights` those of text encoder, U-Net and autoencoder."""

    @cached_property
    def config_hash(self) -> str:
        """Hex sha256 of the index and the parts' config files, one after the other."""
        digest = hashlib.sha256()
        for name in FILES:
            if name.endswith(".json"):
                digest.update((self.folder / name).read_bytes())
        return digest.hexdigest()

    def statistics(self) -> Statistics:
        """The autoencoder takes pixels in -1..1."""
        half = NAMED_STATISTICS["half"]
        return Statistics(half.mean, half.std, "checkpoint")

    def part(self, name: str) -> Checkpoint:
        """One part, such as "text_encoder", as a checkpoint of its own."""
        folder = self.folder / name
        return Checkpoint(
            folder,
            f"the {name} of {self.label}",
            read_json(folder / CONFIG_FILE, self.label),
            (folder / PART_WEIGHTS[name],),
            self.revision,
        )


def open_pipeline(folder: Path, label: str, revision: str | None = None) -> PipelineCheckpoint:
    """Check the files of a pipeline's folder.

    Raises:
        BackboneError: another kind of pipeline, or a missing or damaged file.
    """
    index = read_json(folder / PIPELINE, label)
    if model_type_of(index) != MODEL_TYPE:
        raise BackboneError(
            f"{label} is a {index.get('_class_name')} of diffusers; only StableDiffusionPipeline (Stable Diffusion 1.x "
            "and 2.x) works here."
        )
    missing = [name for name in FILES if not (folder / name).is_file()]
    if not (folder / "tokenizer").is_dir():
        missing.append("tokenizer/")
    if missing:
        raise BackboneError(
            f"{label} is half downloaded: {PIPELINE} is there, missing: {', '.join(missing)}. Download them "
            f"(`hf download {label}` where it is a Hub id); weights in pickles or other variants are not loaded."
        )
    weights = tuple(sorted(folder / part / name for part, name in PART_WEIGHTS.items()))
    for path in weights:
        check_safetensors(path, label)
    return PipelineCheckpoint(folder, label, index, weights, revision)


def fetch_small_files(hub_id: str, commit: str) -> None:
    """Download everything but the weights of a Hub pipeline into the cache. Use within `HubErrors`."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for name in (*FILES, *(f"tokenizer/{name}" for name in TOKENIZER)):
        if not name.endswith(".safetensors"):
            try:
                hf_hub_download(hub_id, name, revision=commit)
            except LocalEntryNotFoundError:
                raise  # offline
            except EntryNotFoundError:
                continue  # `open_pipeline` says so where it is needed


def pipeline_weights_on_hub(hub_id: str, commit: str) -> tuple[str, ...]:
    """Names of a Hub pipeline's weights files, found without downloading them. Use within `HubErrors`.

    Raises:
        BackboneError: a part has none in safetensors under its plain name.
    """
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    names = tuple(f"{part}/{name}" for part, name in PART_WEIGHTS.items())
    for name in names:
        try:
            bytes_to_download(hub_id, name, commit)
        except LocalEntryNotFoundError:
            raise  # offline
        except EntryNotFoundError as error:
            raise BackboneError(
                f"{hub_id} has no {name} (commit {commit}): only safetensors are loaded, never a pickle, and no "
                "variants such as fp16. Save the pipeline once with `pipeline.save_pretrained(FOLDER)` of diffusers."
            ) from error
    return names
