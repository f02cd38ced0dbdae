"""Settings of the whole process (an allocator, precision flags, a log level) that a function needs while it runs."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator


class ProcessSetting:
    """A setting of the whole process, changed by the first of several users and put back by the last.

    Saving and restoring alone is wrong with threads: of two overlapping calls, the second saves what the first has set
    and restores that in the end. Other threads of the process see the changed setting meanwhile, which the public
    functions that use one state.

    Args:
        change: sets the setting and returns what puts back the value of before.
    """

    def __init__(self, change: Callable[[], Callable[[], None]]) -> None:
        self._change = change
        self._lock = threading.Lock()
        self._users = 0
        self._restore: Callable[[], None] | None = None

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold the setting for the body of a `with`; as a decorator, for each call of a function."""
        with self._lock:
            if self._users == 0:
                self._restore = self._change()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0 and self._restore is not None:
                    restore, self._restore = self._restore, None
                    restore()


def _use_system_allocator() -> Callable[[], None]:
    import pyarrow as pa

    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    return lambda: pa.set_memory_pool(before)


def collect_rarely() -> Callable[[], None]:
    """Let Python look for cycles of garbage a thousand times less often; the result puts that back."""
    before = gc.get_threshold()
    gc.set_threshold(1_000_000, 20, 50)
    return lambda: gc.set_threshold(*before)


rare_collections = ProcessSetting(collect_rarely)
"""`collect_rarely`: for work that makes many objects and no cycles, of which every collection would look at all."""

freed_memory_returned = ProcessSetting(_use_system_allocator)
"""Have Arrow's memory come from the system's allocator, which gives it back once freed; its own keeps it."""
