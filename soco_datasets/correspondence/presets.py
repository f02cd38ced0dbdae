"""Named sets of choices for `soco evaluate --protocol`. Adding a preset touches only this file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..benchmarks.soco.benchmark import TASKS
from ..benchmarks.tasks import Task, get_tasks
from ..errors import DatasetFolderError, unknown_name
from ..geometry import Convention


@dataclass(frozen=True)
class Preset:
    """What a run computes and how it is scored; the image size and everything about the model stay as they are.

    Attributes:
        name: what users type.
        about: one line for the help.
        tasks: names of tasks.
        alphas: PCK thresholds.
        reductions: see `protocol.Protocol`.
        convention: see `geometry`.
        probe: whether a linear probe is trained and tested too, where the dataset has pairs for it.
    """

    name: str
    about: str
    tasks: tuple[str, ...]
    alphas: tuple[float, ...] = (0.1, 0.05, 0.02)
    reductions: tuple[str, ...] = ("pair", "keypoint")
    convention: Convention = "reference"
    probe: bool = False


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("standard", "CC, SOC and both across categories", ("cc", "soc", "cross_cc", "cross_soc")),
        Preset(
            "paper", "all of the paper's tables: also soft-argmax, SOC-geo and SOC linear", tuple(task.name for task in TASKS), probe=True
        ),
        Preset("fast", "SOC at 0.1 alone", ("soc",), alphas=(0.1,), reductions=("pair",)),
    )
}


def get_preset(name: str) -> Preset:
    """The preset of this name. Raises `UsageError` for an unknown one (the closest are named)."""
    if name not in PRESETS:
        raise unknown_name("protocol", name, PRESETS)
    return PRESETS[name]


def tasks_for(preset: Preset, configs: Iterable[str]) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """(tasks of a preset that a dataset has pairs for, tasks that it has none for).

    Args:
        preset: from `get_preset`.
        configs: of the dataset, `DatasetFolder.configs`.

    Raises:
        DatasetFolderError: the dataset has pairs for none of them.
    """
    stored = set(configs)
    wanted = get_tasks(preset.tasks)
    there = tuple(task for task in wanted if task.config in stored)
    if not there:
        needed = ", ".join(dict.fromkeys(task.config for task in wanted))
        raise DatasetFolderError(
            f"The dataset has no pairs for any task of the protocol {preset.name} (it needs one of the configs "
            f"{needed}). Configs here: {', '.join(sorted(stored))}."
        )
    return there, tuple(task for task in wanted if task.config not in stored)
