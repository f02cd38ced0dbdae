"""Progress on stderr: a bar on a terminal, elsewhere (logs of SLURM, nohup) a plain line at intervals.

`SOCO_PROGRESS` decides where neither fits: `bar`, `lines` or `none`. `quiet` hides all of it for a while, the option
`--quiet` during a command.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from ..errors import UsageError
from .terminal import Verbosity, verbosity
from .text import clean

_T = TypeVar("_T")
_MODES = ("bar", "lines", "none")
_SOON, _LATE = 10.0, 60.0  # seconds between two lines: at least, and at most
_STEP = 0.1  # share of the work after which a line is due

_open = 0  # bars of `progress_bar`: what runs within one has none of its own
_quiet = 0  # blocks of `quiet` that are entered


def progress(items: Iterable[_T], what: str, total: int | None = None, unit: str = "it") -> Iterator[_T]:
    """Iterate and show how far it is; nothing within a `progress_bar`, which shows the whole.

    Args:
        items: what to iterate over.
        what: the work, such as "Matching".
        total: number of items; None = unknown.
        unit: what one item is.
    """
    if _open:
        yield from items
        return
    with _shown(what, total, unit, 0, _SOON) as advance:
        for item in items:
            yield item
            advance(1)


@contextlib.contextmanager
def progress_bar(
    what: str, total: int, unit: str = "it", *, done: int = 0, interval: float = _SOON, beat: bool = False
) -> Iterator[Callable[[int], object]]:
    """Progress that is moved by calling what this gives with a number of items.

    Args:
        what: the work.
        total: number of items.
        unit: what one item is.
        done: items that were done before.
        interval: least seconds between two lines where there is no bar; 0 = no lines.
        beat: print a line at each interval, also while nothing is done.
    """
    global _open
    if _open:
        yield lambda number: None
        return
    _open += 1
    try:
        with _shown(what, total, unit, done, interval, beat) as advance:
            yield advance
    finally:
        _open -= 1


@contextlib.contextmanager
def quiet(on: bool = True) -> Iterator[None]:
    """Show no progress while the body runs."""
    global _quiet
    _quiet += on
    try:
        yield
    finally:
        _quiet -= on


def progress_mode() -> str:
    """ "bar", "lines" or "none". Raises `UsageError` for another value of `SOCO_PROGRESS`."""
    if _quiet or verbosity() is Verbosity.QUIET:
        return "none"
    asked = os.environ.get("SOCO_PROGRESS", "")
    if asked in ("1", *_MODES):
        return "bar" if asked == "1" else asked
    if asked:
        raise UsageError(f"SOCO_PROGRESS is {asked!r}. It takes {', '.join(_MODES)}.")
    return "bar" if sys.stderr.isatty() else "lines"


@contextlib.contextmanager
def _shown(
    what: str, total: int | None, unit: str, done: int, interval: float, beat: bool = False
) -> Iterator[Callable[[int], object]]:
    mode = progress_mode()
    if mode == "bar":
        from tqdm import tqdm

        with tqdm(
            desc=what, total=total, initial=done, unit=unit, file=sys.stderr, disable=False, dynamic_ncols=True
        ) as bar:
            yield bar.update
    elif mode == "lines" and interval > 0:
        lines = _Lines(what, total, unit, done, interval)
        if beat:
            with lines.beating():
                yield lines.count
        else:
            yield lines.advance
            lines.end()
    else:
        yield lambda number: None


class _Lines:
    """A line when a tenth of the work is done, and after a minute without one; never two within `interval`."""

    def __init__(self, what: str, total: int | None, unit: str, done: int, interval: float) -> None:
        self._what, self._total, self._unit = clean(what), total, unit if unit == "it" else f"{unit}s"
        self._before, self._new = done, 0
        self._least, self._most = interval, max(interval, _LATE)
        self._began = self._last = time.monotonic()
        self._said = done
        self._lock = threading.Lock()

    def advance(self, number: int) -> None:
        """Count items, and print a line where one is due."""
        with self._lock:
            self._new += number
            since = time.monotonic() - self._last
            if since < self._least:
                return
            step = self._total is not None and self._done - self._said >= _STEP * self._total
            if step or since >= self._most:
                self._write()

    def count(self, number: int) -> None:
        """Count items."""
        with self._lock:
            self._new += number

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Print a line now, at each interval from a thread, and at the end where it says more than the last one."""
        stop = threading.Event()

        def repeat() -> None:
            while not stop.wait(self._least):
                self._write()

        self._write()
        thread = threading.Thread(target=repeat, name="soco-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            if self._said != self._done:
                self._write()

    def end(self) -> None:
        """Print the last line, where there was one before."""
        if self._last > self._began and self._said != self._done:
            self._write()

    @property
    def _done(self) -> int:
        return self._before + self._new

    def _write(self) -> None:
        now = time.monotonic()
        elapsed = now - self._began
        self._last, self._said = now, self._done
        of = "" if self._total is None else f" of {self._total:,}"
        text = f"{self._what}: {self._done:,}{of} {self._unit}, {duration(elapsed)}"
        if self._total is not None and self._new and self._done < self._total:
            text += f", about {duration((self._total - self._done) * elapsed / self._new)} left"
        print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(42), duration(600), duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
