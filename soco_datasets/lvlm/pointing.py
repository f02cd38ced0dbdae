"""Pointing: a model gives the corresponding point as coordinates, and is scored by PCK as vision backbones are.

The pairs and the query points are those of the multiple-choice questions, in the same three settings, without letters:
`vis` (the point is marked in the source), `vis_desc` (marked and described), `desc` (described; no source is shown).
The tasks are `point_vis`, `point_vis_desc` and `point_desc`; records and predictions are those of `soco evaluate`, so
reports and `soco compare` take them beside a backbone's (`evaluate_backbone_on_points`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..benchmarks.base import Task
from ..config import FeatureConfig, Protocol, RunConfig, ScoringConfig
from ..data.folder import DatasetFolder
from ..data.questions.generation import SETTINGS
from ..data.questions.markers import MarkerStyle
from ..data.questions.pictures import open_pictures
from ..data.questions.point_pairs import first_orderings, point_pairs
from ..data.questions.prompts import PromptTemplate
from ..errors import UsageError, unknown_name
from ..utils.english import noun_phrase, with_article
from .point_answers import RELEASED_LIMITS, ResizeLimits, frame_of, point_in_pixels
from .prompted import PromptedQuestions

if TYPE_CHECKING:
    from PIL import Image

    from ..correspondence.evaluate import Evaluation
    from ..features.extractor import DenseFeatureExtractor

_TWO = (
    "Two images of {category} are shown, which may be two different ones of their kind. Parts of one correspond to "
    "parts of the other: its front left part to the front left part there, seen from the object itself and not from "
    "the camera. "
)
_WORDING = {
    "vis": _TWO + "In the first image one point is marked. Point to the corresponding point in the second image.",
    "vis_desc": _TWO + "In the first image one point is marked. It is described as: {description}. Point to the "
    "corresponding point in the second image.",
    "desc": "An image of {category} is shown. Left, right, front and rear are those of the object itself and not of "
    "the camera. Point to: {description}.",
}
_MISS = -10.0  # where an answer without a point counts as pointing, in widths and heights: outside, so always wrong


def point_tasks(settings: Iterable[str]) -> tuple[Task, ...]:
    """The tasks of some settings. Raises `UsageError` for an unknown one."""
    found = []
    for setting in settings:
        if setting not in SETTINGS:
            raise unknown_name("setting", setting, SETTINGS)
        found.append(Task(f"point_{setting}", f"point_{setting}", f"Pointing ({setting})"))
    return tuple(found)


def point_questions(
    folder: DatasetFolder, setting: str, frame: str, style: MarkerStyle | None = None
) -> PromptedQuestions:
    """One question per pair: the source with its marker (not in `desc`) and the plain target.

    Args:
        folder: a built folder.
        setting: of `SETTINGS`.
        frame: of `point_answers.FRAMES`, which the prompt asks for.
        style: of the marker.

    Raises:
        UsageError: imported questions, whose points are not known, or an unknown setting or frame.
    """
    request = frame_of(frame).request
    rows = []
    for row in first_orderings(folder, setting):
        category = with_article(noun_phrase(str(row["category"]).replace("_", " ")))
        described = str(row["description"])
        words = _WORDING[setting].format(category=category, description=described[:1].lower() + described[1:])
        rows.append({**row, "question": f"{words} {request}", "candidate_points": None, "options": [""] * 4})

    def images(place: int) -> Mapping[str, Image.Image]:
        return open_pictures(folder, rows[place], style or MarkerStyle())

    marker = style or MarkerStyle()
    return PromptedQuestions(
        setting,
        folder.content_hash,
        rows,
        images,
        PromptTemplate("point", "{question}"),
        {"shape": marker.shape, "color": marker.color, "frame": frame},
    )


@dataclass(frozen=True)
class PointAnswers:
    """The answers of one setting.

    Attributes:
        asked: the questions, from `point_questions`.
        texts: question_id -> the answer; questions without one are left out.
        frame: what the numbers mean.
        sent: [width, height] of a stored picture -> that of the picture as it was sent.
        limits: of the frame "resized".
    """

    asked: PromptedQuestions
    texts: Mapping[str, str]
    frame: str
    sent: Callable[[tuple[int, int]], tuple[int, int]] = lambda size: size
    limits: ResizeLimits = RELEASED_LIMITS


def score_points(
    folder: DatasetFolder, answers: Sequence[PointAnswers], model: Mapping[str, Any], versions: Mapping[str, str]
) -> Evaluation:
    """Predictions and record of a model's points; an answer without a point is a miss, and counted.

    Args:
        folder: the data that was asked.
        answers: one part per setting.
        model: what answered, with "name".
        versions: of the toolkit and libraries.

    Raises:
        UsageError: a question without an answer.
    """
    from datetime import UTC, datetime

    from ..correspondence.evaluate import Evaluation, dataset_provenance, supercategories_of
    from ..records.annotated_points import image_annotations
    from ..records.evaluation import record_of_checked
    from ..records.header import PredictionsOrigin
    from ..records.predictions import TaskPredictions, predictions_table

    tasks, counts = {}, {"images": 0, "pairs": 0, "keypoints": 0, "parse_failures": 0}
    for part in answers:
        ids = [str(row["question_id"]) for row in part.asked.rows]
        if missing := [name for name in ids if name not in part.texts]:
            raise UsageError(f"{len(missing)} questions of {part.asked.setting} have no answer, such as {missing[0]}.")
        pairs = point_pairs(folder, ids)
        points, failures = _points(part, pairs)
        tasks[f"point_{part.asked.setting}"] = TaskPredictions(pairs, points)
        counts["pairs"] += len(pairs)
        counts["keypoints"] += len(pairs)
        counts["parse_failures"] += failures
        counts[f"parse_failures_{part.asked.setting}"] = failures
    columns = [task.pairs[f"{side}_image_id"] for task in tasks.values() for side in ("source", "target")]
    used = {name for column in columns for name in column.to_pylist()}
    counts["images"] = len(used)
    origin = PredictionsOrigin(
        protocol=Protocol(ScoringConfig(), FeatureConfig(layer=None, norm=None, padding="none"), "pointing"),
        model=dict(model),
        dataset=dataset_provenance(folder),
        supercategories=supercategories_of(folder),
        versions=dict(versions),
        device={"device": str(model.get("device", "endpoint"))},
        counts=counts,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    predictions = predictions_table(tasks, origin, image_annotations(folder, sorted(used)))
    return Evaluation(record_of_checked(predictions), predictions)


def _points(part: PointAnswers, pairs: pa.Table) -> tuple[np.ndarray, int]:
    """(Q, 2) pixels, and how many answers give no point."""
    found, failures = [], 0
    for pair in pairs.select(["pair_id", "target_size"]).to_pylist():
        width, height = pair["target_size"]
        text, sent = part.texts[pair["pair_id"]], part.sent((width, height))
        point = point_in_pixels(text, part.frame, sent, (width, height), part.limits)
        failures += point is None
        found.append((_MISS * width, _MISS * height) if point is None else point)
    return np.array(found, dtype=np.float64).reshape(-1, 2), failures


class _FolderWithPoints(DatasetFolder):
    """A dataset folder with the pointing tasks as configs, for the evaluator."""

    def __init__(self, folder: DatasetFolder, pairs: pa.Table, names: Sequence[str]) -> None:
        self.__dict__.update(folder.__dict__)
        self._parts = folder, pairs, tuple(names)

    def __reduce__(self) -> tuple[Any, ...]:
        return _FolderWithPoints, self._parts

    @property
    def configs(self) -> list[str]:
        return [*self._parts[0].configs, *self._parts[2]]

    def table(self, config: str, split: str = "test", columns: Sequence[str] | None = None) -> pa.Table:
        folder, pairs, names = self._parts
        if config not in names:
            return folder.table(config, split, columns)
        return pairs if columns is None else pairs.select(list(columns))


def evaluate_backbone_on_points(
    extractor: DenseFeatureExtractor,
    folder: DatasetFolder,
    settings: Sequence[str] = ("vis",),
    question_ids: Iterable[str] | None = None,
    run: RunConfig | None = None,
) -> Evaluation:
    """A vision backbone on the pairs and queries that language models point at; it sees pictures alone.

    Args:
        extractor: the backbone.
        folder: a built folder.
        settings: under which tasks its one set of predictions is stored.
        question_ids: which questions; None = all.
        run: where and how the work is done.

    Raises:
        As `correspondence.evaluate.evaluate_backbone`.
    """
    from ..correspondence.evaluate import evaluate_backbone

    tasks = point_tasks(settings)
    view = _FolderWithPoints(folder, point_pairs(folder, question_ids), [task.config for task in tasks])
    return evaluate_backbone(extractor, view, tasks, run=run or RunConfig())
