"""Where built folders are cached: the same for `soco build`, which writes there, and for loading, which looks there."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from .. import __version__
from ..data.schema import schema_fingerprint
from ..utils.paths import local_path
from ..utils.private_folders import check_private
from .base import SOCO, find_benchmark
from .soco.source import HUB_RELEASE

MINI = "mini"


def cache_root() -> Path:
    """Where built folders are cached: SOCO_CACHE, else the folder `soco` in the Hugging Face home."""
    chosen = os.environ.get("SOCO_CACHE")
    if chosen:
        return local_path(chosen)
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "soco"


def cached_folder(source: str = HUB_RELEASE, revision: str | None = None) -> Path:
    """The folder that a build of `source` makes when no other is named, and that loading looks in.

    The mini set has its own, which changes with its version, and so has every other benchmark, by its name; every other
    source becomes the default SOCO.

    Raises:
        SocoError: others own or can write it, see `utils.private_folders`.
    """
    return check_private(cache_root() / _cached_name(source, revision))


def _cached_name(source: str, revision: str | None) -> str:
    known = find_benchmark(source)
    if known is not None and known.name != SOCO:
        return known.name
    if source == MINI:
        from ..synthetic import MINI_VERSION

        return f"mini-v{MINI_VERSION}-{__version__}-{schema_fingerprint()}"
    return "SOCO" if revision is None else f"SOCO-{quote(revision, safe='')}"
