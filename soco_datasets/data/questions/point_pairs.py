"""The pairs and queries behind the questions, for models that point instead of choosing a letter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from ...errors import UsageError, unknown_name
from ..folder import DatasetFolder
from ..schema import PAIRS
from .generation import SETTINGS

POINT_TASKS = {f"point_{setting}": setting for setting in SETTINGS}
"""Task -> the setting that it is asked in."""
_IMAGE_COLUMNS = ["image_id", "category", "width", "height", "bbox"]
_CONFIG = "lvlm"


def first_orderings(folder: DatasetFolder, setting: str) -> list[dict[str, Any]]:
    """One row per question of a setting, the first of its orderings.

    Raises:
        UsageError: an unknown setting, a folder without questions, or imported questions, whose points are not known.
    """
    if setting not in SETTINGS:
        raise unknown_name("setting", setting, SETTINGS)
    if _CONFIG not in folder.configs:
        raise UsageError(f"{folder.path} has no questions for vision-language models.")
    rows = [row for row in folder.table(_CONFIG, setting).to_pylist() if row["ordering"] == 0]
    if any(row["candidate_points"] is None for row in rows):
        raise UsageError("Imported questions do not say which points they show, so pointing needs a built dataset.")
    return rows


def point_pairs(folder: DatasetFolder, question_ids: Iterable[str] | None = None) -> pa.Table:
    """The pairs of the questions, one query each, in the columns of `data.schema.PAIRS`.

    Args:
        folder: a built folder.
        question_ids: which questions; None = all.

    Raises:
        As `first_orderings`.
    """
    images = {row["image_id"]: row for row in folder.table("images", "test", columns=_IMAGE_COLUMNS).to_pylist()}
    points = {row["image_id"]: row for row in folder.table("keypoints", "test").to_pylist()}
    wanted = None if question_ids is None else set(question_ids)
    rows = []
    for row in first_orderings(folder, "vis"):
        if wanted is not None and row["question_id"] not in wanted:
            continue
        source, target = images[row["source_image_id"]], images[row["target_image_id"]]
        annotated = points[row["target_image_id"]]
        place = annotated["keypoints"].index(row["keypoint"])
        rows.append(
            {
                "pair_id": row["question_id"],
                "pair_group": row["category"],
                "source_image_id": row["source_image_id"],
                "target_image_id": row["target_image_id"],
                "source_category": source["category"],
                "target_category": target["category"],
                "source_size": [source["width"], source["height"]],
                "target_size": [target["width"], target["height"]],
                "source_bbox": source["bbox"],
                "target_bbox": target["bbox"],
                "keypoints": [row["keypoint"]],
                "concepts": [annotated["concepts"][place]],
                "source_points": [row["source_point"]],
                "target_keypoints": [[row["keypoint"]]],
                "target_points": [[annotated["points"][place]]],
            }
        )
    schema = PAIRS.arrow_schema.remove_metadata()
    return pa.Table.from_pylist(rows, schema=pa.schema([field for field in schema if field.name in rows[0]]))
