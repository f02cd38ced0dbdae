"""A drawn object: its mesh and its named points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from .mesh import (
    FloatArray,
    Mesh,
    Vertex,
    join,
)

PointKind = Literal["structural", "functional"]
SIDES: tuple[tuple[str, float], ...] = (("left", 1.0), ("right", -1.0))
ENDS: tuple[tuple[str, float], ...] = (("front", 1.0), ("rear", -1.0))


@dataclass(frozen=True)
class Landmark:
    """A keypoint of the model.

    Attributes:
        name: the keypoint's name.
        concept: its concept.
        kind: structural or functional.
        position: (3,) in the object frame.
        normal: (3,) outward normal where the point lies on a flat place, seen from its front only; None at corners.
        slack: how far the surface may lie in front of the point: half the thickness of a part annotated at its middle.
    """

    name: str
    concept: str
    kind: PointKind
    position: FloatArray
    normal: FloatArray | None
    slack: float


@dataclass(frozen=True)
class Model:
    """One instance of a category.

    Attributes:
        mesh: its surface, standing on z = 0.
        landmarks: its keypoints; the same names in the same order for every instance of a category.
    """

    mesh: Mesh
    landmarks: tuple[Landmark, ...]

    @cached_property
    def center(self) -> FloatArray:
        """(3,) middle of the bounding box."""
        points = self.mesh.corners.reshape(-1, 3)
        middle: FloatArray = (points.min(axis=0) + points.max(axis=0)) / 2
        return middle

    @cached_property
    def radius(self) -> float:
        """The largest distance of a surface point from the center."""
        offset = self.mesh.corners.reshape(-1, 3) - self.center
        return float(np.sqrt((offset[:, 0] ** 2 + offset[:, 1] ** 2 + offset[:, 2] ** 2).max()))


class ModelBuilder:
    """Collects the parts and the keypoints of a model."""

    def __init__(self) -> None:
        self._meshes: list[Mesh] = []
        self._landmarks: list[Landmark] = []

    def add(self, *meshes: Mesh) -> None:
        """Add parts."""
        self._meshes.extend(meshes)

    def mark(
        self,
        name: str,
        concept: str,
        position: Vertex,
        normal: Vertex | None = None,
        slack: float = 0.0,
        kind: PointKind = "structural",
    ) -> None:
        """Add a keypoint."""
        place = np.array(position, dtype=np.float64)
        direction = None if normal is None else np.array(normal, dtype=np.float64)
        self._landmarks.append(Landmark(name, concept, kind, place, direction, slack))

    def build(self) -> Model:
        """The finished model."""
        return Model(join(self._meshes), tuple(self._landmarks))
