"""What is wrong with a model, said before its weights are downloaded or read: gated, missing, of no known family.

Only config.json (and the index of sharded weights) is downloaded; of the weights the Hub is asked for size and access.
No torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .checkpoint import model_type_of, read_json
from .families import family_of
from .hub_files import HubErrors, bytes_to_download, fetch_config
from .opening import open_checkpoint_folder, weights_on_hub


@dataclass(frozen=True)
class Preflight:
    """A model that can be loaded as far as its files' names and sizes tell.

    Attributes:
        label: the Hub id, or the folder as the user gave it.
        commit: the Hub commit, None for anything else.
        weights: names of its weights files.
        download: bytes still to be downloaded; 0 for a folder, None where the Hub does not say.
    """

    label: str
    commit: str | None
    weights: tuple[str, ...]
    download: int | None


def preflight_folder(folder: Path, label: str) -> Preflight:
    """Check a folder's files and family; see `open_checkpoint_folder` for what is raised."""
    found = open_checkpoint_folder(folder, label=label)
    family_of(found.model_type, label)
    return Preflight(label, None, tuple(path.name for path in found.weights), 0)


def preflight_hub(hub_id: str, revision: str | None = None) -> Preflight:
    """Check a Hub checkpoint's access, config and family, and that its weights are there as safetensors.

    Raises:
        BackboneError: gated, not found, offline and not cached, no safetensors, of no known family.
    """
    with HubErrors(hub_id, revision):
        config = fetch_config(hub_id, revision)
        family_of(model_type_of(read_json(config, hub_id)), hub_id)
        commit = config.parent.name
        names = weights_on_hub(hub_id, commit)
        sizes = [bytes_to_download(hub_id, name, commit) for name in names]
    return Preflight(hub_id, commit, names, None if None in sizes else sum(size for size in sizes if size))
