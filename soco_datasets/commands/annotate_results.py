"""`soco annotate aggregate | report | review | suggest`: what the answers come to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from .annotate_common import AtOption, ProjectOptions, moment
from .common import OverwriteFlag
from .model_options import BackboneOptions
from .options import command


def add(parts: typer.Typer) -> None:
    """Add the commands to `soco annotate`."""
    example = "soco annotate aggregate my-tools > consensus.json"
    command(parts, run_aggregate, "aggregate", "print each image's consensus as JSON", example)
    help = "write agreement, annotators and the worst images: JSON and HTML"
    command(parts, run_report, "report", help, "soco annotate report my-tools --out my-tools/report")
    help = "print the shares and kinds of the reviewers' corrections"
    command(parts, run_review, "review", help, "soco annotate review my-tools")
    example = "soco annotate suggest my-tools --model dinov2_b14 --hold-out 0.2"
    command(parts, run_suggest, "suggest", "pre-place points by matching the reference cards with a model", example)


def run_aggregate(project: ProjectOptions, at: AtOption = None) -> None:
    """Print the consensus."""
    with project.open() as bench:
        from ..annotation.report import aggregate_json
        from ..annotation.results import consensus_of

        with bench.database.reading() as session:
            results = consensus_of(session, bench.project, moment(at))
        print(json.dumps(aggregate_json(results), indent=1, allow_nan=False))


def run_report(
    project: ProjectOptions,
    out: Annotated[Path | None, Option(metavar="DIR", help="folder", show_default="report in the project")] = None,
    overwrite: OverwriteFlag = False,
    at: AtOption = None,
) -> None:
    """Write the report."""
    with project.open() as bench:
        from ..annotation.report import write_agreement_report

        for path in write_agreement_report(bench, out or project.project / "report", moment(at), overwrite=overwrite):
            print(path)


def run_review(project: ProjectOptions) -> None:
    """Print statistics of corrections."""
    with project.open() as bench:
        from ..annotation.review import correction_statistics

        with bench.database.reading() as session:
            print(json.dumps(correction_statistics(bench, session), indent=1))


def run_suggest(
    project: ProjectOptions,
    model: BackboneOptions,
    hold_out: Annotated[float, Option(help="fraction of images without suggestions")] = 0.2,
    seed: Annotated[int, Option(help="random seed of the choice of those images")] = 0,
) -> None:
    """Suggest points."""
    with project.open() as bench:
        from ..annotation.suggestions import add_suggestions

        extractor = model.load()
        counts = add_suggestions(bench, extractor, extractor.backbone.name, hold_out, seed)
        print(", ".join(f"{name}: {count}" for name, count in counts.items()))
