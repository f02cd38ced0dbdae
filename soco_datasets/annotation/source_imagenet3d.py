"""Candidates from ImageNet3D as downloaded: images/<category>/, annotations/<category>/*.npz, lists/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.paths import real_path
from ..utils.safe_pickle import UnsafeFileError, read_pickled_annotations
from .candidate import Box, Candidate, ObjectMeasures, measured

LICENSE = "CC BY-NC 4.0 (ImageNet3D), and ImageNet's terms"
_ENDINGS = (".JPEG", ".jpeg", ".jpg", ".png")


def is_imagenet3d(folder: Path) -> bool:
    """Whether a folder has this layout."""
    return (folder / "annotations").is_dir() and any((folder / "annotations").glob("*/*.npz"))


def read_imagenet3d(folder: Path) -> Iterator[Candidate]:
    """All pictures, in order of category and name."""
    for path in sorted((folder / "annotations").glob("*/*.npz")):
        category, stem = path.parent.name, path.stem
        images = [folder / "images" / category / f"{stem}{ending}" for ending in _ENDINGS]
        image = next((one for one in images if one.is_file()), images[0])
        name, origin = f"{category}/{stem}", f"ImageNet3D {category}/{stem}"
        try:
            if not real_path(path).is_relative_to(real_path(folder)):
                raise UnsafeFileError("is a link out of the source")
            dicts = read_pickled_annotations(path)
            size = (int(dicts[0].get("width", 0)), int(dicts[0].get("height", 0)))
            objects = tuple(_object(item, size) for item in dicts)
        except (UnsafeFileError, TypeError, ValueError, OverflowError) as error:
            yield Candidate(category, name, image, origin=origin, license=LICENSE, error=f"{path.name}: {error}")
            continue
        single = len(objects) == 1 and objects[0].dense != "dense_yes"
        yield Candidate(
            category.replace("_", " "),
            name,
            image,
            *size,
            objects=objects,
            single_object=single,
            origin=origin,
            license=LICENSE,
            has_points=True,
        )


def _object(item: dict[str, Any], size: tuple[int, int]) -> ObjectMeasures:
    box = np.asarray(item["bbox"], dtype=np.float64).ravel() if item.get("bbox") is not None else None
    if box is not None and (box.shape != (4,) or not np.isfinite(box).all()):
        box = None
    angles = {name: _number(item.get(name)) for name in ("azimuth", "elevation", "theta")}
    status = item.get("object_status")
    status = status if isinstance(status, str) else None
    distance = _number(item.get("distance"))
    ignored = _number(item.get("ignore")) or 0.0
    has_pose = None not in angles.values() and distance is not None and distance > 0
    return measured(
        None if box is None else _box(box.tolist()),
        size,
        valid_pose=has_pose and status not in (None, "status_bad") and ignored <= 0,
        status=status,
        dense=item.get("dense") if isinstance(item.get("dense"), str) else None,
        **angles,
    )


def _box(values: list[float]) -> Box:
    return values[0], values[1], values[2], values[3]


def _number(value: object) -> float | None:
    if isinstance(value, np.generic):
        value = value.item()
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value)
    return float(value) if is_number else None  # type: ignore[arg-type]
