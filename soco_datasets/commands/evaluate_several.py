"""`soco evaluate --data A,B,...`: several benchmarks in one run."""

from __future__ import annotations

from collections.abc import Sequence

from ..utils.terminal import filled, print_text, terminal_width
from .common import open_dataset
from .engine_options import open_extractor
from .evaluate_options import EvaluationPlan, requested_tasks, result_names, write
from .paper_probe import report_skipped


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
        BenchmarkRun(folder, requested_tasks(protocol, folder, several=True), protocol.scoring(folder), protocol.split)
        for folder in folders
    ]
    outs = [plan.output.out / label for label in result_labels(folders)]
    results = []
    with open_extractor(plan.model.spec(), how) as extractor:
        named = [result_names(plan, out, extractor, run) for out, run in zip(outs, runs, strict=True)]
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
