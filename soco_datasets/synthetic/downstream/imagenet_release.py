"""Synthetic ImageNet: class folders of single objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..props import make_prop
from ..randomness import SeededDraw
from ..truth import Placed, room, take_view
from .scenes import jpeg_bytes_of, object_camera

CLASSES = {
    "n02099601": "dog", "n02391049": "zebra", "n03376595": "chair", "n04285008": "car", "n04398044": "teapot",
}  # fmt: skip
_SIZE = (160, 128)
_COUNTS = {"train": 6, "val": 4}
_DISTANCE = {"dog": 2.4, "zebra": 5.5, "chair": 2.6, "car": 10.0, "teapot": 0.8}


def write_imagenet(folder: Path, seed: int) -> Mapping[str, int]:
    """Write train/<wnid>/*.JPEG and val/<wnid>/*.JPEG; returns the expected counts."""
    for split, count in _COUNTS.items():
        for wnid, label in CLASSES.items():
            own = folder / split / wnid
            own.mkdir(parents=True)
            for number in range(count):
                draw = SeededDraw(seed, "downstream", "imagenet", split, label, number)
                floor = room(draw, 60, 40, 20)[:1]
                thing = Placed(label, make_prop(label, draw), yaw=draw.uniform(0, 360))
                camera = object_camera(
                    draw.uniform(0, 360), draw.uniform(10, 30), _DISTANCE[label], 190 * draw.uniform(0.85, 1.1), _SIZE
                )
                view = take_view([*floor, thing], camera, _SIZE, (0.6, 0.7, 0.8))
                (own / f"{wnid}_{number + 1}.JPEG").write_bytes(jpeg_bytes_of(view.pixels))
    totals = {split: count * len(CLASSES) for split, count in _COUNTS.items()}
    return {**totals, "classes": len(CLASSES)}
