"""`map` by the workers of a Ray cluster, for `benchmarks.build`: chunks to idle workers, results in order."""

from __future__ import annotations

import contextlib
import functools
import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from ..utils.chunks import Mapper
from .cluster import cluster_pool_spec, connected, room_for
from .pool import Job, WorkerPool
from .worker import Caller

_C = TypeVar("_C")
_R = TypeVar("_R")


@contextlib.contextmanager
def ray_mapper(*, address: str | None = None, workers: int | None = None, device: str = "cpu") -> Iterator[Mapper]:
    """A mapper for the duration of the block. The chunk of a worker that dies is repeated by another.

    Args:
        address: of the cluster, see `cluster.connected`.
        workers: how many; None = one for each core, or for each GPU where the device asks for them.
        device: what the functions compute on: "cpu", "cuda", or "auto" = GPUs where there are any.

    Raises:
        UsageError, MissingExtraError, SocoError: as `ray_engine.RayExtractor`.
    """
    with connected(address, workers), contextlib.ExitStack() as stack:
        spec = cluster_pool_spec(workers, device=device, cpus=1)
        room = functools.partial(room_for, spec) if workers is None else None
        pool = WorkerPool(functools.partial(_start, spec.gpus), spec.count, room)
        stack.callback(pool.close)

        def mapper(function: Callable[[_C], _R], chunks: Iterable[_C], /) -> Iterator[_R]:
            return _in_order(pool, function, chunks)

        yield mapper


def _start(gpus: int) -> Any:
    import ray

    actor = ray.remote(Caller)
    return actor.options(num_cpus=1, num_gpus=gpus, max_restarts=0, scheduling_strategy="SPREAD").remote()


def _in_order(pool: WorkerPool, function: Callable[[_C], _R], chunks: Iterable[_C]) -> Iterator[_R]:
    import ray

    shared = ray.put(function)  # once for all calls
    jobs = (
        Job(number, "call", (shared, pickle.dumps(chunk)), f"chunk {number}")  # several times faster than Ray's pickler
        for number, chunk in enumerate(chunks)
    )
    early: dict[int, _R] = {}
    wanted = 0
    for done in pool.run(jobs):
        early[done.job.number] = done.result
        while wanted in early:
            yield early.pop(wanted)
            wanted += 1
