"""The tasks by name: every class in a file of `tasks/`, and those of other packages by the entry-point group.

[project.entry-points."soco_datasets.downstream"]
my_task = "my_package.my_task:MyTask"
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import lru_cache
from importlib import metadata

from ..errors import unknown_name
from . import tasks
from .base import DownstreamTask

ENTRY_POINTS = "soco_datasets.downstream"
_ORDER = (  # of table r8; others follow in alphabetical order
    *("imagenet_knn", "ade20k_linear", "nyu_depth", "nyu_normals", "navi", "tapvid_davis", "imagenet3d_pose"),
    *("omni3d_cuboids", "omni3d_detect"),
)


@lru_cache(maxsize=1)
def downstream_tasks() -> dict[str, DownstreamTask]:
    """All tasks, in the order of table r8."""
    found: dict[str, DownstreamTask] = {}
    for module in pkgutil.iter_modules(tasks.__path__):
        for value in vars(importlib.import_module(f"{tasks.__name__}.{module.name}")).values():
            if inspect.isclass(value) and issubclass(value, DownstreamTask) and "name" in vars(value):
                found[value.name] = value()
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        task = entry.load()()
        found.setdefault(task.name, task)
    place = {name: number for number, name in enumerate(_ORDER)}
    return dict(sorted(found.items(), key=lambda one: (place.get(one[0], len(place)), one[0])))


def select_tasks(names: str | None) -> list[DownstreamTask]:
    """Tasks from "a,b" or "all". Raises `UsageError` for an unknown name."""
    known = downstream_tasks()
    if names in (None, "all"):
        return list(known.values())
    chosen = [name.strip() for name in str(names).split(",") if name.strip()]
    for name in chosen:
        if name not in known:
            raise unknown_name("downstream task", name, known)
    return [task for name, task in known.items() if name in chosen]


def protocol_names() -> list[str]:
    """Names of protocols that some task has."""
    return sorted({name for task in downstream_tasks().values() for name in task.protocols})


def chosen_protocol(task: DownstreamTask, name: str | None) -> str:
    """The protocol that a name means for a task: its own, or the default where it does not have that one.

    Raises:
        UsageError: a name that no task has.
    """
    if name is None:
        return task.default
    if name not in protocol_names():
        raise unknown_name("protocol", name, protocol_names())
    return name if name in task.protocols else task.default
