"""Image statistics, and pixels to the normalized tensor a backbone sees: /255, then mean and std. NumPy only.

Bit for bit what the reference evaluation does, in float32; `transforms.soco_transform` is what comes before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError


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


def normalize(pixels: NDArray[Any], statistics: Statistics) -> NDArray[np.float32]:
    """Pixels to the tensor a model takes: `(pixels / 255 - mean) / std`, each step rounded to float32.

    Args:
        pixels: (B, H, W, 3) uint8, or float32 in 0..255.
        statistics: per-channel mean and std of pixels in 0..1.

    Returns:
        (B, 3, H, W) float32, contiguous.
    """
    if pixels.ndim != 4 or pixels.shape[-1] != 3 or pixels.dtype not in (np.uint8, np.float32):
        raise UsageError(f"normalize takes uint8 or float32 pixels (B, H, W, 3), got {pixels.dtype} {pixels.shape}.")
    result = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32)
    result /= np.float32(255)
    result -= np.asarray(statistics.mean, dtype=np.float32).reshape(1, 3, 1, 1)
    result /= np.asarray(statistics.std, dtype=np.float32).reshape(1, 3, 1, 1)
    return result
