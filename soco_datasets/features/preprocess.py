"""A decoded image to the pixels a backbone sees: pad, resize, normalise. PIL and NumPy only.

Bit for bit what the reference evaluation does: no EXIF rotation (keypoints are in un-rotated pixels), white padding to
a square on the right and at the bottom, PIL bicubic resize of the uint8 square, then /255 and mean/std in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import UsageError

PADDING = 255  # white


@dataclass(frozen=True)
class Statistics:
    """What is subtracted from and divided out of pixels in 0..1, per RGB channel.

    Attributes:
        mean: three floats.
        std: three floats above 0.
        source: where they come from, for the result record: "checkpoint", a name of `NAMED_STATISTICS`, or "none".
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: str


NO_STATISTICS = Statistics((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "none")
NAMED_STATISTICS: dict[str, Statistics] = {
    "imagenet": Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "imagenet"),
    "clip": Statistics((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711), "clip"),
    "half": Statistics((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "half"),
}


def pad_and_resize(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """An RGB image on a white square of side max(width, height), resized with PIL's bicubic filter.

    The content stays at the top left, so pixel coordinates are unchanged by the padding.

    Returns:
        (size, size, 3) uint8.

    Raises:
        UsageError: the image is not RGB or `size` is not positive.
    """
    if image.mode != "RGB":
        raise UsageError(
            f"pad_and_resize takes RGB images, got mode {image.mode!r}; decode with `data.images.open_rgb`."
        )
    if size < 1:
        raise UsageError(f"The network size must be positive, got {size}.")
    side = max(image.size)
    square = Image.new("RGB", (side, side), (PADDING, PADDING, PADDING))
    square.paste(image, (0, 0))
    return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))


def normalise(pixels: NDArray[np.uint8], statistics: Statistics) -> NDArray[np.float32]:
    """Pixels to the tensor a model takes: `(pixels / 255 - mean) / std`, each step rounded to float32.

    Args:
        pixels: (B, H, W, 3) uint8.
        statistics: per-channel mean and std of pixels in 0..1.

    Returns:
        (B, 3, H, W) float32, contiguous.
    """
    if pixels.ndim != 4 or pixels.shape[-1] != 3 or pixels.dtype != np.uint8:
        raise UsageError(f"normalise takes uint8 pixels (B, H, W, 3), got {pixels.dtype} {pixels.shape}.")
    result = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32)
    result /= np.float32(255)
    result -= np.asarray(statistics.mean, dtype=np.float32).reshape(1, 3, 1, 1)
    result /= np.asarray(statistics.std, dtype=np.float32).reshape(1, 3, 1, 1)
    return result
