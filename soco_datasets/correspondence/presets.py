"""Named sets of options for `soco evaluate --protocol`. Adding a preset touches only this file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..benchmarks.base import SOCO, Benchmark, Task
from ..benchmarks.soco.benchmark import BENCHMARK, TASKS
from ..config import ScoringConfig
from ..errors import DatasetFolderError, unknown_name


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
