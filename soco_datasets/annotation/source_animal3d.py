"""Candidates from Animal3D as downloaded: train.json and test.json, one animal an entry, 26 points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.paths import real_path
from .candidate import Candidate, measured
from .json_files import read_outside_json

POINTS = (
    "left_eye",
    "right_eye",
    "mouth_mid",
    "left_front_paw",
    "right_front_paw",
    "left_back_paw",
    "right_back_paw",
    "tail_base",
    "left_front_thigh",
    "right_front_thigh",
    "left_back_thigh",
    "right_back_thigh",
    "left_shoulder",
    "right_shoulder",
    "left_front_knee",
    "right_front_knee",
    "left_back_knee",
    "right_back_knee",
    "neck",
    "tail_end",
    "left_ear",
    "right_ear",
    "left_mouth",
    "right_mouth",
    "nose",
    "tail_mid",
)
LICENSE = "MIT (Animal3D), and ImageNet's terms"
_POSE = 105


def is_animal3d(folder: Path) -> bool:
    """Whether a folder has this layout."""
    return any(
        (folder / name).is_file() and b'"supercategories"' in (folder / name).read_bytes()[:200_000]
        for name in ("train.json", "test.json")
    )


def read_animal3d(folder: Path) -> Iterator[Candidate]:
    """All entries, train then test."""
    for name in ("train.json", "test.json"):
        if not (folder / name).is_file():
            continue
        data = read_outside_json(folder / name)
        entries = data.get("data") if isinstance(data, dict) else None
        categories = _names(data.get("categories") if isinstance(data, dict) else None)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            try:
                yield _candidate(folder, entry, categories)
            except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
                where = f"{name} entry {index}"
                yield Candidate("", where, folder, license=LICENSE, error=f"malformed entry ({type(error).__name__})")


def _candidate(folder: Path, entry: Mapping[str, Any], categories: Mapping[int, str]) -> Candidate:
    file = str(entry["img_path"])
    path = folder / file
    category = categories.get(int(entry["category"]), str(entry["category"]))
    if not real_path(path).is_relative_to(real_path(folder)):
        return Candidate(category, file, folder, license=LICENSE, error="img_path points outside the source")
    size = (int(entry["width"]), int(entry["height"]))
    left, top, width, height = (float(value) for value in entry["bbox"])
    pose = np.asarray(entry.get("pose"), dtype=np.float64).ravel()
    is_valid = pose.shape == (_POSE,) and bool(np.isfinite(pose).all()) and bool(pose.any())
    rotation = rotation_matrix(pose[:3]) if pose.shape == (_POSE,) and np.isfinite(pose[:3]).all() else None
    points = {
        name: (float(x), float(y), 2)
        for name, (x, y, visible) in zip(POINTS, entry["keypoint_2d"], strict=True)
        if visible and math.isfinite(x) and math.isfinite(y)
    }
    animal = measured((left, top, left + width, top + height), size, valid_pose=is_valid, rotation=rotation)
    return Candidate(
        category.replace("_", " "),
        file,
        path,
        *size,
        objects=(animal,),
        points=points,
        origin=f"Animal3D {file}",
        license=LICENSE,
        has_points=True,
    )


def _names(node: object) -> dict[int, str]:
    """Index -> category name of a list of names or objects, or of a mapping."""
    if isinstance(node, dict):
        pairs = [(value, key) if isinstance(value, int) else (key, value) for key, value in node.items()]
        return {int(number): str(name) for number, name in pairs if str(number).isdigit()}
    items: Sequence[Any] = node if isinstance(node, list) else ()
    return {i: str(item.get("name", i) if isinstance(item, dict) else item) for i, item in enumerate(items)}


def rotation_matrix(axis_angle: Any) -> tuple[tuple[float, float, float], ...]:
    """Rodrigues' formula: an axis-angle vector of 3 to a 3 x 3 rotation matrix."""
    vector = np.asarray(axis_angle, dtype=np.float64)
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / angle if angle > 0 else np.zeros(3)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    matrix = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return tuple(tuple(float(v) for v in row) for row in matrix)  # type: ignore[misc]
