"""Processes of this machine that apply a function to chunks, in order: what a build does its work with by default.

A worker is a new interpreter that imports this package and nothing of the caller's script, so a script needs no
`if __name__ == "__main__"` and nothing is forked under running threads.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from ..errors import SocoError, UsageError
from .chunks import Mapper

_C = TypeVar("_C")
_R = TypeVar("_R")
_MOST = 8  # workers, unless more are asked for: the process that collects keeps up with about as many
_AHEAD = 2  # chunks that each worker has at a time: one at work, one waiting
_START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from {} import serve_chunks; serve_chunks(int(sys.argv[1]))"
)


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
    if count < 2 or not sys.executable:
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


class _Worker:
    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", _START.format(__name__), str(theirs.fileno())]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[theirs.fileno()])
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            pickle.dump(sys.path, pipe)
        self.connection = Connection(ours.detach())
        self.chunks: deque[int] = deque()  # numbers of those it has

    def result(self) -> Any:
        """What it made of its oldest chunk; raises what the function raised."""
        try:
            fine, result = pickle.loads(self.connection.recv_bytes())
        except (EOFError, ConnectionError):
            ended = self._process.wait()
            reason = f"was ended by signal {-ended}" if ended < 0 else f"ended with exit code {ended}"
            hint = " The machine may be out of memory: use fewer workers." if ended == -signal.SIGKILL else ""
            raise SocoError(f"A worker process {reason} while it worked.{hint}") from None
        self.chunks.popleft()
        if not fine:
            raise result
        return result

    def close(self) -> None:
        self.connection.close()
        self._process.kill()  # whatever it still does is of no use to anyone
        self._process.wait()


class _Pool:
    def __init__(self, count: int, least: int) -> None:
        self._count, self._least = count, least
        self._workers: list[_Worker] = []

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        self._workers = []

    def map(self, function: Callable[[_C], _R], chunks: Iterable[_C], /) -> Iterator[_R]:
        """As the builtin. One call at a time: the next begins when the results of the one before were taken."""
        left = iter(chunks)
        first = list(itertools.islice(left, self._least))
        if len(first) < self._least:
            yield from map(function, first)
            return
        if not self._workers or any(worker.chunks for worker in self._workers):  # a call was left before its end
            self.close()
            self._workers = [_Worker() for _ in range(self._count)]
        for worker in self._workers:
            worker.connection.send_bytes(pickle.dumps((True, function), protocol=5))
        yield from self._results(itertools.chain(first, left))

    def _results(self, chunks: Iterator[Any]) -> Iterator[Any]:
        early: dict[int, Any] = {}
        given = wanted = 0
        by_connection = {worker.connection: worker for worker in self._workers}
        while True:
            room = _AHEAD * len(self._workers) + len(self._workers) - (given - wanted)
            for _ in range(room):
                worker = min(self._workers, key=lambda worker: len(worker.chunks))
                if len(worker.chunks) == _AHEAD:
                    break
                chunk = next(chunks, None)
                if chunk is None:
                    break
                worker.connection.send_bytes(pickle.dumps((False, chunk), protocol=5))
                worker.chunks.append(given)
                given += 1
            if wanted == given:
                return
            for connection in wait([worker.connection for worker in self._workers if worker.chunks]):
                worker = by_connection[connection]  # type: ignore[index]
                number = worker.chunks[0]
                early[number] = worker.result()
            while wanted in early:
                yield early.pop(wanted)
                wanted += 1


def serve_chunks(channel: int) -> None:
    """The work of a worker: functions and chunks in, results out, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process is asked to stop, and stops its workers
    os.environ.pop("SOCO_PROGRESS", None)  # the parent process shows the progress
    connection = Connection(channel)
    waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def receive() -> None:  # in a thread of its own, so that neither end waits for the other to read
        try:
            while True:
                waiting.put(connection.recv_bytes())
        except (EOFError, OSError):
            waiting.put(None)

    threading.Thread(target=receive, daemon=True).start()
    function: Callable[[Any], Any] = repr
    while (message := waiting.get()) is not None:
        is_function, content = pickle.loads(message)
        if is_function:
            function = content
            continue
        try:
            answer = pickle.dumps((True, function(content)), protocol=5)
        except Exception as error:  # raised again in the parent process, whatever it is
            answer = _failure(error)
        try:
            connection.send_bytes(answer)
        except OSError:
            return


def _failure(error: Exception) -> bytes:
    try:
        message = pickle.dumps((False, error), protocol=5)
        pickle.loads(message)  # some errors cannot be made again
        return message
    except Exception:
        return pickle.dumps((False, SocoError(f"{type(error).__name__}: {error}")), protocol=5)
