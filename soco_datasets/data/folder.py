"""A built dataset folder: its manifest, its tables (memory-mapped where they can be) and its images.

Everything here can be pickled and survives a fork: another process opens the same folder again by its path.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from ..errors import ChangedDataError, DatasetFolderError, unknown_name
from ..utils.arrow_streams import check_stream
from ..utils.files import sha256_file
from ..utils.parquet_files import check_parquet
from ..utils.paths import local_path, real_path
from .image_index import index_rows
from .images import ImageStore
from .manifest import MANIFEST, REBUILD, ShardEntry, checked_shards, manifest_configs, read_manifest
from .remote_folder import Snapshot
from .schema import TableSpec
from .shards import RowsDigest
from .taxonomy import Taxonomy


class DatasetFolder:
    """A folder made by `soco build`. Use `open_folder`, which keeps one per folder and process.

    Attributes:
        path: absolute path of the folder, links resolved.
        manifest: `manifest.json` as read.
        specs: config -> its table: what the folder may hold, see `configs` for what it holds.
        snapshot: where its images come from one by one, for a folder from the Hub without image shards; else None.

    Raises:
        DataNotFoundError: the folder or its manifest does not exist.
        DatasetFolderError: the manifest is damaged or of an unknown version, or a shard is missing or cut short.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = real_path(local_path(path))
        self.manifest = read_manifest(self.path)
        self.specs: Mapping[str, TableSpec] = manifest_configs(self.path, self.manifest)
        origin = Snapshot.of(self.path)
        self._shards: dict[tuple[str, str], list[ShardEntry]] = {}
        for shard in checked_shards(self.path, self.manifest, images_apart=origin is not None):
            self._shards.setdefault((shard.config, shard.split), []).append(shard)
        images = self._shards.get(("images", "test"), [])
        self.snapshot = None if all(shard.path.is_file() for shard in images) else origin
        self._images: ImageStore | None = None
        self._lock = threading.Lock()
        self._checked: set[tuple[tuple[Path, int, int], bool]] = set()

    def __reduce__(self) -> tuple[Callable[[str], DatasetFolder], tuple[str]]:
        return open_folder, (str(self.path),)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"DatasetFolder({str(self.path)!r}, content_hash={self.content_hash[:12]!r})"

    @property
    def content_hash(self) -> str:
        """Hash of the rows and images, independent of the shard format."""
        return str(self.manifest["content_hash"])

    @property
    def benchmark(self) -> str:
        """Name of the benchmark that this is a folder of; "soco" where the manifest names none."""
        return str(self.manifest.get("benchmark", "soco"))

    @property
    def configs(self) -> list[str]:
        """Configs stored here, in the order of `specs`."""
        stored = {config for config, _ in self._shards}
        return [name for name in self.specs if name in stored]

    def splits(self, config: str) -> list[str]:
        """Stored splits of a config (never `all`); raises `UsageError` for an unknown config."""
        if config not in self.configs:
            raise unknown_name("config", config, self.configs)
        return [split for split in self.specs[config].splits if (config, split) in self._shards]

    def shards(self, config: str, split: str) -> list[ShardEntry]:
        """The files of one split; raises `UsageError` for an unknown config or split."""
        if split not in self.splits(config):
            raise unknown_name(f"split of config '{config}'", split, self.splits(config))
        return self._shards[config, split]

    def rows(self, config: str, split: str) -> int:
        """Number of rows of one split, from the manifest."""
        return sum(shard.rows for shard in self.shards(config, split))

    def table(self, config: str, split: str = "test", columns: Sequence[str] | None = None) -> pa.Table:
        """One split as an Arrow table with the types of `specs`.

        Args:
            config, split: what to read.
            columns: only these, in this order. Columns left out are not read.

        Raises:
            UsageError: no such config, split or column here.
            DatasetFolderError: a shard cannot be read or has other columns than it should.
        """
        shards = self.shards(config, split)
        names = list(self.specs[config].features if columns is None else columns)
        return pa.concat_tables([self.read(shard, names) for shard in shards])

    def read(self, shard: ShardEntry, columns: Sequence[str]) -> pa.Table:
        """The same for a single file of the split."""
        expected = self.specs[shard.config].features.arrow_schema
        for name in columns:
            if name not in expected.names:
                raise unknown_name(f"column of config '{shard.config}'", name, expected.names)
        if self.snapshot is not None and shard.config == "images" and "image" not in columns:
            rows = index_rows(self.path, shard).select(list(columns))
            return rows.cast(pa.schema([expected.field(name) for name in columns])).replace_schema_metadata(None)
        return _read_shard(shard, pa.schema([expected.field(name) for name in columns]))

    @property
    def images(self) -> ImageStore:
        """The images, found by `image_id`."""
        with self._lock:
            if self._images is None:
                ids = self.table("images", "test", columns=["image_id"])["image_id"].to_pylist()
                reopen = functools.partial(_images_of, self)
                self._images = ImageStore(self.path, ids, self.shards("images", "test"), self.snapshot, reopen)
            return self._images

    @functools.cached_property
    def taxonomy(self) -> Taxonomy:
        """The keypoints of all categories and their concepts, to be queried."""
        return Taxonomy.from_rows(self.table("taxonomy").to_pylist())

    @functools.cached_property
    def supercategories(self) -> dict[str, str | None]:
        """Category -> supercategory, None where it has none; sorted."""
        table = self.table("images", "test", columns=["category", "supercategory"])
        return dict(sorted(zip(table["category"].to_pylist(), table["supercategory"].to_pylist(), strict=True)))

    def verify(self) -> None:
        """Recompute the sha256 of every shard; raises `DatasetFolderError` naming all that differ."""
        shards = [shard for group in self._shards.values() for shard in group]
        self._refuse_changed([shard for shard in shards if not _is_intact(shard)])

    def check_intact(self, *, images: bool = False) -> None:
        """Check, once while a file does not change, that what an evaluation reads is what was built.

        Args:
            images: whether the images too; else only where `ImageStore` cannot check each one when it is read, in
                folders that were built before their digests were stored.

        Raises:
            ChangedDataError: naming the files, and of a file of images those that changed where that is known.
        """
        shards = [shard for group in self._shards.values() for shard in group if shard.path.is_file()]
        todo = [(shard, images or not shard.image_digests) for shard in shards]
        todo = [(shard, whole) for shard, whole in todo if (_state(shard), whole) not in self._checked]
        with ThreadPoolExecutor(max_workers=4) as pool:  # hashing releases the GIL
            intact = list(pool.map(lambda item: _is_intact(item[0]) if item[1] else self._rows_intact(item[0]), todo))
        self._refuse_changed([shard for (shard, _), fine in zip(todo, intact, strict=True) if not fine])
        self._checked.update((_state(shard), whole) for shard, whole in todo)

    def _rows_intact(self, shard: ShardEntry) -> bool:
        """Whether the columns of a file of images that are not the image are what was built."""
        digest = RowsDigest()
        digest.update(self.read(shard, [name for name in self.specs[shard.config].features if name != "image"]))
        return digest.hexdigest() == shard.rows_sha256

    def _refuse_changed(self, changed: Sequence[ShardEntry]) -> None:
        if not changed:
            return
        files = ", ".join(shard.path.relative_to(self.path).as_posix() for shard in changed)
        message = f"{self.path}: {len(changed)} file(s) differ from the manifest: {files}. {REBUILD}"
        if any(shard.image_digests for shard in changed):
            for name in self.images:  # names the image where it is one
                try:
                    self.images.jpeg_bytes(name)
                except DatasetFolderError as error:
                    raise ChangedDataError(f"{error} {message}") from None
        raise ChangedDataError(message)


_opened: dict[Path, tuple[tuple[int, int], DatasetFolder]] = {}
_opened_lock = threading.Lock()


def open_folder(path: str | os.PathLike[str]) -> DatasetFolder:
    """The `DatasetFolder` at `path`, kept per process until its manifest changes. Raises as `DatasetFolder` does.

    A folder that is open already is returned as it is. Names ("mini", a benchmark, a Hub id) are for `dataset_folder`.
    """
    if isinstance(path, DatasetFolder):
        return path
    real = real_path(local_path(path))
    with _opened_lock:
        kept = _opened.get(real)
        if kept is not None and kept[0] == _stamp(real) and not _is_complete_now(kept[1]):
            return kept[1]
        stamp = _stamp(real)
        folder = DatasetFolder(real)
        _opened[real] = (stamp, folder)
        return folder


def _is_complete_now(folder: DatasetFolder) -> bool:
    """Whether a folder that was opened without its image shards has them by now."""
    shards = folder.shards("images", "test") if folder.snapshot is not None else []
    return bool(shards) and all(shard.path.is_file() for shard in shards)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = (path / MANIFEST).stat()
    except OSError:
        return (-1, -1)
    return (status.st_mtime_ns, status.st_size)


def _images_of(folder: DatasetFolder) -> ImageStore:
    return folder.images


def _state(shard: ShardEntry) -> tuple[Path, int, int]:
    status = shard.path.stat()
    return shard.path, status.st_mtime_ns, status.st_ino


def _is_intact(shard: ShardEntry) -> bool:
    return shard.path.is_file() and sha256_file(shard.path) == shard.sha256


def _read_shard(shard: ShardEntry, schema: pa.Schema) -> pa.Table:
    """The columns of `schema` from one shard, cast to its types where they differ in detail (Parquet list names)."""
    try:
        if shard.path.suffix == ".parquet":
            import pyarrow.parquet as pq

            check_parquet(shard.path)
            table = pq.read_table(shard.path, columns=schema.names, partitioning=None)
        else:
            table = _read_stream(shard.path, schema.names)
        table = table.select(schema.names)
        table = table if table.schema.equals(schema) else table.cast(schema)
        table.validate(full=True)  # texts of other bytes than UTF-8, offsets that lead elsewhere
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:
        raise DatasetFolderError(
            f"{shard.path} cannot be read as a table of '{shard.config}' ({error}). {REBUILD}"
        ) from error
    return table.replace_schema_metadata(None)


def _read_stream(path: Path, columns: list[str]) -> pa.Table:
    """Columns of an Arrow IPC stream, memory-mapped; compressed columns that are not asked for stay compressed."""
    check_stream(path)
    source = pa.memory_map(str(path))
    schema = pa.ipc.open_stream(source).schema
    wanted = [schema.get_field_index(name) for name in columns if name in schema.names]
    source.seek(0)
    return pa.ipc.open_stream(source, options=pa.ipc.IpcReadOptions(included_fields=wanted)).read_all()
