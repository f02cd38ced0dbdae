"""`soco evaluate`: one backbone on one dataset."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..utils.files import check_writable
from ..utils.paths import local_path
from .common import Commands, command
from .engine_options import add_engine_options, open_extractor
from .evaluate_options import configs_with, result_names, run_config, scoring_config, write
from .evaluate_several import run_several
from .model_options import add_model_options, add_overwrite, extractor_spec
from .paper_probe import probe_scoring, report_skipped, requested_probe
from .probe import check_probe, trained_probe

if TYPE_CHECKING:
    from ..benchmarks.tasks import Task
    from ..data.folder import DatasetFolder
    from ..features.extractor import DenseFeatureExtractor

_DATA = "built folders, benchmarks (see soco benchmarks) or mini, comma-separated (default: where load_dataset looks)"
_PROTOCOLS = "standard (default), paper (all of its tables), fast (soc at 0.1); the options below take precedence"
_SPLIT = "test (default) or another stored split; all: all pairs, streamed; gives a record but no predictions"
_STORE = "feature cache: auto (default), memory, disk (kept for the next run), none (two passes, least memory)"


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco evaluate --model facebook/dinov2-base --data soco-data --protocol paper --out results"
    parser = command(commands, "evaluate", "evaluate a backbone: PCK table, record, predictions", example)
    add_model_options(parser)
    parser.add_argument("--data", help=_DATA)
    parser.add_argument("--protocol", default="standard", help=_PROTOCOLS)
    parser.add_argument("--split", default="test", help=_SPLIT)
    parser.add_argument("--tasks", help="comma-separated, such as cc,soc,soc_soft,soc_geo,cross_soc")
    parser.add_argument("--no-probe", action="store_true", help="with --protocol paper: without the linear probe")
    parser.add_argument("--convention", help="reference or centered")
    parser.add_argument("--alphas", help="PCK thresholds, such as 0.1,0.05")
    parser.add_argument("--reductions", help="comma-separated: pair, keypoint, image")
    parser.add_argument("--normalizer", default="bbox", help="what errors are divided by: bbox (default) or image")
    parser.add_argument("--normaliser", dest="normalizer", help=argparse.SUPPRESS, default=argparse.SUPPRESS)
    parser.add_argument("--valid-area", action="store_true", help="never predict a cell that holds only padding")
    parser.add_argument("--soft-beta", type=float, default=0.02, help="temperature of soft tasks (default 0.02)")
    parser.add_argument("--soft-window", type=int, default=7, help="window of soft tasks (default 7, 0 = whole map)")
    parser.add_argument("--store", default="auto", help=_STORE)
    parser.add_argument(
        "--store-dir", type=local_path, help="folder of the stores of --store disk (default: in SOCO_CACHE)"
    )
    parser.add_argument("--skip-bad", action="store_true", help="skip images that do not decode, and count them")
    add_engine_options(parser)
    parser.add_argument("--out", type=local_path, default=Path("results"), help="folder for record and predictions")
    add_overwrite(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..benchmarks.resolve import data_names, resolve_data
    from ..data.folder import open_folder

    scoring, how = scoring_config(arguments), run_config(arguments)  # bad options fail before data and model are loaded
    requested_tasks(arguments)
    check_writable(arguments.out)
    if len(names := data_names(arguments.data)) > 1:
        run_several(arguments, names)
        return
    folder = open_folder(resolve_data(arguments.data))
    scoring = scoring_config(arguments, folder)
    tasks = requested_tasks(arguments, folder)
    probe = requested_probe(arguments, folder)
    from ..correspondence.evaluate import evaluate_backbone
    from ..reporting.terminal_tables import format_metrics_table

    with open_extractor(extractor_spec(arguments), how) as extractor:
        files = result_names(arguments, arguments.out, extractor, (folder, tasks, scoring))
        if probe is not None:
            check_probe(arguments, extractor.describe(), probe_scoring(scoring), probe)
        evaluation = evaluate_backbone(extractor, folder, tasks, scoring=scoring, run=how, split=arguments.split)
        result, written = evaluation.result, write(arguments.out, evaluation, files)
        print(format_metrics_table(result))
        bad = result.counts["bad_images"] if how.skip_bad else 0
        if bad:
            print(f"\nleft out: {result.counts['skipped_pairs']:,} pairs of {bad:,} images that do not decode")
        print(f"\n{written}")
        if probe is not None and bad:
            report_skipped("since there are images that do not decode")
        elif probe is not None:
            local = cast("DenseFeatureExtractor", extractor)
            trained = trained_probe(
                local, probe, arguments.out, scoring=probe_scoring(scoring), run=how, name=files.stem
            )
            print(f"\n{trained}")


def requested_tasks(arguments: argparse.Namespace, folder: DatasetFolder | None = None) -> tuple[Task, ...]:
    """The tasks of `--tasks`, or those of the preset that the data has pairs for; what is left out is reported.

    Without a folder the names are only checked.
    """
    from ..benchmarks.base import benchmark_of
    from ..benchmarks.tasks import get_tasks
    from ..correspondence.presets import get_preset, tasks_for

    preset = get_preset(arguments.protocol)
    stored = [] if folder is None else configs_with(folder, arguments.split)
    if arguments.tasks is not None or folder is None:
        return get_tasks(preset.tasks if arguments.tasks is None else arguments.tasks.split(","))
    available, absent = tasks_for(preset, stored, benchmark_of(folder))
    if absent:
        names = ", ".join(task.name for task in absent)
        configs = ", ".join(dict.fromkeys(task.config for task in absent))
        print(f"left out, since {folder.path} has no {configs}: {names}", file=sys.stderr)
    return available
