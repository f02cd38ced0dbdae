"""The split `all`, planned: the images and points that its queries use, and each block of its pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..benchmarks.tasks import Task
from ..config import Protocol, RunConfig
from ..data.folder import DatasetFolder
from ..utils.progress import progress_bar
from .pair_stream import PairBlock, PairStream, PlannedBlock
from .plan import Candidates, distinct_points, grid_of, image_plan, query_key, rows_of, with_queries
from .streamed_scores import StreamedScores
from .undecodable import bad_images


class StreamedPairs:
    """See `evaluate.SplitPairs`. Arguments of the evaluation; errors as `PairStream`, and for points of no image."""

    def __init__(self, folder: DatasetFolder, tasks: Sequence[Task], protocol: Protocol, run: RunConfig) -> None:
        self._folder, self._tasks, self._protocol = folder, tasks, protocol
        self._stream = stream = PairStream(folder, tasks, run.block_points)
        bad = bad_images(folder, stream.paired_images(), run.workers) if run.skip_bad else []
        stream.leave_out(bad)
        self._usage = stream.usage()
        used = [self._usage[query_key(task)] for task in tasks]
        self.pairs, self.queries = sum(part.pairs for part in used), sum(part.queries for part in used)
        skipped = sum(stream.total(query_key(task)) for task in tasks) - self.pairs
        self.skipped = {"bad_images": len(bad), "skipped_pairs": skipped} if run.skip_bad else {}
        self._plan_points()

    def _plan_points(self) -> None:
        """Make the plan of all images and points that a query uses."""
        table, usage = self._stream.table, self._usage.values()
        rows = rows_of(
            table.ids, self._folder.table("images", "test", columns=["image_id"])["image_id"].combine_chunks()
        )
        none = np.zeros(len(rows), dtype=bool)
        images = np.sort(rows[np.any([none, *(part.images for part in usage)], axis=0)])
        self._position = np.searchsorted(images, rows)  # in the plan, of the images in it
        points = np.flatnonzero(np.any([none, *(part.sources for part in usage)], axis=0)[table.image])
        owner = self._position[table.image[points]]
        distinct, inverse = distinct_points(owner, table.points[points])
        self._number = np.full(len(table.points), -1)  # of each annotated point among those of the plan
        self._number[points] = inverse
        where = table.points[points][distinct]
        self.plan = image_plan(self._folder, images, owner[distinct], where, self._tasks, grid_of(self._protocol))

    def blocks(self) -> Iterator[PlannedBlock]:
        """The pairs, in blocks of whole targets."""
        with progress_bar("Evaluating pairs", len(self._stream), unit="pair") as advance:
            for part in self._stream.blocks():
                yield self._planned(part)
                advance(sum(some.stop - some.start for some in part.ranges.values()))

    def scores(self) -> StreamedScores:
        """Their accumulator."""
        usage = {task: self._usage[query_key(task)].images for task in self._tasks}
        return StreamedScores(self._folder, self._stream.table, self._protocol, usage)

    def _planned(self, part: PairBlock) -> PlannedBlock:
        none = np.zeros(0, dtype=np.int64)
        point, target, candidates, slices, start = [none], [none], list[Candidates](), {}, 0
        for key, queries in part.queries.items():
            slices[key] = slice(start, start + len(queries))
            start += len(queries)
            _, targets = part.pairs(self._stream.kinds[key])
            point.append(self._number[queries.source])
            target.append(self._position[targets[queries.pair]])
            if key.has_candidates and queries.candidates is not None:
                places = self._stream.table.points[queries.candidates.values]
                candidates.append(Candidates(np.arange(slices[key].start, start), queries.candidates.counts, places))
        plan = with_queries(
            self.plan,
            np.concatenate(point),
            np.concatenate(target),
            {task.name: slices[query_key(task)] for task in self._tasks},
            Candidates.joined(candidates),
            self._protocol,
        )
        return PlannedBlock(plan, part)
