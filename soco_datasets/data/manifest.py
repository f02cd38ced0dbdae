"""The manifest of a built folder: which files there are, and whether they are all here and whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import DataNotFoundError, DatasetFolderError
from ..utils.foreign import is_version, read_json_file
from .schema import CONFIGS, TableSpec

MANIFEST = "manifest.json"
FORMAT_NAME = "soco-dataset"
MANIFEST_VERSION = 1
_LARGEST = 200_000_000  # bytes of a manifest
REBUILD = "Build it again with: soco build SOURCE --out DIR"


@dataclass(frozen=True)
class ShardEntry:
    """One file of a table, as the manifest states it.

    Attributes:
        path: absolute.
        image_digests, rows_sha256: see `shards.WrittenShard`; empty in folders that were built before these.
    """

    config: str
    split: str
    path: Path
    rows: int
    bytes: int
    sha256: str
    image_digests: tuple[str, ...] = ()
    rows_sha256: str = ""


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
        manifest = read_json_file(where, _LARGEST)
    except (OSError, ValueError) as error:
        raise DatasetFolderError(f"{where} cannot be read ({error}). {REBUILD}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT_NAME:
        raise DatasetFolderError(
            f'{where} does not say "format": "{FORMAT_NAME}": not a SOCO dataset folder. {REBUILD}'
        )
    version = manifest.get("format_version")
    if not is_version(version, MANIFEST_VERSION):
        mend = "Upgrade with: pip install -U soco-datasets" if _is_newer(version) else REBUILD
        raise DatasetFolderError(f"{where}: format version {version!r}; this toolkit reads {MANIFEST_VERSION}. {mend}")
    _check_fields(where, manifest)
    return manifest


def require_fields(root: Path, manifest: Mapping[str, Any], *names: str) -> None:
    """Raise `DatasetFolderError` unless a manifest has these fields; what is in them `read_manifest` has checked."""
    if absent := [name for name in names if name not in manifest]:
        raise DatasetFolderError(f"{root / MANIFEST} lacks the field(s) {', '.join(absent)}. {REBUILD}")


def _is_counts(value: object) -> bool:
    return isinstance(value, dict) and all(type(number) is int for number in value.values())


def _is_source(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str) and isinstance(value.get("kind", ""), str)


def _is_findings(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("listed", []), list):
        return False
    counts = value.get("counts", {})
    return isinstance(counts, dict) and all(map(_is_counts, counts.values()))


def _is_counted(value: object) -> bool:
    rows = value.get("rows", {}) if isinstance(value, dict) else None
    return isinstance(rows, dict) and all(map(_is_counts, rows.values()))


_FIELDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "source": (_is_source, "a mapping with the text `id`"),
    "pairs": (lambda value: isinstance(value, dict), "a mapping"),
    "findings": (_is_findings, "a mapping of the mapping `counts` and the list `listed`"),
    "counts": (_is_counted, "a mapping with the mapping `rows`"),
    "facts": (lambda value: isinstance(value, dict), "a mapping"),
    "lvlm": (lambda value: isinstance(value, dict), "a mapping"),
    "benchmark": (lambda value: isinstance(value, str), "a text"),
    "shards": (lambda value: isinstance(value, list), "a list"),
}


def _check_fields(where: Path, manifest: dict[str, Any]) -> None:
    """Check the fields that are there, and fill in what a part of them may lack; those of a later version stay."""
    for name, (fits, wanted) in _FIELDS.items():
        if name in manifest and not fits(manifest[name]):
            shown = repr(manifest[name])
            shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
            raise DatasetFolderError(f"{where}: the field `{name}` is {shown}, not {wanted}. {REBUILD}")
    for name, defaults in (
        ("source", {"kind": "folder", "revision": None}),
        ("findings", {"listed": []}),
    ):
        if name in manifest:
            manifest[name] = {**defaults, **manifest[name]}
    if "findings" in manifest:
        found = manifest["findings"]
        found["counts"] = {**{severity: {} for severity in ("error", "repair", "note")}, **found.get("counts", {})}


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
            (
                (item["config"], item["split"], str(item["file"])),
                (item["rows"], item["bytes"], item["sha256"], *_digests(item)),
            )
            for item in manifest["shards"]
        ]
    except (KeyError, TypeError) as error:
        raise DatasetFolderError(f"{where} lacks the field {error}. {REBUILD}") from error
    configs = manifest_configs(root, manifest)
    shards, wrong = [], []
    for (config, split, file), stated in listed:
        relative = PurePosixPath(file)
        if relative.is_absolute() or ".." in relative.parts:
            raise DatasetFolderError(f"{where} names a file outside the folder: {file}. {REBUILD}")
        path = root.joinpath(*relative.parts)
        if not path.is_file():
            if not (images_apart and config == "images"):
                wrong.append(f"{file} is missing")
        elif path.stat().st_size != stated[1]:
            wrong.append(f"{file} has {path.stat().st_size:,} bytes instead of {stated[1]:,}")
        if config in configs:  # a later version may add configs; those here are read all the same
            shards.append(ShardEntry(config, split, path, *stated))
    if wrong:
        raise DatasetFolderError(f"{root} is not complete: {'; '.join(wrong)}. Copy it again, or: {REBUILD}")
    return shards


def _digests(item: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """(digests of the images, of the other columns) of a file of images, empty where there are none."""
    images, other = item.get("image_digests", []), item.get("rows_sha256", "")
    fits = isinstance(images, list) and all(isinstance(digest, str) for digest in images) and isinstance(other, str)
    if not fits or (images and len(images) != item["rows"]) or bool(images) != bool(other):
        raise TypeError("image_digests, one for each row, with rows_sha256")
    return tuple(images), other


def _is_newer(version: object) -> bool:
    return isinstance(version, int) and version > MANIFEST_VERSION
