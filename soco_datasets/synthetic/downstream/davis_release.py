"""Synthetic TAP-Vid-DAVIS: short videos with exact tracks and occlusion."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..props import make_prop
from ..randomness import SeededDraw
from ..truth import Placed, View, look_at, room, take_view

_SIZE = (224, 224)
_FRAMES, _TRACKS = 8, 20
VIDEOS = {"chair-turn": "chair", "dog-walk": "dog", "table-pass": "table"}


def write_davis(folder: Path, seed: int) -> Mapping[str, int]:
    """Write tapvid_davis.pkl; returns the expected counts."""
    videos = {name: _video(name, seed) for name in VIDEOS}
    with open(folder / "tapvid_davis.pkl", "wb") as file:
        pickle.dump(videos, file)
    return {"videos": len(videos)}


def video_views(name: str, seed: int = 0) -> tuple[list[list[Placed]], list[View]]:
    """The scene and the picture of each frame of a video; the thing that is tracked comes after the room."""
    label = VIDEOS[name]
    draw = SeededDraw(seed, "downstream", "davis", name)
    mesh, hider = make_prop(label, draw), make_prop("cabinet", draw)
    surroundings = room(draw, 6, 6, 4)
    views, scenes = [], []
    for frame in range(_FRAMES):
        share = frame / (_FRAMES - 1)
        thing = Placed(label, mesh, (3.0, -0.6 + 1.2 * share, 0.0), 40 + 35 * share)
        passing = Placed("cabinet", hider, (2.0, 1.4 - 0.9 * share, 0.0), 20, 0.5)
        scene = [*surroundings, thing, passing]
        camera = look_at((0.3, 0.4 * share, 1.3), (3.0, 0.1, 0.4), 190, (_SIZE[0] / 2, _SIZE[1] / 2))
        scenes.append(scene)
        views.append(take_view(scene, camera, _SIZE, (0.2, 0.2, 0.2)))
    return scenes, views


def _video(name: str, seed: int) -> dict[str, Any]:
    scenes, views = video_views(name, seed)
    tracked = len(scenes[0]) - 2
    rows, columns = np.nonzero(views[0].instance == tracked)
    chosen = np.linspace(0, len(rows) - 1, _TRACKS).astype(int)
    own = views[0].points[rows[chosen], columns[chosen]]
    tracks = [_seen(scene[tracked], view, own) for scene, view in zip(scenes, views, strict=True)]
    return {
        "video": np.stack([view.pixels for view in views]),
        "points": np.stack([points for points, _ in tracks], axis=1).astype(np.float32),
        "occluded": np.stack([hidden for _, hidden in tracks], axis=1),
    }


def _seen(thing: Placed, view: Any, own: Any) -> tuple[Any, Any]:
    """Where points of a thing are in a picture, as shares of its sides, and whether they are hidden."""
    from ..mesh import turn

    world = turn(own, yaw=thing.yaw) + np.array(thing.position)
    pixels, depth = view.camera.project(world)
    width, height = _SIZE
    x, y = np.floor(pixels[:, 0]).astype(int), np.floor(pixels[:, 1]).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (depth > 0)
    front = view.depth[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    hidden = ~inside | (depth > front * 1.02 + 0.02)
    return pixels / np.array([width, height]), hidden
