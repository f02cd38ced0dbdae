"""The mini set: a procedurally drawn SOCO in the layout of the official release, for demos and tests.

Simple solids (`mesh`, `blocks`) make the objects (`vehicles`, `furniture`, `vessels`, `animals`, listed in
`catalogue`); `render` draws them with a z-buffer (`raster`, `camera`, `scene`, `texture`), so keypoints are exact and
hidden ones are known; `annotation`, `pairing` and `release` write the files. NumPy and Pillow only.
"""

from __future__ import annotations

from .catalogue import DRAWN_CATEGORIES
from .mini_release import MINI_VERSION, write_mini_release

__all__ = ["MINI_VERSION", "mini_categories", "write_mini_release"]


def mini_categories() -> dict[str, str]:
    """Category -> supercategory of the mini set, in alphabetical order."""
    return {category.name: category.supercategory for category in DRAWN_CATEGORIES}
