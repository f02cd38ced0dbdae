"""Omni3D: COCO-like JSON files of images with cuboids in camera coordinates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

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
from .base import DataReader, Finding, ImageSet, decode, image_size, picture_findings

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
        intrinsics = np.asarray(entry["K"], dtype=np.float64)
        if intrinsics.shape != (3, 3) or not np.isfinite(intrinsics).all() or not intrinsics[1, 1] > 0:
            yield Finding("error", str(path), "K is not a camera matrix.")


def read_omni3d(path: Path) -> dict[str, Any]:
    """An Omni3D JSON file with its lists checked. Raises `DatasetFolderError`."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetFolderError(f"{path} is not JSON ({error}). Copy it again.") from error
    lacks = [name for name in ("images", "annotations", "categories") if not isinstance(content.get(name), list)]
    if lacks:
        raise DatasetFolderError(f"{path} lacks the lists {', '.join(lacks)}; it is not an Omni3D file.")
    return dict(content)


def inspect_box(box: Mapping[str, Any], where: str) -> Iterable[Finding]:
    """What is odd about one annotation."""
    try:
        dimensions = np.asarray(box["dimensions"], dtype=np.float64)
        center = np.asarray(box["center_cam"], dtype=np.float64)
        rotation = np.asarray(box["R_cam"], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        yield Finding("error", where, f"no cuboid can be read ({error}).")
        return
    flat = annotation_box2d(box)
    if flat is not None and not (np.isfinite(flat).all() and flat[0] <= flat[2] and flat[1] <= flat[3]):
        yield Finding("error", where, f"the 2D box {flat} is no [x1, y1, x2, y2].")
    if box.get("behind_camera") or not box.get("valid3D", True):
        return
    if not np.isfinite(dimensions).all():
        yield Finding("error", where, f"dimensions {dimensions.tolist()} are not finite.")
    elif dimensions.shape != (3,) or not (dimensions > 0).all():
        yield Finding("warning", where, f"dimensions {dimensions.tolist()}; the box is ignored.")
    elif float(dimensions.max()) > 100:
        yield Finding("error", where, f"a side of {dimensions.max():.0f} m: wrong units.", "dimensions are in meters")
    if center.shape != (3,) or not np.isfinite(center).all():
        yield Finding("error", where, "the center is not finite.")
    elif float(np.abs(center).max()) > 1000 and center[2] < 1e8:  # beyond that it is Omni3D's mark of a lost center
        problem = f"the center is {np.abs(center).max():.0f} m away: wrong units."
        yield Finding("error", where, problem, "center_cam is in meters")
    elif center[2] <= 0:
        yield Finding("warning", where, "the box is behind the camera, which its annotation does not say.")
    if rotation.shape != (3, 3) or not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
        yield Finding("error", where, "R_cam is not a rotation.")
