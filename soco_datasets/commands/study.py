"""`soco study`: SOC, other benchmarks and downstream tasks for a list of models, and what predicts what."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from .common import Commands, command
from .engine_options import add_engine_options, engine_config, open_mapper

if TYPE_CHECKING:
    from ..downstream.study import StudyModel, StudyResult


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco study --models models.csv --data soco=mini --data synth --out study"
    parser = command(commands, "study", "correlate SOC and kNN with downstream tasks over a list of models", example)
    parser.add_argument("--models", help="CSV (model, dense_ssl, doubt), or names with commas")
    parser.add_argument(
        "--data", action="append", default=[], help="soco=DIR, a benchmark NAME=DIR, KIND=DIR, or synth"
    )
    parser.add_argument("--tasks", default="all", help="downstream tasks, comma-separated, or all (default)")
    parser.add_argument("--tables", nargs="+", type=Path, help="CSV tables instead of, or besides, running models")
    parser.add_argument("--x", default="soc", help="column to correlate with every task (default soc)")
    parser.add_argument("--subset-models", help="the models with a dense self-supervised objective (with --tables)")
    parser.add_argument("--protocol", help="of the downstream tasks, as in `soco downstream run`")
    parser.add_argument("--subset", type=int, help="images of each split")
    parser.add_argument("--seed", type=int, default=0, help="of subsets and training (default 0)")
    parser.add_argument("--resamples", type=int, default=10_000, help="of the bootstrap (default 10000)")
    parser.add_argument("--image-size", type=int, default=800, help="of the correspondence tasks (default 800)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda")
    parser.add_argument("--precision", default="float32", help="of training heads on a GPU: float32 or bfloat16")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, each in a process (default 1)")
    add_engine_options(parser)
    parser.add_argument("--out", type=Path, default=Path("study"), help="folder")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..reporting.study_report import write_study_report
    from ..utils.files import check_writable

    if not arguments.models and not arguments.tables:
        raise UsageError("Give --models to run, or --tables with results.")
    check_writable(arguments.out)
    tables, subset = list(arguments.tables or []), _names(arguments.subset_models)
    if arguments.models:
        path, dense = _run_models(arguments)
        tables.append(path)
        subset += dense
    written, refusals = write_study_report(
        tables, arguments.out / "correlations", arguments.x, subset=subset, resamples=arguments.resamples
    )
    for sentence in refusals:
        print(sentence)
    for one in written:
        print(f"wrote  {one}")


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _run_models(arguments: argparse.Namespace) -> tuple[Path, list[str]]:
    """The table of the models' results, and the names of those in the subset."""
    from ..benchmarks.resolve import resolve_data
    from ..downstream.downstream_run import RunOptions
    from ..downstream.readers.known_readers import READERS
    from ..downstream.study import StudyOptions, read_models, run_study
    from ..downstream.synthetic_data import SYNTH
    from ..downstream.task_registry import select_tasks
    from ..features.spec import ExtractorSpec
    from .downstream import protocols_of

    models = read_models(arguments.models)
    tasks = select_tasks(arguments.tasks)
    data: dict[str, str | Path] = {}
    benchmarks: dict[str, Path] = {}
    for given in arguments.data:
        name, equals, place = given.partition("=")
        if given == SYNTH:
            data |= {task.data: SYNTH for task in tasks if task.data not in data}
        elif not equals:
            raise UsageError(f"--data takes NAME=DIR or synth, got {given!r}.")
        elif name in READERS:
            data[name] = place
        else:
            benchmarks[name] = resolve_data(place)

    protocols = protocols_of(arguments.protocol, synthetic=SYNTH in arguments.data)
    downstream = RunOptions(arguments.out, protocols, arguments.seed, arguments.subset, precision=arguments.precision)
    spec = ExtractorSpec("", arguments.image_size, options={"device": arguments.device})
    options = StudyOptions(benchmarks, data, tasks, downstream, spec)
    with open_mapper(engine_config(arguments), jobs=arguments.jobs, device=arguments.device) as mapper:
        result = run_study(models, options, print, mapper)
    return _write(arguments.out, models, result)


def _write(out: Path, models: list[StudyModel], result: StudyResult) -> tuple[Path, list[str]]:
    from ..downstream.table import downstream_table, format_table, table_csv
    from ..reporting.write_report import write_report
    from ..utils.files import atomic_write

    if not result.records:
        raise UsageError("No model gave a result: " + "; ".join(result.failures.values()))
    table = downstream_table(result.records)
    atomic_write(out / "r8.csv", table_csv(table))
    atomic_write(out / "r8.txt", format_table(table))
    print(format_table(table), end="")
    page = write_report(result.paths, out / "report")[0]
    print(f"wrote  {out / 'r8.csv'}\nwrote  {page}")
    for one in models:
        if one.doubt:
            print(f"{one.model}: in doubt whether it is of the subset: {one.doubt}")
    return out / "r8.csv", [result.names[one.model] for one in models if one.dense_ssl and one.model in result.names]
