"""The tasks of the benchmark, in one table. Adding a task touches only this file.

A task is a pair config of the dataset and a matcher: the config decides which pairs there are and which target points
are valid, the matcher how a query finds its place in the target.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import UsageError, unknown_name


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: what users type and what keys the metrics of a result record.
        config: the dataset config whose rows are the task's pairs.
        title: the name in tables.
        matcher: a name of `correspondence.matchers`: "argmax" = the best cell of the target; "soft" = the window
            soft-argmax around it; "candidates" = the best of the candidate points, which the config must have.
        min_candidates: queries with fewer candidate points than this are left out (matcher "candidates" only).
    """

    name: str
    config: str
    title: str
    matcher: str = "argmax"
    min_candidates: int = 0


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("cc", "cc", "CC"),
        Task("soc", "soc", "SOC"),
        Task("cross_cc", "cross_cc", "Cross-CC"),
        Task("cross_soc", "cross_soc", "Cross-SOC"),
        Task("cc_soft", "cc", "CC soft", "soft"),
        Task("soc_soft", "soc", "SOC soft", "soft"),
        Task("cross_cc_soft", "cross_cc", "Cross-CC soft", "soft"),
        Task("cross_soc_soft", "cross_soc", "Cross-SOC soft", "soft"),
        Task("soc_geo", "soc_geo", "SOC-geo", "candidates"),
        Task("soc_geo_multi", "soc_geo", "SOC-geo 2+", "candidates", min_candidates=2),
        Task("cross_soc_geo", "cross_soc_geo", "Cross-SOC-geo", "candidates"),
        Task("cross_soc_geo_multi", "cross_soc_geo", "Cross-SOC-geo 2+", "candidates", min_candidates=2),
    )
}


def get_tasks(names: Iterable[str] | None = None) -> tuple[Task, ...]:
    """The tasks of these names, each once, in the order given; all tasks for None.

    Raises:
        UsageError: an unknown name (the closest are named), or no name at all.

    >>> [task.title for task in get_tasks(["soc", "cross_soc"])]
    ['SOC', 'Cross-SOC']
    """
    if names is None:
        return tuple(TASKS.values())
    wanted = list(dict.fromkeys([names] if isinstance(names, str) else names))
    if not wanted:
        raise UsageError(f"No task given. Known: {', '.join(TASKS)}.")
    for name in wanted:
        if name not in TASKS:
            raise unknown_name("task", name, TASKS)
    return tuple(TASKS[name] for name in wanted)
