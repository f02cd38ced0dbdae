"""What an evaluation of every pair there is has to compute: category after category, in blocks of whole targets."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.task_pairs import check_config
from ..benchmarks.tasks import Task
from ..config import POINTS_PER_BLOCK, Protocol
from ..data.folder import DatasetFolder
from ..data.pairs import PairIndex
from ..data.query_blocks import BlockQueries, PointTable
from ..data.schema import CONFIGS
from .plan import (
    Candidates,
    Plan,
    QueryKey,
    distinct_points,
    image_plan,
    query_key,
    rows_of,
    with_queries,
)

Pairs = tuple[NDArray[np.int32], NDArray[np.int32]]  # sources and targets, as rows of the `PointTable`


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class QueryUsage:
    """What the queries of one `QueryKey` use.

    Attributes:
        pairs, queries: how many there are.
        sources, images: (I,) whether an image is the source, or either side, of a pair with a query.
    """

    pairs: int
    queries: int
    sources: NDArray[np.bool_]
    images: NDArray[np.bool_]


class AllPairsWork:
    """Every undirected pair of some tasks.

    Attributes:
        tasks: what is evaluated.
        table: the annotated points of the dataset.

    Args:
        folder: a built dataset folder.
        tasks: what is evaluated.
        left_out: ids of images whose pairs are left out.

    Raises:
        DatasetFolderError: the folder lacks a task's config.
    """

    def __init__(self, folder: DatasetFolder, tasks: Sequence[Task], left_out: Sequence[str] = ()) -> None:
        for task in tasks:
            check_config(folder, task)
        self.tasks, self.table = tasks, PointTable.of(folder)
        self._ways: dict[QueryKey, str] = {query_key(task): CONFIGS[task.config].pairs for task in tasks}
        kinds = dict.fromkeys(self._ways.values())
        self._indexes = {kind: self.table.pair_index(cross=kind == "cross") for kind in kinds}
        self._kept = ~np.isin(np.array(self.table.image_ids, dtype=object), np.array(left_out, dtype=object))

    def kind(self, task: Task) -> str:
        """ "intra" or "cross"."""
        return self._ways[query_key(task)]

    def total(self, task: Task) -> int:
        """Pairs of a task, those that are left out included."""
        return len(self._indexes[self.kind(task)])

    def paired(self) -> list[str]:
        """The ids of all images that are in a pair, sorted."""
        used = np.zeros(len(self._kept), dtype=bool)
        for index in self._indexes.values():
            for sources, targets in index.iter_blocks():
                used[sources] = used[targets] = True
        return sorted(self.table.image_ids[image] for image in np.flatnonzero(used))

    def categories(self) -> Iterator[CategoryPairs]:
        """The pairs by the category of their target, sorted by name; one category is held at a time."""
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

    def queries(self, pairs: Mapping[str, Pairs]) -> dict[QueryKey, BlockQueries]:
        """The queries of each way of asking, of some pairs of each kind."""
        found = {}
        for way, kind in self._ways.items():
            asked = CONFIGS[way.config].kind
            assert asked is not None  # the config of a task has pairs
            queries = self.table.queries(asked, *pairs.get(kind, _NO_PAIRS))
            found[way] = queries.with_candidates(way.min_candidates) if way.min_candidates > 1 else queries
        return found

    def survey(self, most: int = POINTS_PER_BLOCK) -> dict[QueryKey, QueryUsage]:
        """What all queries use, from one walk over the pairs."""
        number = len(self._kept)
        pairs, queries = dict.fromkeys(self._ways, 0), dict.fromkeys(self._ways, 0)
        used = {way: np.zeros((2, number), dtype=bool) for way in self._ways}  # as a source, as a target
        for category in self.categories():
            for block in category.blocks(self.table.shown, most):
                some = slices_of(category.pairs, block)
                for way, found in self.queries(some).items():
                    sources, targets = some.get(self._ways[way], _NO_PAIRS)
                    pairs[way] += len(sources)
                    queries[way] += len(found)
                    used[way][0, sources[found.pair]] = used[way][1, targets[found.pair]] = True
        return {
            way: QueryUsage(pairs[way], queries[way], used[way][0], used[way][0] | used[way][1]) for way in self._ways
        }


class AllPairsPlan:
    """The plan of all images and points that the queries of some pairs use, and that of each block of them.

    Attributes:
        base: to sample; it matches nothing.

    Args:
        work: the pairs.
        asked: its `survey`.
        folder: where they come from.
        protocol: of the evaluation.
        grid: cells on a side of the feature maps.

    Raises:
        DatasetFolderError: points of an image that is not there.
    """

    def __init__(
        self,
        work: AllPairsWork,
        asked: Mapping[QueryKey, QueryUsage],
        folder: DatasetFolder,
        protocol: Protocol,
        grid: int,
    ) -> None:
        self._work, self._protocol, self._grid, table = work, protocol, grid, work.table
        sizes = folder.table("images", "test", columns=["image_id", "width", "height"])
        rows = rows_of(table.ids, sizes["image_id"].combine_chunks())
        none = np.zeros(len(rows), dtype=bool)
        used = np.any([none, *(part.images for part in asked.values())], axis=0)
        asking = np.any([none, *(part.sources for part in asked.values())], axis=0)
        images = np.sort(rows[used])
        self._position = np.searchsorted(images, rows)  # in the plan, of the images in it
        points = np.flatnonzero(asking[table.image])
        owner = self._position[table.image[points]]
        distinct, inverse = distinct_points(owner, table.points[points])
        self._number = np.full(len(table.points), -1)  # of each annotated point among those of the plan
        self._number[points] = inverse
        extent = np.column_stack([sizes["width"].to_numpy(), sizes["height"].to_numpy()]).astype(np.int64)[images]
        where = table.points[points][distinct]
        self.base = image_plan(images, extent, owner[distinct], where, work.tasks, grid)

    def block(self, pairs: Mapping[str, Pairs]) -> tuple[Plan, dict[QueryKey, BlockQueries]]:
        """The plan of all queries of some pairs, and those queries."""
        queries = self._work.queries(pairs)
        none = np.zeros(0, dtype=np.int64)
        point, target, chosen, spans, start = [none], [none], [Candidates(none, none, np.zeros((0, 2)))], {}, 0
        for way, found in queries.items():
            spans[way] = slice(start, start + len(found))
            start += len(found)
            _, targets = pairs.get(CONFIGS[way.config].pairs, _NO_PAIRS)
            point.append(self._number[found.source])
            target.append(self._position[targets[found.pair]])
            if way.choosing and found.candidates is not None:
                places = self._work.table.points[found.candidates.values]
                chosen.append(Candidates(np.arange(spans[way].start, start), found.candidates.counts, places))
        plan = with_queries(
            self.base,
            np.concatenate(point),
            np.concatenate(target),
            {task.name: spans[query_key(task)] for task in self._work.tasks},
            Candidates(
                *(np.concatenate([getattr(part, name) for part in chosen]) for name in ("query", "counts", "points"))
            ),
            self._protocol,
            self._grid,
        )
        return plan, queries


def slices_of(pairs: Mapping[str, Pairs], block: Mapping[str, slice]) -> dict[str, Pairs]:
    """A block of the pairs of a category."""
    return {kind: (sources[block[kind]], targets[block[kind]]) for kind, (sources, targets) in pairs.items()}


_NO_PAIRS: Pairs = (np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32))
