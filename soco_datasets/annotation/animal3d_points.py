"""Animal3D's keypoints as answers; a mapping file gives them the project's names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .interchange import AnsweredImage
from .source_animal3d import read_animal3d
from .state import PointAnswer


def animal3d_import(folder: Path) -> Iterator[AnsweredImage]:
    """The points of every readable entry; one outside the picture counts as hidden."""
    for candidate in read_animal3d(folder):
        if candidate.error is None:
            size = (candidate.width, candidate.height)
            points = {
                name: PointAnswer("visible", x, y) if 0 <= x <= size[0] and 0 <= y <= size[1] else PointAnswer("hidden")
                for name, (x, y, _) in candidate.points.items()
            }
            yield AnsweredImage(candidate.name, candidate.category, points, size)
