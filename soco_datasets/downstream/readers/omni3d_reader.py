"""Omni3D: COCO-like JSON files of images with cuboids in camera coordinates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeGuard

import numpy as np
from numpy.typing import NDArray

from ...errors import DatasetFolderError
from ...metrics.average_precision3d import (
    EVALUATION_RULES,
    TRAINING_RULES,
    IgnoreRules,
    annotation_box2d,
    is_ignored,
)
from .base import DataReader, Finding, ImageSet, decode, image_size, picture_findings, read_data_json

ARKIT_CLASSES = (
    *("bathtub", "bed", "cabinet", "chair", "machine", "oven", "refrigerator"),
    *("shelves", "sink", "sofa", "stove", "table", "television", "toilet"),
)
_FILES = {"train": ("ARKitScenes_train.json", "ARKitScenes_val.json"), "test": ("ARKitScenes_test.json",)}


class Omni3dReader(DataReader):
    """Images and cuboids of ARKitScenes: training (train + val) and test.

    Attributes:
        images: split -> image id -> its entry.
        boxes: split -> image id -> annotations of the classes that are evaluated.
        categories: name -> id.
    """

    kind: ClassVar[str] = "omni3d"
    title: ClassVar[str] = "Omni3D ARKitScenes"
    expected: ClassVar[dict[str, int]] = {"classes": 14}
    not_on_hub: ClassVar[str] = "images and JSON files are published apart; download both"

    def open(self) -> None:
        self.images: dict[str, dict[Any, dict[str, Any]]] = {}
        self.boxes: dict[str, dict[Any, list[dict[str, Any]]]] = {}
        self.categories: dict[str, int] = {}
        self._broken: list[Finding] = []
        self.layout = "Omni3D JSON"
        folder = self.root / "Omni3D" if (self.root / "Omni3D").is_dir() else self.root
        for split, names in _FILES.items():
            paths = [path for name in names for path in (folder / name, folder / f"Omni3D_{name}") if path.is_file()]
            if not paths:
                raise DatasetFolderError(f"{folder} holds none of {', '.join(names)} of Omni3D.")
            self.images[split], self.boxes[split] = {}, {}
            for path in paths:
                self._read(split, path)

    def _read(self, split: str, path: Path) -> None:
        content = read_omni3d(path)
        for row, image in enumerate(content["images"]):
            lacks = [name for name in ("K", "file_path") if name not in image]
            if lacks:
                raise DatasetFolderError(f"{path} image {row}: it lacks {', '.join(lacks)}. Copy it again.")
        self.categories |= {one["name"]: one["id"] for one in content["categories"]}
        images = {image["id"]: image for image in content["images"]}
        if len(images) < len(content["images"]):
            count = len(content["images"]) - len(images)
            self._broken.append(Finding("error", str(path), f"{count} images have the id of another.", "copy it again"))
        self.images[split] |= images
        for image in images:
            self.boxes[split][image] = []
        for row, annotation in enumerate(content["annotations"]):
            name, where = annotation.get("category_name"), f"{path} annotation {row}"
            if annotation.get("image_id") not in images:
                self._broken.append(Finding("error", where, "its image is unknown."))
            elif name not in self.categories:
                self._broken.append(Finding("warning", where, f"unknown class {name!r}; it is dropped."))
            elif annotation.get("category_id") != self.categories[name]:
                given, known = annotation.get("category_id"), self.categories[name]
                problem = f"category_id {given!r} is not that of {name!r}, {known}."
                self._broken.append(Finding("error", where, problem, "are these ids of another kind or data set?"))
            elif name in ARKIT_CLASSES and annotation_box2d(annotation) is not None:
                self.boxes[split][annotation["image_id"]].append({**annotation, "row": where})

    def counts(self) -> dict[str, int]:
        names = {one["category_name"] for boxes in self.boxes.values() for own in boxes.values() for one in own}
        return {"train": len(self.images["train"]), "test": len(self.images["test"]), "classes": len(names)}

    def ids(self, split: str) -> list[Any]:
        """Ids of the images of a split, of the subset where there is one."""
        return self.options.kept(sorted(self.images[split]), split)

    def image_set(self, split: str) -> ImageSet:
        """The images of a split; sizes differ."""
        ids = self.ids(split)
        entries = [self.images[split][one] for one in ids]
        return ImageSet(
            split,
            tuple(str(one) for one in ids),
            lambda number: decode(self.root / entries[number]["file_path"]),
            self.fingerprint,
            lambda number: (int(entries[number]["width"]), int(entries[number]["height"])),
        )

    def usable(self, split: str, image: Any, rules: IgnoreRules = EVALUATION_RULES) -> list[dict[str, Any]]:
        """Annotations of an image that count under some rules."""
        height = float(self.images[split][image]["height"])
        return [one for one in self.boxes[split][image] if not is_ignored(one, height, rules)]

    def mean_sizes(self) -> dict[str, NDArray[np.float64]]:
        """Mean [width, height, length] of each class over the training boxes that count."""
        sizes: dict[str, list[Any]] = {}
        for image in self.ids("train"):
            for one in self.usable("train", image, TRAINING_RULES):
                sizes.setdefault(one["category_name"], []).append(one["dimensions"])
        return {name: np.mean(values, axis=0) for name, values in sizes.items()}

    def inspect(self, sampled: Callable[[Sequence[Any]], Sequence[Any]]) -> Iterable[Finding]:
        yield from self._broken
        for split in self.images:
            for image in sampled(sorted(self.images[split])):
                yield from self._inspect_image(self.images[split][image])
            for boxes in self.boxes[split].values():
                for box in boxes:
                    yield from inspect_box(box, box["row"])

    def _inspect_image(self, entry: Mapping[str, Any]) -> Iterable[Finding]:
        path = self.root / entry["file_path"]
        if not path.is_file():
            yield Finding("error", str(path), "the image is missing.", "copy it")
            return
        found = picture_findings(path)
        yield from found
        if any(one.severity == "error" for one in found):
            return
        size = image_size(path)
        if size != (entry["width"], entry["height"]):
            swapped = size == (entry["height"], entry["width"])
            problem = f"the image is {size[0]}x{size[1]}, the JSON says {entry['width']}x{entry['height']}"
            yield Finding("error", str(path), f"{problem}{': swapped sides' if swapped else ''}.", "copy it again")
        intrinsics = np.array(entry["K"], dtype=np.float64)
        if not np.isfinite(intrinsics).all() or not intrinsics[1, 1] > 0:
            yield Finding("error", str(path), "K is not a camera matrix.")


_TYPES: dict[str, dict[str, tuple[int, ...] | type]] = {  # of fields: a shape of numbers, or a type
    "images": {"id": int, "width": (), "height": (), "K": (3, 3), "file_path": str},
    "categories": {"id": int, "name": str},
    "annotations": {
        "image_id": int, "category_id": int, "category_name": str, "center_cam": (3,), "dimensions": (3,),
        "R_cam": (3, 3), "truncation": (), "visibility": (), "depth_error": (), "lidar_pts": (), "segmentation_pts": (),
    },
}  # fmt: skip
_NEEDED = {
    "images": ("id", "width", "height"),
    "categories": ("id", "name"),
    "annotations": ("image_id", "category_id", "center_cam", "dimensions", "R_cam"),
}
_LARGEST_ID = 2**63 - 1


def is_whole_number(value: Any) -> TypeGuard[int]:
    """Whether a value of a JSON file is an integer that an id may be."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_ID


def are_numbers(value: Any, *shape: int) -> bool:
    """Whether a value of a JSON file is a number, or nested lists of numbers of a shape; NaN is one.

    >>> are_numbers(1.5), are_numbers([[1, 2], [3, 4]], 2, 2), are_numbers([1, "2"], 2), are_numbers(None)
    (True, True, False, False)
    """
    if not shape:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, list) and len(value) == shape[0] and all(are_numbers(one, *shape[1:]) for one in value)


def read_omni3d(path: Path) -> dict[str, Any]:
    """An Omni3D JSON file whose lists and types are checked. Raises `DatasetFolderError` with file, row and field."""
    try:
        content = read_data_json(path)
    except (OSError, ValueError) as error:
        raise DatasetFolderError(f"{path} is not JSON ({error}). Copy it again.") from error
    lists = content if isinstance(content, dict) else {}
    lacks = [
        name for name in _TYPES if not isinstance(lists.get(name), list) or (name == "categories" and not lists[name])
    ]
    if lacks:
        raise DatasetFolderError(f"{path} lacks the lists {', '.join(lacks)}; it is not an Omni3D file.")
    for name, types in _TYPES.items():
        for row, entry in enumerate(lists[name]):
            problem = _wrong_type(entry, types, _NEEDED[name])
            if problem:
                raise DatasetFolderError(f"{path} {name.removesuffix('s')} {row}: {problem}. Copy it again.")
    return dict(lists)


def _wrong_type(entry: Any, types: Mapping[str, tuple[int, ...] | type], needed: Sequence[str]) -> str:
    """What is wrong with an entry, "" = nothing."""
    if not isinstance(entry, dict):
        return f"{entry!r:.60} is no object"
    for field in needed:
        if field not in entry:
            return f"it lacks {field}"
    for field, wanted in types.items():
        if field not in entry:
            continue
        value = entry[field]
        if isinstance(wanted, tuple):
            right = are_numbers(value, *wanted)
            what = f"{' x '.join(map(str, wanted))} numbers" if wanted else "a number"
        else:
            right = is_whole_number(value) if wanted is int else isinstance(value, str)
            what = "a whole number" if wanted is int else "text"
        if not right:
            return f"{field} is {value!r:.60}, not {what}"
    return ""


def inspect_box(box: Mapping[str, Any], where: str) -> Iterable[Finding]:
    """What is odd about one annotation."""
    dimensions, center, rotation = (np.array(box[name], np.float64) for name in ("dimensions", "center_cam", "R_cam"))
    flat = annotation_box2d(box)
    if flat is not None and not (np.isfinite(flat).all() and flat[0] <= flat[2] and flat[1] <= flat[3]):
        yield Finding("error", where, f"the 2D box {flat} is no [x1, y1, x2, y2].")
    if box.get("behind_camera") or not box.get("valid3D", True):
        return
    if not np.isfinite(dimensions).all():
        yield Finding("error", where, f"dimensions {dimensions.tolist()} are not finite.")
    elif not (dimensions > 0).all():
        yield Finding("warning", where, f"dimensions {dimensions.tolist()}; the box is ignored.")
    elif float(dimensions.max()) > 100:
        yield Finding("error", where, f"a side of {dimensions.max():.0f} m: wrong units.", "dimensions are in meters")
    if not np.isfinite(center).all():
        yield Finding("error", where, "the center is not finite.")
    elif float(np.abs(center).max()) > 1000 and center[2] < 1e8:  # beyond that it is Omni3D's mark of a lost center
        problem = f"the center is {np.abs(center).max():.0f} m away: wrong units."
        yield Finding("error", where, problem, "center_cam is in meters")
    elif center[2] <= 0:
        yield Finding("warning", where, "the box is behind the camera, which its annotation does not say.")
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
        yield Finding("error", where, "R_cam is not a rotation.")
