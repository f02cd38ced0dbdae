"""Tables to shards on disk: Arrow IPC streams or Parquet, split by size, byte-identical for the same rows."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..utils.chunks import chunks_of
from ..utils.files import sha256_file
from .schema import TableSpec

Format = Literal["arrow", "parquet"]
SHARD_FORMATS: tuple[str, ...] = ("arrow", "parquet")
_MOST_BYTES = 2**31  # of all values of a column of binary data
_IMAGE_ROWS = 32  # per record batch: what a reader that opens one image has to map
_ROWS = 1000
DIGEST_LENGTH = 32  # of an `image_digest`

TableRow = Mapping[str, Any]


@dataclass(frozen=True)
class WrittenShard:
    """One written file, as the manifest lists it.

    Attributes:
        file: relative to the dataset folder, with "/".
        image_digests: of a file of images, `image_digest` of each, in the order of its rows.
        rows_sha256: of such a file, `rows_digest` of its other columns.
    """

    config: str
    split: str
    file: str
    rows: int
    bytes: int
    sha256: str
    image_digests: tuple[str, ...] = ()
    rows_sha256: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Without what a file has not."""
        return {name: value for name, value in asdict(self).items() if value not in ((), "")}


class ContentHash:
    """sha256 over the rows themselves, so that it depends on neither the shard format nor its size."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def start(self, config: str, split: str) -> None:
        self._digest.update(f"\n{config}/{split}\n".encode())

    def add(self, row: TableRow) -> None:
        self.add_text(row_text(row))

    def add_text(self, rows: bytes) -> None:
        """Take in rows by their `row_text`, one after the other."""
        self._digest.update(rows)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


json_text = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode
"""A value as JSON, as the content hash sees it."""


def row_text(row: TableRow) -> bytes:
    """A row as the content hash sees it."""
    return json_text(row).encode("utf-8", errors="surrogatepass") + b"\n"


def image_digest(data: bytes | pa.Buffer) -> str:
    """What a manifest says of the bytes of an image: the first half of their sha256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_LENGTH]


class RowsDigest:
    """sha256 over the columns of a table of images that are not the image, batch after batch."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def update(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Take in rows; their column `image` is left out."""
        names = sorted(name for name in rows.schema.names if name != "image")
        for row in rows.select(names).to_pylist():
            self._digest.update(row_text(row))

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class _Writer(Protocol):
    def write_batch(self, batch: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...


def write_shards(
    root: Path, spec: TableSpec, split: str, rows: Iterable[TableRow], format: Format, max_shard_size: int
) -> list[WrittenShard]:
    """Write the rows of one split, see `write_batches`."""
    chunks = chunks_of(rows, batch_rows(spec))
    return write_batches(root, spec, split, (batch_of(spec, chunk) for chunk in chunks), format, max_shard_size)


def batch_rows(spec: TableSpec) -> int:
    """Rows of a record batch of this table."""
    return _IMAGE_ROWS if "image" in spec.features else _ROWS


def batch_of(spec: TableSpec, rows: Sequence[TableRow]) -> pa.RecordBatch:
    """Rows as the record batch that is written."""
    schema = spec.arrow_schema
    place = schema.get_field_index("image")
    if place < 0:
        return pa.RecordBatch.from_pylist(rows, schema=schema)
    others = pa.RecordBatch.from_pylist(rows, schema=schema.remove(place))
    arrays = [*others.columns[:place], _image_column(schema.field(place), rows), *others.columns[place:]]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _image_column(field: pa.Field, rows: Sequence[TableRow]) -> pa.Array:
    """The images of rows, their bytes copied once and not by a buffer that grows."""
    images = [row["image"]["bytes"] for row in rows]
    ends = np.cumsum([0, *map(len, images)], dtype=np.int64)
    if ends[-1] >= _MOST_BYTES:
        return pa.array([row["image"] for row in rows], field.type)
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(images))]
    data = pa.Array.from_buffers(pa.binary(), len(images), buffers)
    paths = pa.array([row["image"]["path"] for row in rows], pa.string())
    return pa.StructArray.from_arrays([data, paths], fields=list(field.type))


def write_batches(
    root: Path,
    spec: TableSpec,
    split: str,
    batches: Iterable[pa.RecordBatch],
    format: Format,
    max_shard_size: int,
    digests: Iterator[str] | None = None,
) -> list[WrittenShard]:
    """Write one split below `root/<config>/`, at most `max_shard_size` bytes of data a file, or a single larger row.

    Images are stored uncompressed (JPEG does not shrink, and an uncompressed Arrow stream can be memory-mapped);
    everything else with zstd. A split without rows still gets one empty shard, so that its columns are known.
    `digests` are the `image_digest` of each row of images, where they are known.
    """
    schema = spec.arrow_schema
    holds_images = "image" in spec.features
    folder = root / spec.name
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[_Part] = []  # final names need the number of files

    def start() -> _Writer:
        parts.append(_Part(folder / f"{split}-{len(parts):05d}.part"))
        return _open_writer(parts[-1].path, schema, format, compress=not holds_images)

    writer, size = start(), 0
    try:
        for batch in (piece for whole in batches for piece in _pieces(whole, max_shard_size)):
            if size and size + batch.nbytes > max_shard_size:
                writer.close()
                writer, size = start(), 0
            writer.write_batch(batch)
            size += batch.nbytes
            if holds_images:
                parts[-1].add_images(batch, digests)
            parts[-1].rows += batch.num_rows
        writer.close()
    except BaseException:  # the file is closed at once, even while somebody keeps the error
        with contextlib.suppress(Exception):
            writer.close()
        raise
    return [_finish(root, spec.name, split, (number, len(parts)), part, format) for number, part in enumerate(parts)]


@dataclass
class _Part:
    """A file while it is written."""

    path: Path
    rows: int = 0
    images: list[str] = field(default_factory=list)
    other: RowsDigest = field(default_factory=RowsDigest)

    def add_images(self, batch: pa.RecordBatch, digests: Iterator[str] | None) -> None:
        if digests is None:
            digests = (image_digest(data.as_buffer()) for data in batch["image"].field("bytes"))
        self.images += itertools.islice(digests, batch.num_rows)
        self.other.update(batch)


def _pieces(batch: pa.RecordBatch, most: int) -> Iterator[pa.RecordBatch]:
    """A batch in halves of halves, until each has at most `most` bytes or a single row."""
    if batch.nbytes <= most or batch.num_rows < 2:
        yield batch
        return
    half = batch.num_rows // 2
    for part in (batch.slice(0, half), batch.slice(half)):
        yield from _pieces(part, most)


def _open_writer(path: Path, schema: pa.Schema, format: Format, compress: bool) -> _Writer:
    if format == "parquet":
        compression = "zstd" if compress else "none"
        writer: _Writer = pq.ParquetWriter(path, schema, compression=compression, write_page_index=True)
        return writer
    options = pa.ipc.IpcWriteOptions(compression="zstd" if compress else None)
    sink = pa.OSFile(str(path), "wb")
    return _StreamWriter(sink, pa.ipc.new_stream(sink, schema, options=options))


class _StreamWriter:
    """An Arrow stream writer that closes its file too."""

    def __init__(self, sink: pa.OSFile, stream: pa.ipc.RecordBatchStreamWriter) -> None:
        self._sink = sink
        self._stream = stream

    def write_batch(self, batch: pa.RecordBatch) -> None:
        self._stream.write_batch(batch)

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._sink.close()


def _finish(root: Path, config: str, split: str, place: tuple[int, int], part: _Part, format: Format) -> WrittenShard:
    number, total = place
    path = part.path.with_name(f"{split}-{number:05d}-of-{total:05d}.{format}")
    part.path.rename(path)
    return WrittenShard(
        config,
        split,
        path.relative_to(root).as_posix(),
        part.rows,
        path.stat().st_size,
        sha256_file(path),
        tuple(part.images),
        part.other.hexdigest() if part.images else "",
    )
