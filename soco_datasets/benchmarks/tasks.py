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


def get_tasks(
    names: str | Task | Iterable[str | Task] | None = None, benchmark: Benchmark | None = None
) -> tuple[Task, ...]:
    """The tasks of these names, each once, in the order given.

    Args:
        names: task names, also as tables print them ("SOC", "Cross-SOC"), in any case, as a list or separated by
            commas; a `Task` stays what it is. None = all of the benchmark.
        benchmark: whose tasks; None = SOCO's without names, those of all registered benchmarks with names.

    Raises:
        UsageError: an unknown name (the closest are named), or no name at all.

    >>> [task.title for task in get_tasks("soc, Cross-SOC")]
    ['SOC', 'Cross-SOC']
    """
    if names is None:
        return (get_benchmark(SOCO) if benchmark is None else benchmark).tasks
    known = TASKS if benchmark is None else {task.name: task for task in benchmark.tasks}
    listed = [names] if isinstance(names, str | Task) else list(names)
    wanted = [part for one in listed for part in (one.split(",") if isinstance(one, str) else [one])]
    if not wanted:
        raise UsageError(f"No task given. Known: {', '.join(known)}.")
    return tuple(dict.fromkeys(one if isinstance(one, Task) else _named(one.strip(), known) for one in wanted))


def _named(name: str, known: Mapping[str, Task]) -> Task:
    """The task of a name or title; raises `UsageError` for an unknown one."""
    if name in known:
        return known[name]
    folded = name.casefold()
    found = [task for task in known.values() if folded in (task.name.casefold(), task.title.casefold())]
    if not found:
        raise unknown_name("task", name, known)
    return found[0]
