"""`soco lvlm point` and `soco lvlm point-baseline`: coordinates instead of letters, scored by PCK."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer
from typer import Option

from .common import DataOption, OverwriteFlag, RequiredOut, names, open_dataset
from .lvlm_options import AskingOptions, LvlmModel, MarkerOptions, QuestionOptions, asking_options
from .model_options import BackboneOptions
from .options import command

if TYPE_CHECKING:
    from ..correspondence.evaluate import Evaluation


def add(parts: typer.Typer) -> None:
    """Add the commands to `soco lvlm`."""
    example = "soco lvlm point --model Qwen/Qwen2.5-VL-7B-Instruct --data soco --setting vis --out answers"
    command(parts, run, "point", "ask for the corresponding point as coordinates, and score it by PCK", example)
    example = "soco lvlm point-baseline --model dinov2_b14 --data soco --out results"
    command(parts, run_point_baseline, "point-baseline", "evaluate a vision backbone on the same pairs", example)


@dataclass(frozen=True, kw_only=True)
class FrameOptions:
    """In which coordinates a model answers."""

    PANEL: ClassVar[str] = "Coordinates"

    frame: Annotated[
        str | None,
        Option(metavar="NAME", help="pixels, resized, thousandths, percent or unit", show_default="the model family's"),
    ] = None
    calibration: Annotated[
        int | None, Option(help="pictures of a dot that check the frame, 0 = none", show_default="16")
    ] = None


def run(
    model: LvlmModel,
    out: RequiredOut,
    questions: QuestionOptions,
    asking: AskingOptions,
    marker: MarkerOptions,
    frame: FrameOptions,
    overwrite: OverwriteFlag = False,
) -> None:
    """Ask a model to point."""
    from ..data.questions.markers import MarkerStyle
    from ..errors import UsageError
    from ..lvlm.point_run import CALIBRATION_DOTS, PointOptions, run_pointing
    from ..lvlm.question_rows import stored_settings

    if questions.protocol is not None or questions.template is not None:
        raise UsageError("Pointing has prompts of its own; leave out --protocol and --template.")
    folder = open_dataset(questions.data)
    chosen, ask = asking_options(model, questions, asking)
    options = PointOptions(
        settings=tuple(dict.fromkeys(questions.settings() or stored_settings(folder))),
        subset=questions.subset(),
        frame=frame.frame,
        dots=CALIBRATION_DOTS if frame.calibration is None else frame.calibration,
        style=MarkerStyle(marker.marker, marker.marker_color),
    )
    found = run_pointing(folder, chosen, out, ask, options, overwrite=overwrite)
    counts = found.evaluation.result.counts
    if found.calibration is not None:
        hits = found.calibration["hits"][found.frame]
        print(f"frame {found.frame}: {hits} of {found.calibration['dots']} dots found")
    print(f"answers without a point: {counts['parse_failures']} of {counts['keypoints']}")
    _write(found.folder, found.evaluation, overwrite)


def run_point_baseline(
    model: BackboneOptions,
    out: RequiredOut,
    data: DataOption = None,
    setting: Annotated[str, Option(metavar="NAME", help="whose task names the result gets")] = "vis",
    overwrite: OverwriteFlag = False,
) -> None:
    """Evaluate a backbone."""
    from ..lvlm.pointing import evaluate_backbone_on_points, point_tasks
    from ..records.evaluation import EvaluationResult
    from ..records.replacement import check_replaces_part
    from ..records.result_files import result_name

    folder = open_dataset(data)
    tasks = point_tasks(names(setting))
    extractor = model.load()
    known = {"content_hash": folder.content_hash, "tasks": [task.name for task in tasks]}
    record = out / f"{result_name(extractor.describe())}.json"
    check_replaces_part(record, EvaluationResult, known, overwrite=overwrite)
    _write(out, evaluate_backbone_on_points(extractor, folder, tuple(names(setting))), overwrite)


def _write(out: Path, evaluation: Evaluation, overwrite: bool) -> None:
    from ..records.evaluation import write_evaluation

    for task, reductions in evaluation.result.metrics.items():
        shown = ", ".join(
            f"PCK@{alpha} {100 * part['overall']['pck']:.1f}"
            for alpha, part in reductions["pair"].items()
            if part["overall"]["pck"] is not None
        )
        print(f"{task}: {shown}")
    for path in write_evaluation(out, evaluation.predictions, evaluation.result, overwrite=overwrite, checked=True):
        print(path)
