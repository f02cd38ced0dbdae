"""The manifest of a built folder: which files there are, and whether they are all here and whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import DataNotFoundError, DatasetFolderError
from .schema import CONFIGS, TableSpec

MANIFEST = "manifest.json"
FORMAT_NAME = "soco-dataset"
MANIFEST_VERSION = 1
REBUILD = "Build it again with: soco build SOURCE --out DIR"


@dataclass(frozen=True)
class ShardEntry:
    """One file of a table, as the manifest states it. `path` is absolute."""

    config: str
    split: str
    path: Path
    rows: int
    bytes: int
    sha256: str


def is_built(path: Path) -> bool:
    """Whether `path` has the manifest of a built folder (it may still be damaged)."""
    return (path / MANIFEST).is_file()


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the folder at `path`; raises as `DatasetFolder` does."""
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        raise DataNotFoundError(f"{path} {what}. Give a folder made by `soco build SOURCE --out DIR`.")
    if not is_built(path):
        raise DataNotFoundError(
            f"{path} has no {MANIFEST}, so it is not a built dataset folder. Make one with: soco build SOURCE --out DIR"
        )
    where = path / MANIFEST
    try:
        manifest = json.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetFolderError(f"{where} cannot be read ({error}). {REBUILD}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT_NAME:
        raise DatasetFolderError(
            f'{where} does not say "format": "{FORMAT_NAME}": not a SOCO dataset folder. {REBUILD}'
        )
    version = manifest.get("format_version")
    if version != MANIFEST_VERSION:
        mend = "Upgrade with: pip install -U soco-datasets" if _is_newer(version) else REBUILD
        raise DatasetFolderError(f"{where}: format version {version!r}; this toolkit reads {MANIFEST_VERSION}. {mend}")
    return manifest


def manifest_configs(root: Path, manifest: Mapping[str, Any]) -> Mapping[str, TableSpec]:
    """The tables of a folder by config: those that its manifest states, SOCO's where it states none."""
    if "tables" not in manifest:
        return CONFIGS
    try:
        return {spec.name: spec for spec in map(TableSpec.from_dict, manifest["tables"])}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DatasetFolderError(f"{root / MANIFEST} has a damaged list of tables ({error}). {REBUILD}") from error


def checked_shards(root: Path, manifest: dict[str, Any], images_apart: bool) -> list[ShardEntry]:
    """The manifest's shards of known configs; every missing or cut file is named in one error.

    With `images_apart`, shards of images may be missing.
    """
    where = root / MANIFEST
    try:
        manifest["content_hash"]
        listed = [
            (item["config"], item["split"], str(item["file"]), item["rows"], item["bytes"], item["sha256"])
            for item in manifest["shards"]
        ]
    except (KeyError, TypeError) as error:
        raise DatasetFolderError(f"{where} lacks the field {error}. {REBUILD}") from error
    configs = manifest_configs(root, manifest)
    shards, wrong = [], []
    for config, split, file, rows, size, digest in listed:
        relative = PurePosixPath(file)
        if relative.is_absolute() or ".." in relative.parts:
            raise DatasetFolderError(f"{where} names a file outside the folder: {file}. {REBUILD}")
        path = root.joinpath(*relative.parts)
        if not path.is_file():
            if not (images_apart and config == "images"):
                wrong.append(f"{file} is missing")
        elif path.stat().st_size != size:
            wrong.append(f"{file} has {path.stat().st_size:,} bytes instead of {size:,}")
        if config in configs:  # a later version may add configs; those here are read all the same
            shards.append(ShardEntry(config, split, path, rows, size, digest))
    if wrong:
        raise DatasetFolderError(f"{root} is not complete: {'; '.join(wrong)}. Copy it again, or: {REBUILD}")
    return shards


def _is_newer(version: object) -> bool:
    return isinstance(version, int) and version > MANIFEST_VERSION
