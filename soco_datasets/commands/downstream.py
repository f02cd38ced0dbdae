"""`soco downstream`: what else the same frozen features are good for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from .common import Commands, command
from .engine_options import add_engine_options, engine_config, open_mapper
from .model_options import add_model_options, extractor_spec, memory_budget

if TYPE_CHECKING:
    from ..downstream.downstream_run import DownstreamRun, Report, RunOptions

_DATA = "KIND=DIR (repeat for several), or synth: small rendered data for every task, made once"
_PROTOCOL = "reference, standard, fixed ...: for all tasks that have it; or TASK=NAME,TASK=NAME"


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco downstream run --model dense_sift --tasks all --data synth --out downstream"
    parser = command(commands, "downstream", "score frozen features on downstream tasks (table r8)", example)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="the tasks, their data and protocols")
    listed.set_defaults(run=_list)
    check = actions.add_parser("check", help="what is missing or odd in a data set; exit code 2 for errors")
    check.add_argument("name", help="kind of data set, such as ade20k")
    check.add_argument("dir", help="its folder, file or Hub id")
    check.add_argument("--quick", action="store_true", help="look at a sample only")
    check.add_argument("--split-names", help="TRAIN,VAL")
    check.set_defaults(run=_check)
    prepare = actions.add_parser("prepare", help="process a released data set once")
    prepare.add_argument("name", choices=("imagenet3d",), help="kind of data set")
    prepare.add_argument("dir", type=Path, help="the released form")
    prepare.add_argument("out", type=Path, help="new folder")
    prepare.add_argument("--overwrite", action="store_true", help="replace the folder")
    prepare.set_defaults(run=_prepare)
    synth = actions.add_parser("synth", help="write a small synthetic release with exact truth")
    synth.add_argument("name", help="kind of data set, or all")
    synth.add_argument("dir", type=Path, help="new folder")
    synth.add_argument("--seed", type=int, default=0, help="of the scenes (default 0)")
    synth.set_defaults(run=_synth)
    _add_run(actions.add_parser("run", help="run tasks with a model"))
    score = actions.add_parser("score3d", help="AP3D and AP2D of anybody's predictions in Omni3D's format")
    score.add_argument("predictions", type=Path, help="JSON list of the evaluator, or of instances by image")
    score.add_argument("truth", type=Path, help="Omni3D JSON, such as ARKitScenes_test.json")
    score.add_argument("--category-ids", default="dataset", help="dataset (default) or contiguous: ids of predictions")
    score.add_argument("--model", help="name for the record")
    score.add_argument("--out", type=Path, help="folder for a record, which the table shows as foreign")
    score.set_defaults(run=_score3d)
    table = actions.add_parser("table", help="table r8 of records, beside the published values")
    table.add_argument("records", nargs="+", help="files or folders; SOC records add a column")
    table.add_argument("--csv", type=Path, help="write a CSV for `soco correlate`")
    table.add_argument("--no-published", action="store_true", help="without the published values")
    table.set_defaults(run=_table)


def _add_run(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument("--tasks", default="all", help="comma-separated, or all (default)")
    parser.add_argument("--data", action="append", required=True, help=_DATA)
    parser.add_argument("--protocol", help=_PROTOCOL)
    parser.add_argument("--subset", type=int, help="images of each split; said in every number's name")
    parser.add_argument("--seed", type=int, default=0, help="of subsets and training (default 0)")
    parser.add_argument("--split-names", help="names of the training and validation split, TRAIN,VAL")
    parser.add_argument("--pairs", type=Path, help="NAVI: pairs of an earlier run (CSV)")
    parser.add_argument("--store-dir", type=Path, help="keep features here between runs (default: not kept)")
    parser.add_argument("--resume", action="store_true", help="keep finished records, continue what was begun")
    parser.add_argument("--dry-run", action="store_true", help="say what would be read, forwarded and stored")
    parser.add_argument("--unchecked", action="store_true", help="without the check of the data")
    parser.add_argument("--precision", default="float32", help="of training heads on a GPU: float32 or bfloat16")
    parser.add_argument("--jobs", type=int, default=1, help="data sets side by side, each in a process (default 1)")
    add_engine_options(parser)
    parser.add_argument("--out", type=Path, default=Path("downstream"), help="folder for records")
    parser.set_defaults(run=_run)


def _list(arguments: argparse.Namespace) -> None:
    from ..downstream.task_registry import downstream_tasks

    for task in downstream_tasks().values():
        names = ", ".join(f"{name} (default)" if name == task.default else name for name in task.protocols)
        print(f"{task.name:18} {task.title}\n{'':18} data {task.data}; protocols {names}")


def _check(arguments: argparse.Namespace) -> None:
    from ..downstream.readers.base import DataOptions
    from ..downstream.readers.known_readers import open_data

    options = DataOptions(split_names=_split_names(arguments.split_names))
    reader = open_data(arguments.name, arguments.dir, options)
    print(f"{reader.title}: layout {reader.layout}, content {reader.fingerprint[:12]}")
    expected = reader.expected_counts()
    for what, count in reader.counts().items():
        print(f"  {what:16} {count:>10,}" + (f"  of {expected[what]:,}" if what in expected else ""))
    findings = reader.check(deep=not arguments.quick)
    for finding in findings:
        print(f"  {finding}")
    errors = sum(one.severity == "error" for one in findings)
    if errors:
        raise UsageError(f"{arguments.dir} has {errors} errors, see above.")
    print("  no errors")


def _prepare(arguments: argparse.Namespace) -> None:
    from ..downstream.readers.imagenet3d_reader import prepare_imagenet3d

    for what, count in prepare_imagenet3d(arguments.dir, arguments.out, arguments.overwrite).items():
        print(f"{what:12} {count:,}")


def _synth(arguments: argparse.Namespace) -> None:
    from ..downstream.synthetic_data import synthesize

    for kind, folder in synthesize(arguments.name, arguments.dir, arguments.seed).items():
        print(f"{kind:12} {folder}")


def _run(arguments: argparse.Namespace) -> None:
    from ..downstream.downstream_run import DownstreamRun
    from ..downstream.side_by_side import downstream_units, report_of, run_units
    from ..downstream.task_registry import select_tasks

    tasks = select_tasks(arguments.tasks)
    options = _options(arguments)
    data = _places(arguments.data, [task.data for task in tasks])
    spec, how = extractor_spec(arguments), engine_config(arguments)
    run = DownstreamRun(spec.load(), tasks, data, options)
    for name in run.skipped:
        print(f"left out, since no data is given: {name}", file=sys.stderr)
    for warning in run.warnings:
        print(warning, file=sys.stderr)
    if arguments.dry_run:
        _print_plan(run)
    elif arguments.jobs > 1:
        with open_mapper(how, jobs=arguments.jobs, device=arguments.device) as mapper:
            units = downstream_units(spec, tasks, data, options)
            _print_report(report_of([found for _, found in run_units(units, mapper)]))
    elif how.engine == "local":
        _print_report(run.run())
    else:
        with open_mapper(how, device=arguments.device) as mapper:
            _print_report(run.run((mapper, spec)))


def _options(arguments: argparse.Namespace) -> RunOptions:
    from ..downstream.downstream_run import RunOptions

    protocols = protocols_of(arguments.protocol, synthetic="synth" in arguments.data)
    return RunOptions(
        out=arguments.out,
        protocols=protocols,
        seed=arguments.seed,
        subset=arguments.subset,
        resume=arguments.resume,
        store=arguments.store_dir,
        workers=arguments.workers,
        memory_budget=memory_budget(arguments),
        split_names=_split_names(arguments.split_names),
        pairs=arguments.pairs,
        checked=not arguments.unchecked,
        precision=arguments.precision,
    )


def protocols_of(text: str | None, *, synthetic: bool = False) -> dict[str, str]:
    """Task -> protocol, "" for all others, of `--protocol`; tiny for synthetic data unless it says otherwise."""
    found: dict[str, str] = {"": "tiny"} if synthetic else {}
    for part in (text or "").split(","):
        task, equals, name = part.strip().partition("=")
        if task:
            found[task if equals else ""] = name if equals else task
    return found


def _split_names(text: str | None) -> tuple[str, str] | None:
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


def _score3d(arguments: argparse.Namespace) -> None:
    from ..downstream.score3d import format_ap3d, score_predictions, write_scores

    scores = score_predictions(arguments.predictions, arguments.truth, arguments.category_ids)
    print(format_ap3d(scores), end="")
    if arguments.out is not None:
        name = arguments.model or arguments.predictions.stem
        print(f"record  {write_scores(scores, name, arguments.out)}")


def _table(arguments: argparse.Namespace) -> None:
    from ..downstream.table import downstream_table, find_records, format_table, table_csv
    from ..utils.files import atomic_write

    table = downstream_table(find_records(arguments.records))
    print(format_table(table, not arguments.no_published), end="")
    if arguments.csv is not None:
        atomic_write(arguments.csv, table_csv(table))
        print(f"wrote  {arguments.csv}")
