"""Draws of random views: explicit generators, so that workers and their number change nothing. NumPy only."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..geometry import ImageSize

_TRIES = 10


def resized_crop_box(
    generator: np.random.Generator,
    size: ImageSize,
    area: tuple[float, float],
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> tuple[int, int, int, int]:
    """(left, top, width, height) of a random crop, as torchvision's RandomResizedCrop draws it.

    Args:
        generator: draws area, ratio (uniform in its logarithm) and place.
        size: (width, height) of the image.
        area: smallest and largest share of the image.
        ratio: smallest and largest width / height.
    """
    width, height = size
    for _ in range(_TRIES):
        target = width * height * generator.uniform(*area)
        shape = math.exp(generator.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(target * shape)), round(math.sqrt(target / shape))
        if 0 < w <= width and 0 < h <= height:
            return int(generator.integers(0, width - w + 1)), int(generator.integers(0, height - h + 1)), w, h
    within = min(max(width / height, ratio[0]), ratio[1])
    w, h = (width, round(width / within)) if width / height < ratio[0] else (round(height * within), height)
    w, h = min(w, width), min(h, height)
    return (width - w) // 2, (height - h) // 2, w, h


def color_jitter(generator: np.random.Generator, pixels: NDArray[np.uint8], strength: float = 0.2) -> NDArray[np.uint8]:
    """Brightness, contrast, saturation and hue changed by up to `strength` each, in a random order.

    Args:
        generator: draws order and factors.
        pixels: (H, W, 3) RGB.
        strength: factors are 1 - strength .. 1 + strength; hue turns by up to `strength` of a full turn.
    """
    image = pixels.astype(np.float32)
    for step in generator.permutation(4):
        factor = np.float32(generator.uniform(1 - strength, 1 + strength))
        gray = image @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        if step == 0:
            image = image * factor
        elif step == 1:
            image = (image - gray.mean()) * factor + gray.mean()
        elif step == 2:
            image = (image - gray[..., None]) * factor + gray[..., None]
        else:
            hsv = np.array(Image.fromarray(image.clip(0, 255).astype(np.uint8)).convert("HSV"))
            hsv[..., 0] = (hsv[..., 0].astype(np.int64) + round((float(factor) - 1) * 255)) % 256
            image = np.asarray(Image.fromarray(hsv, "HSV").convert("RGB")).astype(np.float32)
        image = image.clip(0, 255)
    return image.round().astype(np.uint8)
