"""Candidates from a COCO annotation file: pictures, boxes, crowds, and keypoints where it has any."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..utils.paths import real_path
from .candidate import Candidate, ObjectMeasures, measured
from .json_files import AnnotationFileError, read_outside_json

_FOLDERS = ("", "images", "data", "JPEGImages", "train2017", "val2017")


def read_coco(file: Path, images: Path | None = None) -> Iterator[Candidate]:
    """The pictures of a COCO file that have annotations, one candidate a picture and category.

    Args:
        file: JSON with `images`, `annotations`, `categories`.
        images: folder of the pictures; default: beside the file, in one of the usual folders.

    Raises:
        AnnotationFileError: not COCO.
    """
    data = read_outside_json(file)
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in ("images", "annotations")):
        raise AnnotationFileError(f"{file} has no lists 'images' and 'annotations': not a COCO file.")
    roots = [images] if images else [root / name for root in (file.parent, file.parent.parent) for name in _FOLDERS]
    licenses = {n.get("id"): str(n.get("name")) for n in data.get("licenses") or [] if isinstance(n, dict)}
    categories = {n.get("id"): n for n in data.get("categories") or [] if isinstance(n, dict)}
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for annotation in data["annotations"]:
        if isinstance(annotation, dict):
            by_image.setdefault(annotation.get("image_id"), []).append(annotation)
    for index, image in enumerate(data["images"]):
        if not isinstance(image, dict):
            yield Candidate("", f"images[{index}]", file, error="is not an object")
            continue
        own = by_image.get(image.get("id"), [])
        for category_id in dict.fromkeys(annotation.get("category_id") for annotation in own):
            yield _candidate(image, own, category_id, categories, roots, licenses)


def _candidate(
    image: Mapping[str, Any],
    annotations: list[dict[str, Any]],
    category_id: object,
    categories: Mapping[Any, Mapping[str, Any]],
    roots: list[Path],
    licenses: Mapping[Any, str],
) -> Candidate:
    node = categories.get(category_id, {})
    category, file = str(node.get("name", category_id)), str(image.get("file_name"))
    places = [root / file for root in roots]
    path = next((one for one in places if one.is_file()), places[0])
    if not any(real_path(path).is_relative_to(real_path(root)) for root in roots):
        return Candidate(category, file, path, error="file_name points outside the folder of images")
    origin = str(image.get("coco_url") or image.get("flickr_url") or file)
    try:
        size = (int(image["width"]), int(image["height"]))
        objects = tuple(_object(one, size) for one in annotations if not one.get("iscrowd"))
        main = max((o for o in annotations if o.get("category_id") == category_id), key=_area)
        points = coco_points(main, [str(name) for name in node.get("keypoints") or []])
        first = _object(main, size)
    except (TypeError, ValueError, KeyError) as error:
        return Candidate(category, file, path, origin=origin, error=f"malformed annotation ({type(error).__name__})")
    rest = tuple(one for one in objects if one != first)
    return Candidate(
        category,
        f"{category}/{file}",
        path,
        *size,
        objects=(first, *rest),
        single_object=len(annotations) == 1 and not main.get("iscrowd"),
        points=points,
        origin=origin,
        license=licenses.get(image.get("license")),
        has_points=True,
    )


def _area(annotation: Mapping[str, Any]) -> float:
    box = annotation.get("bbox") or (0, 0, 0, 0)
    return float(box[2]) * float(box[3])


def _object(annotation: Mapping[str, Any], size: tuple[int, int]) -> ObjectMeasures:
    box = annotation.get("bbox")
    if box is None:
        return measured(None, size)
    left, top, width, height = (float(value) for value in box)
    if not all(math.isfinite(value) for value in (left, top, width, height)):
        raise ValueError("a box that is not finite")
    return measured((left, top, left + width, top + height), size)


def coco_points(annotation: Mapping[str, Any], names: list[str]) -> dict[str, tuple[float, float, int]]:
    """Keypoint -> (x, y, flag): 2 = visible, 1 = labeled and hidden; flag 0 is left out.

    Raises:
        ValueError: fewer numbers than keypoints.
    """
    values = annotation.get("keypoints") or []
    if not names or not values:
        return {}
    if len(values) < 3 * len(names):
        raise ValueError("fewer numbers than keypoints")
    found = {}
    for index, name in enumerate(names):
        x, y, flag = values[3 * index : 3 * index + 3]
        if flag in (1, 2) and math.isfinite(x) and math.isfinite(y):
            found[name] = (float(x), float(y), int(flag))
    return found


def find_coco(source: Path) -> Path | None:
    """The COCO file that a path means: itself, or the only JSON file in a folder or its `annotations` folder."""
    if source.is_file() and source.suffix == ".json":
        return source
    for folder in (source, source / "annotations"):
        files = sorted(folder.glob("*.json")) if folder.is_dir() else []
        if len(files) > 1:
            raise UsageError(f"{folder} has several JSON files; name one of them, such as {files[0]}.")
        if files:
            return files[0]
    return None
