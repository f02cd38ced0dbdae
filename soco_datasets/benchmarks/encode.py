"""Rows to record batches, each with the text that its rows give to the content hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..data.pair_table import PairTable
from ..data.query_blocks import RaggedPoints
from ..data.schema import TableSpec
from ..data.shards import batch_of, batch_rows, json_text, row_text
from ..utils.chunks import chunks_of
from .pair_queries import TableQueries, table_queries
from .tables import Row
from .view_columns import Coded, ViewColumns

_Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Encoded:
    """Some rows of a table: as the hash sees them, and as they are written."""

    text: bytes | pa.Buffer
    batch: pa.RecordBatch


def encode_rows(spec: TableSpec, rows: Iterable[Row]) -> Iterator[Encoded]:
    """The rows of a table, batch by batch."""
    for chunk in chunks_of(rows, batch_rows(spec)):
        yield Encoded(b"".join(map(row_text, chunk)), batch_of(spec, chunk))


class PairEncoder:
    """The pairs of one batch to their rows in one config.

    Args:
        spec: the pair config.
        views: those of the pairs' table.
    """

    def __init__(self, spec: TableSpec, views: ViewColumns) -> None:
        self._spec, self._views = spec, views

    def __call__(self, pairs: PairTable) -> Encoded:
        """One batch."""
        assert self._spec.kind is not None, self._spec.name
        columns = _Columns(self._views, pairs)
        columns.add_queries(table_queries(self._spec.kind, pairs, self._views))
        schema = self._spec.arrow_schema
        attributes = pairs.attributes or []
        arrays = []
        for field in schema:
            array = columns.arrays.get(field.name)
            if array is None:
                array = pa.array([given.get(field.name) for given in attributes], field.type)
            arrays.append(array if array.type == field.type else array.cast(field.type))
        text = _row_texts(columns.texts, attributes, len(pairs))
        return Encoded(text, pa.RecordBatch.from_arrays(arrays, schema=schema))


class _Columns:
    """The columns of a batch: `arrays` as they are written, `texts` as pieces of JSON that follow one another."""

    def __init__(self, views: ViewColumns, pairs: PairTable) -> None:
        self._views = views
        ids = pairs.pair_ids()
        self.arrays: dict[str, pa.Array] = {"pair_id": pa.array(ids, pa.string())}
        quoted = len(json_text(ids)) == sum(map(len, ids)) + 3 * len(ids) + 1  # nothing in them is escaped
        texts = ['"', self.arrays["pair_id"], '"'] if quoted else [pa.array(map(json_text, ids), pa.string())]
        self.texts: dict[str, list[Any]] = {"pair_id": texts}
        group = Coded.of(pairs.groups, pa.string())
        self._add("pair_group", group, pairs.group_codes)
        for number, side in enumerate(("source", "target")):
            view = pairs.sides[:, number]
            for name, values in (
                ("image_id", views.images),
                ("category", views.categories),
                ("size", views.sizes),
                ("bbox", views.boxes),
            ):
                self._add(f"{side}_{name}", values, values.codes[view])

    def _add(self, name: str, values: Coded, codes: NDArray[Any]) -> None:
        """A column of a value a pair."""
        numbers = pa.array(codes)
        self.arrays[name] = values.values.take(numbers)
        self.texts[name] = [values.texts.take(numbers)]

    def add_queries(self, queries: TableQueries) -> None:
        """The columns of a value a query."""
        ends = np.concatenate([[0], np.cumsum(queries.counts)])
        self._add_lists("keypoints", ends, *self._coded(self._views.names, queries.sources))
        self._add_lists("source_points", ends, *self._points(queries.sources))
        self._add_lists("concepts", ends, *self._coded(self._concepts(queries), None))
        for what, points in (("target", queries.targets), ("candidate", queries.candidates)):
            if points is not None:
                self._add_nested(f"{what}_keypoints", ends, points, *self._coded(self._views.names, points.values))
                self._add_nested(f"{what}_points", ends, points, *self._points(points.values))

    def _concepts(self, queries: TableQueries) -> Coded:
        """The concept of each query: that of its point, else (not for "soc") of the first group that lists it."""
        own = self._views.concepts
        codes = own.codes[queries.sources].astype(np.int64)
        if queries.groups is None:
            return Coded(codes, own.values, own.texts)
        told = Coded.of(queries.group_names, pa.string())
        missing = own.values.is_null().to_numpy(zero_copy_only=False)[codes]
        codes = np.where(missing, len(own.values) + told.codes[queries.groups], codes)
        return Coded(codes, pa.concat_arrays([own.values, told.values]), pa.concat_arrays([own.texts, told.texts]))

    @staticmethod
    def _coded(values: Coded, places: _Ints | None) -> tuple[pa.Array, pa.Array]:
        numbers = pa.array(values.codes if places is None else values.codes[places])
        return values.values.take(numbers), values.texts.take(numbers)

    def _points(self, places: _Ints) -> tuple[pa.Array, pa.Array]:
        numbers = pa.array(places)
        return self._views.points.take(numbers), self._views.point_texts.take(numbers)

    def _add_lists(self, name: str, ends: _Ints, values: pa.Array, texts: pa.Array) -> None:
        self.arrays[name] = _lists(ends, values)
        self.texts[name] = ["[", pc.binary_join(_lists(ends, texts), ","), "]"]

    def _add_nested(self, name: str, ends: _Ints, points: RaggedPoints, values: pa.Array, texts: pa.Array) -> None:
        self.arrays[name] = _lists(ends, _lists(points.offsets, values))
        if len(points.values) == len(points.counts) and (points.counts == 1).all():
            inner = texts
        else:
            inner = pc.binary_join(_lists(points.offsets, texts), ",")
        some = pa.array((np.diff(ends) > 0).astype(np.int8))
        opening, closing = (pa.array(pieces, pa.string()).take(some) for pieces in (("[", "[["), ("]", "]]")))
        self.texts[name] = [opening, pc.binary_join(_lists(ends, inner), "],["), closing]


def _lists(ends: _Ints, values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)


def _row_texts(columns: Mapping[str, list[Any]], attributes: list[Mapping[str, object]], rows: int) -> pa.Buffer:
    """What `data.shards.row_text` gives for each row, one after the other."""
    pieces: list[Any] = []
    last = max(columns)
    names = sorted({*columns, *(name for given in attributes for name in given)})
    for name in names:
        if name in columns:
            pieces += [f'"{name}":', *columns[name], "," if name != last else ""]
            continue
        before, after = (",", "") if name > last else ("", ",")
        key = json_text(name)
        told = [f"{before}{key}:{json_text(given[name])}{after}" if name in given else "" for given in attributes]
        pieces.append(pa.array(told, pa.string()))
    joined: list[Any] = ["{"]
    for piece in [*pieces, "}\n"]:  # neighboring constants as one
        if isinstance(piece, str) and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    texts = pc.binary_join_element_wise(*joined, "")
    assert len(texts) == rows
    return texts.buffers()[2][: pc.sum(pc.binary_length(texts)).as_py() or 0]
