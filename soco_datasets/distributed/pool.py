"""Workers of a Ray cluster that take jobs one by one; one that dies is replaced, and another repeats its job."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import SocoError, worded
from ..records.evaluation import library_versions
from ..utils.own_files import package_sha256
from .worker import WorkerLocation

_MOST_DEATHS = 3  # of workers over one job, or consecutively at start, before giving up
_PATIENCE = 30.0  # seconds without any worker until it is logged
_LOOK = 2.0  # seconds between looks for machines that have joined
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A call of a method of any worker.

    Attributes:
        number: of the job, for its result.
        method, arguments: of the actor.
        what: names it in messages.
        owner: the worker that has its maps, if it is still alive.
    """

    number: int
    method: str
    arguments: tuple[Any, ...]
    what: str
    owner: int | None = None


@dataclass(frozen=True)
class Done:
    """The result of a job and the worker that did it."""

    job: Job
    worker: int
    result: Any


class _Worker:
    def __init__(self, number: int, actor: Any) -> None:
        self.number, self.actor = number, actor
        self.prepared: dict[str, tuple[Any, ...]] = {}
        self.is_checked = False  # has the same packages as here
        self.location: WorkerLocation | None = None
        self.call: Any = None  # the call in progress
        self.job: Job | None = None  # None during preparations, or when the result is no longer needed


class WorkerPool:
    """A fixed number of workers, numbered from 0 on; a replacement gets a number of its own.

    Args:
        start: starts an actor, a `worker.Worker`, and does not wait for it.
        size: how many there are.
        room: how many there may be now; called while jobs run, so that machines that join the cluster take part.
            None = always `size`.
    """

    def __init__(self, start: Callable[[], Any], size: int, room: Callable[[], int] | None = None) -> None:
        self._start, self._room = start, room
        self._looked = self._reported = time.monotonic()
        self._steps: dict[str, tuple[Any, ...]] = {}
        self._workers: dict[int, _Worker] = {}
        self._started = 0
        self._failed_starts = 0
        for _ in range(size):
            self._add()

    def _add(self) -> None:
        self._workers[self._started] = _Worker(self._started, self._start())
        self._started += 1

    @property
    def size(self) -> int:
        """How many workers there are."""
        return len(self._workers)

    @property
    def locations(self) -> list[WorkerLocation]:
        """Where the ready workers run."""
        return [worker.location for worker in self._workers.values() if worker.location]

    def prepare(self, method: str, *arguments: Any) -> None:
        """Have every worker call a method of its own before its next job, in the order given, and replacements too.

        A method that was named before is called again, with the new arguments.
        """
        self._steps[method] = arguments

    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """The results as they come; a job is taken when a worker is idle.

        Raises:
            SocoError: workers died over one job again and again, or while they started.
            Exception: whatever a job or a preparation raises.
        """
        queue = _Queue(jobs, self._workers)
        deaths: Counter[int] = Counter()
        try:
            while True:
                self._grow()
                for worker in list(self._workers.values()):
                    if worker.call is None:
                        self._occupy(worker, queue)
                if not queue.is_waiting and not any(worker.job for worker in self._workers.values()):
                    return
                for worker in self._answered():
                    done = self._answer(worker, queue, deaths)
                    if done is not None:
                        yield done
        finally:
            for worker in self._workers.values():
                worker.job = None

    def _grow(self) -> None:
        """Start workers on machines that have joined."""
        if self._room is None or time.monotonic() - self._looked < _LOOK:
            return
        self._looked = time.monotonic()
        added = max(0, self._room() - self.size)
        if added:
            _log.warning("the cluster has grown: %d more workers", added)
        for _ in range(added):
            self._add()

    def _occupy(self, worker: _Worker, queue: _Queue) -> None:
        """Give a free worker its check, then its preparations, else a job."""
        if not worker.is_checked:  # alone and in plain types: another version may know no others
            worker.call = worker.actor.check_installed.remote(library_versions(), package_sha256())
            return
        steps = [(name, given) for name, given in self._steps.items() if worker.prepared.get(name) is not given]
        if steps or worker.location is None:
            worker.prepared |= dict(steps)
            worker.call = worker.actor.prepare.remote(steps)
            return
        worker.job = queue.next_for(worker.number)
        if worker.job is not None:
            worker.call = getattr(worker.actor, worker.job.method).remote(*worker.job.arguments)

    def _answered(self) -> list[_Worker]:
        import ray

        busy = {worker.call: worker for worker in self._workers.values() if worker.call is not None}
        answered, _ = ray.wait(list(busy), timeout=_PATIENCE if self._room is None else _LOOK)
        if answered or self.locations:
            self._reported = time.monotonic()
        elif time.monotonic() - self._reported >= _PATIENCE:
            self._reported = time.monotonic()
            _log.warning("still waiting for the Ray cluster to start one of %d workers", self.size)
        return [busy[call] for call in answered]

    def _answer(self, worker: _Worker, queue: _Queue, deaths: Counter[int]) -> Done | None:
        """Handle the answer of a worker, or its death."""
        import ray
        from ray.exceptions import ObjectLostError, RayActorError, RayTaskError

        call, job = worker.call, worker.job
        worker.call = worker.job = None
        try:
            result = ray.get(call)
        except (RayActorError, ObjectLostError) as error:  # it died, or its machine did with the answer
            if not worker.is_checked and "failed to import" in str(error):
                raise _not_installed(error) from error
            self._replace(worker, job, error, deaths)
            if job is not None:
                queue.put_back(job)
            return None
        except RayTaskError as error:
            if not worker.is_checked and not isinstance(error.cause, SocoError):
                raise _not_installed(error) from error
            if isinstance(error.cause, Exception):
                raise error.cause from None  # the exception of the job itself
            raise
        if job is not None:
            return Done(job, worker.number, result)
        if not worker.is_checked:
            worker.is_checked = True
        else:
            worker.location, self._failed_starts = result, 0
        return None

    def _replace(self, worker: _Worker, job: Job | None, error: Exception, deaths: Counter[int]) -> None:
        import ray

        del self._workers[worker.number]
        ray.kill(worker.actor)  # it may only have been out of reach
        where = worker.location or "a worker that was starting"
        if job is None and worker.location is None:
            self._failed_starts += 1
            given_up, what = self._failed_starts > _MOST_DEATHS, "its start"
        else:
            what = job.what if job is not None else "preparations"
            deaths[job.number if job is not None else -1] += 1
            given_up = deaths[job.number if job is not None else -1] > _MOST_DEATHS
        if given_up:
            raise SocoError(
                f"{_MOST_DEATHS + 1} workers died over {what}, the last of them {where}: {_reason(error)} Is memory "
                f"short? Use fewer workers ({worded('--ray-workers', 'cluster_workers')}), a smaller "
                f"{worded('--memory-budget', 'memory_budget')} or image size."
            )
        _log.warning("%s died over %s; another worker repeats it (%s)", where, what, _reason(error))
        self._add()

    def close(self) -> None:
        """End the workers; safe to call twice."""
        import ray

        for worker in self._workers.values():
            if ray.is_initialized():
                ray.kill(worker.actor)
        self._workers.clear()


class _Queue:
    """Jobs that wait: for one worker, for any, or in the iterator they come from."""

    def __init__(self, jobs: Iterable[Job], workers: dict[int, _Worker]) -> None:
        self._jobs, self._workers = iter(jobs), workers
        self._own: defaultdict[int, deque[Job]] = defaultdict(deque)
        self._common: deque[Job] = deque()
        self._drained = False

    @property
    def is_waiting(self) -> bool:
        return not self._drained or bool(self._common) or any(self._own.values())

    def put_back(self, job: Job) -> None:
        self._common.appendleft(job)

    def next_for(self, worker: int) -> Job | None:
        """The next job for a worker, None if the remaining ones are for others."""
        for owner in [owner for owner in self._own if owner not in self._workers]:
            self._common.extend(self._own.pop(owner))  # it died with what made it the best
        if self._own[worker]:
            return self._own[worker].popleft()
        if self._common:
            return self._common.popleft()
        for job in self._jobs:
            if job.owner in (None, worker) or job.owner not in self._workers:
                return job
            self._own[job.owner].append(job)
        self._drained = True
        return None


def _reason(error: Exception) -> str:
    """What Ray says of a death, in a line."""
    text = " ".join(str(error).split())
    found = re.search(r"Worker exit detail: (.*?\.)(?: |$)", text) or re.search(r"dead because (.*?\.)(?: |$)", text)
    return found[1] if found else text[:200]


def _not_installed(error: Exception) -> SocoError:
    """For a machine whose Python does not have this package, or another one of its name."""
    text = re.sub(r"\x1b\[[\d;]*m", "", str(error))
    machine = re.search(r"ip=([\d.a-f:]+)", text)
    reasons = re.findall(r"^\w*Error: .*", text, re.MULTILINE) or [type(error).__name__]
    name = machine[1] if machine else "of a worker"
    return SocoError(
        f"The machine {name} of the cluster cannot run soco_datasets: {reasons[-1]}. "
        "Install the same Python and packages on all machines, in the environment in which `ray start` runs."
    )
