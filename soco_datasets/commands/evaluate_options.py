"""What evaluations of one and of several benchmarks share: the options as values, and what they write."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import unknown_name
from .common import numbers
from .engine_options import engine_config
from .model_options import memory_budget

if TYPE_CHECKING:
    from ..config import RunConfig, ScoringConfig
    from ..correspondence.evaluate import Evaluation
    from ..data.folder import DatasetFolder


def write(out: Path, evaluation: Evaluation) -> str:
    """Write the record and the predictions, where they were kept; which files these are, as text."""
    from ..records.evaluation import write_evaluation, write_record

    if evaluation.predictions is None:
        record, kept = write_record(out, evaluation.result), "none of all pairs: soco score, compare, submit need them"
    else:
        record, predictions = write_evaluation(out, evaluation.predictions, evaluation.result)
        kept = str(predictions)
    return f"record       {record}\npredictions  {kept}"


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
