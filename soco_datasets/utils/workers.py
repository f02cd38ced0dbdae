"""Processes of this machine that apply a function to chunks, in order: what a build does its work with by default.

A worker is a new interpreter that imports this package and nothing of the caller's script (loky starts it), so a script
needs no `if __name__ == "__main__"` and nothing is forked under running threads.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import re
import signal
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ..errors import SocoError, UsageError
from .chunks import Mapper
from .process_state import collect_rarely

_C = TypeVar("_C")
_R = TypeVar("_R")
_MOST = 8  # workers, unless more are asked for: the process that collects keeps up with about as many
_AHEAD = 3  # chunks per worker that are given out before their results are taken
_ENVIRONMENT = {  # loky ends workers that grow, ours remember on purpose; one thread each for linear algebra
    "LOKY_MAX_MEMORY_LEAK_SIZE": "1e18",
    "OPENBLAS_NUM_THREADS": "1",
}


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def process_mapper(workers: int | None = None, *, least: int = 4) -> Iterator[Mapper]:
    """A mapper whose workers are processes of this machine, for the duration of the block.

    They are started when a call has enough chunks to be worth it, and are the same for all calls. A function keeps what
    it remembers from chunk to chunk, in each worker for itself.

    Args:
        workers: how many processes; None = one for each usable core, at most eight. With one, the builtin `map`.
        least: chunks from which on workers are started; fewer are done here, before they were up.

    Raises:
        UsageError: fewer than one worker.
        SocoError: a worker was killed, when its result is asked for.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"The number of jobs must be at least 1, got {workers}.")
    count = min(_MOST, usable_cores()) if workers is None else workers
    if count < 2:
        yield map
        return
    pool = _Pool(count, least)
    try:
        yield pool.map
    finally:
        pool.close()


def in_threads(function: Callable[[_C], _R], chunks: Iterable[_C], threads: int) -> Iterator[_R]:
    """`map` by threads, for functions that work outside the GIL; a few results wait at most."""
    if threads < 2:
        yield from map(function, chunks)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[_R]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(function, chunk))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Pool:
    """Workers, and a folder with each function they are given: it is sent once, not with each chunk."""

    def __init__(self, count: int, least: int) -> None:
        self._count, self._least = count, least
        self._executor: Any = None
        self._functions = tempfile.TemporaryDirectory(prefix="soco-workers-")
        self._calls = 0

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)  # whatever they still do is of no use to anyone
            self._executor = None
        self._functions.cleanup()

    def map(self, function: Callable[[_C], _R], chunks: Iterable[_C], /) -> Iterator[_R]:
        """As the builtin."""
        left = iter(chunks)
        first = list(itertools.islice(left, self._least))
        if len(first) < self._least:
            yield from map(function, first)
            return
        from loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

        if self._executor is None:
            self._executor = ProcessPoolExecutor(self._count, initializer=_begin, env=_ENVIRONMENT)
        self._calls += 1
        place = Path(self._functions.name, str(self._calls))
        place.write_bytes(pickle.dumps(function, protocol=5))
        waiting: deque[Future[tuple[bool, Any]]] = deque()
        try:
            for chunk in itertools.chain(first, left):
                waiting.append(self._executor.submit(_apply, str(place), chunk))
                if len(waiting) >= _AHEAD * self._count:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        except TerminatedWorkerError as error:
            self._executor = None  # loky has ended its other workers
            raise _killed(str(error)) from None
        finally:
            for future in waiting:
                future.cancel()


def _result(future: Future[tuple[bool, Any]]) -> Any:
    fine, result = future.result()
    if not fine:
        raise result
    return result


def _killed(message: str) -> SocoError:
    """loky's message on workers that ended, such as "... {EXIT(0), SIGKILL(-9)}", in our words."""
    ended = [code for code in map(int, re.findall(r"\((-?\d+)\)", message)) if code and code != -signal.SIGTERM]
    code = ended[0] if ended else -signal.SIGTERM
    reason = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    hint = " The machine may be out of memory: use fewer workers." if code == -signal.SIGKILL else ""
    return SocoError(f"A worker process {reason} while it worked.{hint}")


_function: tuple[str, Any] = ("", None)  # of this worker: its file, and what it holds


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process is asked to stop, and stops its workers
    collect_rarely()
    os.environ.pop("SOCO_PROGRESS", None)  # the parent process shows the progress


def _apply(place: str, chunk: Any) -> tuple[bool, Any]:
    """(whether the function returned, its result or what it raised)."""
    global _function
    try:
        if _function[0] != place:
            _function = place, pickle.loads(Path(place).read_bytes())
        return True, _function[1](chunk)
    except Exception as error:  # raised again in the parent process, whatever it is
        try:
            pickle.loads(pickle.dumps(error))
            return False, error
        except Exception:  # some errors cannot be made again
            return False, SocoError(f"{type(error).__name__}: {error}")
