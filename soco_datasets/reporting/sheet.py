"""Panels on one sheet of paper, with Pillow alone."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from ..errors import UsageError

INK, PAPER = (35, 35, 40), (255, 255, 255)
GAP, BAR = 14, 24


def sheet_of(panels: Sequence[Image.Image], caption: str, columns: int = 2) -> Image.Image:
    """The panels in rows under a caption, as an RGB image.

    Args:
        panels: RGB images, in reading order.
        caption: one line above them.
        columns: panels beside each other.

    Raises:
        UsageError: no panel.
    """
    if not panels:
        raise UsageError("Give at least one pair to draw.")
    width = max(panel.width for panel in panels)
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    heights = [max(panel.height for panel in row) for row in rows]
    across = min(columns, len(panels))
    wide = max(across * (width + GAP) + GAP, round(font(13).getlength(caption)) + 2 * GAP)
    sheet = Image.new("RGB", (wide, sum(heights) + GAP * (len(rows) + 1) + BAR), PAPER)
    ImageDraw.Draw(sheet).text((GAP, 7), caption, fill=INK, font=font(13))
    top = GAP + BAR
    for row, height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            sheet.paste(panel, (GAP + column * (width + GAP), top))
        top += height + GAP
    return sheet


@functools.cache
def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own font."""
    return ImageFont.load_default(size)
