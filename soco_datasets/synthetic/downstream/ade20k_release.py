"""Synthetic ADE20K: rooms with their masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from ..randomness import SeededDraw
from .scenes import furnished_room, jpeg_bytes_of

LABELS = {
    "wall": 1, "floor": 4, "bed": 8, "cabinet": 11, "table": 16, "chair": 20, "sofa": 24, "refrigerator": 51,
}  # fmt: skip
_SIZE = (320, 240)
_COUNTS = {"train": ("training", 12), "val": ("validation", 5)}


def write_ade20k(folder: Path, seed: int) -> Mapping[str, int]:
    """Write images and annotations of ADEChallengeData2016; returns the expected counts."""
    root = folder / "ADEChallengeData2016"
    for split, (name, count) in _COUNTS.items():
        for kind in ("images", "annotations"):
            (root / kind / name).mkdir(parents=True)
        for number in range(1, count + 1):
            things, view = furnished_room(SeededDraw(seed, "downstream", "ade20k", split, number), _SIZE)
            labels = np.array([*(LABELS[thing.label] for thing in things), 0], dtype=np.uint8)
            stem = f"ADE_{split}_{number:08d}"
            (root / "images" / name / f"{stem}.jpg").write_bytes(jpeg_bytes_of(view.pixels))
            Image.fromarray(labels[view.instance]).save(root / "annotations" / name / f"{stem}.png")
    return {split: count for split, (_, count) in _COUNTS.items()}
