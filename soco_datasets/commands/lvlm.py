"""`soco lvlm run | judge | score | report | baseline | import | export`: vision-language models on SOCO."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..utils.paths import local_path
from . import lvlm_judge, lvlm_report, lvlm_run
from .common import Commands, command
from .model_options import add_model_options, load_extractor

if TYPE_CHECKING:
    from ..data.folder import DatasetFolder

_STORES = ("none", "disk")
_DATA = "dataset folder or 'mini' (default: as load_dataset('soco') finds it)"


def add(commands: Commands) -> None:
    """Add the command and its own commands to the parser."""
    example = "soco lvlm run --model Qwen/Qwen2.5-VL-7B-Instruct --setting vis --out answers"
    parser = command(commands, "lvlm", "ask vision-language models multiple-choice questions, and score them", example)
    parts = parser.add_subparsers(dest="part", metavar="COMMAND", required=True)
    lvlm_run.add(parts)
    lvlm_judge.add(parts)
    _add_score(parts)
    lvlm_report.add(parts)
    _add_baseline(parts)
    _add_import(parts)
    _add_export(parts)


def _add_score(parts: Commands) -> None:
    example = "soco lvlm score answers/MODEL/*.answers.jsonl --data soco-data --out scores.json"
    parser = command(parts, "score", "score the answers of a model; no network, the same bytes every time", example)
    parser.add_argument("answers", nargs="+", type=local_path, help="answers files of one model, one a setting")
    parser.add_argument("--data", help=_DATA)
    parser.add_argument("--partial", action="store_true", help="leave out questions that are not answered yet")
    parser.add_argument(
        "--judged", type=local_path, help="verdicts of a judge model (`soco lvlm judge`): a third parser"
    )
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default 0)")
    parser.add_argument("--out", type=local_path, help="write the record here as JSON, its answers table beside it")
    parser.add_argument("--json", action="store_true", help="print the record as JSON instead of a table")
    parser.set_defaults(run=run_score)


def _add_baseline(parts: Commands) -> None:
    example = "soco lvlm baseline --model dinov2_b14 --data soco-data --out answers"
    parser = command(parts, "baseline", "answer by guessing (random, random++) or by a vision backbone", example)
    add_model_options(parser)
    parser.add_argument("--data", help=_DATA)
    parser.add_argument("--seed", type=int, default=0, help="of guesses (default 0)")
    parser.add_argument("--convention", default="reference", help="reference (default) or centered")
    parser.add_argument(
        "--store", default="none", help="none (default: no map is kept) or disk: evaluate's shared maps"
    )
    parser.add_argument(
        "--store-dir", type=local_path, help="folder of the stores of --store disk (default: in SOCO_CACHE)"
    )
    parser.add_argument(
        "--out", type=local_path, required=True, help="folder for the answers, one folder a model in it"
    )
    parser.set_defaults(run=run_baseline)


def _add_import(parts: Commands) -> None:
    example = "soco lvlm import soco_lvlm_img.tsv soco_lvlm_imgtxt.tsv soco_lvlm_txt.tsv --out soco-lvlm"
    parser = command(parts, "import", "read the released TSVs into a dataset folder", example)
    parser.add_argument("files", nargs="+", type=local_path, metavar="FILE", help="one TSV a setting")
    parser.add_argument("--setting", help="vis, vis_desc or desc, for a file of another name than the released ones")
    parser.add_argument("--out", type=local_path, required=True, help="folder to make")
    parser.add_argument("--overwrite", action="store_true", help="replace --out when it is not empty")
    parser.set_defaults(run=run_import)


def _add_export(parts: Commands) -> None:
    example = "soco lvlm export --data soco-data --setting vis --out tsv"
    parser = command(parts, "export", "write questions as the TSVs that VLMEvalKit reads", example)
    parser.add_argument("--data", help=_DATA)
    parser.add_argument("--setting", help="settings, comma-separated (default: all)")
    parser.add_argument("--marker", default="arrow", help="arrow (default), circle, cross or square")
    parser.add_argument("--marker-color", default="red", help="red (default), blue, yellow, purple or green")
    parser.add_argument("--out", type=local_path, required=True, help="folder for the files")
    parser.set_defaults(run=run_export)


def run_score(arguments: argparse.Namespace) -> None:
    """Score answers."""
    from ..lvlm.answer_files import load_answers
    from ..lvlm.answer_table import answers_table
    from ..lvlm.lvlm_record import record_from_answers, write_lvlm_evaluation
    from ..lvlm.provenance import answers_header
    from ..lvlm.question_rows import read_rows
    from ..lvlm.score_table import format_scores
    from ..lvlm.verdicts import load_judged

    folder = _folder(arguments.data)
    headers, answers = load_answers(arguments.answers, folder.content_hash)
    judged = None if arguments.judged is None else load_judged(arguments.judged, answers)
    header = answers_header(arguments.answers, headers, folder, judge=None if judged is None else judged.record)
    rows = [row for setting in header.settings for row in read_rows(folder, setting)]
    table = answers_table(header, rows, answers, None if judged is None else judged.letters)
    record = record_from_answers(table, partial=arguments.partial, resamples=arguments.resamples, seed=arguments.seed)
    if arguments.out is not None:
        write_lvlm_evaluation(arguments.out, table, record)
    print(record.to_json() if arguments.json else format_scores(record.to_dict()), end="" if arguments.json else "\n")


def run_baseline(arguments: argparse.Namespace) -> None:
    """Answer without a language model."""
    from ..errors import unknown_name
    from ..features.cache.disk import default_directory
    from ..lvlm.answer_files import write_letters
    from ..lvlm.baselines import GUESSERS, guess, match_candidates
    from ..lvlm.question_rows import read_rows, stored_settings

    if arguments.store not in _STORES:
        raise unknown_name("store", arguments.store, _STORES)
    folder = _folder(arguments.data)
    rows = [row for setting in stored_settings(folder) for row in read_rows(folder, setting)]
    model: dict[str, Any] = {"name": arguments.model, "kind": "baseline"}
    if arguments.model in GUESSERS:
        letters = guess(rows, arguments.model, arguments.seed)
        model["seed"] = arguments.seed
    else:
        extractor = load_extractor(arguments)
        shared = arguments.store_dir or (default_directory() if arguments.store == "disk" else None)
        letters = match_candidates(
            extractor, folder, rows, arguments.convention, store_dir=shared, workers=arguments.workers
        )
        model |= {"convention": arguments.convention, "backbone": extractor.describe()}
    out = arguments.out / Path(arguments.model).name
    for path in write_letters(out, model, folder.content_hash, rows, letters):
        print(path)


def run_import(arguments: argparse.Namespace) -> None:
    """TSVs to a folder."""
    from ..lvlm.tsv_files import import_tsv

    manifest = import_tsv(arguments.files, arguments.out, setting=arguments.setting, overwrite=arguments.overwrite)
    for setting, rows in manifest["counts"]["rows"]["lvlm"].items():
        print(f"{setting:<10}{rows:>8,} rows")
    print(f"{manifest['counts']['images']:,} pictures; ask them with: soco lvlm run --data {arguments.out}")


def run_export(arguments: argparse.Namespace) -> None:
    """A folder to TSVs."""
    from ..data.questions.markers import MarkerStyle
    from ..lvlm.tsv_files import export_tsv

    settings = None if arguments.setting is None else [name.strip() for name in arguments.setting.split(",")]
    style = MarkerStyle(arguments.marker, arguments.marker_color)
    for path in export_tsv(_folder(arguments.data), arguments.out, settings, style):
        print(path)


def _folder(data: str | None) -> DatasetFolder:
    from ..benchmarks.resolve import resolve_data
    from ..data.folder import open_folder

    return open_folder(resolve_data(data))
