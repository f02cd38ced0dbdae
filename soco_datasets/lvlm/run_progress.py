"""The progress of a run: a bar on a terminal, elsewhere a line at intervals even while no answer comes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..utils.progress import duration, progress_bar, progress_mode


@contextmanager
def run_progress(setting: str, total: int, done: int, interval: float) -> Iterator[Callable[[], object]]:
    """Show progress on standard error; yields what to call after each question.

    Args:
        setting: what the progress is of.
        total: number of questions.
        done: those that were answered before.
        interval: seconds between two lines where standard error is no terminal; 0 = no lines.
    """
    mode = progress_mode()
    if mode == "bar":
        with progress_bar(setting, total, "q", done=done) as advance:
            yield lambda: advance(1)
        return
    if mode == "none":
        interval = 0
    lines = _Lines(setting, total, done)
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(interval):
            lines.write()

    if interval > 0:
        lines.write()
        thread = threading.Thread(target=repeat, name="soco-progress", daemon=True)
        thread.start()
    try:
        yield lines.count
    finally:
        stop.set()
        if interval > 0:
            thread.join()
            lines.write()


class _Lines:
    def __init__(self, setting: str, total: int, done: int) -> None:
        self._setting, self._total, self._before, self._new = setting, total, done, 0
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def count(self) -> None:
        with self._lock:
            self._new += 1

    def write(self) -> None:
        done = self._before + self._new
        text = f"{self._setting}: {done:,} of {self._total:,} questions"
        elapsed = time.monotonic() - self._start
        if self._new and done < self._total and elapsed > 0:
            left = (self._total - done) * elapsed / self._new
            text += f", {60 * self._new / elapsed:.1f} per minute, about {duration(left)} left"
        print(text, file=sys.stderr, flush=True)
