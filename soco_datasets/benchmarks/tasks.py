"""The tasks of all registered benchmarks by name. A task belongs to its `Benchmark`; add one there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..errors import UsageError, unknown_name
from .base import SOCO, Benchmark, benchmarks, get_benchmark
from .base import Task as Task


class _Tasks(Mapping[str, Task]):
    """Read-only view over the registry: SOCO's tasks first. A name that several benchmarks use is the first one's."""

    def _known(self) -> dict[str, Task]:
        found: dict[str, Task] = {}
        for benchmark in benchmarks().values():
            for task in benchmark.tasks:
                found.setdefault(task.name, task)
        return found

    def __getitem__(self, name: str) -> Task:
        return self._known()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())


TASKS: Mapping[str, Task] = _Tasks()


def get_tasks(names: Iterable[str] | None = None, benchmark: Benchmark | None = None) -> tuple[Task, ...]:
    """The tasks of these names, each once, in the order given.

    Args:
        names: task names; None = all of the benchmark.
        benchmark: whose tasks; None = SOCO's without names, those of all registered benchmarks with names.

    Raises:
        UsageError: an unknown name (the closest are named), or no name at all.

    >>> [task.title for task in get_tasks(["soc", "cross_soc"])]
    ['SOC', 'Cross-SOC']
    """
    if names is None:
        return (get_benchmark(SOCO) if benchmark is None else benchmark).tasks
    known = TASKS if benchmark is None else {task.name: task for task in benchmark.tasks}
    wanted = list(dict.fromkeys([names] if isinstance(names, str) else names))
    if not wanted:
        raise UsageError(f"No task given. Known: {', '.join(known)}.")
    for name in wanted:
        if name not in known:
            raise unknown_name("task", name, known)
    return tuple(known[name] for name in wanted)
