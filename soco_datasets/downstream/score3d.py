"""AP3D and AP2D of anybody's predictions in the format of the Omni3D evaluator, against an Omni3D JSON file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DatasetFolderError, UsageError, unknown_name
from ..metrics.average_precision3d import (
    Detections,
    TrueBoxes,
    annotation_box2d,
    average_precision_2d,
    average_precision_3d,
    is_ignored,
)
from ..metrics.boxes3d import are_cuboids
from ..metrics.boxes3d import cuboid_corners as corners_of_boxes
from ..utils.files import sha256_file
from .readers.base import read_data_json
from .readers.omni3d_reader import are_numbers, is_whole_number, read_omni3d

CATEGORY_IDS = ("dataset", "contiguous")
_ODD_RATIO = 50.0  # of median depths; millimeters give 1000, centimeters 100
_FEWEST_KNOWN = 0.5  # share of predictions whose image must be in the truth


@dataclass
class Scores3d:
    """What `score_predictions` finds.

    Attributes:
        ap3d, ap2d: see `average_precision_3d` and `average_precision_2d`; AP2D is empty without 2D boxes.
        names: category id -> name.
        predictions: how many were scored.
        left_out: why -> how many.
        files: hashes of both files.
        truth: path.
        warnings: what looks wrong about the predictions as a whole.
    """

    ap3d: dict[str, Any]
    ap2d: dict[str, Any]
    names: dict[int, str]
    predictions: int
    left_out: dict[str, int] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    truth: str = ""
    warnings: list[str] = field(default_factory=list)


def score_predictions(predictions: Path, truth: Path, category_ids: str = "dataset") -> Scores3d:
    """Score a file of predictions.

    Args:
        predictions: JSON list of {image_id, category_id, score, bbox3D 8 x 3, where known bbox [x, y, w, h], depth},
            or of {image_id, instances: [...]}.
        truth: Omni3D JSON.
        category_ids: "dataset" ids, or the model's "contiguous" ones, 0 to classes - 1 in the order of the ids.

    Raises:
        UsageError: predictions of another data set, unknown categories or ids of the wrong kind, values that are no
            numbers; names the file and the row.
        DatasetFolderError: a file that cannot be read.
    """
    if category_ids not in CATEGORY_IDS:
        raise unknown_name("kind of category ids", category_ids, CATEGORY_IDS)
    content = read_omni3d(truth)
    names = {int(one["id"]): str(one["name"]) for one in content["categories"]}
    heights = {one["id"]: float(one["height"]) for one in content["images"]}
    rows = _rows(predictions)
    for row, one in rows:
        if not is_whole_number(one["image_id"]):
            raise UsageError(f"{predictions}, row {row}: image_id is {one['image_id']!r:.60}, not a whole number.")
    known = [row for row in rows if row[1]["image_id"] in heights]
    if rows and len(known) < _FEWEST_KNOWN * len(rows):
        raise UsageError(
            f"{predictions}: {len(rows) - len(known)} of {len(rows)} predictions are of images that {truth} does not "
            "have. Are they of another data set or split?"
        )
    ids = _category_map(names, category_ids)
    left: Counter[str] = Counter({"of images that the truth does not have": len(rows) - len(known)})
    found3d, found2d = _detections(predictions, known, ids, names, left)
    true3d, true2d = _truth(content, heights, set(names))
    images, categories = list(heights), sorted(names)
    ap2d = average_precision_2d(found2d, true2d, images, categories) if len(found2d.score) else {}
    return Scores3d(
        average_precision_3d(found3d, true3d, images, categories),
        ap2d,
        names,
        len(found3d.score),
        {why: count for why, count in left.items() if count},
        {"predictions": sha256_file(predictions), "truth": sha256_file(truth)},
        truth.name,
        _odd_units(found3d, true3d),
    )


def _odd_units(found: Detections, true: TrueBoxes) -> list[str]:
    """A warning where the boxes are of another order of magnitude of depth than the true ones."""
    if not len(found.extent) or not len(true.extent):
        return []
    own, wanted = (float(np.median(np.abs(one))) for one in (found.extent, true.extent))
    if wanted / _ODD_RATIO <= own <= wanted * _ODD_RATIO:
        return []
    return [f"the boxes have a median depth of {own:,.4g}, the true ones of {wanted:,.4g} m: bbox3D is in meters"]


def _rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """(row of the file, prediction) in order; a row by image gives its instances."""
    try:
        content = read_data_json(path)
    except (OSError, ValueError) as error:
        raise DatasetFolderError(f"{path} is not JSON ({error}).") from error
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise UsageError(f"{path} must hold a list of predictions, as the Omni3D evaluator writes it.")
    rows = []
    for number, entry in enumerate(content):
        parts = entry.get("instances", [entry])
        if not isinstance(parts, list) or not all(isinstance(one, dict) for one in parts):
            raise UsageError(f"{path}, row {number}: instances is {parts!r:.60}, not a list of predictions.")
        for one in parts:
            rows.append((number, {"image_id": entry.get("image_id"), **one}))
    return rows


def _category_map(names: Mapping[int, str], kind: str) -> dict[int, int]:
    ordered = sorted(names)
    return dict(enumerate(ordered)) if kind == "contiguous" else {one: one for one in ordered}


def _detections(
    path: Path,
    rows: Sequence[tuple[int, dict[str, Any]]],
    ids: Mapping[int, int],
    names: Mapping[int, str],
    left: Counter[str],
) -> tuple[Detections, Detections]:
    image, category, score, corners, flat = [], [], [], [], []
    for row, one in rows:
        given = one.get("category_id")
        if not is_whole_number(given):
            raise UsageError(f"{path}, row {row}: category_id is {given!r:.60}, not a whole number.")
        if given not in ids:
            raise UsageError(
                f"{path}, row {row}: category_id {given} is unknown; known are {min(ids)} to {max(ids)}. Are these the "
                "model's own ids? Then give --category-ids contiguous."
            )
        stated = one.get("category_name")
        if stated is not None and stated != names[ids[given]]:
            raise UsageError(
                f"{path}, row {row}: category_id {given} is {names[ids[given]]!r}, but the row says {stated!r}: ids of "
                "another kind. Choose --category-ids dataset or contiguous."
            )
        value: Any = one.get("score")
        given2d = one.get("bbox")
        if not are_numbers(one.get("bbox3D"), 8, 3) or not are_numbers(value) or not math.isfinite(value):
            raise UsageError(f"{path}, row {row}: it needs a finite score and bbox3D with 8 corners of 3 numbers.")
        if given2d is not None and not are_numbers(given2d, 4):
            raise UsageError(f"{path}, row {row}: bbox is {given2d!r:.60}, not [x, y, width, height].")
        box = np.array(one["bbox3D"], dtype=np.float64)
        if not np.isfinite(box).all():
            left["with corners that are not finite"] += 1
            continue
        image.append(one["image_id"])
        category.append(ids[given])
        score.append(float(value))
        corners.append(box)
        flat.append([math.nan] * 4 if given2d is None else given2d)
    boxes = np.array(corners).reshape(-1, 8, 3)
    if len(boxes):
        left["that are not cuboids (they overlap nothing)"] += int((~are_cuboids(boxes)).sum())
    common = (np.array(image, dtype=np.int64), np.array(category, dtype=np.int64), np.array(score, dtype=np.float64))
    found3d = Detections(*common, boxes, boxes[:, :, 2].mean(axis=1) if len(boxes) else np.empty(0))
    boxes2d = np.array(flat, dtype=np.float64).reshape(-1, 4)
    has = np.isfinite(boxes2d).all(axis=1)
    parts = (common[0][has], common[1][has], common[2][has])
    return found3d, Detections(*parts, boxes2d[has], boxes2d[has, 2] * boxes2d[has, 3])


def _truth(content: Mapping[str, Any], heights: Mapping[Any, float], known: set[int]) -> tuple[TrueBoxes, TrueBoxes]:
    rows = [
        one
        for one in content["annotations"]
        if one["image_id"] in heights and one["category_id"] in known and annotation_box2d(one) is not None
    ]
    return true_boxes(rows, heights)


def true_boxes(rows: Sequence[Mapping[str, Any]], heights: Mapping[Any, float]) -> tuple[TrueBoxes, TrueBoxes]:
    """Cuboids and 2D boxes of annotations that have both.

    Args:
        rows: annotations of Omni3D.
        heights: image id -> height in pixels.
    """
    image = np.array([one["image_id"] for one in rows], dtype=np.int64)
    category = np.array([one["category_id"] for one in rows], dtype=np.int64)
    ignored = np.array([is_ignored(one, heights[one["image_id"]]) for one in rows], dtype=bool)
    centers = np.array([one["center_cam"] for one in rows], dtype=np.float64).reshape(-1, 3)
    sides = np.array([one["dimensions"] for one in rows], dtype=np.float64).reshape(-1, 3)
    turned = np.array([one["R_cam"] for one in rows], dtype=np.float64).reshape(-1, 3, 3)
    corners = corners_of_boxes(centers, np.maximum(sides, 0), turned) if len(rows) else np.empty((0, 8, 3))
    flat = np.array([annotation_box2d(one) for one in rows], dtype=np.float64).reshape(-1, 4)
    flat = np.concatenate([flat[:, :2], flat[:, 2:] - flat[:, :2]], axis=1)
    return (
        TrueBoxes(image, category, ignored, corners, centers[:, 2]),
        TrueBoxes(image, category, ignored, flat, flat[:, 2] * flat[:, 3]),
    )


def format_ap3d(scores: Scores3d) -> str:
    """The scores as text."""
    ap3d = scores.ap3d
    lines = [f"{scores.predictions:,} predictions, {ap3d['counts']['all']:,} counted true boxes, exact IoU3D"]
    lines += [f"  {name:8} {_cell(ap3d[name])}" for name in ("AP3D", "near", "medium", "far", "AP15", "AP25", "AP50")]
    lines += [f"  {name:8} {_cell(scores.ap2d[name])}" for name in ("AP2D",) if scores.ap2d]
    lines += [f"  {scores.names[one]:16} {_cell(value)}" for one, value in ap3d["per_class"].items()]
    lines += [f"  left out: {count:,} {why}" for why, count in scores.left_out.items()]
    lines += [f"  warning: {text}" for text in scores.warnings]
    return "\n".join(lines) + "\n"


def write_scores(scores: Scores3d, model: str, out: Path, *, overwrite: bool = False) -> Path:
    """Write the scores as a record, which tables show as made from foreign predictions.

    Raises:
        UsageError: a record of another model or other data has the name, and `overwrite` is false.
    """
    from ..records.evaluation import library_versions
    from ..records.replacement import check_replaces_record
    from .record import DownstreamResult

    ap3d, ap2d = scores.ap3d, scores.ap2d
    classes = ap3d["classes"]
    metrics = {
        name: _measured(ap3d[name], classes) for name in ("AP3D", "AP15", "AP25", "AP50", "near", "medium", "far")
    }
    metrics |= {"AP2D": _measured(ap2d["AP2D"], classes)} if ap2d else {}
    record = DownstreamResult(
        model={"name": model, "weights_hash": None},
        dataset={"id": scores.truth, "content_hash": scores.files["truth"]},
        versions=library_versions(),
        device="cpu",
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        counts={"predictions": scores.predictions, "true_boxes": ap3d["counts"]["all"]},
        task="omni3d_ap3d",
        protocol={"name": "score3d", "default": True, "choices": {"iou": "exact", "rules": "Omni3D evaluator"}},
        headline_metric="AP3D",
        metrics=metrics,
        reason="" if ap3d["AP3D"] is not None else "no counted true box",
        left_out=scores.left_out,
        details={
            "per_class_ap3d": {scores.names[one]: value for one, value in ap3d["per_class"].items()},
            "predictions_sha256": scores.files["predictions"],
        },
        remarks=[
            "scored from predictions that were not made by this toolkit; exact IoU3D, "
            "see docs/howto/downstream/omni3d.md",
            *scores.warnings,
        ],
        foreign=True,
        seed=0,
    )
    path = out / f"{model.replace('/', '_')}.omni3d_ap3d.json"
    check_replaces_record(path, record, overwrite=overwrite)
    record.write(path)
    return path


def _measured(value: float | None, classes: int) -> dict[str, Any]:
    return {"value": value, "count": classes if value is not None else 0, "unit": "percent"}


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
