"""The mini set: a procedurally drawn SOCO in the layout of the official release, for demos and tests.

Simple solids (`mesh`, `blocks`) make the objects (`vehicles`, `furniture`, `vessels`, `animals`, listed in
`catalogue`); `render` draws them with a z-buffer (`raster`, `camera`, `scene`, `texture`), so keypoints are exact and
hidden ones are known; `annotation`, `pairing` and `release` write the files. NumPy and Pillow only.
"""

from __future__ import annotations

from pathlib import Path

from .catalogue import DRAWN_CATEGORIES
from .mini_release import MINI_VERSION, write_mini_release

MINI_ARCHIVE = Path(__file__).with_name(
    "mini_release.zip"
)  # what `write_mini_release` draws, made by tools/make_mini_release.py

__all__ = ["MINI_ARCHIVE", "MINI_VERSION", "mini_categories", "write_mini_release"]


def mini_categories() -> dict[str, str]:
    """Category -> supercategory of the mini set, in alphabetical order."""
    return {category.name: category.supercategory for category in DRAWN_CATEGORIES}
