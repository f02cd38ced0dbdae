"""What the readers of the other benchmarks share: annotated pictures and pairs of them, checked, to a `Release`.

A reader makes an `Annotated` for each (category, picture), names pairs by their image ids, and lets `Assembly` check
pictures, boxes and points. A picture that two categories annotate is two images with the same file content, whose
features are computed once where maps are kept by content.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.checked_release import Release
from ..data.diagnostics import BuildReport
from ..data.pair_table import PairTable
from ..data.release_types import AnnotatedKeypoint, Box, ImageRecord, ImageView, PairRecord
from ..data.taxonomy import KeypointEntry, Taxonomy
from ..errors import ReleaseError
from ..utils.chunks import Mapper
from ..utils.foreign import read_json_text
from .image_files import read_images
from .release_files import ReleaseFiles, read_error

Point = tuple[str, int, float, float]  # name, id, x, y in pixels
_BORDER = 1.0  # annotated boxes and points may end this far outside the picture, pixels


@dataclass
class Annotated:
    """One picture as one category annotates it.

    Attributes:
        category: its category; with the stem of the file it makes the image id.
        path: of the picture.
        where: the annotation's file, for messages.
        box: left, top, right, bottom in pixels, None where there is none.
        points: visible points.
        size: (width, height) that the annotation states, None where it does not.
        supercategory: of the category.
    """

    category: str
    path: Path
    where: str
    box: Box | None
    points: Sequence[Point]
    size: tuple[int, int] | None = None
    supercategory: str | None = None

    @property
    def image_id(self) -> str:
        return f"{self.category}/{self.path.stem}"


@dataclass
class Listed:
    """One pair as a list has it. Views are given where the pair has a box or points of its own."""

    pair_id: str
    group: str
    source: str
    target: str
    where: str
    source_box: Box | None = None
    target_box: Box | None = None
    source_points: Sequence[Point] | None = None
    target_points: Sequence[Point] | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)


class Assembly:
    """Collects annotated pictures and pair lists, and checks them together.

    Args:
        root: folder of the benchmark; its name becomes the source's id.
        findings: errors, repairs and notes go here.
        concepts: point name -> concept, for benchmarks whose points have instances of one concept.
    """

    def __init__(self, root: Path, findings: BuildReport, concepts: Mapping[str, str] | None = None) -> None:
        self.root, self.findings, self._concepts = root, findings, concepts or {}
        self._annotated: dict[str, Annotated] = {}
        self.lists: dict[str, list[Listed]] = {}
        self.names: dict[tuple[str, int], str] = {}
        self.side_files: list[tuple[str, str]] = []
        self.facts: dict[str, Any] = {}

    def relative(self, path: Path) -> str:
        """A path below the root, with "/", for messages."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()

    def read_json(self, path: Path) -> Any:
        """The JSON of a file; None and an error in the findings where it has none."""
        try:
            return read_json_text(path.read_bytes())
        except (OSError, ValueError) as error:
            self.findings.error(self.relative(path), "", "bad_json", read_error(error), "get the file again")
            return None

    def add(self, found: Annotated) -> None:
        """Take in an annotated picture; of two annotations of one picture in one category the first counts."""
        if found.image_id in self._annotated:
            first = self._annotated[found.image_id].where
            message = f"{found.image_id} is annotated in {first} too: the first one is used"
            self.findings.repair(found.where, "", "doubled_annotation", message, "remove one of them")
            return
        if not all(math.isfinite(x) and math.isfinite(y) for _, _, x, y in found.points):
            self.findings.repair(found.where, "keypoints", "point_not_finite", "points that are not finite are absent")
            found.points = [point for point in found.points if math.isfinite(point[2]) and math.isfinite(point[3])]
        self._annotated[found.image_id] = found

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._annotated

    def annotated(self, image_id: str) -> Annotated:
        """The annotation of an image; raises `KeyError`."""
        return self._annotated[image_id]

    def ids(self) -> list[str]:
        """Ids of all annotated pictures, sorted."""
        return sorted(self._annotated)

    def release(self, mapper: Mapper, box_format: str = "left, top, right, bottom") -> Release:
        """Read and check the pictures, and everything that was added against them."""
        files = ReleaseFiles("folder", self.root.name)
        for found in self._annotated.values():
            if found.path.is_file():
                files.add(f"Images/{found.category}/{found.path.name}", found.path, self.findings)
            else:
                message = f"the picture {self.relative(found.path)} is not there"
                self.findings.error(found.where, "", "picture_missing", message, "get the picture")
        images = read_images(files, self.findings, mapper)
        self._check_boxes(images, box_format)
        for image_id, record in images.items():
            found = self._annotated[image_id]
            record.bbox, record.points = found.box, self._keypoints(found.points)
            self._check_frame(found, record)
        pairs: dict[str, PairTable | list[PairRecord]] = {name: self._records(name, images) for name in self.lists}
        supercategories = {a.category: a.supercategory for a in self._annotated.values() if a.supercategory}
        return Release(
            origin={"kind": "folder", "id": self.root.name, "revision": None},
            images=images,
            pairs=pairs,
            taxonomy=self._taxonomy(supercategories),
            read_file=files.read,
            side_files=self.side_files,
            supercategories=supercategories,
            facts=self.facts,
        )

    def _check_boxes(self, images: Mapping[str, ImageRecord], box_format: str) -> None:
        boxes = {i: a.box for i, a in self._annotated.items() if a.box is not None and i in images}
        outside = [i for i, box in boxes.items() if not _is_inside(box, images[i].size)]
        if len(boxes) > 1 and len(outside) == len(boxes):
            raise ReleaseError(
                f"{self.root}: every box leaves its picture when read as {box_format} (such as {outside[0]}: "
                f"{list(boxes[outside[0]] or ())} in {images[outside[0]].size}). The file seems to use another order; "
                f"this benchmark's boxes are {box_format}. Convert them."
            )
        for image_id in outside:
            found, box = self._annotated[image_id], boxes[image_id]
            if box is not None and (box[2] <= box[0] or box[3] <= box[1]):
                message = f"the box of {image_id}, {list(box)}, has no area: errors cannot be divided by it"
                self.findings.error(found.where, "bbox", "empty_box", message, "correct the box")
                self._annotated[image_id].box = None
            else:
                message = f"the box of {image_id}, {list(box or ())}, leaves the picture: kept as it is"
                self.findings.note(found.where, "bbox", "box_outside", message)

    def _check_frame(self, found: Annotated, record: ImageRecord) -> None:
        if found.size is not None and tuple(found.size) != record.size:
            message = f"states {list(found.size)} for {record.image_id}, but the picture has {list(record.size)} pixels"
            self.findings.error(found.where, "width", "size_disagrees", message, "restore the original picture")
        width, height = record.size
        low, right, bottom = -_BORDER, width + _BORDER, height + _BORDER
        out = sum(not (low <= x <= right and low <= y <= bottom) for *_, x, y in found.points)
        if out:
            message = f"{out} point(s) of {record.image_id} lie outside the picture: kept as they are"
            self.findings.note(found.where, "keypoints", "point_outside", message)
        if record.exif_orientation != 1:
            message = "carries an EXIF rotation, which is never applied: points are in un-rotated pixels"
            self.findings.note(self.relative(found.path), "", "exif_rotation", message)

    def _keypoints(self, points: Sequence[Point]) -> tuple[AnnotatedKeypoint, ...]:
        return tuple(
            AnnotatedKeypoint(name, x, y, number, None, self._concepts.get(name), None, None, False)
            for name, number, x, y in points
        )

    def _records(self, name: str, images: Mapping[str, ImageRecord]) -> list[PairRecord]:
        views: dict[str, ImageView] = {
            image_id: ImageView(image_id, record.bbox, record.bbox is not None, record.points)
            for image_id, record in images.items()
        }
        records = []
        for pair in self.lists[name]:
            absent = [image_id for image_id in (pair.source, pair.target) if image_id not in views]
            if absent:
                message = f"names {absent[0]}, which has no annotated picture here"
                self.findings.error(pair.where, "", "pair_without_image", message, "get the picture and its annotation")
                continue
            source = self._view(views[pair.source], pair.source_box, pair.source_points)
            target = self._view(views[pair.target], pair.target_box, pair.target_points)
            if target.bbox is not None and (target.bbox[2] <= target.bbox[0] or target.bbox[3] <= target.bbox[1]):
                message = f"the target's box {list(target.bbox)} has no area: errors cannot be divided by it"
                self.findings.error(pair.where, "bbox", "empty_box", message, "correct the box")
                continue
            records.append(
                PairRecord(
                    pair.pair_id, name, pair.group, source, target, None, None, pair.where, attributes=pair.attributes
                )
            )
        return records

    def _view(self, view: ImageView, box: Box | None, points: Sequence[Point] | None) -> ImageView:
        if box is None and points is None:
            return view
        own = view.points if points is None else self._keypoints(points)
        if own != view.points:
            self.facts["points_per_pair"] = True  # so that no image has one set of annotated points
        return ImageView(view.image_id, view.bbox if box is None else box, True, own)

    def _taxonomy(self, supercategories: Mapping[str, str]) -> Taxonomy:
        seen: dict[tuple[str, str], int] = {(c, name): number for (c, number), name in self.names.items()}
        for found in self._annotated.values():
            for name, number, *_ in found.points:
                seen.setdefault((found.category, name), number)
        ordered = sorted(seen.items(), key=lambda item: (item[0][0], item[1], item[0][1]))
        return Taxonomy(
            tuple(
                KeypointEntry.named(category, name, number, supercategories.get(category), self._concepts.get(name))
                for (category, name), number in ordered
            )
        )


def corners(box: Sequence[float]) -> Box:
    """[left, top, width, height] to (left, top, right, bottom)."""
    left, top, width, height = (float(value) for value in box)
    return left, top, left + width, top + height


def folder_with(path: Path, *parts: str) -> Path | None:
    """The folder that has all these parts: `path` itself or its only such sub-folder; None where there is none."""

    def has_parts(folder: Path) -> bool:
        return all((folder / part).exists() for part in parts)

    if has_parts(path):
        return path
    inner = [folder for folder in sorted(path.iterdir()) if folder.is_dir() and has_parts(folder)]
    return inner[0] if len(inner) == 1 else None


def checked_root(path: Path, root: Path | None, title: str, looked_for: str) -> Path:
    """The root that `folder_with` gave; raises `ReleaseError` saying what was looked for."""
    if root is None:
        raise ReleaseError(f"{path} is not {title} as it is after unpacking. Expected {looked_for}.")
    return root


def overlap_notes(lists: Mapping[str, Sequence[Listed]], train: str, test: str) -> list[str]:
    """What two pair lists share: pairs (in either direction) and pictures, in words; empty where they share nothing."""
    first, second = lists.get(train, []), lists.get(test, [])
    known = {frozenset((pair.source, pair.target)) for pair in first}
    pairs = {frozenset((pair.source, pair.target)) for pair in second}
    pictures = {side for pair in second for side in (pair.source, pair.target)}
    seen = {side for pair in first for side in (pair.source, pair.target)}
    notes = []
    if shared := len(pairs & known):
        notes.append(
            f"{shared} of the {len(pairs)} pairs of {test} (direction ignored) are in {train} too: "
            "harmless for zero-shot features, leakage for anything that is trained"
        )
    if both := len(pictures & seen):
        notes.append(f"{both} of the {len(pictures)} pictures of {test} occur in {train}")
    return notes


def _is_inside(box: Box | None, size: tuple[int, int]) -> bool:
    if box is None:
        return True
    left, top, right, bottom = box
    width, height = size
    inside = left >= -_BORDER and top >= -_BORDER and right <= width + _BORDER and bottom <= height + _BORDER
    return inside and right > left and bottom > top
