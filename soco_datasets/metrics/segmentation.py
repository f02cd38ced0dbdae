"""Semantic segmentation: confusion table, IoU of classes and their mean, nearest-neighbor masks.

Label 0 means "other" and is not counted where it is the truth (ADE20K, SceneParsing release). The rules of the mean:
`reference` = over all classes that occur in truth or prediction, so that predicting 0 on a counted pixel makes class 0
a class of IoU 0 (what `mean_iou` of `evaluate` gives with ignore_index=0); `classes_only` = class 0 is in no mean.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError, unknown_name

MeanRule = Literal["reference", "classes_only"]
RULES: tuple[MeanRule, ...] = ("reference", "classes_only")
UNCOUNTED = 0  # the label that is not counted as truth


def confusion_table(truth: ArrayLike, prediction: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Counted pixels by true (row) and predicted (column) class; tables of several images may be added.

    Args:
        truth: integer labels of any shape, 0 to classes - 1; pixels of label 0 are left out.
        prediction: integer labels of the same shape.
        classes: number of labels C, label 0 included.

    Returns:
        (C, C) int64; row 0 is empty.

    Raises:
        UsageError: shapes that differ, labels out of range or not integers.

    >>> confusion_table([0, 1, 1, 2], [1, 1, 0, 2], classes=3).tolist()
    [[0, 0, 0], [1, 1, 0], [0, 0, 1]]
    """
    true, found = np.asarray(truth), np.asarray(prediction)
    if true.shape != found.shape:
        raise UsageError(f"Truth {true.shape} and prediction {found.shape} must have one shape.")
    for name, values in (("truth", true), ("prediction", found)):
        if values.size and values.dtype.kind not in "iub":
            raise UsageError(f"The {name} holds {values.dtype} values; labels are integers.")
        if values.size and (values.min() < 0 or values.max() >= classes):
            raise UsageError(
                f"The {name} holds labels from {values.min()} to {values.max()}; expected 0 to {classes - 1}."
            )
    counted = true != UNCOUNTED
    cells = true[counted].astype(np.int64) * classes + found[counted].astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def class_iou(confusion: ArrayLike) -> NDArray[np.float64]:
    """(C,) float64: intersection over union of each class; NaN for a class in neither truth nor prediction.

    >>> class_iou([[0, 0, 0], [1, 1, 0], [0, 0, 1]]).tolist()
    [0.0, 0.5, 1.0]
    """
    table = np.asarray(confusion)
    hits = np.diagonal(table).astype(np.float64)
    union = table.sum(axis=0) + table.sum(axis=1) - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def mean_iou(confusion: ArrayLike, rule: MeanRule = "classes_only") -> tuple[float | None, int]:
    """(mean IoU as a share, number of classes in the mean); (None, 0) where no pixel is counted.

    Raises:
        UsageError: an unknown rule.

    >>> mean_iou([[0, 0, 0], [1, 1, 0], [0, 0, 1]], "reference"), mean_iou([[0, 0, 0], [1, 1, 0], [0, 0, 1]])
    ((0.5, 3), (0.75, 2))
    """
    if rule not in RULES:
        raise unknown_name("rule of the mean IoU", rule, RULES)
    values = class_iou(confusion)
    if rule == "classes_only":
        values = np.delete(values, UNCOUNTED)
    values = values[~np.isnan(values)]
    return (float(values.mean()), len(values)) if len(values) else (None, 0)


def pixel_accuracy(confusion: ArrayLike) -> tuple[float | None, int]:
    """(share of counted pixels whose class is right, number of counted pixels); (None, 0) where there are none."""
    table = np.asarray(confusion)
    pixels = int(table.sum())
    return (float(np.trace(table) / pixels), pixels) if pixels else (None, 0)


def predicted_labels(logits: ArrayLike, rule: MeanRule = "classes_only") -> NDArray[np.int64]:
    """Labels of the highest logits, the lower label where equal.

    Args:
        logits: (B, C, h, w) float.
        rule: `reference` chooses among all C labels, `classes_only` never predicts label 0.

    Returns:
        (B, h, w) int64.
    """
    values = np.asarray(logits)
    if rule not in RULES:
        raise unknown_name("rule of the mean IoU", rule, RULES)
    return values.argmax(axis=1) if rule == "reference" else values[:, 1:].argmax(axis=1) + 1


def resize_nearest(mask: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Mask at another size: out[..., i, j] = mask[..., floor(i h / height), floor(j w / width)], in integers.

    Args:
        mask: (..., h, w) of any type.
        height: rows of the result.
        width: columns of the result.

    >>> resize_nearest(np.array([[1, 2, 3]]), 2, 2).tolist()
    [[1, 2], [1, 2]]
    """
    rows = np.arange(height) * mask.shape[-2] // height
    columns = np.arange(width) * mask.shape[-1] // width
    return mask[..., rows[:, None], columns]
