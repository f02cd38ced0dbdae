"""`soco study`: SOC, other benchmarks and downstream tasks for a list of models, and what predicts what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer
from typer import Option

from ..errors import UsageError
from ..utils.terminal import terminal_width
from . import DOWNSTREAM
from .common import names
from .engine_options import DownstreamEngineOptions, open_mapper
from .options import command

if TYPE_CHECKING:
    from ..downstream.study import StudyModel, StudyOptions, StudyResult


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco study --models models.csv --data soco=mini --data synth --out study"
    help = "correlate SOC and kNN with downstream tasks over a list of models"
    command(app, run, "study", help, example, DOWNSTREAM)


_TABLE = "r8.csv"  # of the models' results, in the folder of the study


@dataclass(frozen=True, kw_only=True)
class ModelRuns:
    """Which models are run on what."""

    PANEL: ClassVar[str] = "Models"

    models: Annotated[
        str | None, Option(metavar="FILE", help="CSV (model, dense_ssl, doubt), or comma-separated names")
    ] = None
    data: Annotated[
        list[str] | None, Option(metavar="NAME=DIR", help="soco=DIR, a benchmark NAME=DIR, KIND=DIR, or synth")
    ] = None
    tasks: Annotated[str, Option(metavar="TASK,TASK", help="downstream tasks, comma-separated, or all")] = "all"
    protocol: Annotated[
        str | None, Option(metavar="NAME", help="of the downstream tasks, as in `soco downstream run`")
    ] = None
    subset: Annotated[int | None, Option(help="images of each split", show_default="all")] = None
    seed: Annotated[int, Option(help="random seed of subsets and training")] = 0
    image_size: Annotated[int, Option(help="of the correspondence tasks, in pixels")] = 800
    device: Annotated[str, Option(metavar="NAME", help="auto, cpu, cuda")] = "auto"


@dataclass(frozen=True, kw_only=True)
class ColumnOptions:
    """What is correlated."""

    PANEL: ClassVar[str] = "Correlation"

    tables: Annotated[
        list[Path] | None, Option(metavar="FILE...", help="CSV tables instead of, or besides, running models")
    ] = None
    x: Annotated[str, Option(metavar="COLUMN", help="column to correlate with every task")] = "soc"
    subset_models: Annotated[
        str | None,
        Option(metavar="MODEL,...", help="the models with a dense self-supervised objective (with --tables)"),
    ] = None
    resamples: Annotated[int, Option(help="bootstrap resamples")] = 10_000


def run(
    runs: ModelRuns,
    columns: ColumnOptions,
    engine: DownstreamEngineOptions,
    out: Annotated[Path, Option(metavar="DIR", help="folder for everything it writes")] = Path("study"),
    overwrite: Annotated[bool, Option(help="replace records of other runs (data, subset, seed ...)")] = False,
    dry_run: Annotated[bool, Option(help="only list what would be run; no model is loaded")] = False,
) -> None:
    """Run the models and correlate."""
    from ..downstream.study import table_inputs
    from ..records.made_files import check_made
    from ..reporting.study_report import write_study_report

    if not runs.models and not columns.tables:
        raise UsageError("Give --models to run, or --tables with results.")
    tables, subset = list(columns.tables or []), names(columns.subset_models)
    if runs.models:
        models, options = _options(runs.models, runs, engine, out, overwrite)
        if dry_run:
            _print_plan(models, options)
            return
        inputs = table_inputs(models, options)
        check_made(out, _TABLE, inputs, overwrite=overwrite)
        path, dense = _run_models(models, options, inputs, engine, runs.device)
        tables.append(path)
        subset += dense
    written, refusals = write_study_report(
        tables, out / "correlations", columns.x, subset=subset, resamples=columns.resamples, overwrite=overwrite
    )
    for sentence in refusals:
        print(sentence)
    for one in written:
        print(f"wrote  {one}")


def _options(
    listed: str, runs: ModelRuns, engine: DownstreamEngineOptions, out: Path, overwrite: bool
) -> tuple[list[StudyModel], StudyOptions]:
    from ..benchmarks.resolve import resolve_data
    from ..downstream.readers.known_readers import READERS
    from ..downstream.run_options import RunOptions
    from ..downstream.study import StudyOptions, read_models
    from ..downstream.synthetic_data import SYNTH
    from ..downstream.task_registry import select_tasks
    from ..features.spec import ExtractorSpec
    from .downstream import protocols_of

    models = read_models(listed)
    tasks = select_tasks(runs.tasks)
    data: dict[str, str | Path] = {}
    benchmarks: dict[str, Path] = {}
    for given in runs.data or ():
        name, equals, place = given.partition("=")
        if given == SYNTH:
            data |= {task.data: SYNTH for task in tasks if task.data not in data}
        elif not equals:
            raise UsageError(f"--data takes NAME=DIR or synth, got {given!r}.")
        elif name in READERS:
            data[name] = place
        else:
            benchmarks[name] = resolve_data(place, option=f"--data {name}=")

    protocols = protocols_of(runs.protocol, synthetic=SYNTH in (runs.data or ()))
    downstream = RunOptions(out, protocols, runs.seed, runs.subset, overwrite=overwrite, precision=engine.precision)
    spec = ExtractorSpec("", runs.image_size, options={"device": runs.device})
    return models, StudyOptions(benchmarks, data, tasks, downstream, spec)


def _print_plan(models: list[StudyModel], options: StudyOptions) -> None:
    from ..downstream.study import study_units

    for model, unit in study_units(models, options):
        print(f"{model.model}: {', '.join(unit.tasks) or 'correspondence'}, data {unit.what} = {unit.place}")
    for task in options.tasks:
        if task.data not in options.data:
            print(f"left out, since no data is given: {task.name} (--data {task.data}=DIR)")


def _run_models(
    models: list[StudyModel], options: StudyOptions, inputs: list[str], engine: DownstreamEngineOptions, device: str
) -> tuple[Path, list[str]]:
    """The table of the models' results, and the names of those in the subset."""
    from ..downstream.study import run_study

    with open_mapper(engine.config(), jobs=engine.jobs, device=device) as mapper:
        result = run_study(models, options, print, mapper)
    return _write(models, options, inputs, result)


def _write(
    models: list[StudyModel], options: StudyOptions, inputs: list[str], result: StudyResult
) -> tuple[Path, list[str]]:
    from ..downstream.table import downstream_table, format_table, table_csv
    from ..records.made_files import write_made
    from ..reporting.write_report import write_report

    if not result.records:
        raise UsageError("No model gave a result: " + "; ".join(result.failures.values()))
    table = downstream_table(result.records)
    out, overwrite = options.downstream.out, options.downstream.overwrite
    write_made(out, {_TABLE: table_csv(table), "r8.txt": format_table(table)}, inputs, overwrite=overwrite)
    print(format_table(table, width=terminal_width()), end="")
    data = ",".join(map(str, options.benchmarks.values())) or None
    page = write_report(result.paths, out / "report", data, overwrite=overwrite)[0]
    print(f"wrote  {out / _TABLE}\nwrote  {page}")
    for one in models:
        if one.doubt:
            print(f"{one.model}: in doubt whether it is of the subset: {one.doubt}")
    return out / _TABLE, [result.names[one.model] for one in models if one.dense_ssl and one.model in result.names]
