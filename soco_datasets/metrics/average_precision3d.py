"""Average precision of boxes: AP3D over depth ranges, AP15, AP25, AP50, AP2D, and which true boxes are ignored.

The rules are those of the Omni3D evaluator (Brazil et al. 2023), itself derived from COCO's, with exact IoU3D, and a
class without a counted true box is null and in no mean. Matching: per image and class, detections by score take the
unmatched true box of highest IoU; counted boxes come before ignored ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from .boxes3d import iou3d

THRESHOLDS_3D = tuple(round(0.05 * step, 2) for step in range(1, 11))  # 0.05 ... 0.5
THRESHOLDS_2D = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))  # 0.5 ... 0.95
DEPTH_RANGES = {"all": (0.0, 1e5), "near": (0.0, 10.0), "medium": (10.0, 35.0), "far": (35.0, 1e5)}  # meters
AREA_RANGES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
RECALLS = np.linspace(0.0, 1.0, 101)
MOST_DETECTIONS = 100  # per image and class


@dataclass(frozen=True)
class IgnoreRules:
    """Which true boxes are ignored; the defaults are those of evaluation.

    Attributes:
        min_height: 2D boxes of at most this share of the image's height are ignored.
        max_height: 2D boxes of at least this share are ignored.
        truncation: boxes truncated by at least this share are ignored.
        visibility: boxes visible by at most this share are ignored.
        max_depth: boxes whose center is deeper (meters) are ignored.
        trunc_2D_boxes: take the height from bbox2D_trunc where given, else from bbox2D_proj.
    """

    min_height: float = 0.0625
    max_height: float = 1.5
    truncation: float = 0.33333333
    visibility: float = 0.33333333
    max_depth: float = 1e8
    trunc_2D_boxes: bool = True  # noqa: N815 (the name in Omni3D's settings)


EVALUATION_RULES = IgnoreRules()
TRAINING_RULES = IgnoreRules(min_height=0.05, truncation=0.75, visibility=0.25)


def is_ignored(annotation: Mapping[str, Any], image_height: float, rules: IgnoreRules = EVALUATION_RULES) -> bool:
    """Whether a true box is ignored.

    Args:
        annotation: one of Omni3D's; a missing field counts as unknown (-1) or fine.
        image_height: pixels.
        rules: thresholds.

    >>> box = {"dimensions": [1, 1, 1], "center_cam": [0, 0, 3], "bbox2D_proj": [0, 0, 50, 80]}
    >>> is_ignored(box, 480), is_ignored({**box, "truncation": 0.5}, 480), is_ignored({**box, "lidar_pts": 0}, 480)
    (False, True, True)
    """
    if annotation.get("behind_camera", False) or not annotation.get("valid3D", True):
        return True
    sides, depth = annotation["dimensions"], annotation["center_cam"][2]
    if not all(side > 0 for side in sides) or not depth <= rules.max_depth:  # also where they are NaN
        return True
    if 0 in (annotation.get("lidar_pts", -1), annotation.get("segmentation_pts", -1)):
        return True
    if annotation.get("depth_error", -1) > 0.5:
        return True
    box = annotation_box2d(annotation, truncated=rules.trunc_2D_boxes)
    if box is None:
        return True
    height = box[3] - box[1]
    if height <= rules.min_height * image_height or height >= rules.max_height * image_height:
        return True
    truncation, visibility = annotation.get("truncation", -1), annotation.get("visibility", -1)
    return bool(truncation >= 0 and truncation >= rules.truncation) or bool(0 <= visibility <= rules.visibility)


def annotation_box2d(annotation: Mapping[str, Any], *, truncated: bool = True) -> list[float] | None:
    """[x1, y1, x2, y2] in pixels: bbox2D_trunc where given, else bbox2D_proj; None without either."""
    for name in ("bbox2D_trunc", "bbox2D_proj") if truncated else ("bbox2D_proj",):
        box = annotation.get(name)
        if isinstance(box, (list, tuple)) and len(box) == 4 and any(value != -1 for value in box):
            if not all(isinstance(value, int | float) for value in box):
                raise UsageError(f"{name} of an annotation is {box!r:.80}; it takes four numbers, or -1 for none.")
            return [float(value) for value in box]
    return None


@dataclass(frozen=True)
class Detections:
    """Detections of all images, in any order.

    Attributes:
        image: (N,) int, image ids.
        category: (N,) int, category ids.
        score: (N,) float, finite.
        boxes: (N, 8, 3) corners in meters for AP3D, (N, 4) [x, y, width, height] in pixels for AP2D.
        extent: (N,) float, what the ranges cut: depth in meters (mean z of the corners) or area in square pixels.
    """

    image: NDArray[np.int64]
    category: NDArray[np.int64]
    score: NDArray[np.float64]
    boxes: NDArray[np.float64]
    extent: NDArray[np.float64]


@dataclass(frozen=True)
class TrueBoxes:
    """True boxes of all images.

    Attributes:
        image: (M,) int, image ids.
        category: (M,) int, category ids.
        ignored: (M,) bool, see `is_ignored`.
        boxes: (M, 8, 3) corners or (M, 4) [x, y, width, height], as the detections.
        extent: (M,) float: depth of the center in meters, or area in square pixels.
    """

    image: NDArray[np.int64]
    category: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    boxes: NDArray[np.float64]
    extent: NDArray[np.float64]


def average_precision_3d(
    detections: Detections, truth: TrueBoxes, images: ArrayLike, categories: Sequence[int]
) -> dict[str, Any]:
    """AP3D and its relatives, in percent.

    Args:
        detections: with corners and depth.
        truth: with corners and depth.
        images: (I,) ids of the evaluated images; boxes of other images are left out.
        categories: ids of the evaluated classes; boxes of other classes are left out.

    Returns:
        {"AP3D", "AP15", "AP25", "AP50": means over classes, "near", "medium", "far": AP3D by depth, "per_class":
        {id: AP3D}, "per_class_and_threshold": {id: shares at each threshold}, "thresholds", "counts": {"all", "near",
        "medium", "far": counted true boxes}, "classes": classes in the mean}; None where there is no counted true box.

    Raises:
        UsageError: arrays that do not fit, a score that is not finite.
    """
    precision, counts = _precisions(detections, truth, images, categories, (iou3d, THRESHOLDS_3D, DEPTH_RANGES))
    every = precision["all"]
    result: dict[str, Any] = {"AP3D": _mean(every)}
    result |= {f"AP{round(100 * at)}": _mean(every, THRESHOLDS_3D.index(at)) for at in (0.15, 0.25, 0.5)}
    result |= {name: _mean(precision[name]) for name in ("near", "medium", "far")}
    result["per_class"] = {key: None if value is None else float(100 * value.mean()) for key, value in every.items()}
    shares = {key: None if value is None else value.tolist() for key, value in every.items()}
    scored = sum(value is not None for value in every.values())
    return {
        **result,
        "per_class_and_threshold": shares,
        "thresholds": list(THRESHOLDS_3D),
        "counts": counts,
        "classes": scored,
    }


def average_precision_2d(
    detections: Detections, truth: TrueBoxes, images: ArrayLike, categories: Sequence[int]
) -> dict[str, Any]:
    """AP2D, in percent: thresholds 0.5 to 0.95, areas cut at 32^2 and 96^2 square pixels.

    Args:
        detections: with [x, y, width, height] and area.
        truth: with [x, y, width, height] and area.
        images: (I,) ids of the evaluated images.
        categories: ids of the evaluated classes.

    Returns:
        {"AP2D", "AP50", "AP75", "small", "medium", "large", "per_class", "counts"}; None without a counted true box.

    Raises:
        UsageError: arrays that do not fit, a score that is not finite.
    """
    precision, counts = _precisions(detections, truth, images, categories, (iou2d, THRESHOLDS_2D, AREA_RANGES))
    every = precision["all"]
    result: dict[str, Any] = {"AP2D": _mean(every), "AP50": _mean(every, 0), "AP75": _mean(every, 5)}
    result |= {name: _mean(precision[name]) for name in ("small", "medium", "large")}
    result["per_class"] = {key: None if value is None else float(100 * value.mean()) for key, value in every.items()}
    return {**result, "counts": counts}


def iou2d(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """(N,) IoU of pairs of (N, 4) [x, y, width, height] boxes; 0 where both are empty.

    >>> iou2d([[0, 0, 2, 2]], [[1, 0, 2, 2]]).round(6).tolist()
    [0.333333]
    """
    one, two = (np.asarray(boxes, dtype=np.float64).reshape(-1, 4) for boxes in (first, second))
    low = np.maximum(one[:, :2], two[:, :2])
    high = np.minimum(one[:, :2] + one[:, 2:], two[:, :2] + two[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    union = one[:, 2:].prod(axis=1) + two[:, 2:].prod(axis=1) - shared
    return np.divide(shared, union, out=np.zeros(len(one)), where=union > 0)


def interpolated_precision(hits: ArrayLike, misses: ArrayLike, counted: int) -> float:
    """AP at one threshold: precision made non-increasing from the right, read at 101 recalls.

    Args:
        hits: (n,) bool, true positives in the order of falling scores.
        misses: (n,) bool, false positives; a detection that is neither is left out.
        counted: true boxes, at least 1.

    >>> interpolated_precision([True, False], [False, True], counted=2) == 51 / 101
    True
    """
    right, wrong = np.cumsum(np.asarray(hits, dtype=bool)), np.cumsum(np.asarray(misses, dtype=bool))
    precision = right / np.maximum(right + wrong, np.finfo(np.float64).tiny)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    first = np.searchsorted(right / counted, RECALLS, side="left")
    return float(np.append(precision, 0.0)[first].mean())


_Kind = tuple[Any, Sequence[float], Mapping[str, tuple[float, float]]]  # IoU of pairs, thresholds, ranges


@dataclass(frozen=True)
class _Group:
    """Detections (by falling score) and true boxes of one class in one image, with their (D, G) IoU."""

    found: NDArray[np.int64]
    true: NDArray[np.int64]
    iou: NDArray[np.float64]


def _precisions(
    detections: Detections, truth: TrueBoxes, images: ArrayLike, categories: Sequence[int], kind: _Kind
) -> tuple[dict[str, dict[int, NDArray[np.float64] | None]], dict[str, int]]:
    """{range: {category: (T,) shares, None without a counted true box}} and counted true boxes of each range."""
    _check(detections, truth)
    overlap, thresholds, ranges = kind
    groups = _grouped(detections, truth, np.unique(np.asarray(images, dtype=np.int64)), categories, overlap)
    result: dict[str, dict[int, NDArray[np.float64] | None]] = {}
    counts: dict[str, int] = {}
    for name, limits in ranges.items():
        outside = [(one.extent < limits[0]) | (one.extent > limits[1]) for one in (detections, truth)]
        ignored = truth.ignored | outside[1]
        result[name], counts[name] = {}, 0
        for category in categories:
            parts = groups[category]
            counted = sum(int((~ignored[part.true]).sum()) for part in parts)
            counts[name] += counted
            result[name][category] = (
                _class_precision(parts, detections, (outside[0], ignored), thresholds, counted) if counted else None
            )
    return result, counts


def _class_precision(
    groups: Sequence[_Group],
    detections: Detections,
    left_out: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    thresholds: Sequence[float],
    counted: int,
) -> NDArray[np.float64]:
    outside, ignored = left_out
    states = [_match(one, outside[one.found], ignored[one.true], thresholds) for one in groups if len(one.found)]
    if not states:
        return np.zeros(len(thresholds))
    score = np.concatenate([detections.score[one.found] for one in groups])
    order = np.argsort(-score, kind="stable")
    state = np.concatenate(states, axis=1)[:, order]
    return np.array([interpolated_precision(row > 0, row < 0, counted) for row in state])


def _match(
    group: _Group, outside: NDArray[np.bool_], ignored: NDArray[np.bool_], thresholds: Sequence[float]
) -> NDArray[np.int8]:
    """(T, D) states of detections: 1 = hit, -1 = miss, 0 = neither."""
    states = np.tile(np.where(outside, 0, -1).astype(np.int8), (len(thresholds), 1))
    order = np.argsort(ignored, kind="stable")  # counted boxes first
    skipped = ignored[order].tolist()
    near = group.iou[:, order] >= min(thresholds)
    candidates = [  # (detection, [(true box, IoU), ...]): few of all pairs, so plain lists are the fastest
        (number, [(box, float(group.iou[number, order[box]])) for box in np.flatnonzero(near[number]).tolist()])
        for number in np.flatnonzero(near.any(axis=1)).tolist()
    ]
    for row, threshold in enumerate(thresholds):
        taken = [False] * len(skipped)
        for number, boxes in candidates:
            match, best = -1, threshold
            for box, value in boxes:
                if match >= 0 and skipped[box] and not skipped[match]:
                    break
                if not taken[box] and value >= best:  # of equal ones the last, as in COCO's evaluator
                    match, best = box, value
            if match >= 0:
                taken[match] = True
                states[row, number] = 0 if skipped[match] else 1
    return states


def _grouped(
    detections: Detections, truth: TrueBoxes, images: NDArray[np.int64], categories: Sequence[int], overlap: Any
) -> dict[int, list[_Group]]:
    """{category: groups in the order of the images' ids}, all IoUs computed in one call per class."""
    result: dict[int, list[_Group]] = {}
    for category in categories:
        found = list(_rows_of_images(detections.image, detections.category == category, images))
        true = list(_rows_of_images(truth.image, truth.category == category, images))
        found = [rows[np.argsort(-detections.score[rows], kind="stable")][:MOST_DETECTIONS] for rows in found]
        pairs = [np.meshgrid(f, t, indexing="ij") for f, t in zip(found, true, strict=True)]
        left = np.concatenate([np.empty(0, np.int64), *(pair[0].ravel() for pair in pairs)])
        right = np.concatenate([np.empty(0, np.int64), *(pair[1].ravel() for pair in pairs)])
        values = overlap(detections.boxes[left], truth.boxes[right])
        ends = np.cumsum([pair[0].size for pair in pairs])
        tables = np.split(values, ends[:-1]) if len(ends) else []
        result[category] = [
            _Group(f, t, table.reshape(len(f), len(t)))
            for f, t, table in zip(found, true, tables, strict=True)
            if len(f) or len(t)
        ]
    return result


def _rows_of_images(
    image: NDArray[np.int64], wanted: NDArray[np.bool_], images: NDArray[np.int64]
) -> Iterator[NDArray[np.int64]]:
    """Rows of each image, in their order."""
    rows = np.flatnonzero(wanted)
    rows = rows[np.argsort(image[rows], kind="stable")]
    starts = np.searchsorted(image[rows], images, side="left")
    ends = np.searchsorted(image[rows], images, side="right")
    for start, end in zip(starts, ends, strict=True):
        yield rows[start:end]


def _mean(precision: Mapping[int, NDArray[np.float64] | None], threshold: int | None = None) -> float | None:
    """Percent: mean over classes of the mean over thresholds, or of one threshold; None without a class."""
    held = [value for value in precision.values() if value is not None]
    if not held:
        return None
    return float(100 * np.mean([value.mean() if threshold is None else value[threshold] for value in held]))


def _check(detections: Detections, truth: TrueBoxes) -> None:
    for what, one in (("detections", detections), ("true boxes", truth)):
        lengths = {name: len(getattr(one, name)) for name in one.__dataclass_fields__}
        if len(set(lengths.values())) > 1:
            raise UsageError(f"The arrays of the {what} have different lengths: {lengths}.")
    if not np.isfinite(detections.score).all():
        row = int((~np.isfinite(detections.score)).argmax())
        raise UsageError(f"Detection {row} has the score {detections.score[row]}; scores are finite numbers.")
