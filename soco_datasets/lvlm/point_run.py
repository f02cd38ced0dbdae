"""Ask a model to point: calibrate its coordinate frame, ask the questions, score them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.folder import DatasetFolder
from ..data.questions.markers import MarkerStyle
from ..errors import SocoError, UsageError
from ..records.evaluation import EvaluationResult
from ..records.replacement import check_replaces_part
from ..records.result_files import result_name
from ..utils.files import atomic_write
from ..utils.foreign import read_json_text
from ..utils.paths import local_path
from .answer_store import read_answers
from .ask_options import AskOptions
from .model_choice import ModelOptions, folder_name, kept_loaded
from .point_answers import ResizeLimits, declared_frame, frame_of
from .point_calibration import calibrate, calibration_questions
from .pointing import PointAnswers, point_questions, score_points
from .prompted import PromptedQuestions
from .run import RunResult, run_questions
from .subsets import SubsetOptions, question_subset

if TYPE_CHECKING:
    from ..correspondence.evaluate import Evaluation

CALIBRATION_DOTS = 16


@dataclass(frozen=True)
class PointOptions:
    """What is asked.

    Attributes:
        settings: of `generation.SETTINGS`.
        subset: which questions.
        frame: of `point_answers.FRAMES`; None = as declared for the model's family.
        dots: pictures of a drawn dot that check the frame; 0 = none.
        style: of the marker of the source.
    """

    settings: tuple[str, ...] = ("vis", "vis_desc", "desc")
    subset: SubsetOptions = field(default_factory=SubsetOptions)
    frame: str | None = None
    dots: int = CALIBRATION_DOTS
    style: MarkerStyle = field(default_factory=MarkerStyle)

    def __post_init__(self) -> None:
        if self.frame is not None:
            frame_of(self.frame)
        if self.dots < 0:
            raise UsageError(f"--calibration is at least 0; got {self.dots}.")


@dataclass(frozen=True)
class PointRun:
    """The result of pointing.

    Attributes:
        evaluation: predictions and record, as of `soco evaluate`.
        frame: how the numbers were read.
        calibration: see `point_calibration.calibrate`; None where there was none.
        folder: where answers and records are.
    """

    evaluation: Evaluation
    frame: str
    calibration: Mapping[str, Any] | None
    folder: Path


def point_record(out: Path, model: str) -> Path:
    """Where the record of a model's points is: in `OUT/pointing/MODEL`."""
    name = folder_name(model)
    return out / "pointing" / name / f"{result_name({'name': name})}.json"


def run_pointing(
    folder: DatasetFolder,
    model: ModelOptions,
    out: Path,
    asking: AskOptions,
    options: PointOptions,
    *,
    overwrite: bool = False,
) -> PointRun:
    """Calibrate, ask and score; answers are kept in `OUT/pointing/MODEL`, and a run resumes as others do.

    The frame is the given one, else that of the model's family; where the calibration contradicts the family's, the one
    it finds is used instead. A given frame that it contradicts is an error.

    Args:
        folder: a built folder.
        model, asking: as of `run.run_questions`.
        out: gets the answers.
        options: what is asked.
        overwrite: there may be a record of other data, settings or questions, which will be replaced.

    Raises:
        As `run.run_questions`; UsageError also where there is such a record, before anything is asked; SocoError also
        where questions stay unanswered, or the calibration contradicts the frame that was given.
    """
    own = out / "pointing"
    declared = options.frame or declared_frame(model.model, _model_type(model))
    questions = _questions_sha256(folder, options, declared)
    known = {
        "content_hash": folder.content_hash,
        "tasks": tuple(f"point_{name}" for name in options.settings),
        "questions": questions or "",
    }
    check_replaces_part(point_record(out, model.model), EvaluationResult, known, overwrite=overwrite)
    calibration = None
    with kept_loaded(model):
        frame = declared
        if options.dots:
            dots = calibration_questions(options.dots, declared, folder.content_hash)
            (result,) = run_questions([dots], model, own, asking)
            _check_complete([result])
            sizes, limits = _geometry(result.record, asking)
            texts = _texts(result, dots)
            calibration = calibrate([texts.get(row["question_id"]) for row in dots.rows], declared, sizes, limits)
            frame = _chosen_frame(calibration, options.frame)
            atomic_write(result.answers.with_name("calibration.json"), json.dumps(calibration, indent=2) + "\n")
        asked = [
            question_subset(point_questions(folder, name, frame, options.style), options.subset)
            for name in options.settings
        ]
        results = run_questions(asked, model, own, asking)
    _check_complete(results)
    sizes, limits = _geometry(results[0].record, asking)
    answers = [
        PointAnswers(part, _texts(result, part), frame, sizes, limits)
        for part, result in zip(asked, results, strict=True)
    ]
    record = results[0].record
    described = {**record["model"], "name": folder_name(model.model), "kind": "vision-language model", "frame": frame}
    described["calibration"] = None if calibration is None else dict(calibration)
    described["asked"] = record["asked"]
    if questions is not None:
        described["questions_sha256"] = questions
    evaluation = score_points(folder, answers, described, record["versions"])
    return PointRun(evaluation, frame, calibration, own / folder_name(model.model))


def _questions_sha256(folder: DatasetFolder, options: PointOptions, frame: str) -> str | None:
    """Of the ids of the questions asked, None where all are."""
    ids: list[str] = []
    whole = True
    for setting in options.settings:
        every = point_questions(folder, setting, frame, options.style)
        part = question_subset(every, options.subset)
        whole &= len(part) == len(every)
        ids += [f"{setting} {row['question_id']}" for row in part.rows]
    return None if whole else hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def _chosen_frame(calibration: Mapping[str, Any], given: str | None) -> str:
    declared, best = str(calibration["declared"]), str(calibration["best"])
    if calibration["agrees"] or 2 * calibration["hits"][best] < calibration["dots"]:
        return declared  # no frame explains the answers: the model does not find the dots
    if given is not None:
        raise SocoError(
            f"The calibration contradicts --frame {given}: {calibration['hits'][given]} of {calibration['dots']} dots "
            f"are found in it, {calibration['hits'][best]} in {best}. Give --frame {best}, or --calibration 0."
        )
    return best


def _texts(result: RunResult, asked: PromptedQuestions) -> dict[str, str]:
    """question_id -> the answer, "" for one without text."""
    _, lines, _ = read_answers(result.answers)
    keys = zip(asked.rows, asked.all_keys(), strict=True)
    return {str(row["question_id"]): str(lines[key]["response"]) for row, key in keys if key in lines}


def _check_complete(results: Sequence[RunResult]) -> None:
    missing = sum(result.record["counts"]["unanswered"] for result in results)
    if missing:
        raise SocoError(f"{missing} questions got no answer. Run the same command again to ask them.")


def _geometry(
    record: Mapping[str, Any], asking: AskOptions
) -> tuple[Callable[[tuple[int, int]], tuple[int, int]], ResizeLimits]:
    """How large pictures are when the model gets them, and how its processor resizes them."""
    processor = record["model"].get("processor") or {}
    size = processor.get("size") or {}
    limits = ResizeLimits()
    if "shortest_edge" in size and "longest_edge" in size and "merge_size" in processor:
        factor = int(processor["patch_size"]) * int(processor["merge_size"])
        limits = ResizeLimits(factor, int(size["shortest_edge"]), int(size["longest_edge"]))
    in_processor = record["model"].get("min_pixels") is not None
    most = None if in_processor else record["model"].get("max_pixels")

    def sent(stored: tuple[int, int]) -> tuple[int, int]:
        width, height = stored
        if asking.image_size is not None and max(stored) > asking.image_size:
            factor = asking.image_size / max(stored)
            width, height = max(1, round(width * factor)), max(1, round(height * factor))
        if most is not None and width * height > most:
            factor = (most / (width * height)) ** 0.5
            width, height = max(1, int(width * factor)), max(1, int(height * factor))
        return width, height

    return sent, limits


def _model_type(model: ModelOptions) -> str | None:
    try:
        config = read_json_text(
            (local_path(model.model.removeprefix("soco_hf/")) / "config.json").read_bytes(), finite=False
        )
        return str(config.get("model_type"))
    except (OSError, ValueError, AttributeError):
        return None
