"""COCO keypoints, with visibility: 2 = visible, 1 = hidden (labeled, position unknown: 0, 0), 0 = no answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .interchange import AnsweredImage, hidden_points
from .project import Project
from .results import FinalImage
from .source_coco import read_coco
from .state import PointAnswer


def coco_export(project: Project, images: Sequence[FinalImage]) -> dict[str, Any]:
    """The project's final points as a COCO keypoint file."""
    categories = [
        {
            "id": number,
            "name": category.name,
            "supercategory": category.supercategory or "",
            "keypoints": list(category.by_name),
            "skeleton": [],
        }
        for number, category in enumerate(project.categories, start=1)
    ]
    ids = {category.name: number for number, category in enumerate(project.categories, start=1)}
    licenses = sorted({image.row.license for image in images if image.row.license})
    return {
        "info": {"description": project.title, "version": "1.0"},
        "licenses": [{"id": number, "name": name, "url": ""} for number, name in enumerate(licenses, start=1)],
        "images": [_image(image, licenses) for image in images],
        "annotations": [_annotation(project, image, ids[image.row.category]) for image in images],
        "categories": categories,
    }


def _image(image: FinalImage, licenses: list[str]) -> dict[str, Any]:
    row = image.row
    return {
        "id": row.id,
        "file_name": row.file,
        "width": row.width,
        "height": row.height,
        "license": licenses.index(row.license) + 1 if row.license else 0,
        "origin": row.origin,
    }


def _annotation(project: Project, image: FinalImage, category_id: int) -> dict[str, Any]:
    hidden = set(hidden_points(image))
    values: list[float] = []
    for name in project.category(image.row.category).by_name:
        if name in image.points:
            values += [*image.points[name], 2]
        else:
            values += [0, 0, 1 if name in hidden else 0]
    left, top, right, bottom = image.box or (0.0, 0.0, float(image.row.width), float(image.row.height))
    return {
        "id": image.row.id,
        "image_id": image.row.id,
        "category_id": category_id,
        "keypoints": values,
        "num_keypoints": len(image.points),
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
        "iscrowd": 0,
        "box_source": image.box_source or "image",
    }


def coco_import(file: Path) -> Iterator[AnsweredImage]:
    """The answers of a COCO keypoint file."""
    for candidate in read_coco(file):
        points = {
            name: PointAnswer("visible", x, y) if flag == 2 else PointAnswer("hidden")
            for name, (x, y, flag) in candidate.points.items()
        }
        size = (candidate.width, candidate.height) if candidate.width else None
        if points and candidate.error is None:
            yield AnsweredImage(candidate.name.partition("/")[2], candidate.category, points, size)
