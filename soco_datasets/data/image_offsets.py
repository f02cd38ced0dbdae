"""Making the image index of a folder (see `image_index`): finding each image inside the shards."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import DatasetFolderError
from .folder import DatasetFolder
from .image_index import index_schema
from .schema import CONFIGS


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
