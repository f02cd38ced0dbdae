"""`soco annotate aggregate | report | review | suggest`: what the answers come to."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .annotate_common import moment, opened, project_command
from .common import Commands
from .model_options import add_model_options, load_extractor

_AT = "results as of this time, such as 2026-05-01T12:30 (UTC)"


def add(parts: Commands) -> None:
    """Add the commands."""
    example = "soco annotate aggregate my-tools > consensus.json"
    parser = project_command(parts, "aggregate", "print each image's consensus as JSON", example)
    parser.add_argument("--at", help=_AT)
    parser.set_defaults(run=run_aggregate)
    example = "soco annotate report my-tools --out my-tools/report"
    parser = project_command(
        parts, "report", "write agreement, annotators and the worst images: JSON and HTML", example
    )
    parser.add_argument("--out", type=Path, help="folder (default: report in the project)")
    parser.add_argument("--at", help=_AT)
    parser.set_defaults(run=run_report)
    example = "soco annotate review my-tools"
    parser = project_command(parts, "review", "print the shares and kinds of the reviewers' corrections", example)
    parser.set_defaults(run=run_review)
    example = "soco annotate suggest my-tools --model dinov2_b14 --hold-out 0.2"
    parser = project_command(parts, "suggest", "pre-place points by matching the reference cards with a model", example)
    add_model_options(parser)
    parser.add_argument("--hold-out", type=float, default=0.2, help="share of images that show none (default 0.2)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of those images (default 0)")
    parser.set_defaults(run=run_suggest)


def run_aggregate(arguments: argparse.Namespace) -> None:
    """Run it."""
    with opened(arguments) as bench:
        from ..annotation.report import aggregate_json
        from ..annotation.results import consensus_of

        with bench.database.reading() as session:
            results = consensus_of(session, bench.project, moment(arguments.at))
        print(json.dumps(aggregate_json(results), indent=1, allow_nan=False))


def run_report(arguments: argparse.Namespace) -> None:
    """Run it."""
    with opened(arguments) as bench:
        from ..annotation.report import write_agreement_report

        for path in write_agreement_report(bench, arguments.out or arguments.project / "report", moment(arguments.at)):
            print(path)


def run_review(arguments: argparse.Namespace) -> None:
    """Run it."""
    with opened(arguments) as bench:
        from ..annotation.review import correction_statistics

        with bench.database.reading() as session:
            print(json.dumps(correction_statistics(bench, session), indent=1))


def run_suggest(arguments: argparse.Namespace) -> None:
    """Run it."""
    with opened(arguments) as bench:
        from ..annotation.suggestions import add_suggestions

        extractor = load_extractor(arguments)
        counts = add_suggestions(bench, extractor, extractor.backbone.name, arguments.hold_out, arguments.seed)
        print(", ".join(f"{name}: {count}" for name, count in counts.items()))
