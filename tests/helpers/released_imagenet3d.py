"""A released form of ImageNet3D with one image of five objects: a good one, one of bad status, one at distance 0, two unreadable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_released_imagenet3d(root: Path) -> None:
    """Write images, annotations and lists."""
    for kind in ("images/car", "annotations/car", "lists"):
        (root / kind).mkdir(parents=True)
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[38:43, 58:63] = 255
    Image.fromarray(picture).save(root / "images/car/a.JPEG", quality=95)
    good = {
        "object_status": "status_good",
        "distance": 8.0,
        "px": 60,
        "py": 40,
        "azimuth": 1.0,
        "elevation": 0.2,
        "theta": 0.1,
    }
    others = (
        {"object_status": "status_bad"},
        {"distance": 0.0},
        {"px": None},
        {"distance": 1e9},
    )  # scaled to 1e21 pixels
    entries = np.array([good, *({**good, **change} for change in others)], dtype=object)
    np.savez(root / "annotations/car/a.npz", annotations=entries)
    (root / "lists/car_imagenet_train.txt").write_text("a\n")
    (root / "lists/car_imagenet_val.txt").write_text("a\n")
