"""A folder or a Hub id in, a checked `Checkpoint` out, of a model or of a pipeline of diffusers. No torch.

What is wrong with the files is reported before any work starts: see `checkpoint.py` and `pipeline.py` for the files,
`hub_files.py` for a gated or unreachable repository.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import BackboneError
from . import diffusion_checkpoint as pipeline
from .checkpoint import (
    CONFIG_FILE,
    PIPELINE,
    PREPROCESSOR,
    PROCESSOR,
    VIDEO_PREPROCESSOR,
    Checkpoint,
    check_safetensors,
    find_weights,
    read_json,
)
from .hub_files import HubErrors, fetch_config, model_weights_on_hub


def open_checkpoint_folder(folder: Path, label: str | None = None, revision: str | None = None) -> Checkpoint:
    """Check the files of a checkpoint folder and read its config.

    Raises:
        BackboneError: no folder, no or broken config.json, no safetensors weights, a missing or damaged weights file.
    """
    label = label or str(folder)
    if not folder.is_dir():
        raise BackboneError(f"There is no model folder {label}. Give a folder with config.json and model.safetensors.")
    if (folder / PIPELINE).is_file():
        return pipeline.open_pipeline(folder, label, revision)
    config_path = folder / CONFIG_FILE
    if not config_path.is_file():
        raise BackboneError(
            f"{label} has no {CONFIG_FILE}, so it is not a Transformers checkpoint. Save the model with "
            "`model.save_pretrained(FOLDER)`, which writes config.json and model.safetensors."
        )
    config = read_json(config_path, label)
    weights = find_weights(folder, label)
    for path in weights:
        check_safetensors(path, label)
    return Checkpoint(folder, label, config, weights, revision)


def open_hub(hub_id: str, revision: str | None = None) -> Checkpoint:
    """Download (or find in the cache) the files of a Hub checkpoint, all of one commit, and check them as a folder's.

    Raises:
        BackboneError: offline and not cached, not found, gated, no safetensors, or anything
            `open_checkpoint_folder` finds.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    with HubErrors(hub_id, revision):
        config_path = fetch_config(hub_id, revision)
        commit = config_path.parent.name
        if config_path.name == PIPELINE:
            pipeline.fetch_small_files(hub_id, commit)
        for name in (PREPROCESSOR, PROCESSOR, VIDEO_PREPROCESSOR):
            try:
                hf_hub_download(hub_id, name, revision=commit)
                break
            except EntryNotFoundError:
                continue  # `statistics` says so when they are needed
        for name in weights_on_hub(hub_id, commit):
            hf_hub_download(hub_id, name, revision=commit)
    return open_checkpoint_folder(config_path.parent, label=hub_id, revision=commit)


def weights_on_hub(hub_id: str, commit: str) -> tuple[str, ...]:
    """Names of the weights files of a Hub checkpoint, found without downloading them. Use within `HubErrors`.

    Raises:
        BackboneError: there are none in safetensors.
    """
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(hub_id, PIPELINE, revision=commit), str):
        return pipeline.pipeline_weights_on_hub(hub_id, commit)
    return model_weights_on_hub(hub_id, commit)
