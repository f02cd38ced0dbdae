"""Synthetic NAVI: objects seen from around, with cameras, disparity codes and masks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..mesh import FloatArray
from ..props import make_prop
from ..randomness import SeededDraw
from ..truth import Placed, View, extrinsics, take_view
from .scenes import jpeg_bytes_of, object_camera

OBJECTS = {"armchair_toy": "sofa", "zebra_toy": "zebra"}
_SIZE = (320, 256)
_IMAGES = 6
_LONGEST = 0.3  # meters: toys


def write_navi(folder: Path, seed: int) -> Mapping[str, int]:
    """Write navi_v1/<object>/wild_set; returns the expected counts."""
    for name, label in OBJECTS.items():
        draw = SeededDraw(seed, "downstream", "navi", name)
        mesh = make_prop(label, draw)
        points = mesh.corners.reshape(-1, 3)
        scale = _LONGEST / float((points.max(axis=0) - points.min(axis=0)).max())
        scene = folder / "navi_v1" / name / "wild_set"
        for kind in ("images", "depth", "masks"):
            (scene / kind).mkdir(parents=True)
        start, entries = draw.uniform(0, 360), []
        for number in range(_IMAGES):
            azimuth = start + 22.0 * number
            focal = 420 * draw.uniform(0.9, 1.1)
            camera = object_camera(azimuth, draw.uniform(15, 30), 0.6, focal, _SIZE)
            tint = (draw.uniform(0.3, 0.9), draw.uniform(0.3, 0.9), draw.uniform(0.3, 0.9))
            view = take_view([Placed(label, mesh, scale=scale)], camera, _SIZE, tint)
            stem = f"{number:03d}"
            _write_view(scene, stem, view)
            entries.append(_entry(stem, view, focal))
        (scene / "annotations.json").write_text(json.dumps(entries), encoding="utf-8")
    return {"objects": len(OBJECTS), "wild images": len(OBJECTS) * _IMAGES}


def _write_view(scene: Path, stem: str, view: View) -> None:
    (scene / "images" / f"{stem}.jpg").write_bytes(jpeg_bytes_of(view.pixels, 96))
    millimeters = view.depth * 1000
    codes = np.divide(655350, millimeters, out=np.zeros_like(millimeters), where=millimeters > 0)
    Image.fromarray(codes.round().astype(np.uint16)).save(scene / "depth" / f"{stem}.png")
    Image.fromarray(((view.depth > 0) * 255).astype(np.uint8)).save(scene / "masks" / f"{stem}.png")


def _entry(stem: str, view: View, focal: float) -> dict[str, Any]:
    matrix = extrinsics(view.camera)
    camera = {
        "q": quaternion_of(matrix[:3, :3]).tolist(),
        "t": (matrix[:3, 3] * 1000).tolist(),
        "focal_length": focal,
    }
    common = {"camera_model": "synthetic", "scene_name": "wild_set", "split": "train", "occluded": False}
    return {"filename": f"{stem}.jpg", "image_size": [_SIZE[1], _SIZE[0]], "camera": camera, **common}


def quaternion_of(rotation: FloatArray) -> FloatArray:
    """(4,) quaternion (w, x, y, z) of a rotation matrix."""
    trace = float(np.trace(rotation))
    if trace > 0:
        s = 2 * math.sqrt(trace + 1)
        axis = [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
        return np.array([s / 4, *(one / s for one in axis)])
    i = int(np.argmax(np.diagonal(rotation)))
    j, k = (i + 1) % 3, (i + 2) % 3
    s = 2 * math.sqrt(1 + rotation[i, i] - rotation[j, j] - rotation[k, k])
    result = np.empty(4)
    result[0] = (rotation[k, j] - rotation[j, k]) / s
    result[1 + i] = s / 4
    result[1 + j] = (rotation[j, i] + rotation[i, j]) / s
    result[1 + k] = (rotation[k, i] + rotation[i, k]) / s
    return result
