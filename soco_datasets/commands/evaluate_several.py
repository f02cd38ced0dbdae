"""`soco evaluate --data A,B,...`: several benchmarks in one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..utils.terminal import filled, print_note, print_text, terminal_width
from .common import open_dataset
from .engine_options import open_extractor
from .evaluate_options import EvaluationPlan, ProtocolOptions, configs_with, result_names, write
from .paper_probe import report_skipped

if TYPE_CHECKING:
    from ..benchmarks.base import Task
    from ..data.folder import DatasetFolder


def run_several(plan: EvaluationPlan, names: Sequence[str], *, full: bool = False) -> None:
    """Evaluate on each, write one record per benchmark into a folder of its own, and print one table of all."""
    from ..correspondence.presets import get_preset
    from ..correspondence.several import BenchmarkRun, evaluate_several, result_labels
    from ..reporting.benchmark_tables import benchmark_table
    from ..reporting.terminal_summary import print_summary
    from ..utils.text_table import BEST, TextTable

    how, protocol = plan.run_config(), plan.protocol
    folders = [open_dataset(name) for name in names]
    if get_preset(protocol.protocol).probe and not protocol.no_probe:
        report_skipped("since several data sets are evaluated")
    runs = [
        BenchmarkRun(folder, _tasks(protocol, folder), protocol.scoring(folder), protocol.split) for folder in folders
    ]
    outs = [plan.output.out / label for label in result_labels(folders)]
    results = []
    with open_extractor(plan.model.spec(), how) as extractor:
        named = [
            result_names(plan, out, extractor, (run.folder, run.tasks, run.scoring))
            for out, run in zip(outs, runs, strict=True)
        ]
        for out, files, evaluation in zip(outs, named, evaluate_several(extractor, runs, how), strict=True):
            written = write(out, evaluation, files)
            results.append(evaluation.result)
            counts = evaluation.result.counts
            print_summary(evaluation.result, full=full)
            print(f"images {counts['images']:,}, forwards {counts['forwards']:,}, reused {counts.get('reused', 0):,}")
            if how.skip_bad and counts["bad_images"]:
                print(
                    f"left out: {counts['skipped_pairs']:,} pairs of {counts['bad_images']:,} images that do not decode"
                )
            print(f"{written}\n")
    table = benchmark_table(results)
    rows = [[column.name for column in table.columns], *table.texts("-")]
    print_text(table.title, style=BEST)
    TextTable(rows).print()
    print_text(filled(table.note, terminal_width()), end="")


def _tasks(protocol: ProtocolOptions, folder: DatasetFolder) -> tuple[Task, ...]:
    """Those of `--tasks` that the benchmark of the folder has pairs for, else the ones of a run on it alone."""
    from ..benchmarks.base import benchmark_of
    from ..benchmarks.tasks import get_tasks
    from ..correspondence.presets import get_preset, tasks_for

    benchmark, stored = benchmark_of(folder), configs_with(folder, protocol.split)
    if protocol.tasks is None:
        available, absent = tasks_for(get_preset(protocol.protocol), stored, benchmark)
        names = [task.name for task in absent]
    else:
        wanted = [task.name for task in get_tasks(protocol.tasks.split(","))]
        available = tuple(task for name in wanted for task in benchmark.tasks if task.name == name)
        available = tuple(task for task in available if task.config in stored)
        names = [name for name in wanted if name not in {task.name for task in available}]
    if not available:
        raise UsageError(
            f"{folder.path} ({benchmark.title}) has no pairs for any of the tasks {protocol.tasks}. Its tasks: "
            f"{', '.join(task.name for task in benchmark.tasks if task.config in stored)}."
        )
    if names:
        print_note(f"left out, since {folder.path} has no pairs for them: {', '.join(names)}")
    return available
