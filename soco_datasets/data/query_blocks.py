"""The queries of many pairs at once, as numbers of annotated points: what `queries.pair_queries` gives one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from ..errors import unknown_name
from .folder import DatasetFolder
from .pairs import PairIndex
from .queries import PairKind

_Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RaggedPoints:
    """Lists of whole numbers, one after another: list i is `values[offsets[i]:offsets[i + 1]]`."""

    offsets: _Ints
    values: _Ints

    @classmethod
    def of(cls, counts: _Ints, values: _Ints) -> RaggedPoints:
        """From the (N,) lengths of the lists."""
        return cls(np.concatenate([[0], np.cumsum(counts)]), values)

    @property
    def counts(self) -> _Ints:
        """(N,) lengths."""
        return np.diff(self.offsets)

    def take(self, numbers: ArrayLike) -> RaggedPoints:
        """The lists of these numbers, in this order."""
        chosen = np.asarray(numbers, dtype=np.int64)
        begin, counts = self.offsets[chosen], self.offsets[chosen + 1] - self.offsets[chosen]
        ends = np.cumsum(counts)
        places = np.repeat(begin - (ends - counts), counts) + np.arange(ends[-1] if len(ends) else 0)
        return RaggedPoints.of(counts, self.values[places])


@dataclass(frozen=True)
class BlockQueries:
    """The Q queries of some pairs, pair after pair, those of a pair in the order of `queries.pair_queries`.

    Attributes:
        pair: (Q,) int64, place of the pair among those asked for, ascending.
        source: (Q,) int64, the annotated point that is asked for.
        targets: the valid targets of each query, annotated points.
        candidates: of kind "geo", its candidates; else None.
    """

    pair: _Ints
    source: _Ints
    targets: RaggedPoints
    candidates: RaggedPoints | None = None

    def __len__(self) -> int:
        return len(self.pair)

    def with_candidates(self, least: int) -> BlockQueries:
        """Only the queries of at least so many candidates. The kind must be "geo"."""
        assert self.candidates is not None
        kept = np.flatnonzero(self.candidates.counts >= least)
        return BlockQueries(self.pair[kept], self.source[kept], self.targets.take(kept), self.candidates.take(kept))


class PointTable:
    """The visible keypoints of all images as flat arrays; an annotated point is its row among them.

    Where an image has a name twice the last point counts, as in `queries.ImagePoints`.

    Attributes:
        ids: of the images as a column, in dataset order.
        image_ids, categories: of each image.
        names: the keypoint names of each image.
        points: (M, 2) float64, pixels of the image.
        image: (M,) int64, the image of each point.

    Args:
        table: columns of `schema.KEYPOINTS`, a row an image.
    """

    def __init__(self, table: pa.Table) -> None:
        self.ids: pa.ChunkedArray = table["image_id"]
        self.image_ids: list[str] = self.ids.to_pylist()
        self.categories: list[str] = table["category"].to_pylist()
        self.names: list[list[str]] = table["keypoints"].to_pylist()
        counts = np.fromiter(map(len, self.names), np.int64, len(self.names))
        self.image: _Ints = np.repeat(np.arange(len(counts)), counts)
        self.points = _flat(table["points"]).flatten().to_numpy(zero_copy_only=False).reshape(-1, 2)
        self._name, self._names = _numbers(_flat(table["keypoints"]))
        self._concept, self._concepts = _numbers(_flat(table["concepts"]))
        # The last point of each name of an image, in the order in which the names first appear.
        key = self.image * self._names + self._name
        known, first = np.unique(key, return_index=True)
        last = len(key) - 1 - np.unique(key[::-1], return_index=True)[1]
        order = np.argsort(first)
        self._shown = self._by_image(last[order])
        self._point_of_name = _Lookup(known, RaggedPoints.of(np.ones(len(known), dtype=np.int64), last))
        # The same without points of no concept, concepts in the order in which they first appear.
        named = last[order][self._concept[last[order]] >= 0]
        key = self.image[named] * self._concepts + self._concept[named]
        known, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        self._grouped = self._by_image(named[np.argsort(first[inverse], kind="stable")])
        members = named[np.lexsort((named, key))]
        self._points_of_concept = _Lookup(known, RaggedPoints.of(np.bincount(inverse, minlength=len(known)), members))

    @classmethod
    def of(cls, folder: DatasetFolder) -> PointTable:
        """The keypoints of a built folder. Raises `DatasetFolderError` where they cannot be read."""
        columns = ["image_id", "category", "keypoints", "concepts", "points"]
        return cls(folder.table("keypoints", "test", columns=columns))

    @property
    def shown(self) -> _Ints:
        """(I,) distinct keypoint names that each image shows, the most queries a pair can have."""
        return self._shown.counts

    def pair_index(self, *, cross: bool, min_shared: int = 3) -> PairIndex:
        """Every undirected pair, in the order of the split `all`. Arguments as of `PairIndex`."""
        return PairIndex(self.categories, self.names, cross=cross, min_shared=min_shared)

    def queries(self, kind: PairKind, sources: ArrayLike, targets: ArrayLike) -> BlockQueries:
        """The queries of P pairs, equal to those of `queries.pair_queries` and in their order.

        Args:
            kind: "soc", "cc" or "geo".
            sources, targets: (P,) image numbers.

        Raises:
            UsageError: an unknown kind.
        """
        source, target = np.asarray(sources, dtype=np.int64), np.asarray(targets, dtype=np.int64)
        if kind == "cc":
            return self._of_concept(source, target)
        if kind not in ("soc", "geo"):
            raise unknown_name("kind of pair", kind, ("soc", "cc", "geo"))
        asked = self._shown.take(source)
        pair = np.repeat(np.arange(len(source)), asked.counts)
        there = self._point_of_name.find(target[pair] * self._names + self._name[asked.values])
        if kind == "geo":  # the point of the same name must be of the same concept, too
            own = self._concept[asked.values]
            same = (there >= 0) & (own >= 0)
            same[same] = own[same] == self._concept[self._point_of_name.lists.values[there[same]]]
            there = np.where(same, there, -1)
        kept = np.flatnonzero(there >= 0)
        found = self._point_of_name.lists.take(there[kept])
        queries = BlockQueries(pair[kept], asked.values[kept], found)
        if kind == "soc":
            return queries
        key = self.image[found.values] * self._concepts + self._concept[found.values]
        candidates = self._points_of_concept.lists.take(self._points_of_concept.find(key))
        return BlockQueries(queries.pair, queries.source, found, candidates)

    def _of_concept(self, source: _Ints, target: _Ints) -> BlockQueries:
        asked = self._grouped.take(source)
        pair = np.repeat(np.arange(len(source)), asked.counts)
        there = self._points_of_concept.find(target[pair] * self._concepts + self._concept[asked.values])
        kept = np.flatnonzero(there >= 0)
        return BlockQueries(pair[kept], asked.values[kept], self._points_of_concept.lists.take(there[kept]))

    def _by_image(self, points: _Ints) -> RaggedPoints:
        """One list an image of points that are ordered by image."""
        return RaggedPoints.of(np.bincount(self.image[points], minlength=len(self.image_ids)), points)


@dataclass(frozen=True)
class _Lookup:
    """Lists by key; the keys ascend."""

    keys: _Ints
    lists: RaggedPoints

    def find(self, wanted: _Ints) -> _Ints:
        """(N,) place of each key, -1 where it is not there."""
        if not len(self.keys):
            return np.full(len(wanted), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[place] == wanted, place, -1)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks().flatten()


def _numbers(values: pa.Array) -> tuple[_Ints, int]:
    """((M,) number of each distinct value, -1 for null; how many there are)."""
    coded = values.dictionary_encode()
    numbers = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers, len(coded.dictionary)
