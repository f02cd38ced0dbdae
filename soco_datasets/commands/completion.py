"""What the shell offers for names: models, tasks, benchmarks. Imports no model library."""

from __future__ import annotations

from collections.abc import Iterable


def complete_models(incomplete: str) -> list[str]:
    """Names of `soco models`, also of the last part of an expression such as 2*dinov2_b14+dift."""
    from ..features.model_list import BACKBONES

    cut = max(incomplete.rfind("+"), incomplete.rfind("*")) + 1
    return _starting(incomplete, cut, (spec.name for spec in BACKBONES))


def complete_tasks(incomplete: str) -> list[str]:
    """Tasks of every benchmark, after a comma too."""
    from ..benchmarks.base import benchmarks

    names = dict.fromkeys(task.name for benchmark in benchmarks().values() for task in benchmark.tasks)
    return _starting(incomplete, incomplete.rfind(",") + 1, names)


def complete_data(incomplete: str) -> list[str]:
    """`mini` and the benchmarks; the shell itself offers folders where none of them begins so."""
    return _starting(incomplete, incomplete.rfind(",") + 1, ("mini", *_benchmarks()))


def complete_benchmarks(incomplete: str) -> list[str]:
    """Names of benchmarks."""
    return _starting(incomplete, 0, _benchmarks())


def complete_protocols(incomplete: str) -> list[str]:
    """Presets of `soco evaluate`."""
    from ..correspondence.presets import PRESETS

    return _starting(incomplete, 0, PRESETS)


def _benchmarks() -> list[str]:
    from ..benchmarks.base import benchmarks

    return list(benchmarks())


def _starting(text: str, cut: int, names: Iterable[str]) -> list[str]:
    before, last = text[:cut], text[cut:]
    return [before + name for name in names if name.startswith(last)]
