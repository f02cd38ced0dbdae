"""Image sizes that can be computed and mean nothing: refused before an evaluation begins."""

from __future__ import annotations

from ..errors import UsageError, worded

FEWEST_CELLS = 4  # on a side of the feature map


def check_grid(grid: int | None, image_size: int | None) -> None:
    """Refuse feature maps of fewer than 4 x 4 cells, on which keypoints cannot be told apart.

    Args:
        grid: cells on a side; None = not known.
        image_size: requested network size, pixels.

    Raises:
        UsageError: the map is smaller.
    """
    if grid is not None and grid < FEWEST_CELLS:
        raise UsageError(
            f"At an image size of {image_size} px the feature map has {grid} x {grid} cells; at least {FEWEST_CELLS} x "
            f"{FEWEST_CELLS} are needed. Give a larger {worded('--image-size', 'image_size')}."
        )
