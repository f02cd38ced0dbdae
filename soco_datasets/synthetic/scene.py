"""What is around the object: ground, backdrop, light, clutter and the shadow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blocks import block
from .camera import Camera
from .mesh import (
    RGB,
    FloatArray,
    Mesh,
    Paint,
    ellipsoid,
    join,
    rod,
    unit,
)
from .palette import (
    FABRICS,
    GLAZES,
    WOODS,
    shade,
    vary,
)
from .randomness import SeededDraw
from .raster import pixel_centers, rasterize
from .texture import cell_hash, noise

_GROUNDS: dict[str, tuple[RGB, ...]] = {
    "outdoor": ((0.42, 0.42, 0.43), (0.36, 0.47, 0.24), (0.62, 0.54, 0.38), (0.55, 0.55, 0.52)),
    "indoor": ((0.60, 0.45, 0.30), (0.72, 0.68, 0.62), (0.45, 0.33, 0.24), (0.56, 0.58, 0.60)),
}
_WALLS: tuple[RGB, ...] = (
    (0.82, 0.79, 0.70),
    (0.66, 0.74, 0.78),
    (0.78, 0.68, 0.64),
    (0.70, 0.75, 0.64),
    (0.85, 0.85, 0.84),
)

# Pixels painted at a time: temporaries stay in the processor's cache.
_CHUNK = 8192


@dataclass(frozen=True)
class Scene:
    """The surroundings of one view.

    Attributes:
        place: "outdoor" or "indoor".
        radius: size of the object; all lengths of the scene follow it.
        ground: color of the ground.
        tiles: whether the ground has tiles or planks instead of a grain.
        wall: distance of the backdrop behind the object.
        wall_color: color of the sky or wall.
        light: (3,) unit vector towards the light.
        salt: changes all patterns.
        clutter: other things standing about.
    """

    place: str
    radius: float
    ground: RGB
    tiles: bool
    wall: float
    wall_color: RGB
    light: FloatArray
    salt: int
    clutter: Mesh


def set_scene(draw: SeededDraw, place: str, center: FloatArray, radius: float, azimuth: float) -> Scene:
    """Choose the surroundings of an object seen from `azimuth` (degrees)."""
    turn = math.radians(azimuth + draw.pick((-1.0, 1.0)) * draw.uniform(15.0, 75.0))
    height = draw.uniform(0.9, 1.6)
    light = unit(np.array([math.cos(turn), math.sin(turn), height]))
    sky = vary((0.62, 0.75, 0.90), draw, 0.10) if place == "outdoor" else vary(draw.pick(_WALLS), draw)
    ground = vary(draw.pick(_GROUNDS[place]), draw)
    return Scene(
        place,
        radius,
        ground,
        draw.chance(0.7 if place == "indoor" else 0.3),
        radius * (draw.uniform(3.5, 6.0) if place == "outdoor" else draw.uniform(1.8, 3.0)),
        sky,
        light,
        draw.below(1 << 16),
        _clutter(draw, center, radius, azimuth),
    )


def _clutter(draw: SeededDraw, center: FloatArray, radius: float, azimuth: float) -> Mesh:
    """A few solids on the ground, mostly behind the object, sometimes one in front that may hide a part of it."""
    angle = math.radians(azimuth)
    away = np.array([-math.cos(angle), -math.sin(angle)])
    aside = np.array([-math.sin(angle), math.cos(angle)])
    things = []
    for _ in range(3 + draw.below(4)):
        size = radius * draw.uniform(0.12, 0.45)
        back, across = radius * draw.uniform(1.25, 2.2) + size, radius * draw.uniform(-2.2, 2.2)
        things.append(_thing(draw, away * back + aside * across + center[:2], size))
    if draw.chance(0.4):
        size = radius * draw.uniform(0.07, 0.13)
        back, across = -radius * draw.uniform(1.15, 1.35), radius * draw.uniform(-0.9, 0.9)
        things.append(_thing(draw, away * back + aside * across + center[:2], size))
    return join(things)


def _thing(draw: SeededDraw, place: FloatArray, size: float) -> Mesh:
    x, y = float(place[0]), float(place[1])
    paint = Paint(vary(draw.pick(FABRICS + GLAZES + WOODS), draw, 0.1), shine=draw.uniform(0.0, 0.5))
    kind, height = draw.below(4), size * draw.uniform(0.8, 2.4)
    if kind == 0:
        return block((x - size, x + size), (y - size, y + size), (0.0, height)).mesh(paint)
    if kind == 1:
        return rod((x, y, 0), (x, y, height), size * 0.8, size * 0.8, paint, 16)
    if kind == 2:
        return rod((x, y, 0), (x, y, height * 1.2), size, size * 0.15, paint, 16)
    return ellipsoid((x, y, size * 0.9), (size, size, size * 0.9), paint, count=14)


def paint_surroundings(scene: Scene, camera: Camera, center: FloatArray, wanted: NDArray[np.bool_]) -> FloatArray:
    """(H, W, 3) RGB 0..1 of ground and backdrop where `wanted` (H, W), black elsewhere; no clutter, no shadow."""
    colors = np.zeros((wanted.size, 3))
    pixels = np.flatnonzero(wanted)
    for first in range(0, len(pixels), _CHUNK):
        chosen = pixels[first : first + _CHUNK]
        colors[chosen] = _surroundings(scene, camera, center, *pixel_centers(chosen, wanted.shape[1]))
    return colors.reshape(*wanted.shape, 3)


def _surroundings(scene: Scene, camera: Camera, center: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    rays = camera.rays(x, y)
    level = unit(np.array([camera.forward[0], camera.forward[1], 0.0]))
    offset = center - camera.position
    gap = float(offset[0] * level[0] + offset[1] * level[1]) + scene.wall
    to_wall = gap / np.maximum(rays[:, 0] * level[0] + rays[:, 1] * level[1], 1e-6)
    to_ground = camera.position[2] / np.maximum(-rays[:, 2], 1e-9)
    on_ground = to_ground < to_wall
    points = camera.position + rays * np.where(on_ground, to_ground, to_wall)[:, None]
    colors = np.empty((len(points), 3))
    colors[on_ground] = _ground_colors(scene, points[on_ground])
    across = points[:, 0] * camera.right[0] + points[:, 1] * camera.right[1]
    behind = np.stack([across, points[:, 2]], axis=1)[~on_ground]
    colors[~on_ground] = (_skyline if scene.place == "outdoor" else _room_wall)(scene, behind)
    return colors


def _ground_colors(scene: Scene, points: FloatArray) -> FloatArray:
    flat = points[:, :2] / scene.radius
    tone = 0.86 + 0.16 * noise(flat * 2.3, scene.salt) + 0.14 * noise(flat * 14.0, scene.salt + 1)
    tone += 0.10 * (noise(flat * 45.0, scene.salt + 2) - 0.5)
    if scene.tiles:
        size = np.array([0.55, 0.55]) if scene.salt % 2 else np.array([1.6, 0.28])
        scaled = flat / size
        cells = np.floor(scaled)
        off = np.abs(scaled - cells - 0.5)
        edge = np.maximum(off[:, 0], off[:, 1]) > 0.475
        tone *= np.where(edge, 0.78, 0.92 + 0.16 * cell_hash(cells.astype(np.int64), scene.salt))
    return np.array(scene.ground) * tone[:, None]


def _skyline(scene: Scene, points: FloatArray) -> FloatArray:
    """Sky with clouds, a row of houses and bushes; points (N, 2) across and up."""
    flat = points / scene.radius
    up = np.clip(flat[:, 1] / 4.0, 0.0, 1.0)
    clouds = np.clip(noise(flat * np.array([0.9, 2.2]), scene.salt) * 2.2 - 1.1, 0.0, 1.0)
    sky = np.array(scene.wall_color) * (1.08 - 0.25 * up)[:, None]
    colors = sky * (1 - clouds[:, None] * 0.7) + 0.95 * clouds[:, None] * 0.7
    lots = np.floor(flat[:, 0] / 1.3).astype(np.int64)
    tall = 0.8 + 2.0 * cell_hash(np.stack([lots, lots], axis=1), scene.salt)
    tone = cell_hash(np.stack([lots, lots * 0 + 7], axis=1), scene.salt)
    walls = np.stack([0.45 + 0.35 * tone, 0.42 + 0.25 * tone, 0.40 + 0.22 * (1 - tone)], axis=1)
    panes = flat * np.array([1 / 0.26, 1 / 0.34])
    panes -= np.floor(panes)
    glass = (np.abs(panes[:, 0] - 0.5) < 0.26) & (np.abs(panes[:, 1] - 0.5) < 0.30)
    house = flat[:, 1] < tall
    colors = np.where(house[:, None], np.where(glass[:, None], walls * 0.55, walls), colors)
    leaves = noise(flat * 9.0, scene.salt + 3)
    bush = flat[:, 1] < 0.25 + 0.7 * noise(flat[:, :1] * 1.7, scene.salt + 4) + 0.15 * leaves
    green = np.array([0.20, 0.34, 0.16]) * (0.65 + 0.7 * leaves)[:, None]
    return np.where(bush[:, None], green, colors)


def _room_wall(scene: Scene, points: FloatArray) -> FloatArray:
    """A wall with a skirting board, wallpaper and pictures; points (N, 2) across and up."""
    flat = points / scene.radius
    color = np.array(scene.wall_color)
    tone = 0.96 + 0.06 * noise(flat * 3.0, scene.salt)
    if scene.salt % 3 == 0:
        tone *= np.where(np.floor(flat[:, 0] * 5.0) % 2 == 0, 1.0, 0.90)
    colors = color * tone[:, None]
    cells = np.floor(flat / np.array([1.3, 1.1])).astype(np.int64)
    inside = np.abs(flat / np.array([1.3, 1.1]) - cells - 0.5)
    hung = (cells[:, 1] >= 0) & (cell_hash(cells, scene.salt) < 0.55)
    half = 0.22 + 0.14 * cell_hash(cells, scene.salt + 1)
    frame = hung & (inside[:, 0] < half) & (inside[:, 1] < half * 0.9)
    canvas = hung & (inside[:, 0] < half - 0.04) & (inside[:, 1] < half * 0.9 - 0.05)
    paint = 0.35 + 0.35 * np.stack([noise(flat * 4.0, scene.salt + channel) for channel in (2, 3, 4)], axis=1)
    colors = np.where(frame[:, None], np.array([0.25, 0.18, 0.12]), colors)
    colors = np.where(canvas[:, None], paint, colors)
    return np.where((flat[:, 1] < 0.10)[:, None], np.array(shade(scene.wall_color, 0.7)), colors)


def shadow(scene: Scene, camera: Camera, mesh: Mesh, width: int, height: int) -> FloatArray:
    """(H, W) 0..1, how much the ground is darkened by what stands on it (softened at the edges)."""
    corners = mesh.corners
    along = corners[..., 2:3] / scene.light[2]
    fallen = corners - scene.light * along
    pixels, depth = camera.project(fallen)
    x, y = pixels[..., 0], pixels[..., 1]
    turned = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0]) > 0
    pixels = np.where(turned[:, None, None], pixels[:, ::-1], pixels)
    depth = np.where(turned[:, None], depth[:, ::-1], depth)
    dark = (rasterize(pixels, depth, width, height).triangle >= 0).astype(np.float64)
    for axis in (0, 1):
        padded = np.pad(dark, [(2, 2) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        size = dark.shape[axis]
        slices = [padded[start : start + size] if axis == 0 else padded[:, start : start + size] for start in range(5)]
        dark = (slices[0] + slices[1] + slices[2] + slices[3] + slices[4]) / 5.0
    return dark
