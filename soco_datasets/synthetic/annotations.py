"""Annotations of drawn images and their taxonomy, as the release writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .catalogue import DRAWN_CATEGORIES
from .model import PointKind
from .randomness import SeededDraw
from .render import RenderedView


@dataclass(frozen=True)
class NamedPoint:
    """A keypoint of a category in the taxonomy.

    Attributes:
        id: one per name in all categories.
        name: of the keypoint.
        concept_id: one per concept.
        concept: name of the concept.
        kind: structural or functional.
        shared: whether more than one category has the name.
    """

    id: int
    name: str
    concept_id: int
    concept: str
    kind: PointKind
    shared: bool

    def record(self, position: tuple[float, float] | None = None) -> dict[str, Any]:
        """The release's object for it, with its place in an image or without."""
        where = {} if position is None else {"pos": list(position)}
        return {
            "id": self.id,
            "name": self.name,
            **where,
            "concept_id": self.concept_id,
            "concept_name": self.concept,
            "kind": self.kind,
            "shared": self.shared,
        }


@dataclass(frozen=True)
class Annotation:
    """A drawn image without its pixels.

    Attributes:
        category: its category.
        number: of the image in its category, from 1.
        size: width and height.
        bbox: left, top, right, bottom of the object's visible pixels.
        points: keypoint name -> (taxonomy entry, position), visible ones only, in the model's order.
        azimuth: degrees, see `camera`.
        elevation: degrees.
    """

    category: str
    number: int
    size: tuple[int, int]
    bbox: tuple[int, int, int, int]
    points: dict[str, tuple[NamedPoint, tuple[float, float]]]
    azimuth: float
    elevation: float

    @property
    def stem(self) -> str:
        """File name without its ending."""
        return f"{self.category}_{self.number}"

    @property
    def file_name(self) -> str:
        """File name of the image."""
        return f"{self.stem}.JPEG"

    def keypoint_records(self) -> list[dict[str, Any]]:
        """The visible keypoints as the release writes them."""
        return [point.record(position) for point, position in self.points.values()]

    def record(self) -> dict[str, Any]:
        """The content of the image's keypoint file."""
        return {
            "image": self.file_name,
            "category": self.category,
            "imsize": list(self.size),
            "bndbox": list(self.bbox),
            "azimuth": self.azimuth,
            "elevation": self.elevation,
            "rotation": 0.0,
            "keypoints": self.keypoint_records(),
        }


class MiniTaxonomy:
    """The keypoints of every category: the landmarks of any instance, numbered by name."""

    def __init__(self) -> None:
        landmarks = {category.name: category.make(SeededDraw(0, "taxonomy")).landmarks for category in DRAWN_CATEGORIES}
        names = sorted({mark.name for marks in landmarks.values() for mark in marks})
        self.concepts = sorted({mark.concept for marks in landmarks.values() for mark in marks})
        holders = {name: sum(any(m.name == name for m in marks) for marks in landmarks.values()) for name in names}
        name_ids = {name: number for number, name in enumerate(names)}
        concept_ids = {concept: number for number, concept in enumerate(self.concepts)}
        self.points: dict[str, dict[str, NamedPoint]] = {
            category: {
                mark.name: NamedPoint(
                    name_ids[mark.name],
                    mark.name,
                    concept_ids[mark.concept],
                    mark.concept,
                    mark.kind,
                    holders[mark.name] > 1,
                )
                for mark in marks
            }
            for category, marks in landmarks.items()
        }

    def record(self) -> dict[str, Any]:
        """The content of keypoint_taxonomy.json."""
        return {
            "concepts": [{"id": number, "name": concept} for number, concept in enumerate(self.concepts)],
            "instances": [
                {"category": category, "keypoints": [point.record() for point in points.values()]}
                for category, points in self.points.items()
            ],
        }

    def annotate(self, category: str, number: int, view: RenderedView) -> Annotation:
        """The annotation of a view."""
        known = self.points[category]
        height, width = view.pixels.shape[:2]
        points = {seen.landmark.name: (known[seen.landmark.name], (seen.x, seen.y)) for seen in view.keypoints}
        return Annotation(category, number, (width, height), view.bbox, points, view.azimuth, view.elevation)
