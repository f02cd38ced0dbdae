"""`soco correlate`: what predicts what over a table of models."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from ..errors import UsageError
from ..utils.terminal import terminal_width
from . import EVALUATE
from .common import JsonFlag, OverwriteFlag
from .options import command

if TYPE_CHECKING:
    from ..metrics.correlation import CorrelationStudy

_TABLES = "CSV: model names, then numbers; or result records of any benchmarks (.json); several are joined"


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco correlate models.csv --x soc --baseline imagenet_knn --out correlations"
    help = "correlate a score, and a baseline, with other tasks over models"
    command(app, run, "correlate", help, example, EVALUATE)


@dataclass(frozen=True, kw_only=True)
class CorrelationOptions:
    """What is correlated with what."""

    tables: Annotated[list[Path], Argument(metavar="TABLE...", help=_TABLES)]
    x: Annotated[str, Option(metavar="COLUMN", help="the column to correlate with every task, or how its name begins")]
    baseline: Annotated[str | None, Option(metavar="COLUMN", help="a second column to compare it with")] = None
    tasks: Annotated[str | None, Option(metavar="COLUMN,...", help="only these columns", show_default="all others")] = (
        None
    )
    models: Annotated[
        str | None, Option(metavar="MODEL,...", help='only these models ("quotes" around a name with a comma)')
    ] = None
    level: Annotated[float, Option(help="level of the intervals")] = 0.95
    resamples: Annotated[int, Option(help="bootstrap resamples")] = 10_000
    seed: Annotated[int, Option(help="random seed of the bootstrap")] = 0


def run(
    options: CorrelationOptions,
    out: Annotated[
        Path | None, Option(metavar="DIR", help="write tables, charts and the study as JSON into this folder")
    ] = None,
    overwrite: OverwriteFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Correlate them."""
    from ..reporting.correlation_report import format_study, write_study

    study = _study(options)
    written = [] if out is None else write_study(study, out, overwrite=overwrite)
    if as_json:
        print(json.dumps(study.to_dict(), indent=2, ensure_ascii=False, allow_nan=False))
        return
    print(format_study(study, terminal_width()), end="")
    for path in written:
        print(f"wrote  {path}")


def _study(options: CorrelationOptions) -> CorrelationStudy:
    from ..metrics.correlation import ModelBootstrap, correlate
    from ..metrics.model_table import join_tables, read_model_table
    from ..records.evaluation import EvaluationResult
    from ..reporting.benchmark_tables import record_model_table

    records = [path for path in options.tables if path.suffix == ".json"]
    tables = [path for path in options.tables if path.suffix != ".json"]
    parts = {"the tables": read_model_table(tables)} if tables else {}
    if records:
        parts["the records"] = record_model_table([EvaluationResult.read(path) for path in records])
    return correlate(
        join_tables(parts),
        options.x,
        options.baseline,
        tasks=_names("--tasks", options.tasks),
        models=_names("--models", options.models),
        bootstrap=ModelBootstrap(options.level, options.resamples, options.seed),
    )


def _names(option: str, text: str | None) -> list[str] | None:
    """Names separated by commas, in quotes where a name has one."""
    if text is None:
        return None
    names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), []) if name.strip()]
    if not names:
        raise UsageError(f"{option} takes names separated by commas; got {text!r}.")
    return names
