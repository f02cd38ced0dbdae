"""Scenes that several synthetic releases share: rooms with furniture, one object on a floor."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..camera import Camera
from ..props import make_prop
from ..randomness import SeededDraw
from ..truth import Placed, View, look_at, room, take_view

FURNITURE = ("chair", "sofa", "cabinet", "refrigerator", "table", "bed")
_PLACES = ((2.2, 0.9), (2.4, -0.9), (3.6, 0.1), (3.7, 1.5), (3.5, -1.6))


def furnished_room(draw: SeededDraw, size: tuple[int, int], most: int = 4) -> tuple[list[Placed], View]:
    """A room with two to `most` things, and its picture of `size` (width, height)."""
    things = room(draw, draw.uniform(4.2, 5.2), draw.uniform(4.4, 5.4), 3.2)
    labels = draw.shuffled(FURNITURE)
    for number, place in enumerate(draw.shuffled(_PLACES)[: 2 + draw.below(most - 1)]):
        label = labels[number % len(labels)]
        position = (place[0] + draw.uniform(-0.2, 0.2), place[1] + draw.uniform(-0.2, 0.2), 0.0)
        things.append(Placed(label, make_prop(label, draw), position, draw.uniform(0, 360)))
    eye = (draw.uniform(0.1, 0.4), draw.uniform(-0.4, 0.4), draw.uniform(1.3, 1.7))
    target = (3.2, draw.uniform(-0.3, 0.3), draw.uniform(0.5, 0.8))
    camera = look_at(eye, target, 0.8 * size[0], (size[0] / 2, size[1] / 2))
    return things, take_view(things, camera, size, (0.1, 0.1, 0.1))


def object_camera(azimuth: float, elevation: float, distance: float, focal: float, size: tuple[int, int]) -> Camera:
    """A camera on a sphere about a point half a unit of distance / 6 above the origin; angles in degrees."""
    a, e = math.radians(azimuth), math.radians(elevation)
    target = np.array([0.0, 0.0, distance / 12])
    eye = target + distance * np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
    return look_at(eye, target, focal, (size[0] / 2, size[1] / 2))


def jpeg_bytes_of(pixels: NDArray[np.uint8], quality: int = 92) -> bytes:
    """A JPEG of pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()
