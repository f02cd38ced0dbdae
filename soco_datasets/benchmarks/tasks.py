"""The tasks of all registered benchmarks by name. A task belongs to its `Benchmark`; add one there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..errors import UsageError, unknown_name
from ..utils.text import clean
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
    found = (one if isinstance(one, Task) else known[task_name(one, known.values())] for one in wanted)
    return tuple(dict.fromkeys(found))


def task_title(task: str) -> str:
    """The name of a task in tables; that of an unknown task is cleaned.

    >>> task_title("cross_soc"), task_title("a\\nb")
    ('Cross-SOC', 'a�b')
    """
    return TASKS[task].title if task in TASKS else clean(task)


def task_name(text: str, tasks: Iterable[Task]) -> str:
    """The name of the task that is called so, by its name or by its title in tables, whatever the case.

    Raises:
        UsageError: none of the tasks is (the closest are named).

    >>> task_name("Cross-SOC", TASKS.values())
    'cross_soc'
    """
    by_name = {task.name: task.name for task in tasks}
    titles: dict[str, str] = {}
    for task in tasks:
        titles.setdefault(task.title.casefold(), task.name)
    wanted = text.strip().casefold()
    found = by_name.get(text) or by_name.get(wanted) or titles.get(wanted)
    if found is None:
        raise unknown_name("task", text, by_name)
    return found
