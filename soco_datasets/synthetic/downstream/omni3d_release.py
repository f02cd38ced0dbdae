"""Synthetic Omni3D / ARKitScenes: rooms with cuboids in camera coordinates.

A thing's size, distance and heading are drawn apart from each other, and so is the lens, so that neither the class nor
the 2D box of a thing tells its cuboid: a large thing far away fills as many pixels as a small one that is near.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..mesh import FloatArray
from ..props import make_prop
from ..randomness import SeededDraw
from ..truth import Placed, View, extrinsics, intrinsics, look_at, room, take_view
from .scenes import FURNITURE, jpeg_bytes_of

_SIZE = (320, 240)
_COUNTS = {"train": 40, "val": 8, "test": 16}
_ROOM = (6.0, 6.5, 3.2)  # meters: width, length, height
_NEAR, _FAR = 1.6, 5.0  # meters from the camera, on the floor
_LARGEST_SCALE = 1.5  # of the usual size of a class; the smallest is its inverse
_TRIES = 30  # places tried for a thing
_IDS = {label: number for number, label in enumerate(sorted(FURNITURE))}


def write_omni3d(folder: Path, seed: int, counts: Mapping[str, int] | None = None) -> Mapping[str, int]:
    """Write Omni3D/ARKitScenes_{train,val,test}.json and the images; returns the expected counts.

    Args:
        folder: empty.
        seed: of the rooms; a room depends on it, its split and its place alone.
        counts: rooms of "train", "val" and "test"; None = 40, 8 and 16.
    """
    rooms = dict(counts or _COUNTS)
    (folder / "Omni3D").mkdir(parents=True)
    number, labels = 0, set()
    for split, count in rooms.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        (folder / "ARKitScenes" / split).mkdir(parents=True)
        for place in range(count):
            number += 1
            things, view = _varied_room(SeededDraw(seed, "downstream", "omni3d", split, place))
            name = f"ARKitScenes/{split}/{number:05d}.jpg"
            (folder / name).write_bytes(jpeg_bytes_of(view.pixels))
            entry = {"id": number, "width": _SIZE[0], "height": _SIZE[1], "file_path": name, "dataset_id": 0}
            images.append({**entry, "K": intrinsics(view.camera).tolist()})
            for instance, thing in enumerate(things):
                if thing.label in _IDS:
                    found = _annotation(thing, instance, view)
                    annotations.append({"id": len(annotations), "image_id": number, **found})
                    labels.add(thing.label)
        categories = [{"id": identity, "name": label} for label, identity in _IDS.items()]
        content = {"info": {"name": "synthetic"}, "images": images, "annotations": annotations}
        (folder / "Omni3D" / f"ARKitScenes_{split}.json").write_text(json.dumps({**content, "categories": categories}))
    return {"train": rooms["train"] + rooms["val"], "test": rooms["test"], "classes": len(labels)}


def _varied_room(draw: SeededDraw) -> tuple[list[Placed], View]:
    """A room with up to seven things of any size, distance and heading, and its picture through a lens of its own."""
    eye = (draw.uniform(0.1, 0.4), draw.uniform(-0.4, 0.4), draw.uniform(1.4, 2.0))
    focal = _SIZE[0] * draw.uniform(0.7, 1.1)
    widest = 0.8 * math.atan(_SIZE[0] / 2 / focal)
    things, taken = room(draw, *_ROOM), list[tuple[float, float, float]]()
    for label in draw.shuffled(FURNITURE * 2)[: 4 + draw.below(4)]:
        scale = math.exp(math.log(_LARGEST_SCALE) * draw.uniform(-1, 1))
        mesh, yaw = make_prop(label, draw), draw.uniform(0, 360)
        reach = scale * float(np.linalg.norm(mesh.corners[..., :2], axis=-1).max())
        for _ in range(_TRIES):
            distance, bearing = draw.uniform(_NEAR, _FAR), draw.uniform(-widest, widest)
            half = math.atan(reach / distance)
            if all(abs(bearing - other) > 0.7 * (half + theirs) for other, theirs in ((b, h) for _, b, h in taken)):
                taken.append((distance, bearing, half))
                position = (eye[0] + distance * math.cos(bearing), eye[1] + distance * math.sin(bearing), 0.0)
                things.append(Placed(label, mesh, position, yaw, scale))
                break
    target = (eye[0] + 4.0, eye[1], draw.uniform(0.3, 0.7))
    camera = look_at(eye, target, focal, (_SIZE[0] / 2, _SIZE[1] / 2))
    return things, take_view(things, camera, _SIZE, (0.1, 0.1, 0.1))


def _annotation(thing: Placed, instance: int, view: View) -> dict[str, Any]:
    center, sides, rotation = thing.box()
    world_to_camera = extrinsics(view.camera)
    own_to_camera = world_to_camera[:3, :3] @ rotation
    center_cam = world_to_camera[:3, :3] @ center + world_to_camera[:3, 3]
    # Length along the object's x, height along y, width along z: own x, own z (up), and their cross product.
    axes = np.stack([own_to_camera[:, 0], own_to_camera[:, 2], -own_to_camera[:, 1]], axis=1)
    length, width, height = (float(side) for side in sides)
    corners = _corners(center_cam, axes, np.array([length, height, width]))
    pixels = corners @ intrinsics(view.camera).T
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = pixels[:, :2] / pixels[:, 2:]
    projected = [*pixels.min(axis=0), *pixels.max(axis=0)]
    limits = np.array([_SIZE[0], _SIZE[1]] * 2)
    cut = np.clip(projected, 0, limits)
    area, inside = _area(projected), _area(cut)
    alone = take_view([thing], view.camera, _SIZE)
    whole, seen = int((alone.instance == 0).sum()), int((view.instance == instance).sum())
    return {
        "category_id": _IDS[thing.label], "category_name": thing.label, "valid3D": bool(corners[:, 2].min() > 0.05),
        "bbox2D_tight": _tight(view.instance == instance), "bbox2D_proj": [float(one) for one in projected],
        "bbox2D_trunc": [float(one) for one in cut], "bbox3D_cam": corners.tolist(),
        "center_cam": center_cam.tolist(), "dimensions": [width, height, length], "R_cam": axes.tolist(),
        "behind_camera": bool(center_cam[2] <= 0), "visibility": seen / whole if whole else 0.0,
        "truncation": 1 - inside / area if area > 0 else 1.0, "segmentation_pts": -1, "lidar_pts": -1,
        "depth_error": -1,
    }  # fmt: skip


def _corners(center: FloatArray, axes: FloatArray, sides: FloatArray) -> FloatArray:
    signs = [[x, y, z] for z in (-1, 1) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    corners: FloatArray = (np.array(signs) * sides / 2) @ axes.T + center
    return corners


def _area(box: Any) -> float:
    return float(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]))


def _tight(mask: Any) -> Any:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return [-1, -1, -1, -1]
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]
