"""The split `all`: every undirected pair of three or more common keypoints, category after category, in blocks of whole
targets, so that each map is loaded once."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.task_pairs import check_config
from ..benchmarks.tasks import Task
from ..data.folder import DatasetFolder
from ..data.pairs import PairIndex
from ..data.query_blocks import BlockQueries, PointTable
from ..data.schema import CONFIGS
from .plan import MatchBlock, QueryKey, query_key

Pairs = tuple[NDArray[np.int32], NDArray[np.int32]]  # sources and targets, as rows of the `PointTable`
_NO_PAIRS: Pairs = (np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32))


@dataclass(frozen=True, eq=False)
class CategoryPairs:
    """All pairs that end in one category.

    Attributes:
        name: of the category.
        pairs: "intra" and "cross" -> its pairs, targets ascending; a kind without pairs may be absent.
    """

    name: str
    pairs: dict[str, Pairs]

    def blocks(self, shown: NDArray[np.int64], most: int) -> Iterator[dict[str, slice]]:
        """The pairs in blocks of whole targets, at least one and else of so many source points at most.

        Args:
            shown: (I,) points of each image.
            most: source points of all pairs of a block.
        """
        cost: dict[int, int] = {}
        for sources, targets in self.pairs.values():
            found, place = np.unique(targets, return_inverse=True)
            for target, points in zip(found.tolist(), np.bincount(place, shown[sources]).tolist(), strict=True):
                cost[target] = cost.get(target, 0) + int(points)
        starts, total = [], most + 1
        for target in sorted(cost):
            if total + cost[target] > most:
                starts.append(target)
                total = 0
            total += cost[target]
        bounds = {kind: np.searchsorted(targets, starts).tolist() for kind, (_, targets) in self.pairs.items()}
        ends = {kind: [*bounds[kind][1:], len(targets)] for kind, (_, targets) in self.pairs.items()}
        for block in range(len(starts)):
            yield {kind: slice(bounds[kind][block], ends[kind][block]) for kind in self.pairs}


@dataclass(frozen=True, eq=False)
class PairBlock:
    """Some pairs of a category.

    Attributes:
        category: with all its pairs.
        ranges: "intra" and "cross" -> which of its pairs these are.
        queries: the queries of these pairs.
    """

    category: CategoryPairs
    ranges: dict[str, slice]
    queries: dict[QueryKey, BlockQueries]

    def pairs(self, kind: str) -> Pairs:
        """The pairs of a kind, none where there are none."""
        sources, targets = self.category.pairs.get(kind, _NO_PAIRS)
        some = self.ranges.get(kind, slice(0, 0))
        return sources[some], targets[some]


@dataclass(frozen=True, eq=False)
class PlannedBlock(MatchBlock):
    """A `PairBlock` and its plan."""

    part: PairBlock


@dataclass(eq=False)
class QueryUsage:
    """What the queries of one `QueryKey` use.

    Attributes:
        sources, targets: (I,) whether an image is the source, or the target, of a pair with a query.
        pairs, queries: how many there are.
    """

    sources: NDArray[np.bool_]
    targets: NDArray[np.bool_]
    pairs: int = 0
    queries: int = 0

    @property
    def images(self) -> NDArray[np.bool_]:
        """(I,) whether an image is either side of a pair with a query."""
        return self.sources | self.targets

    def add(self, pairs: Pairs, queries: BlockQueries) -> None:
        """Count in the queries of some pairs."""
        sources, targets = pairs
        self.pairs += len(sources)
        self.queries += len(queries)
        self.sources[sources[queries.pair]] = self.targets[targets[queries.pair]] = True


class PairStream:
    """Every undirected pair of some tasks.

    Attributes:
        table: the annotated points of the dataset.
        kinds: queries -> "intra" or "cross".

    Args:
        folder: a built dataset folder.
        tasks: what is evaluated.
        block_points: source points of the pairs of a block.

    Raises:
        DatasetFolderError: the folder lacks a task's config.
    """

    def __init__(self, folder: DatasetFolder, tasks: Sequence[Task], block_points: int) -> None:
        for task in tasks:
            check_config(folder, task)
        self.table, self._block_points = PointTable.of(folder), block_points
        self.kinds = {query_key(task): CONFIGS[task.config].pairs for task in tasks}
        self._indexes = {
            kind: self.table.pair_index(cross=kind == "cross") for kind in dict.fromkeys(self.kinds.values())
        }
        self._kept = np.ones(len(self.table.image_ids), dtype=bool)

    def total(self, key: QueryKey) -> int:
        """Pairs of some queries, those that are left out included."""
        return len(self._indexes[self.kinds[key]])

    def __len__(self) -> int:
        return sum(map(len, self._indexes.values()))

    def paired_images(self) -> list[str]:
        """The ids of all images that are in a pair, sorted."""
        used = np.zeros(len(self._kept), dtype=bool)
        for index in self._indexes.values():
            for sources, targets in index.iter_blocks():
                used[sources] = used[targets] = True
        return sorted(self.table.image_ids[image] for image in np.flatnonzero(used))

    def leave_out(self, images: Sequence[str]) -> None:
        """Leave out the pairs of images of these ids."""
        self._kept &= ~np.isin(np.array(self.table.image_ids, dtype=object), np.array(images, dtype=object))

    def blocks(self) -> Iterator[PairBlock]:
        """The pairs, by the category of their target, sorted by name; one category is held at a time."""
        for category in self._categories():
            for ranges in category.blocks(self.table.shown, self._block_points):
                block = PairBlock(category, ranges, {})
                for key, kind in self.kinds.items():
                    wanted = CONFIGS[key.config].kind
                    assert wanted is not None  # the config of a task has pairs
                    queries = self.table.queries(wanted, *block.pairs(kind))
                    least = key.min_candidates
                    block.queries[key] = queries.with_candidates(least) if least > 1 else queries
                yield block

    def usage(self) -> dict[QueryKey, QueryUsage]:
        """What all queries use, from one pass over the pairs."""
        number = len(self._kept)
        usage = {key: QueryUsage(np.zeros(number, dtype=bool), np.zeros(number, dtype=bool)) for key in self.kinds}
        for block in self.blocks():
            for key, queries in block.queries.items():
                usage[key].add(block.pairs(self.kinds[key]), queries)
        return usage

    def _categories(self) -> Iterator[CategoryPairs]:
        names = self.table.categories

        def parts(kind: str, index: PairIndex) -> Iterator[tuple[str, str, Pairs]]:
            blocks = (block for block in index.iter_blocks() if len(block[1]))
            for name, group in itertools.groupby(blocks, key=lambda block: names[block[1][0]]):
                sources, targets = (np.concatenate(side) for side in zip(*group, strict=True))
                kept = self._kept[sources] & self._kept[targets]
                if kept.any():
                    yield name, kind, (sources[kept], targets[kept])

        streams = [parts(kind, index) for kind, index in self._indexes.items()]
        for name, found in itertools.groupby(heapq.merge(*streams, key=itemgetter(0)), key=itemgetter(0)):
            yield CategoryPairs(name, {kind: pairs for _, kind, pairs in found})
