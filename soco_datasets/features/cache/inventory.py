"""The shared feature stores of a folder: what there is, and removing what nobody uses. No torch."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...utils.files import explain_write_errors
from ...utils.foreign import read_json_text
from ...utils.paths import local_path
from .disk import (
    KEY,
    MAPS,
    USE,
    default_directory,
)
from .index import count_marks
from .vectors import count_vectors

_DAY = 86400.0


@dataclass(frozen=True)
class StoredFeatures:
    """One store.

    Attributes:
        path: its folder.
        model: name and settings, "?" where the store's description cannot be read.
        images: maps that are there.
        nbytes: what it takes on the disk.
        used: time of the last use, seconds since 1970.
    """

    path: Path
    model: str
    images: int
    nbytes: int
    used: float


def stored_features(directory: Path | None = None) -> list[StoredFeatures]:
    """The stores of a folder, the last used first; none where the folder does not exist."""
    root = local_path(directory or default_directory())
    folders = [path for path in root.iterdir() if _is_store(path)] if root.is_dir() else []
    return sorted((_describe(path) for path in folders), key=lambda store: -store.used)


def clear_features(
    directory: Path | None = None, older_than_days: float | None = None
) -> tuple[list[StoredFeatures], list[StoredFeatures]]:
    """Remove stores; anything else in the folder stays.

    Args:
        directory: of the stores, `store_disk.default_directory()` by default.
        older_than_days: only those not used for so long.

    Returns:
        Those removed, and those that stay because a process uses them.

    Raises:
        SocoError: a store cannot be removed.
    """
    limit = None if older_than_days is None else time.time() - older_than_days * _DAY
    removed: list[StoredFeatures] = []
    busy: list[StoredFeatures] = []
    for store in stored_features(directory):
        if limit is None or store.used <= limit:
            (removed if _remove(store.path) else busy).append(store)
    return removed, busy


def _is_store(path: Path) -> bool:
    return path.is_dir() and ((path / KEY).is_file() or (path / USE).is_file())


def _describe(path: Path) -> StoredFeatures:
    model = "?"
    try:
        key = read_json_text((path / KEY).read_bytes())
        about = key["model"]
        layer = "" if about["layer"] is None else f" layer {about['layer']}"
        size = f"{about['effective_size']} px" if "effective_size" in about else _transform(key)
        model = f"{about['name']} {size}{layer} norm {about['norm']} {about['dtype']}"
    except (OSError, ValueError, KeyError, TypeError):
        pass
    files = [entry.stat() for entry in path.iterdir() if entry.is_file()]
    marker = path / KEY if (path / KEY).is_file() else path / USE
    nbytes = sum(file.st_blocks * 512 for file in files)
    return StoredFeatures(path, model, count_marks(path) + count_vectors(path), nbytes, marker.stat().st_mtime)


def _transform(key: dict[str, Any]) -> str:
    """The input transform of a cache's key in words, such as "resize_shorter crop", with what is kept."""
    steps = " ".join(step["step"] for step in key["transform"])
    return f"({steps}) {len(key['maps'])} maps {len(key['vectors'])} vectors"


def _remove(path: Path) -> bool:
    """Whether the store was free and is gone."""
    import fcntl

    with explain_write_errors(path):
        with open(path / USE, "a+b") as use:
            try:
                fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            # The maps last: a removal that is cut short leaves something that is still listed and can be cleared.
            for name in sorted(os.listdir(path), key=lambda name: (name in (MAPS, KEY, USE), name == USE)):
                (path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty: another process has begun a new store here
            path.rmdir()
    return True
