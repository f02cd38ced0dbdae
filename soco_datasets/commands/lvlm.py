"""`soco lvlm run | judge | score | report | baseline | import | export`: vision-language models on SOCO."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer
from typer import Argument, Option

from ..utils.terminal import print_note, terminal_width
from . import LANGUAGE, lvlm_judge, lvlm_markers, lvlm_point, lvlm_report, lvlm_run
from .common import DataOption, JsonFlag, OverwriteFlag, RequiredOut, names, open_dataset
from .lvlm_options import MarkerOptions, PartialFlag
from .model_options import BackboneOptions
from .options import command, group

if TYPE_CHECKING:
    from ..data.folder import DatasetFolder

_STORES = ("none", "disk")


def add(app: typer.Typer) -> None:
    """Add the command and its own commands."""
    example = "soco lvlm run --model Qwen/Qwen2.5-VL-7B-Instruct --setting vis --out answers"
    help = "ask vision-language models multiple-choice questions, and score them"
    parts = group(app, "lvlm", help, example, LANGUAGE)
    lvlm_run.add(parts)
    lvlm_judge.add(parts)
    example = "soco lvlm score answers/MODEL/*.answers.jsonl --data soco --out scores.json"
    command(parts, run_score, "score", "score answers offline, deterministically", example)
    lvlm_report.add(parts)
    lvlm_markers.add(parts)
    lvlm_point.add(parts)
    example = "soco lvlm baseline --model dinov2_b14 --data soco --out answers"
    command(parts, run_baseline, "baseline", "answer by guessing (random, random++) or by a vision backbone", example)
    example = "soco lvlm import soco_lvlm_img.tsv soco_lvlm_imgtxt.tsv soco_lvlm_txt.tsv --out soco-lvlm"
    command(parts, run_import, "import", "read the released TSVs into a dataset folder", example)
    example = "soco lvlm export --data soco --setting vis --out tsv"
    command(parts, run_export, "export", "write questions for VLMEvalKit, or for lmms-eval and EvalScope", example)


@dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """Which answers are scored, and how."""

    answers: Annotated[
        list[Path],
        Argument(
            metavar="FILE...",
            help="answers files of one model, one per setting, or workbooks of VLMEvalKit (xlsx, tsv, csv)",
        ),
    ]
    setting: Annotated[
        str | None, Option(metavar="NAME", help="of a workbook whose name does not tell it: vis, vis_desc or desc")
    ] = None
    model: Annotated[
        str | None, Option(metavar="NAME", help="name of the model in a workbook", show_default="from the file's name")
    ] = None
    judged: Annotated[
        Path | None, Option(metavar="FILE", help="verdicts of a judge model (`soco lvlm judge`): a third parser")
    ] = None
    resamples: Annotated[int, Option(help="bootstrap resamples")] = 1000
    seed: Annotated[int, Option(help="random seed of the bootstrap")] = 0


def run_score(
    options: AnswerOptions,
    data: DataOption = None,
    partial: PartialFlag = False,
    out: Annotated[
        Path | None, Option(metavar="FILE", help="write the record here as JSON, its answers table beside it")
    ] = None,
    overwrite: OverwriteFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Score answers."""
    from ..errors import DataNotFoundError
    from ..lvlm.answer_files import load_answers
    from ..lvlm.answer_table import answers_table
    from ..lvlm.lvlm_record import record_from_answers, write_lvlm_evaluation
    from ..lvlm.provenance import answers_header
    from ..lvlm.question_rows import read_rows
    from ..lvlm.score_table import format_scores
    from ..lvlm.verdicts import load_judged
    from ..lvlm.workbooks import is_workbook

    for path in options.answers:
        if not path.exists():
            raise DataNotFoundError(
                f"{path}: no such file. Give the answers that `soco lvlm run` wrote, or a workbook."
            )
    folder = open_dataset(data)
    if any(is_workbook(path) for path in options.answers):
        headers, answers = _workbooks(options, folder)
    else:
        headers, answers = load_answers(options.answers, folder.content_hash)
    judged = None if options.judged is None else load_judged(options.judged, answers)
    header = answers_header(options.answers, headers, folder, judge=None if judged is None else judged.record)
    rows = [row for setting in header.settings for row in read_rows(folder, setting)]
    table = answers_table(header, rows, answers, None if judged is None else judged.letters)
    record = record_from_answers(table, partial=partial, resamples=options.resamples, seed=options.seed)
    if out is not None and write_lvlm_evaluation(out, table, record, overwrite=overwrite):
        print_note(f"replaced {out}")
    print(
        record.to_json() if as_json else format_scores(record.to_dict(), terminal_width()), end="" if as_json else "\n"
    )


def _workbooks(
    options: AnswerOptions, folder: DatasetFolder
) -> tuple[list[dict[str, Any]], dict[tuple[str, str], Any]]:
    """Headers and answers of workbooks, one per setting."""
    from ..errors import PredictionsError, UsageError
    from ..lvlm.question_rows import read_rows
    from ..lvlm.workbooks import is_workbook, workbook_answers, workbook_setting

    headers: list[dict[str, Any]] = []
    answers: dict[tuple[str, str], Any] = {}
    if options.setting is not None and len(options.answers) > 1:
        raise UsageError("--setting is for a single workbook.")
    for path in options.answers:
        if not is_workbook(path):
            raise UsageError(f"{path} is not a workbook; score answers files and workbooks separately.")
        setting = workbook_setting(path, options.setting)
        rows = read_rows(folder, setting)
        header, found = workbook_answers(path, setting, rows, folder.content_hash, options.model)
        if any(setting == other["setting"] for other in headers):
            raise PredictionsError(f"{path} is a second workbook of the setting {setting}: score one model at a time.")
        if headers and headers[0]["model"] != header["model"]:
            raise PredictionsError(
                f"{path} is of another model than {options.answers[0]} by its name; give --model NAME."
            )
        headers.append(header)
        answers |= found
    return headers, answers


@dataclass(frozen=True, kw_only=True)
class BaselineOptions:
    """How a baseline answers."""

    PANEL: ClassVar[str] = "Run"

    seed: Annotated[int, Option(help="random seed of guesses")] = 0
    convention: Annotated[str, Option(metavar="NAME", help="reference or centered", rich_help_panel="Protocol")] = (
        "reference"
    )
    store: Annotated[str, Option(metavar="NAME", help="none (no map is kept) or disk: evaluate's shared maps")] = "none"
    store_dir: Annotated[
        Path | None, Option(metavar="DIR", help="folder of --store disk", show_default="in SOCO_CACHE")
    ] = None


def run_baseline(
    model: BackboneOptions,
    options: BaselineOptions,
    out: RequiredOut,
    data: DataOption = None,
    overwrite: OverwriteFlag = False,
) -> None:
    """Answer without a language model."""
    from ..errors import unknown_name
    from ..features.cache.disk import default_directory
    from ..lvlm.answer_files import check_letters, write_letters
    from ..lvlm.baselines import GUESSERS, guess, match_candidates
    from ..lvlm.question_rows import read_rows, stored_settings

    if options.store not in _STORES:
        raise unknown_name("store", options.store, _STORES)
    folder = open_dataset(data)
    settings = stored_settings(folder)
    folder.check_intact(images=model.model in GUESSERS)  # other models read the images, which checks them
    rows = [row for setting in settings for row in read_rows(folder, setting)]
    described: dict[str, Any] = {"name": model.model, "kind": "baseline"}
    extractor = None if model.model in GUESSERS else model.load()
    if extractor is None:
        described["seed"] = options.seed
    else:
        described |= {"convention": options.convention, "backbone": extractor.describe()}
    place = out / Path(model.model).name
    if check_letters(place, described, folder.content_hash, settings, overwrite=overwrite):
        print_note(f"replacing the answers in {place}")
    if extractor is None:
        letters = guess(rows, model.model, options.seed)
    else:
        shared = options.store_dir or (default_directory() if options.store == "disk" else None)
        convention: Any = options.convention  # checked there
        letters = match_candidates(extractor, folder, rows, convention, store_dir=shared, workers=model.workers)
    for path in write_letters(place, described, folder.content_hash, rows, letters, overwrite=overwrite):
        print(path)


def run_import(
    files: Annotated[list[Path], Argument(metavar="FILE...", help="one TSV per setting")],
    out: RequiredOut,
    setting: Annotated[
        str | None,
        Option(metavar="NAME", help="vis, vis_desc or desc, for a file of another name than the released ones"),
    ] = None,
    overwrite: OverwriteFlag = False,
) -> None:
    """TSVs to a folder."""
    from ..lvlm.tsv_files import import_tsv

    manifest = import_tsv(files, out, setting=setting, overwrite=overwrite)
    for name, rows in manifest["counts"]["rows"]["lvlm"].items():
        print(f"{name:<10}{rows:>8,} rows")
    print(f"{manifest['counts']['images']:,} pictures; ask them with: soco lvlm run --data {out}")


def run_export(
    marker: MarkerOptions,
    out: RequiredOut,
    data: DataOption = None,
    setting: Annotated[
        str | None, Option(metavar="NAME,NAME", help="settings, comma-separated", show_default="all")
    ] = None,
    format: Annotated[
        Literal["tsv", "parquet"],
        Option(
            metavar="NAME",
            help="tsv: VLMEvalKit; parquet: lmms-eval, EvalScope and datasets, with a card and a task folder",
        ),
    ] = "tsv",
    overwrite: OverwriteFlag = False,
) -> None:
    """A folder to files of other kits."""
    from ..data.questions.markers import MarkerStyle
    from ..lvlm.kit_export import export_kits
    from ..lvlm.tsv_files import export_tsv

    settings = None if setting is None else names(setting)
    style = MarkerStyle(marker.marker, marker.marker_color)
    export = export_tsv if format == "tsv" else export_kits
    for path in export(open_dataset(data), out, settings, style, overwrite=overwrite):
        print(path)
