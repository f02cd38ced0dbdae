"""Rows to record batches, each with the text that its rows give to the content hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ..data.release_types import ImageRecord, PairRecord
from ..data.schema import TableSpec
from ..data.shards import batch_of, batch_rows, row_text
from ..utils.chunks import chunks_of
from .tables import Row, pair_row


@dataclass(frozen=True)
class Encoded:
    """Some rows of a table: as the hash sees them, and as they are written."""

    text: bytes
    batch: pa.RecordBatch


def encode_rows(spec: TableSpec, rows: Iterable[Row], images: Mapping[str, ImageRecord]) -> Iterator[Encoded]:
    """The rows of a table, batch by batch; in the hash an image counts by its sha256."""
    for chunk in chunks_of(rows, batch_rows(spec)):
        hashed = [{**row, "image": images[row["image_id"]].sha256} if "image" in row else row for row in chunk]
        yield Encoded(b"".join(map(row_text, hashed)), batch_of(spec, chunk))


class PairEncoder:
    """The pairs of one batch to their rows in one config. Can be sent to another process.

    Args:
        spec: the pair config.
        sizes: image id -> (width, height).
    """

    def __init__(self, spec: TableSpec, sizes: Mapping[str, tuple[int, int]]) -> None:
        self._spec, self._sizes = spec, sizes

    def __call__(self, pairs: Sequence[PairRecord]) -> Encoded:
        """One batch."""
        rows = [pair_row(self._spec, pair, self._sizes) for pair in pairs]
        return Encoded(b"".join(map(row_text, rows)), batch_of(self._spec, rows))
