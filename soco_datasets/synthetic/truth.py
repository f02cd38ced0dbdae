"""Pictures of scenes with their exact truth: depth, normals, masks, boxes, cameras and tracks, for downstream tasks.

World frame: z up, the floor at z = 0, meters. Camera frame: x right, y down, z ahead. The shading is simpler than that
of `render`: one sample per pixel, so that the color, depth, normal and label of a pixel belong to one surface point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blocks import block
from .camera import Camera
from .mesh import RGB, FloatArray, Mesh, Paint, Vertex, flat, join, turn, unit
from .randomness import SeededDraw
from .raster import Barycentric, pixel_centers, rasterize
from .texture import paint_colors

LIGHT = unit(np.array([0.3, -0.5, 0.9]))
_NEAREST = 0.05  # meters: triangles with a corner nearer than this are left out
_OFF_LATTICE = 1e-3  # meters: solid patterns must not change exactly on a surface


@dataclass(frozen=True)
class Placed:
    """A thing in a scene.

    Attributes:
        label: its class.
        mesh: its surface in its own frame, standing on z = 0, centered on x = y = 0.
        position: (3,) of its own frame's origin in the world, meters.
        yaw: degrees about z.
        scale: meters per unit of its own frame.
    """

    label: str
    mesh: Mesh
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    scale: float = 1.0

    def in_world(self) -> Mesh:
        """Its surface in the world frame."""
        corners = turn(self.mesh.corners * self.scale, yaw=self.yaw) + np.array(self.position)
        return Mesh(corners, turn(self.mesh.normals, yaw=self.yaw), self.mesh.paint_index, self.mesh.paints)

    def box(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Its tight box: center (3,), sides (3,) along its own x, y, z, and rotation (3, 3) to the world."""
        points = self.mesh.corners.reshape(-1, 3) * self.scale
        low, high = points.min(axis=0), points.max(axis=0)
        rotation = turn(np.eye(3), yaw=self.yaw).T
        center: FloatArray = rotation @ ((low + high) / 2) + np.array(self.position)
        return center, high - low, rotation


@dataclass(frozen=True)
class View:
    """A picture and the truth of each pixel.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        depth: (H, W) float64, meters along the viewing direction; 0 = nothing.
        normals: (H, W, 3) float64 in the camera frame, facing the camera; 0 = nothing.
        instance: (H, W) int64, place in the scene; -1 = nothing.
        points: (H, W, 3) float64 in the thing's own frame, meters.
        camera: that took it.
    """

    pixels: NDArray[np.uint8]
    depth: FloatArray
    normals: FloatArray
    instance: NDArray[np.int64]
    points: FloatArray
    camera: Camera


def take_view(things: Sequence[Placed], camera: Camera, size: tuple[int, int], background: RGB = (0, 0, 0)) -> View:
    """Draw things.

    Args:
        things: the scene; places in this list are the instances.
        camera: with its lens for `size`.
        size: width and height in pixels.
        background: RGB 0..1 where nothing is.
    """
    width, height = size
    meshes = [thing.in_world() for thing in things]
    whole = join(meshes)
    owner = np.repeat(np.arange(len(meshes)), [len(mesh) for mesh in meshes])
    pixels, depth = camera.project(whole.corners)
    in_front = np.asarray((depth > _NEAREST).all(axis=1))
    depth = np.where(in_front[:, None], depth, -1.0)
    buffer = rasterize(pixels, depth, width, height)
    drawn = np.flatnonzero(buffer.triangle >= 0)
    triangle = buffer.triangle.reshape(-1)[drawn]
    x, y = pixel_centers(drawn, width)
    weights = Barycentric(pixels, depth).at(triangle, x, y)
    normal = unit((weights[:, :, None] * whole.normals[triangle]).sum(axis=1))
    distance = buffer.depth.reshape(-1)[drawn]
    world = camera.at_depth(x, y, distance)
    own = _own_points(things, owner[triangle], world)
    image, normals, points = (np.zeros((height * width, 3)) for _ in range(3))
    image[:] = background
    image[drawn] = _colors(whole, triangle, own, normal)
    axes = np.stack([camera.right, camera.down, camera.forward])
    seen = normal @ axes.T
    normals[drawn] = np.where(((world - camera.position) * normal).sum(axis=1, keepdims=True) > 0, -seen, seen)
    points[drawn] = own
    instance = np.full(height * width, -1, dtype=np.int64)
    instance[drawn] = owner[triangle]
    shape = (height, width)
    return View(
        (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8).reshape(*shape, 3),
        np.where(np.isfinite(buffer.depth), buffer.depth, 0.0),
        normals.reshape(*shape, 3),
        instance.reshape(shape),
        points.reshape(*shape, 3),
        camera,
    )


def _own_points(things: Sequence[Placed], owner: NDArray[np.int64], world: FloatArray) -> FloatArray:
    own = np.empty_like(world)
    for number in np.unique(owner):
        thing, rows = things[number], owner == number
        own[rows] = turn(world[rows] - np.array(thing.position), yaw=-thing.yaw)
    return own


def _colors(mesh: Mesh, triangle: NDArray[np.int64], own: FloatArray, normal: FloatArray) -> FloatArray:
    colors = np.empty((len(triangle), 3))
    paint_index = mesh.paint_index[triangle]
    for number in np.unique(paint_index):
        rows = paint_index == number
        colors[rows] = paint_colors(mesh.paints[number], own[rows] + _OFF_LATTICE)
    facing = np.maximum((normal * LIGHT).sum(axis=1), 0.0)
    return colors * (0.45 + 0.15 * normal[:, 2] + 0.5 * facing)[:, None]


def look_at(position: Vertex, target: Vertex, focal: float, center: tuple[float, float], roll: float = 0.0) -> Camera:
    """A camera at `position` that looks at `target`, turned by `roll` degrees about its axis (clockwise picture)."""
    place = np.array(position, dtype=np.float64)
    forward = unit(np.array(target, dtype=np.float64) - place)
    right = unit(np.cross(forward, np.array([0.0, 0.0, 1.0])))
    down = np.cross(forward, right)
    c, s = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    return Camera(place, right * c + down * s, down * c - right * s, forward, focal, center)


def intrinsics(camera: Camera) -> FloatArray:
    """(3, 3) K of a camera, pixels."""
    return np.array([[camera.focal, 0, camera.center[0]], [0, camera.focal, camera.center[1]], [0, 0, 1.0]])


def extrinsics(camera: Camera) -> FloatArray:
    """(4, 4) world to camera, meters."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([camera.right, camera.down, camera.forward])
    matrix[:3, 3] = -matrix[:3, :3] @ camera.position
    return matrix


def centered(mesh: Mesh, longest: float) -> Mesh:
    """A mesh standing on z = 0, centered on x = y = 0, whose longest side has the given length."""
    points = mesh.corners.reshape(-1, 3)
    low, high = points.min(axis=0), points.max(axis=0)
    middle = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    corners = (mesh.corners - middle) * (longest / float((high - low).max()))
    return Mesh(corners, mesh.normals, mesh.paint_index, mesh.paints)


def box_mesh(sides: Vertex, paint: Paint) -> Mesh:
    """A box with the given sides along x, y, z, standing on z = 0."""
    x, y, z = (float(side) for side in sides)
    return block((-x / 2, x / 2), (-y / 2, y / 2), (0.0, z)).mesh(paint)


def room(draw: SeededDraw, width: float, length: float, height: float) -> list[Placed]:
    """Floor and three walls of a room that reaches from x = 0 (where the camera stands) to x = `length`."""
    tones = [(0.55, 0.45, 0.33), (0.72, 0.70, 0.62), (0.62, 0.70, 0.74), (0.76, 0.66, 0.60)]
    paints = [
        Paint(tone, (tone[0] * 0.8, tone[1] * 0.8, tone[2] * 0.8), "checks", draw.uniform(1.5, 3.0)) for tone in tones
    ]
    half = width / 2
    floor = _tiles((-1.0, -half, 0.0), (length + 1, 0, 0), (0, width, 0), paints[0])
    back = _tiles((length, half, 0.0), (0, -width, 0), (0, 0, height), paints[1])
    left = _tiles((-1.0, half, 0.0), (length + 1, 0, 0), (0, 0, height), paints[2])
    right = _tiles((length, -half, 0.0), (-length - 1, 0, 0), (0, 0, height), paints[3])
    return [Placed("floor", floor)] + [Placed("wall", mesh) for mesh in (back, left, right)]


def _tiles(corner: Vertex, across: Vertex, up: Vertex, paint: Paint, count: int = 12) -> Mesh:
    """A rectangle in count x count tiles, so that those behind the camera can be left out; it faces across x up."""
    start, one, two = (np.array(value, dtype=np.float64) for value in (corner, across, up))
    steps = np.arange(count)
    low = start + steps[:, None, None] / count * one + steps[None, :, None] / count * two
    a, b = one / count, two / count
    first = np.stack([low, low + a, low + a + b], axis=2).reshape(-1, 3, 3)
    second = np.stack([low, low + a + b, low + b], axis=2).reshape(-1, 3, 3)
    return flat(np.concatenate([first, second]), paint)
