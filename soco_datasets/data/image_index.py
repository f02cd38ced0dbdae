"""Where each image is stored in its shard, so that a published folder gives single images without the shards.

The index is the `images` table without the image column, plus `file`, `offset` and `length` of the JPEG. It exists
because images are stored uncompressed in Arrow streams: a range of bytes of the shard is the original file.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import DatasetFolderError
from ..utils.parquet_files import check_parquet
from .manifest import ShardEntry
from .schema import CONFIGS

INDEX = "image_index.parquet"
_PLACE = [("file", pa.string()), ("offset", pa.int64()), ("length", pa.int64())]


def index_schema() -> pa.Schema:
    """Columns of the index."""
    stored = CONFIGS["images"].features.arrow_schema
    return pa.schema([*(field for field in stored if field.name != "image"), *(pa.field(*place) for place in _PLACE)])


def read_index(path: Path) -> pa.Table:
    """The index as a table; raises `DatasetFolderError` where it is damaged."""
    try:
        check_parquet(path)
        return pq.read_table(path).cast(index_schema())
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DatasetFolderError(f"{path} cannot be read ({error}). Publish the folder again.") from error


def index_rows(root: Path, shard: ShardEntry) -> pa.Table:
    """The rows of the image index of one shard; raises `DatasetFolderError` where it does not fit the manifest."""
    table = read_index(root / INDEX)
    file = shard.path.relative_to(root).as_posix()
    rows = table.filter(pa.compute.equal(table["file"], file))
    if rows.num_rows != shard.rows:
        raise DatasetFolderError(
            f"{root / INDEX} has {rows.num_rows} rows for {file} instead of {shard.rows}. Publish the folder again."
        )
    return rows
