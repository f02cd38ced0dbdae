"""The two pictures of a question row: what is drawn into them, and opening them without the loader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .markers import (
    SOURCE,
    MarkerStyle,
    draw_tagged,
    marks_tag,
)

if TYPE_CHECKING:
    from PIL import Image

    from ..folder import DatasetFolder

LETTERS = "ABCD"
PICTURES = ("source_image", "target_image")  # in the order they are shown


def image_tags(row: Mapping[str, Any], marker: tuple[str, str]) -> dict[str, str]:
    """Picture -> what follows its address; "" for one that has its markers drawn in already (imported questions).

    Args:
        row: of the config `lvlm`.
        marker: shape and color.
    """
    style = MarkerStyle(*marker)
    source, candidates = row["source_point"], row["candidate_points"]
    return {
        "source_image": marks_tag(style, {SOURCE: source}) if source is not None else "",
        "target_image": marks_tag(style, dict(zip(LETTERS, candidates, strict=True))) if candidates else "",
    }


def open_pictures(
    folder: DatasetFolder, row: Mapping[str, Any], style: MarkerStyle | None = None
) -> dict[str, Image.Image]:
    """The pictures a row shows, drawn, in the order they are shown: `source_image` (not in `desc`), `target_image`."""
    style = style or MarkerStyle()
    tags = image_tags(row, (style.shape, style.color))
    pictures = {}
    for name in PICTURES:
        image_id = row[f"{name}_id"]
        if image_id is not None:
            image = folder.images.open(image_id)
            pictures[name] = draw_tagged(image, tags[name][1:]) if tags[name] else image
    return pictures
