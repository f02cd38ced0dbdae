"""Settings that can be computed and mean nothing: refused before an evaluation begins."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError

FEWEST_CELLS = 4  # on a side of the feature map


def check_thresholds(alphas: Sequence[float], option: str = "alphas") -> None:
    """Refuse PCK thresholds above 1, where every prediction within a box length is a hit.

    Args:
        alphas: thresholds, fractions of the normalizer.
        option: how the caller names them.

    Raises:
        UsageError: one is above 1; the value that was probably meant is named.
    """
    for alpha in alphas:
        if alpha > 1:
            meant = f" Did you mean {alpha / 100:g}?" if alpha <= 100 else ""
            raise UsageError(f"{option} are fractions of the box: {alpha:g} is above 1.{meant}")


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
            f"{FEWEST_CELLS} are needed. Give a larger image size (--image-size)."
        )
