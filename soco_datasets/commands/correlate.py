"""`soco correlate`: what predicts what over a table of models."""

from __future__ import annotations

import argparse
import csv
import json

from ..errors import UsageError
from ..utils.paths import local_path
from .common import Commands, command


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco correlate models.csv --x soc --baseline imagenet_knn --out correlations"
    parser = command(commands, "correlate", "correlate a score, and a baseline, with other tasks over models", example)
    parser.add_argument(
        "tables", nargs="+", type=local_path, metavar="TABLE", help="CSV: model names, then numbers; several are joined"
    )
    parser.add_argument("--x", required=True, help="the column to correlate with every task, or how its name begins")
    parser.add_argument("--baseline", help="a second column to compare it with")
    parser.add_argument("--tasks", help="only these columns, comma-separated (default: all others)")
    parser.add_argument("--models", help='only these models, comma-separated ("quotes" around a name with a comma)')
    parser.add_argument("--level", type=float, default=0.95, help="level of the intervals (default 0.95)")
    parser.add_argument("--resamples", type=int, default=10_000, help="bootstrap resamples (default 10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default 0)")
    parser.add_argument("--out", type=local_path, help="write tables, charts and the study as JSON into this folder")
    parser.add_argument("--json", action="store_true", help="print the study as JSON instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..metrics.correlation import correlate
    from ..metrics.model_table import read_model_table
    from ..reporting.correlation_report import format_study, write_study

    study = correlate(
        read_model_table(arguments.tables),
        arguments.x,
        arguments.baseline,
        tasks=_names("--tasks", arguments.tasks),
        models=_names("--models", arguments.models),
        level=arguments.level,
        resamples=arguments.resamples,
        seed=arguments.seed,
    )
    written = [] if arguments.out is None else write_study(study, arguments.out)
    if arguments.json:
        print(json.dumps(study.to_dict(), indent=2, ensure_ascii=False, allow_nan=False))
        return
    print(format_study(study), end="")
    for path in written:
        print(f"wrote  {path}")


def _names(option: str, text: str | None) -> list[str] | None:
    """Names separated by commas, in quotes where a name has one."""
    if text is None:
        return None
    names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), []) if name.strip()]
    if not names:
        raise UsageError(f"{option} takes names separated by commas; got {text!r}.")
    return names
