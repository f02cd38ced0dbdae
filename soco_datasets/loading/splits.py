"""Tables of a built folder as `datasets.Dataset`s whose rows come with their images: what `load_dataset("soco")` gives.

Columns that a folder does not store (addresses of images, numbers of pairs) are written once into a small index file
in the Hugging Face cache and memory-mapped. That keeps pickles small, and it is beside this file, not inside the
dataset folder, that `datasets` puts the results of `map`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import DatasetInfo, Features
from datasets.fingerprint import Hasher
from datasets.splits import NamedSplit
from datasets.table import InMemoryTable, MemoryMappedTable, Table, concat_tables

from ..data.all_pairs import IMAGE_COLUMNS, all_pairs
from ..data.folder import DatasetFolder
from ..data.jpeg import without_orientation
from ..data.manifest import ShardEntry
from ..data.uris import image_address, marked
from ..utils.files import atomic_file
from .dataset import SocoDataset
from .feature_types import PairField, StoredImage, joined_features

ALL = "all"
LVLM_CONFIG = "lvlm"
_IMAGE_TYPE = StoredImage.pa_type


@dataclass(frozen=True)
class SplitOptions:
    """What a user chooses about a split.

    Attributes:
        min_shared: least number of common keypoints of a pair of `all`.
        in_memory: read everything into memory instead of mapping files.
        marker: shape and color of what is drawn into the images of `lvlm`.
    """

    min_shared: int = 3
    in_memory: bool = False
    marker: tuple[str, str] = ("arrow", "red")


def split_names(folder: DatasetFolder, config: str) -> list[str]:
    """Splits of a config that can be loaded from `folder`, `all` included."""
    stored = folder.splits(config) if config in folder.configs else []
    return [*stored, ALL] if config in folder.specs and folder.specs[config].has_all else stored


def split_rows(folder: DatasetFolder, config: str, split: str, min_shared: int) -> int:
    """Number of rows of a split; `all` is counted without listing its pairs."""
    if split == ALL:
        return len(all_pairs(str(folder.path), config, min_shared))
    return folder.rows(config, split)


def load_split(
    folder: DatasetFolder,
    config: str,
    split: str,
    *,
    cache: str | Path | None,
    info: DatasetInfo,
    options: SplitOptions = SplitOptions(),
) -> SocoDataset:
    """One whole split as a `Dataset`.

    Args:
        folder: the built folder.
        config, split: one of `split_names(folder, config)`.
        cache: folder for the index file, and so for results of `map`; None = write none, keep it in memory.
        info: description to attach; its features are replaced.
        options: of the split.
    """
    min_shared, marker = options.min_shared, options.marker
    option: Any = min_shared if split == ALL else None
    if config == LVLM_CONFIG:
        option = [folder.manifest["lvlm"]["hash"], *marker]
    fingerprint = Hasher.hash(["soco-index-1", str(folder.path), folder.content_hash, config, split, option])
    # the content hash does not tell formats apart
    stored_as = "hub" if folder.snapshot is not None else folder.shards("images", "test")[0].path.suffix[1:]
    index = None if cache is None else Path(cache) / f"soco-{config}-{split}-{stored_as}-{fingerprint}.arrow"
    info = info.copy()
    if split == ALL:
        info.features = _derived_features(folder, config, min_shared)
        table = _numbers_table(index, info.features, split_rows(folder, config, split, min_shared))
    else:
        info.features = joined_features(config, folder.specs)
        table = _joined_table(index, folder, config, split, marker)
    if options.in_memory:
        table = InMemoryTable(table.table)
    return SocoDataset(arrow_table=table, info=info, split=NamedSplit(split), fingerprint=fingerprint)


def _derived_features(folder: DatasetFolder, config: str, min_shared: int) -> Features:
    root = str(folder.path)
    return Features({name: PairField(root, config, min_shared, name) for name in joined_features(config)})


def _numbers_table(index: Path | None, features: Features, rows: int) -> Table:
    """All columns are one: each maps the same file of pair numbers under its own name."""
    if rows == 0:
        return InMemoryTable(features.arrow_schema.empty_table())

    def numbers() -> pa.Table:
        return pa.table({"pair": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(rows, dtype=np.int64)), 1)})

    shared = _indexed(index, numbers)
    return concat_tables([shared.rename_columns([name]) for name in features], axis=1)


def _joined_table(index: Path | None, folder: DatasetFolder, config: str, split: str, marker: tuple[str, str]) -> Table:
    features = joined_features(config, folder.specs)
    if folder.rows(config, split) == 0:
        return InMemoryTable(features.arrow_schema.empty_table())
    first, *others = features
    if config == "images":
        return _images_table(index, folder, split, others)

    def addresses() -> pa.Table:
        if config == LVLM_CONFIG:
            return _drawn_addresses(folder, split, marker)
        stored = folder.table(config, split, columns=[first, *IMAGE_COLUMNS.values()] if made else [first])
        columns = {name: _addresses(folder, stored[IMAGE_COLUMNS[name]].to_pylist()) for name in made}
        return pa.table({first: stored[first], **columns})

    made = [name for name in others if name in IMAGE_COLUMNS]
    rest = [name for name in others if name not in made]
    tables = [_indexed(index, addresses), *([_stored_table(folder, config, split, rest)] if rest else [])]
    return concat_tables(tables, axis=1)


def _images_table(index: Path | None, folder: DatasetFolder, split: str, others: list[str]) -> Table:
    """The images with their bytes; the few that carry an orientation come from the index, where it is taken out.

    Otherwise code that decodes them with a plain `Image` (map caches and exports become that) would see them rotated.
    Parquet would have to be read whole, and images on the Hub are not here, so such images are all given by address.
    """
    by_address = any(shard.path.suffix == ".parquet" for shard in folder.shards("images", split))
    by_address = by_address or folder.snapshot is not None
    columns = folder.table("images", split, columns=["image_id", "file_name", "exif_orientation"])
    ids = columns["image_id"].to_pylist()
    indexed = [by_address or orientation != 1 for orientation in columns["exif_orientation"].to_pylist()]

    def corrected() -> pa.Table:
        if by_address:
            return pa.table({"image_id": columns["image_id"], "image": _addresses(folder, ids)})
        names = columns["file_name"].to_pylist()
        images = [
            {"bytes": without_orientation(folder.images.jpeg_bytes(image_id)), "path": name.rpartition("/")[2]}
            if chosen
            else None
            for image_id, name, chosen in zip(ids, names, indexed, strict=True)
        ]
        return pa.table({"image_id": columns["image_id"], "image": pa.array(images, _IMAGE_TYPE)})

    table = _indexed(index, corrected)
    rest = _stored_table(folder, "images", split, others if not by_address else others[1:])
    pieces, start = [], 0
    for chosen, run in itertools.groupby(indexed):
        length = len(list(run))
        pieces.append((table if chosen else rest).slice(start, length).select(["image"]))
        start += length
    last = rest.select([name for name in others if name != "image"])
    return concat_tables([table.select(["image_id"]), concat_tables(pieces), last], axis=1)


def _drawn_addresses(folder: DatasetFolder, split: str, marker: tuple[str, str]) -> pa.Table:
    """The first column of `lvlm`, and its images by address, each with what is to be drawn into it."""
    from ..data.questions.pictures import image_tags

    stored = folder.table(LVLM_CONFIG, split)
    rows = stored.to_pylist()
    columns = {}
    for name, id_column in IMAGE_COLUMNS.items():
        tags = [image_tags(row, marker)[name] for row in rows]
        columns[name] = _addresses(folder, [row[id_column] for row in rows], tags)
    return pa.table({stored.column_names[0]: stored[0], **columns})


def _addresses(folder: DatasetFolder, ids: Sequence[str | None], tags: Sequence[str] | None = None) -> pa.Array:
    """Images by address (null for a null id), with what follows each address."""
    root = folder.path.as_posix()
    paths = pa.array(
        [
            None if image_id is None else marked(image_address(root, image_id), tag)
            for image_id, tag in zip(ids, tags or [""] * len(ids), strict=True)
        ],
        pa.string(),
    )
    return pa.StructArray.from_arrays([pa.nulls(len(ids), pa.binary()), paths], ["bytes", "path"], mask=paths.is_null())


def _stored_table(folder: DatasetFolder, config: str, split: str, columns: list[str]) -> Table:
    return concat_tables([_shard_table(shard, folder, columns) for shard in folder.shards(config, split)])


def _shard_table(shard: ShardEntry, folder: DatasetFolder, columns: list[str]) -> Table:
    if shard.path.suffix == ".parquet" or not shard.path.is_file():  # the latter: images that are on the Hub
        return InMemoryTable(folder.read(shard, columns))
    return MemoryMappedTable.from_file(str(shard.path)).select(columns)


def _indexed(path: Path | None, make: Callable[[], pa.Table]) -> Table:
    """The table in the index file at `path`, which is written first if it is not there; without a path, in memory."""
    if path is None:
        return InMemoryTable(make())
    if not path.is_file():
        table = make()
        with (
            atomic_file(path) as temporary,
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_stream(sink, table.schema) as writer,
        ):
            writer.write_table(table)
    return MemoryMappedTable.from_file(str(path))
