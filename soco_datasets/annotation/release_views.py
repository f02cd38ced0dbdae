"""Annotated images in the form of the official release, from a project or from a release on disk."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DataNotFoundError, SocoError
from .json_files import read_outside_json
from .results import FinalImage

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class PointSpec:
    """A keypoint of a category; ids come with the whole release."""

    name: str
    concept: str | None
    kind: str
    texts: Mapping[str, str] = field(default_factory=dict)  # part, part_position, point_position, description


@dataclass(frozen=True)
class ReleaseView:
    """An image of a release. `points`: keypoint -> (x, y) of the visible ones, in stored pixels."""

    category: str
    file: str
    path: Path
    size: tuple[int, int]
    box: Box | None
    points: Mapping[str, tuple[float, float]]
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """File name without its ending."""
        return self.file.rpartition(".")[0]


@dataclass
class CategorySpec:
    """A category with its keypoints by name, in order."""

    name: str
    supercategory: str | None = None
    template: str | None = None
    points: dict[str, PointSpec] = field(default_factory=dict)


@dataclass
class ReleaseParts:
    """What a release consists of before it is written.

    Attributes:
        categories: by name.
        views: in order.
        keypoint_ids: name -> id, and `concept_ids`, where a release on disk has given them.
    """

    categories: dict[str, CategorySpec] = field(default_factory=dict)
    views: list[ReleaseView] = field(default_factory=list)
    keypoint_ids: dict[str, int] = field(default_factory=dict)
    concept_ids: dict[str, int] = field(default_factory=dict)


def read_release_parts(root: Path) -> ReleaseParts:
    """A release folder (the extracted tree): views and taxonomy from its pair files and KeypointAnnotations.

    Raises:
        DataNotFoundError: not a release folder.
        SocoError: a file that is not as the release has it.
    """
    if not (root / "Images").is_dir() or not any((root / f"{one}Annotations").is_dir() for one in ("Pair", "Keypoint")):
        raise DataNotFoundError(f"{root} has no Images/ and PairAnnotations/: neither a release folder nor a project.")
    parts = ReleaseParts()
    seen: set[tuple[str, str]] = set()
    for path, node, side in _sides(root):
        try:
            category, file = str(node[f"{side}category"]), str(node[f"{side}image"])
            if (category, file) in seen:
                continue
            seen.add((category, file))
            size = node[f"{side}imsize"]
            box = node.get(f"{side}bndbox")
            points = _take_points(parts, category, node[f"{side}keypoints"])
            extra: dict[str, Any] = {
                key: node[key] for key in ("azimuth", "elevation", "rotation") if key in node and not side
            }
            view = ReleaseView(
                category,
                file,
                root / "Images" / category / file,
                (int(size[0]), int(size[1])),
                (float(box[0]), float(box[1]), float(box[2]), float(box[3])) if box else None,
                points,
                extra,
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise SocoError(f"{path} is not as the release has it ({type(error).__name__}: {error}).") from None
        parts.views.append(view)
    parts.views.sort(key=lambda view: (view.category, file_number(view.file), view.file))
    return parts


def _sides(root: Path) -> Iterator[tuple[Path, dict[str, Any], str]]:
    """(file, its object, prefix of the fields) for each image that an annotation names."""
    files = itertools.chain(
        sorted((root / "KeypointAnnotations").glob("*/*.json")), sorted((root / "PairAnnotations").rglob("*.json"))
    )
    for path in files:
        node = read_outside_json(path)
        if not isinstance(node, dict):
            raise SocoError(f"{path} is not a JSON object.")
        if "src_image" in node:
            yield path, node, "src_"
            yield path, node, "trg_"
        elif isinstance(node.get("keypoints"), list) and {"image", "category", "imsize"} <= node.keys():
            yield path, node, ""


def _take_points(
    parts: ReleaseParts, category: str, nodes: Iterable[Mapping[str, Any]]
) -> dict[str, tuple[float, float]]:
    spec = parts.categories.setdefault(category, CategorySpec(category))
    points = {}
    for node in nodes:
        name, concept = str(node["name"]), node.get("concept_name")
        points[name] = (float(node["pos"][0]), float(node["pos"][1]))
        spec.points.setdefault(name, PointSpec(name, concept, str(node.get("kind") or "structural")))
        if isinstance(node.get("id"), int):
            parts.keypoint_ids.setdefault(name, node["id"])
        if isinstance(concept, str) and isinstance(node.get("concept_id"), int):
            parts.concept_ids.setdefault(concept, node["concept_id"])
    return points


def file_number(file: str) -> int:
    """ "car_12.JPEG" -> 12; 0 where the name has no number."""
    digits = file.rpartition(".")[0].rpartition("_")[2]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def project_category(category: Any) -> CategorySpec:
    """A category of `project.yaml` as the release needs it."""
    points = {}
    for keypoint in category.keypoints:
        names = ("part", "part_position", "point_position", "description")
        texts = {name: value for name in names if (value := getattr(keypoint, name)) is not None}
        points[keypoint.name] = PointSpec(keypoint.name, keypoint.concept, keypoint.kind, texts)
    return CategorySpec(category.name, category.supercategory, category.template, points)


def project_view(image: FinalImage, folder: Path, number: int) -> ReleaseView:
    """An image of a project under its name in the release."""
    row = image.row
    ending = Path(row.file).suffix
    extra = {
        key: value
        for key, value in {
            "azimuth": row.azimuth,
            "elevation": row.elevation,
            "rotation": row.rotation,
            "box_source": image.box_source,
            "origin": row.origin,
            "license": row.license,
        }.items()
        if value is not None
    }
    points = {name: (_inside(x, row.width), _inside(y, row.height)) for name, (x, y) in image.points.items()}
    file = f"{row.category}_{number}{ending}"
    return ReleaseView(row.category, file, folder / row.file, (row.width, row.height), image.box, points, extra)


def _inside(value: float, side: int) -> float:
    return min(max(value, 0.0), float(side))
