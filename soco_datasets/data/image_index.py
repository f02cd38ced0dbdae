"""Where each image lies inside its shard, so that a published folder gives single images without the shards.

The index is the `images` table without the image column, plus `file`, `offset` and `length` of the JPEG. It exists
because images are stored uncompressed in Arrow streams: a range of bytes of the shard is the original file.
"""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import DatasetFolderError
from .schema import CONFIGS

if TYPE_CHECKING:
    from .folder import DatasetFolder

INDEX = "image_index.parquet"
_PLACE = [("file", pa.string()), ("offset", pa.int64()), ("length", pa.int64())]


def index_schema() -> pa.Schema:
    """Columns of the index."""
    stored = CONFIGS["images"].features.arrow_schema
    return pa.schema([*(field for field in stored if field.name != "image"), *(pa.field(*place) for place in _PLACE)])


def image_index(folder: DatasetFolder) -> bytes | None:
    """The index of a folder as a Parquet file; None where images are compressed, in Parquet, or missing."""
    if "images" not in folder.configs:
        return None
    shards = folder.shards("images", "test")
    if any(shard.path.suffix != ".arrow" for shard in shards):
        return None
    columns = [name for name in CONFIGS["images"].features if name != "image"]
    parts = []
    for shard in shards:
        places = _places(shard.path)
        if places is None:
            return None
        table = folder.read(shard, columns)
        table = table.append_column("file", pa.array([shard.path.relative_to(folder.path).as_posix()] * len(places)))
        table = table.append_column("offset", pa.array([offset for offset, _ in places], pa.int64()))
        parts.append(table.append_column("length", pa.array([length for _, length in places], pa.int64())))
    buffer = io.BytesIO()
    whole = pa.concat_tables(parts).cast(index_schema()).replace_schema_metadata(None)
    pq.write_table(whole, buffer, compression="zstd")
    return buffer.getvalue()


def read_index(path: Path) -> pa.Table:
    """The index as a table; raises `DatasetFolderError` where it is damaged."""
    try:
        return pq.read_table(path).cast(index_schema())
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DatasetFolderError(f"{path} cannot be read ({error}). Publish the folder again.") from error


def _places(shard: Path) -> list[tuple[int, int]] | None:
    """Offset and length in the file of each image of an Arrow stream; None where it is compressed."""
    try:
        whole = pa.memory_map(str(shard)).read_buffer()
        batches = list(pa.ipc.open_stream(whole))
    except (pa.ArrowException, OSError) as error:
        raise DatasetFolderError(f"{shard} cannot be read ({error}). Build the folder again.") from error
    found = []
    for batch in batches:
        column = batch["image"].field("bytes")
        _, starts, data = column.buffers()
        ends = np.frombuffer(starts, np.int32)[column.offset : column.offset + len(column) + 1]
        base = data.address - whole.address
        if base < 0 or base + data.size > whole.size:
            return None  # decompressed buffers lie elsewhere in memory
        found += [(base + int(start), int(end - start)) for start, end in itertools.pairwise(ends)]
    return found
