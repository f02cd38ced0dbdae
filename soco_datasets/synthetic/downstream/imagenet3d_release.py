"""Synthetic ImageNet3D in the processed form: centered objects with three angles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from ..props import make_prop
from ..randomness import SeededDraw
from ..truth import Placed, look_at, take_view
from .scenes import jpeg_bytes_of

CATEGORIES = {"car": (9.0, 0.7), "chair": (2.0, 0.45)}  # label -> distance, height looked at, meters
_COUNTS = {"train": 24, "val": 8}
_RENDERED, _SIDE = 256, 512


def write_imagenet3d(folder: Path, seed: int) -> Mapping[str, int]:
    """Write {train,val}/{images,annotations,lists}/<class>; returns the expected counts."""
    for split, count in _COUNTS.items():
        for label in CATEGORIES:
            base = folder / split
            for kind in ("images", "annotations", "lists"):
                (base / kind / label).mkdir(parents=True)
            stems = []
            for number in range(count):
                stem = f"{label}{number:04d}_00"
                draw = SeededDraw(seed, "downstream", "imagenet3d", split, label, number)
                angles = _write_object(base / "images" / label / f"{stem}.JPEG", label, draw)
                np.savez(base / "annotations" / label / f"{stem}.npz", allow_pickle=False, **angles)
                stems.append(f"{stem}.JPEG\n")
            (base / "lists" / label / "mesh01.txt").write_text("".join(stems), encoding="utf-8")
    return {**{split: count * len(CATEGORIES) for split, count in _COUNTS.items()}, "classes": len(CATEGORIES)}


def _write_object(path: Path, label: str, draw: SeededDraw) -> dict[str, np.float64]:
    azimuth, elevation = draw.uniform(0, 2 * math.pi), draw.uniform(0.1, 0.7)
    theta = draw.uniform(-0.25, 0.25)
    distance, height = CATEGORIES[label]
    target = np.array([0.0, 0.0, height])
    outward = [math.cos(elevation) * math.sin(azimuth), -math.cos(elevation) * math.cos(azimuth), math.sin(elevation)]
    middle = _RENDERED / 2
    camera = look_at(target + distance * np.array(outward), target, 330, (middle, middle), math.degrees(theta))
    # Its front looks along -y at azimuth 0, so that the camera is before it.
    view = take_view([Placed(label, make_prop(label, draw), yaw=-90)], camera, (_RENDERED, _RENDERED))
    enlarged = Image.fromarray(view.pixels).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    path.write_bytes(jpeg_bytes_of(np.asarray(enlarged)))
    return {"azimuth": np.float64(azimuth), "elevation": np.float64(elevation), "theta": np.float64(theta)}
