"""What evaluations of one and of several benchmarks share: the options as values, and what they write."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import unknown_name
from .common import numbers
from .engine_options import engine_config
from .model_options import memory_budget, qualifiers

if TYPE_CHECKING:
    from ..benchmarks.base import Task
    from ..config import RunConfig, ScoringConfig
    from ..correspondence.engines import Extractor
    from ..correspondence.evaluate import Evaluation
    from ..data.folder import DatasetFolder


class ResultNames(NamedTuple):
    """The stem of the files of an evaluation, and whether those of the same run exist and will be replaced."""

    stem: str
    replaced: bool


def result_names(
    arguments: argparse.Namespace,
    out: Path,
    extractor: Extractor,
    what: tuple[DatasetFolder, Sequence[Task], ScoringConfig],
) -> ResultNames:
    """How the results in `out` will be called. Raises `UsageError` where those of another run have the name.

    Args:
        arguments: of the command.
        out: folder of the results.
        extractor: of the model.
        what: the data, the tasks and how they are scored.
    """
    from ..correspondence.evaluate import by_benchmark, protocol_of
    from ..records.evaluation import EvaluationResult
    from ..records.result_files import PlannedRun, check_replaces_own, result_name

    folder, tasks, scoring = what
    used, scoring = by_benchmark(extractor, folder, scoring)
    model = used.describe()
    split = "" if arguments.split in ("test", "all") else arguments.split
    stem = result_name(model, *qualifiers(arguments), split)
    planned = PlannedRun(
        model, protocol_of(model, scoring), folder.content_hash, [task.name for task in tasks], arguments.split
    )
    record = out / (f"{stem}.all.json" if arguments.split == "all" else f"{stem}.json")
    return ResultNames(stem, check_replaces_own(record, EvaluationResult, planned, overwrite=arguments.overwrite))


def write(out: Path, evaluation: Evaluation, names: ResultNames) -> str:
    """Write the record and the predictions, where they were kept; which files these are, as text.

    `result_names` has checked what is replaced.
    """
    from ..records.evaluation import write_evaluation, write_record

    if evaluation.predictions is None:
        record = write_record(out, evaluation.result, names.stem, overwrite=True)
        kept = "none of all pairs: soco score, compare, submit need them"
    else:
        record, predictions = write_evaluation(
            out, evaluation.predictions, evaluation.result, names.stem, overwrite=True
        )
        kept = str(predictions)
    replaced = "\nreplaced     those of an earlier run" if names.replaced else ""
    return f"record       {record}\npredictions  {kept}{replaced}"


def scoring_config(arguments: argparse.Namespace, folder: DatasetFolder | None = None) -> ScoringConfig:
    """The scoring options; where none is given the benchmark's (of a folder that is not SOCO), else the preset's."""
    from ..benchmarks.base import SOCO, benchmark_of
    from ..correspondence.presets import get_preset

    own = {} if folder is None or folder.benchmark == SOCO else benchmark_of(folder).scoring
    changed: dict[str, Any] = {
        **own,
        "normalizer": arguments.normalizer,
        "valid_area": arguments.valid_area,
        "soft_beta": arguments.soft_beta,
        "soft_window": arguments.soft_window,
    }
    if arguments.convention is not None:
        changed["convention"] = arguments.convention
    if arguments.alphas is not None:
        changed["alphas"] = numbers("--alphas", arguments.alphas)
    if arguments.reductions is not None:
        changed["reductions"] = tuple(arguments.reductions.split(","))
    return replace(get_preset(arguments.protocol).scoring, **changed)


def configs_with(folder: DatasetFolder, split: str) -> list[str]:
    """The configs of tasks that store a split; raises `UsageError` where none does."""
    from ..benchmarks.base import benchmark_of

    if split in ("test", "all"):
        return folder.configs
    names = dict.fromkeys(task.config for task in benchmark_of(folder).tasks if task.config in folder.configs)
    splits = {name: folder.splits(name) for name in names}
    stored = [name for name, own in splits.items() if split in own]
    if not stored:
        raise unknown_name("split", split, {"test", "all"}.union(*splits.values()))
    return stored


def run_config(arguments: argparse.Namespace) -> RunConfig:
    """The options of where and how the work is done."""
    from ..config import CachePolicy

    cache = CachePolicy(arguments.store, memory_budget(arguments), arguments.store_dir)
    return engine_config(arguments, cache=cache, workers=arguments.workers, skip_bad=arguments.skip_bad)
