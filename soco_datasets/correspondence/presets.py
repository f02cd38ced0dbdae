"""Named sets of options for `soco evaluate --protocol`. Adding a preset touches only this file."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..benchmarks.base import SOCO, Benchmark, Task, benchmark_of
from ..benchmarks.soco.benchmark import BENCHMARK, TASKS
from ..benchmarks.tasks import get_tasks
from ..config import ScoringConfig
from ..data.folder import DatasetFolder
from ..errors import DatasetFolderError, UsageError, unknown_name


@dataclass(frozen=True)
class Preset:
    """What a run computes and how it is scored; it does not set the image size or anything about the model.

    Attributes:
        name: what users type.
        about: one line for the help.
        tasks: names of tasks.
        scoring: how predictions are made and scored.
        probe: whether a linear probe is trained and tested too, where the dataset has pairs for it.
    """

    name: str
    about: str
    tasks: tuple[str, ...]
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    probe: bool = False


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("standard", "CC, SOC and both across categories", ("cc", "soc", "cross_cc", "cross_soc")),
        Preset(
            "paper",
            "all of the paper's tables: also soft-argmax, SOC-geo and SOC linear",
            tuple(task.name for task in TASKS),
            probe=True,
        ),
        Preset("fast", "SOC at 0.1 alone", ("soc",), ScoringConfig(alphas=(0.1,), reductions=("pair",))),
    )
}


def get_preset(name: str) -> Preset:
    """The preset of this name. Raises `UsageError` for an unknown one (the closest are named)."""
    if name not in PRESETS:
        raise unknown_name("protocol", name, PRESETS)
    return PRESETS[name]


def preset_tasks(preset: Preset, benchmark: Benchmark) -> tuple[Task, ...]:
    """The tasks of a preset: those that it names for SOCO, the default tasks of any other benchmark."""
    names = preset.tasks if benchmark.name == SOCO else benchmark.default_tasks
    return tuple(benchmark.task(name) for name in names)


def preset_scoring(preset: Preset, benchmark: Benchmark) -> ScoringConfig:
    """How a preset scores: as it says itself, on a benchmark other than SOCO with that one's own options."""
    return preset.scoring if benchmark.name == SOCO else replace(preset.scoring, **benchmark.scoring)


def tasks_for(
    preset: Preset, configs: Iterable[str], benchmark: Benchmark = BENCHMARK
) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """(tasks of a preset that a dataset has pairs for, tasks without pairs).

    Args:
        preset: from `get_preset`.
        configs: of the dataset, `DatasetFolder.configs`.
        benchmark: of the dataset.

    Raises:
        DatasetFolderError: the dataset has pairs for none of them.
    """
    stored = set(configs)
    wanted = preset_tasks(preset, benchmark)
    available = tuple(task for task in wanted if task.config in stored)
    if not available:
        needed = ", ".join(dict.fromkeys(task.config for task in wanted))
        raise DatasetFolderError(
            f"The dataset has no pairs for any task of the protocol {preset.name} (it needs one of the configs "
            f"{needed}). Configs here: {', '.join(sorted(stored))}."
        )
    return available, tuple(task for task in wanted if task.config not in stored)


class ChosenTasks(NamedTuple):
    """The tasks of an evaluation, and in one line what is left out of it, "" where nothing is."""

    tasks: tuple[Task, ...]
    note: str


def choose_tasks(
    folder: DatasetFolder,
    preset: Preset,
    names: str | Task | Iterable[str | Task] | None = None,
    *,
    stored: Collection[str] | None = None,
    several: bool = False,
) -> ChosenTasks:
    """The tasks that are evaluated on a dataset: the named ones, else those of a preset that it has pairs for.

    Args:
        folder: the dataset.
        preset: from `get_preset`.
        names: see `tasks.get_tasks`; None = the preset's.
        stored: configs that can be evaluated; None = all of the folder.
        several: whether other datasets are evaluated too; a named task that this one has no pairs for is then left out.

    Raises:
        UsageError: an unknown name, on one dataset also that of another benchmark; no pairs for any of the names.
        DatasetFolderError: the dataset has pairs for no task of the preset.
    """
    benchmark, configs = benchmark_of(folder), folder.configs if stored is None else stored
    if names is None:
        tasks, without = tasks_for(preset, configs, benchmark)
        absent = [task.name for task in without]
        lacking = ", ".join(dict.fromkeys(task.config for task in without))
    elif several:
        own = {task.name: task for task in benchmark.tasks if task.config in configs}
        wanted = [task.name for task in get_tasks(names)]
        tasks, absent = tuple(own[name] for name in wanted if name in own), [name for name in wanted if name not in own]
        lacking = "pairs for them"
        if not tasks:
            raise UsageError(
                f"{folder.path} ({benchmark.title}) has no pairs for any of the tasks {', '.join(wanted)}. "
                f"Its tasks: {', '.join(own)}."
            )
    else:
        return ChosenTasks(get_tasks(names, benchmark), "")
    note = f"left out, since {folder.path} has no {lacking}: {', '.join(absent)}" if absent else ""
    return ChosenTasks(tasks, note)
