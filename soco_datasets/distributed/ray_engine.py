"""An extractor on the workers of a Ray cluster, and the engine by which they make and match the maps."""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..config import Protocol, RunConfig
from ..correspondence.plan import MatchResult, Plan
from ..errors import UsageError, unknown_name
from ..features.spec import ExtractorSpec
from ..features.transforms import ANCHORS, Anchor
from ..utils.chunks import chunks_of
from ..utils.progress import progress, progress_bar
from .cluster import cluster_pool_spec, connected, room_for
from .plan_shards import (
    MergedMatches,
    ShardRanges,
    cut_images,
    matching_shard,
    sampling_shard,
    shard_ranges,
)
from .pool import Done, Job, WorkerPool
from .worker import EvaluationSetup, MapWorker, WorkerLocation

if TYPE_CHECKING:
    import torch

    from ..data.folder import DatasetFolder

_log = logging.getLogger(__name__)
_MOST_IMAGES, _MAP_BYTES = 32, 64 << 20  # of an answer with whole maps


class RayExtractor:
    """A model loaded by each of some workers of a Ray cluster; for `evaluate_backbone` in place of an extractor.

    A context manager: on exit the workers end, and the cluster if it was started here.

    Attributes:
        grid: cells on a side of the map.
        anchor, anchor_is_fixed: of the `DenseFeatureExtractor`s of the workers.
    """

    def __init__(self, spec: ExtractorSpec, *, address: str | None = None, workers: int | None = None) -> None:
        """Start the workers and wait until the first has loaded the model.

        Args:
            spec: the model; every worker loads it itself, so its files must be at the same path everywhere.
            address: of the cluster, see `cluster.connected`.
            workers: how many; None = one for each GPU, or for every 4 cores where there is none.

        Raises:
            UsageError: a model that is an object of this process, or more workers than the cluster has room for.
            MissingExtraError: ray is not installed.
            SocoError: there is no such cluster, or the error of loading the model.
        """
        if not isinstance(spec.model, str | Path):
            raise UsageError(
                f"{spec.model!r} is an object of this process, which the workers of a cluster cannot load. Put it into "
                'a file and name it: "module:function" or "path/to/file.py:function".'
            )
        with contextlib.ExitStack() as stack:
            stack.enter_context(connected(address, workers))
            self._pool_spec = cluster_pool_spec(workers, device=str(spec.options.get("device", "cpu")))
            room = functools.partial(room_for, self._pool_spec) if workers is None else None
            self._pool = WorkerPool(self._start, self._pool_spec.count, room)
            stack.callback(self._pool.close)
            threads = threads_for(self._pool_spec.cpus)
            self._pool.prepare("load", spec, threads, Path.cwd())
            self._model: dict[str, Any] = next(self._pool.run([Job(0, "describe", (), "its start")])).result
            if self._model["device"] == "cpu" and (note := threads_note(threads)):
                _log.warning(note)
            self.grid: int = self._model["grid"]
            self.anchor: Anchor = spec.anchor or "corner"
            self.anchor_is_fixed = spec.anchor is not None
            self._ended = stack.pop_all()

    def _start(self) -> Any:
        import ray

        actor = ray.remote(MapWorker)
        return actor.options(
            num_cpus=self._pool_spec.cpus, num_gpus=self._pool_spec.gpus, max_restarts=0, scheduling_strategy="SPREAD"
        ).remote()

    @property
    def locations(self) -> list[WorkerLocation]:
        """Where the ready workers run."""
        return self._pool.locations

    def describe(self) -> dict[str, Any]:
        """See `DenseFeatureExtractor.describe`."""
        return self._model

    def anchored(self, anchor: Anchor) -> RayExtractor:
        """The same workers with images at the "corner" (top left) or the "center" of their padded square."""
        if anchor not in ANCHORS:
            raise unknown_name("anchor", anchor, ANCHORS)
        changed = copy.copy(self)
        changed.anchor, changed.anchor_is_fixed = anchor, True
        changed._model = next(self._pool.run([Job(0, "describe", (anchor,), "its description")])).result
        return changed

    def engine(
        self,
        folder: DatasetFolder,
        protocol: Protocol,
        run: RunConfig,
        counts: dict[str, int],
    ) -> RayEngine:
        """The engine of one evaluation; arguments as of `LocalEngine`, cache and threads being each worker's."""
        given = EvaluationSetup(
            folder=folder.path,
            content_hash=folder.content_hash,
            model=self._model,
            protocol=protocol,
            run=run,
            per_machine=self._pool_spec.per_machine,
            anchor=self.anchor,
        )
        self._pool.prepare("open", given)
        return RayEngine(self._pool, counts)

    def raw_maps(
        self,
        folder: DatasetFolder,
        protocol: Protocol,
        run: RunConfig,
        names: Sequence[str],
        counts: dict[str, int],
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """(position in `names`, its raw (C, h, w) float32 map) of each image, in any order.

        Args:
            folder, protocol, run: as of `engine`.
            names: distinct image ids of the folder.
            counts: "decodes" and "forwards" are added to.
        """
        import torch

        self.engine(folder, protocol, run, {})
        each = max(1, min(_MOST_IMAGES, _MAP_BYTES // (4 * self._model["channels"] * self.grid**2)))
        chunks = list(chunks_of(names, each))
        jobs = [Job(number, "raw_maps", (chunk,), f"{len(chunk)} images") for number, chunk in enumerate(chunks)]
        with progress_bar("Extracting features", len(names), unit="image") as advance:
            for done in self._pool.run(jobs):
                maps, counted = done.result
                for name, number in counted.items():
                    counts[name] = counts.get(name, 0) + number
                for row, feature_map in enumerate(maps):
                    yield done.job.number * each + row, torch.tensor(feature_map)
                advance(len(maps))

    def close(self) -> None:
        """End the workers; safe to call twice."""
        self._ended.close()

    def __enter__(self) -> RayExtractor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RayEngine:
    """As `LocalEngine`, with the maps on the workers of a pool. Idle workers take the next shard of images; its
    matches go to the worker that has its maps. When a worker dies, another repeats the maps of its shards.

    Args:
        pool: of `worker.MapWorker`s that are prepared for the evaluation.
        counts: "decodes", "forwards" and "redone" are added to, with a shared store "reused" too.
    """

    def __init__(self, pool: WorkerPool, counts: dict[str, int]) -> None:
        self._pool, self._counts = pool, counts
        self._counts["redone"] = 0
        self._shards: list[slice] = []
        self._owners: dict[int, int] = {}  # shard -> the worker that has its maps

    def sample(self, plan: Plan) -> None:
        """See `LocalEngine.sample`."""
        import ray

        self._shards = cut_images(len(plan.images), self._pool.size)
        self._owners.clear()
        spans = [shard_ranges(plan, images) for images in self._shards]
        jobs = [_job(number, own, "sample", None, sampling_shard(plan, own)) for number, own in enumerate(spans)]
        parts: dict[int, NDArray[np.float32]] = dict(self._run(jobs, "Extracting features"))
        self._descriptors = ray.put(np.concatenate([parts[number] for number in range(len(spans))])) if spans else None

    def match(self, plan: Plan) -> MatchResult:
        """See `LocalEngine.match`."""
        spans = [shard_ranges(plan, images) for images in self._shards]
        jobs = [
            _job(number, own, "match", self._owners[number], matching_shard(plan, own), [self._descriptors])
            for number, own in enumerate(spans)
            if own.matches.start < own.matches.stop
        ]
        joined = MergedMatches(plan)
        for number, found in self._run(jobs, "Matching"):
            joined.put(spans[number], found)
        return joined.found

    def _run(self, jobs: Sequence[Job], what: str) -> Iterator[Any]:
        """(shard, result) of each job as it comes, without its counts, which are added."""

        def by_image() -> Iterator[Done | None]:
            for done in self._pool.run(jobs):
                yield done
                images = self._shards[done.job.number]
                yield from itertools.repeat(None, images.stop - images.start - 1)  # for the progress bar

        total = sum(self._shards[job.number].stop - self._shards[job.number].start for job in jobs)
        for done in progress(by_image(), what, total=total, unit="image"):
            if done is not None:
                self._owners[done.job.number] = done.worker
                result, counts = done.result
                for name, number in counts.items():
                    self._counts[name] = self._counts.get(name, 0) + number
                yield done.job.number, result

    def close(self) -> None:
        """The workers drop the maps when they begin another evaluation, or end."""

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def threads_for(cpus: int) -> int:
    """Threads of a worker: OMP_NUM_THREADS of this process if set, else its cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(wanted) if wanted.isdecimal() and int(wanted) else cpus


def threads_note(threads: int) -> str | None:
    """What to say of workers with so many threads: on a CPU the last bits of a product depend on their number.

    None where a single process here computes with as many.
    """
    torch = sys.modules.get("torch")  # not imported for this alone
    own = torch.get_num_threads() if torch else threads if "OMP_NUM_THREADS" in os.environ else None
    if own == threads:
        return None
    here = "as many as it has cores" if own is None else own
    return (
        f"each worker computes with {threads} thread{'s' * (threads > 1)}, a single process here with {here}: the last "
        "digits may differ between the two. Run both with the same OMP_NUM_THREADS for equal ones"
    )


def _job(number: int, spans: ShardRanges, method: str, owner: int | None, *arguments: Any) -> Job:
    images = spans.images
    return Job(number, method, (number, *arguments), f"images {images.start} to {images.stop - 1}", owner)
