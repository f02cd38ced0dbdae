"""`soco evaluate`: one backbone on one dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from . import EVALUATE
from .common import FullFlag, OutputOptions, open_dataset
from .completion import complete_data
from .engine_options import EngineOptions, open_extractor
from .evaluate_options import EvaluationPlan, ProtocolOptions, StorageOptions, requested_tasks, result_names, write
from .evaluate_several import run_several
from .model_options import BackboneOptions
from .options import command
from .paper_probe import probe_scoring, report_skipped, requested_probe
from .probe import both_places, check_probe, written_probe

if TYPE_CHECKING:
    from ..data.folder import DatasetFolder

_DATA = "built folders, benchmarks (see soco benchmarks) or mini, comma-separated"
_Data = Annotated[
    str | None,
    Option(
        metavar="DIR",
        help=_DATA,
        show_default="where load_dataset looks",
        autocompletion=complete_data,
        rich_help_panel="Data",
    ),
]


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco evaluate --model facebook/dinov2-base --data soco --protocol paper --out results"
    command(app, run, "evaluate", "evaluate a backbone: PCK table, record, predictions", example, EVALUATE)


def run(
    model: BackboneOptions,
    protocol: ProtocolOptions,
    storage: StorageOptions,
    engine: EngineOptions,
    output: OutputOptions,
    data: _Data = None,
    full: FullFlag = False,
) -> None:
    """Evaluate on one data set, or on several."""
    from ..benchmarks.resolve import data_names

    plan = EvaluationPlan(model, protocol, storage, engine, output)
    protocol.scoring()  # bad options fail before data and model are loaded
    plan.run_config()
    requested_tasks(protocol)
    if len(names := data_names(data)) > 1:
        run_several(plan, names, full=full)
    else:
        _run_one(plan, open_dataset(data), full)


def _run_one(plan: EvaluationPlan, folder: DatasetFolder, full: bool) -> None:
    from ..correspondence.evaluate import evaluate_backbone
    from ..correspondence.probe_training import run_probe
    from ..correspondence.several import BenchmarkRun
    from ..reporting.terminal_summary import print_summary

    how, out = plan.run_config(), plan.output.out
    scoring, split = plan.protocol.scoring(folder), plan.protocol.split
    tasks = requested_tasks(plan.protocol, folder)
    probe = requested_probe(plan, folder)
    with open_extractor(plan.model.spec(), how) as extractor:
        files = result_names(plan, out, extractor, BenchmarkRun(folder, tasks, scoring, split))
        if probe is not None:
            check_probe(plan.qualifiers(), plan.output, extractor.describe(), probe, probe_scoring(scoring))
        evaluation = evaluate_backbone(extractor, folder, tasks, scoring=scoring, run=how, split=split)
        result, written = evaluation.result, write(out, evaluation, files)
        print_summary(result, full=full)
        bad = result.counts["bad_images"] if how.skip_bad else 0
        if bad:
            print(f"\nleft out: {result.counts['skipped_pairs']:,} pairs of {bad:,} images that do not decode")
        print(f"\n{written}")
        if probe is not None and bad:
            report_skipped("since there are images that do not decode")
        elif probe is not None:
            local, remote = both_places(extractor, plan.model)
            trained = run_probe(local, probe, scoring=probe_scoring(scoring), run=how, remote=remote)
            print(f"\n{written_probe(trained, plan.output, files.stem)}")
