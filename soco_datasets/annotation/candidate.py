"""A photograph that could be annotated, with the measures that the filters act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class ObjectMeasures:
    """One object of a picture.

    Attributes:
        box: left, top, right, bottom in stored pixels; None where unknown.
        area_fraction: box area / image area, rounded to 6 digits; None without a box.
        longest_side_fraction: longest side of the box / longest side of the image, likewise.
        valid_pose: None where the source has no poses.
        azimuth: radians, None where unknown; likewise `elevation` and `theta`.
        status: ImageNet3D's object_status.
        dense: ImageNet3D's dense flag.
        rotation: Animal3D's global rotation, a 3 x 3 matrix.
    """

    box: Box | None = None
    area_fraction: float | None = None
    longest_side_fraction: float | None = None
    valid_pose: bool | None = None
    azimuth: float | None = None
    elevation: float | None = None
    theta: float | None = None
    status: str | None = None
    dense: str | None = None
    rotation: tuple[tuple[float, float, float], ...] | None = None


@dataclass(frozen=True)
class Candidate:
    """A picture of a source.

    Attributes:
        category: it would belong to.
        name: unique in the source, for people ("bed/n02818832_420").
        path: of the picture.
        width: stored, in pixels; 0 where unknown. Likewise `height`.
        objects: measured objects, the first is the salient one.
        single_object: whether there is one object and no crowd of them.
        points: keypoint of the source -> (x, y, flag), where the source has any; 2 = visible, 1 = hidden.
        origin: where the picture comes from.
        license: of the picture, where the source states it.
        has_points: its pixels must stay as they are, since points and boxes refer to them.
        error: why it cannot be used at all (a broken or hostile file).
    """

    category: str
    name: str
    path: Path
    width: int = 0
    height: int = 0
    objects: tuple[ObjectMeasures, ...] = ()
    single_object: bool = True
    points: Mapping[str, tuple[float, float, int]] = field(default_factory=dict)
    origin: str | None = None
    license: str | None = None
    has_points: bool = False
    error: str | None = None

    def measures(self) -> dict[str, Any]:
        """What the filters saw, for the table."""
        first = self.objects[0] if self.objects else ObjectMeasures()
        return {
            "objects": len(self.objects),
            "single_object": self.single_object,
            "area_fraction": first.area_fraction,
            "longest_side_fraction": first.longest_side_fraction,
            "valid_pose": first.valid_pose,
            "azimuth": first.azimuth,
            "status": first.status,
        }


def measured(box: Box | None, size: tuple[int, int], **values: Any) -> ObjectMeasures:
    """An object with the fractions of its box in an image of `size` (width, height)."""
    if box is None or min(size) < 1:
        return ObjectMeasures(box=box, **values)
    left, top, right, bottom = box
    width, height = max(0.0, right - left), max(0.0, bottom - top)
    return ObjectMeasures(
        box=box,
        area_fraction=round(width * height / (size[0] * size[1]), 6),
        longest_side_fraction=round(max(width, height) / max(size), 6),
        **values,
    )
