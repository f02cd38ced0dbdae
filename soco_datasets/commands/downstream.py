"""`soco downstream`: what else the same frozen features are good for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import typer
from typer import Argument, Option

from ..errors import UsageError
from ..utils.terminal import print_note, terminal_width
from . import DOWNSTREAM
from .common import OverwriteFlag
from .engine_options import DownstreamEngineOptions, open_mapper
from .model_options import BackboneOptions
from .options import command, group

if TYPE_CHECKING:
    from ..downstream.downstream_run import DownstreamRun, Report
    from ..downstream.run_options import RunOptions

_DATA = "KIND=DIR (repeat for several), or synth: small rendered data for every task, made once"
_PROTOCOL = "reference, standard, fixed ...: for all tasks that have it; or TASK=NAME,TASK=NAME"
_Kind = Annotated[str, Argument(metavar="KIND", help="kind of data set, such as ade20k")]
_SplitNames = Annotated[
    str | None, Option("--split-names", metavar="TRAIN,VAL", help="names of the training and validation split")
]


def add(app: typer.Typer) -> None:
    """Add the command and its own commands."""
    example = "soco downstream run --model tiny_dinov2 --tasks all --data synth --out downstream"
    help = "score frozen features on downstream tasks (table r8)"
    parts = group(app, "downstream", help, example, DOWNSTREAM)
    command(parts, run_list, "list", "list the tasks, their data and protocols", "soco downstream list")
    help = "report what is missing or odd in a data set; exit code 2 for errors"
    command(parts, run_check, "check", help, "soco downstream check ade20k ADEChallengeData2016")
    help = "process a released data set once"
    command(parts, run_prepare, "prepare", help, "soco downstream prepare imagenet3d ImageNet3D imagenet3d-small")
    help = "write a small synthetic release with exact truth"
    command(parts, run_synth, "synth", help, "soco downstream synth all synthetic")
    command(parts, run_tasks, "run", "run tasks with a model", example)
    example = "soco downstream score3d predictions.json ARKitScenes_test.json"
    command(parts, run_score3d, "score3d", "compute AP3D and AP2D of predictions in Omni3D's format", example)
    help = "print table r8 of records, beside the published values"
    command(parts, run_table, "table", help, "soco downstream table downstream --csv r8.csv")


def run_list() -> None:
    """List the tasks."""
    from ..downstream.task_registry import downstream_tasks

    for task in downstream_tasks().values():
        names = ", ".join(f"{name} (default)" if name == task.default else name for name in task.protocols)
        print(f"{task.name:18} {task.title}\n{'':18} data {task.data}; protocols {names}")


def run_check(
    name: _Kind,
    dir: Annotated[str, Argument(metavar="DIR", help="its folder, file or Hub id")],
    quick: Annotated[bool, Option(help="look at a sample only")] = False,
    split_names: _SplitNames = None,
) -> None:
    """Check a data set. Exits with 2 for errors."""
    from ..downstream.readers.base import DataOptions
    from ..downstream.readers.known_readers import open_data

    reader = open_data(name, dir, DataOptions(split_names=_two_names(split_names)))
    print(f"{reader.title}: layout {reader.layout}, content {reader.fingerprint[:12]}")
    expected = reader.expected_counts()
    for what, count in reader.counts().items():
        print(f"  {what:16} {count:>10,}" + (f"  of {expected[what]:,}" if what in expected else ""))
    findings = reader.check(deep=not quick)
    for finding in findings:
        print(f"  {finding}")
    errors = sum(one.severity == "error" for one in findings)
    if errors:
        raise UsageError(f"{dir} has {errors} errors, see above.")
    print("  no errors")


def run_prepare(
    name: Annotated[Literal["imagenet3d"], Argument(metavar="KIND", help="kind of data set: imagenet3d")],
    dir: Annotated[Path, Argument(metavar="DIR", help="the released form")],
    out: Annotated[Path, Argument(metavar="OUT", help="new folder")],
    overwrite: Annotated[bool, Option(help="replace the folder")] = False,
) -> None:
    """Process a released data set."""
    from ..downstream.readers.imagenet3d_reader import prepare_imagenet3d

    for what, count in prepare_imagenet3d(dir, out, overwrite).items():
        print(f"{what:12} {count:,}")


def run_synth(
    name: Annotated[str, Argument(metavar="KIND", help="kind of data set, or all")],
    dir: Annotated[Path, Argument(metavar="DIR", help="new folder")],
    seed: Annotated[int, Option(help="random seed of the scenes")] = 0,
) -> None:
    """Write a synthetic release."""
    from ..downstream.synthetic_data import synthesize

    for kind, folder in synthesize(name, dir, seed).items():
        print(f"{kind:12} {folder}")


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """Which tasks are run, on which data and how."""

    PANEL: ClassVar[str] = "Protocol"

    data: Annotated[list[str], Option(metavar="KIND=DIR", help=_DATA)]
    tasks: Annotated[str, Option(metavar="TASK,TASK", help="comma-separated, or all")] = "all"
    protocol: Annotated[str | None, Option(metavar="NAME", help=_PROTOCOL, show_default="each task's own")] = None
    subset: Annotated[
        int | None, Option(help="images of each split; stated in every number's name", show_default="all")
    ] = None
    seed: Annotated[int, Option(help="random seed of subsets and training")] = 0
    split_names: _SplitNames = None
    pairs: Annotated[Path | None, Option(metavar="FILE", help="NAVI: pairs of an earlier run (CSV)")] = None
    unchecked: Annotated[bool, Option(help="skip the check of the data")] = False


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """Where records and features are written."""

    PANEL: ClassVar[str] = "Output"

    out: Annotated[Path, Option(metavar="DIR", help="folder of records")] = Path("downstream")
    store_dir: Annotated[
        Path | None, Option(metavar="DIR", help="keep features here between runs", show_default="not kept")
    ] = None
    resume: Annotated[bool, Option(help="keep finished records and continue the rest")] = False
    overwrite: Annotated[bool, Option(help="replace records of other runs (data, subset, seed ...)")] = False
    dry_run: Annotated[bool, Option(help="report what would be read, forwarded and stored")] = False


def run_tasks(
    model: BackboneOptions, what: TaskOptions, output: RecordOptions, engine: DownstreamEngineOptions
) -> None:
    """Run tasks."""
    from ..downstream.downstream_run import DownstreamRun
    from ..downstream.side_by_side import downstream_units, report_of, run_units
    from ..downstream.task_registry import select_tasks

    if model.layer is not None or model.image_size != BackboneOptions.image_size:
        raise UsageError("Tasks have layers and input sizes of their own: --layer and --image-size do nothing here.")
    tasks = select_tasks(what.tasks)
    options = _options(model, what, output, engine.precision)
    data = _places(what.data, [task.data for task in tasks])
    spec, how = model.spec(), engine.config()
    run = DownstreamRun(spec.load(), tasks, data, options)
    for line in (*(f"left out, since no data is given: {name}" for name in run.skipped), *run.warnings):
        print_note(line)
    if output.dry_run:
        _print_plan(run)
    elif engine.jobs == 1 and how.engine == "local":
        _print_report(run.run())
    else:
        with open_mapper(how, jobs=engine.jobs, device=model.device) as mapper:
            if engine.jobs == 1:
                _print_report(run.run((mapper, spec)))
                return
            units = downstream_units(spec, tasks, data, options)
            _print_report(report_of([found for _, found in run_units(units, mapper)]))


def _options(model: BackboneOptions, what: TaskOptions, output: RecordOptions, precision: str) -> RunOptions:
    from ..downstream.run_options import RunOptions

    return RunOptions(
        out=output.out,
        protocols=protocols_of(what.protocol, synthetic="synth" in what.data),
        seed=what.seed,
        subset=what.subset,
        resume=output.resume,
        overwrite=output.overwrite,
        store=output.store_dir,
        workers=model.workers,
        memory_budget=model.budget(),
        split_names=_two_names(what.split_names),
        pairs=what.pairs,
        checked=not what.unchecked,
        precision=precision,
    )


def protocols_of(text: str | None, *, synthetic: bool = False) -> dict[str, str]:
    """Task -> protocol, "" for all others, of `--protocol`; tiny for synthetic data unless it says otherwise."""
    found: dict[str, str] = {"": "tiny"} if synthetic else {}
    for part in (text or "").split(","):
        task, equals, name = part.strip().partition("=")
        if task:
            found[task if equals else ""] = name if equals else task
    return found


def _two_names(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    names = tuple(text.split(","))
    if len(names) != 2 or not all(names):
        raise UsageError(f"--split-names takes two names, TRAIN,VAL; got {text!r}.")
    return names[0], names[1]


def _places(given: list[str], kinds: list[str]) -> dict[str, str | Path]:
    """Kind -> place."""
    from ..downstream.readers.known_readers import READERS
    from ..downstream.synthetic_data import SYNTH
    from ..errors import unknown_name

    found: dict[str, str | Path] = {}
    for one in given:
        if one == SYNTH:
            found |= {kind: SYNTH for kind in dict.fromkeys(kinds) if kind not in found}
            continue
        kind, equals, place = one.partition("=")
        if not equals or not place:
            raise UsageError(f"--data takes KIND=DIR or synth, got {one!r}. Kinds: {', '.join(READERS)}.")
        if kind not in READERS:
            raise unknown_name("data set", kind, READERS)
        found[kind] = place
    return found


def _print_plan(run: DownstreamRun) -> None:
    for row in run.describe():
        if "data" in row:
            size = row["stored"] / 1e6
            print(f"{row['data']}: {row['decodes']:,} decodes, {row['forwards']:,} forwards, {size:,.1f} MB stored")
        elif row["reason"]:
            print(f"  {row['task']}: no result, {row['reason']}")
        else:
            online = f", {row['online']:,} forwards in training" if row["online"] else ""
            print(f"  {row['task']}: protocol {row['protocol']}{online}")


def _print_report(report: Report) -> None:
    for name, record in report.records.items():
        kept = " (kept)" if name in report.kept else ""
        why = f"  no result: {record.reason}" if record.reason else ""
        print(f"{record.headline}{kept}{why}")
        for note in record.remarks:
            print(f"  {note}")
        print(f"  record {report.paths[name]}")


def run_score3d(
    predictions: Annotated[
        Path, Argument(metavar="PREDICTIONS", help="JSON list of the evaluator, or of instances by image")
    ],
    truth: Annotated[Path, Argument(metavar="TRUTH", help="Omni3D JSON, such as ARKitScenes_test.json")],
    category_ids: Annotated[
        str, Option(metavar="IDS", help="dataset or contiguous: ids of the predictions")
    ] = "dataset",
    model: Annotated[str | None, Option(metavar="NAME", help="name for the record", show_default="the file's")] = None,
    out: Annotated[
        Path | None, Option(metavar="DIR", help="folder for a record, which the table shows as foreign")
    ] = None,
    overwrite: OverwriteFlag = False,
) -> None:
    """Score predictions."""
    from ..downstream.score3d import format_ap3d, score_predictions, write_scores

    scores = score_predictions(predictions, truth, category_ids)
    print(format_ap3d(scores), end="")
    if out is not None:
        print(f"record  {write_scores(scores, model or predictions.stem, out, overwrite=overwrite)}")


def run_table(
    records: Annotated[list[str], Argument(metavar="PATH...", help="files or folders; SOC records add a column")],
    csv: Annotated[Path | None, Option(metavar="FILE", help="write a CSV for `soco correlate`")] = None,
    overwrite: Annotated[bool, Option(help="replace the CSV")] = False,
    no_published: Annotated[bool, Option(help="without the published values")] = False,
) -> None:
    """Print the table."""
    from ..downstream.table import downstream_table, find_records, format_table, table_csv
    from ..records.made_files import write_made

    table = downstream_table(find_records(records))
    print(format_table(table, not no_published, terminal_width()), end="")
    if csv is not None:
        write_made(csv.parent, {csv.name: table_csv(table)}, overwrite=overwrite)
        print(f"wrote  {csv}")
