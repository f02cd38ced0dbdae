"""One view of a model: a photograph-like image, its visible keypoints, its box and its pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .camera import Camera, orbit
from .mesh import (
    FloatArray,
    Mesh,
    Paint,
    join,
    unit,
)
from .model import Landmark, Model
from .randomness import SeededDraw
from .raster import (
    Barycentric,
    Buffer,
    pixel_centers,
    rasterize,
)
from .scene import (
    Scene,
    paint_surroundings,
    set_scene,
    shadow,
)
from .texture import paint_colors

OVERSAMPLING = 2
# A point counts as on the surface when it is less than this share of the object's radius behind what is drawn.
DEPTH_TOLERANCE = 0.015
# Flat places seen more edge-on than this cosine are hidden.
GRAZING = 0.08
# Pixels shaded at a time: temporaries stay in the processor's cache.
_CHUNK = 8192


@dataclass(frozen=True)
class Seen:
    """A visible keypoint.

    Attributes:
        landmark: which one.
        x: in pixels of the image, pixel i spans [i, i + 1), rounded to 2 decimals.
        y: likewise.
    """

    landmark: Landmark
    x: float
    y: float


@dataclass(frozen=True)
class RenderedView:
    """A drawn image.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        bbox: left, top, right, bottom of the object's visible pixels; right and bottom exclusive.
        keypoints: the visible ones, in the model's order.
        azimuth: degrees, as in `camera`, rounded to 2 decimals.
        elevation: likewise.
    """

    pixels: NDArray[np.uint8]
    bbox: tuple[int, int, int, int]
    keypoints: tuple[Seen, ...]
    azimuth: float
    elevation: float


def draw_view(
    model: Model, place: str, size: tuple[int, int], azimuth: float, elevation: float, draw: SeededDraw
) -> RenderedView:
    """Draw a model.

    Args:
        model: the object.
        place: "outdoor" or "indoor".
        size: width and height in pixels.
        azimuth: degrees, see `camera`.
        elevation: degrees.
        draw: chooses framing, surroundings, light and noise.
    """
    azimuth, elevation = round(azimuth % 360.0, 2), round(elevation, 2)
    width, height = size
    camera = frame(model, size, azimuth, elevation, draw)
    scene = set_scene(draw, place, model.center, model.radius, azimuth)
    everything = join([model.mesh, scene.clutter])
    colors, cover, buffer, fine = _draw_solids(everything, scene, camera, size)
    background = paint_surroundings(scene, camera, model.center, cover < 1.0)
    dark = shadow(scene, camera, everything, width, height) * (0.55 if place == "outdoor" else 0.45)
    image = background * (1.0 - dark[..., None]) * (1.0 - cover[..., None]) + colors
    image = image * draw.uniform(0.88, 1.06) + _sensor_noise(draw, width, height)
    pixels = (np.clip(image, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    is_object = (buffer.triangle >= 0) & (buffer.triangle < len(model.mesh))
    seen = visible_keypoints(model, fine, buffer, size)
    return RenderedView(pixels, _tight_box(is_object), seen, azimuth, elevation)


def frame(model: Model, size: tuple[int, int], azimuth: float, elevation: float, draw: SeededDraw) -> Camera:
    """A camera that shows the object at a random scale and place, now and then cut by the border."""
    distance = model.radius * draw.uniform(3.2, 5.5)
    camera = orbit(model.center, distance, azimuth, elevation)
    flat, _ = camera.project(model.mesh.corners.reshape(-1, 3))
    low, high = flat.min(axis=0), flat.max(axis=0)
    width, height = size
    cut = draw.chance(0.12)
    fill = draw.uniform(1.02, 1.15) if cut else draw.uniform(0.66, 0.92)
    focal = fill * min(width / (high[0] - low[0]), height / (high[1] - low[1]))
    shares = (draw.uniform(0.08, 0.92), draw.uniform(0.15, 0.92))
    spare = [side - focal * (high[axis] - low[axis]) for axis, side in enumerate(size)]
    center = [spare[axis] * shares[axis] - focal * low[axis] for axis in range(2)]
    return camera.with_lens(float(focal), (float(center[0]), float(center[1])))


def _zoom(camera: Camera, factor: int) -> Camera:
    return camera.with_lens(camera.focal * factor, (camera.center[0] * factor, camera.center[1] * factor))


def _draw_solids(
    mesh: Mesh, scene: Scene, camera: Camera, size: tuple[int, int]
) -> tuple[FloatArray, FloatArray, Buffer, Camera]:
    """Lit colors times cover (H, W, 3), cover (H, W), and the finer buffer and camera they come from."""
    width, height = size[0] * OVERSAMPLING, size[1] * OVERSAMPLING
    fine = _zoom(camera, OVERSAMPLING)
    corners = fine.project(mesh.corners)
    buffer = rasterize(*corners, width, height)
    drawn = np.flatnonzero(buffer.triangle >= 0)
    paint_index = mesh.paint_index[buffer.triangle.reshape(-1)[drawn]]
    by_paint = drawn[np.argsort(paint_index, kind="stable")]
    ends = np.cumsum(np.bincount(paint_index, minlength=len(mesh.paints)))
    flat_depth, flat_triangle = buffer.depth.reshape(-1), buffer.triangle.reshape(-1)
    colors = np.zeros((height * width, 3))
    weights = Barycentric(*corners)
    for paint, start, end in zip(mesh.paints, [0, *ends[:-1]], ends, strict=True):
        for first in range(start, end, _CHUNK):
            chosen = by_paint[first : min(first + _CHUNK, end)]
            triangle = flat_triangle[chosen]
            x, y = pixel_centers(chosen, width)
            normal = unit(_sum_corners(weights.at(triangle, x, y), mesh.normals[triangle]))
            points = fine.at_depth(x, y, flat_depth[chosen])
            colors[chosen] = _lit(paint, scene, fine, points, normal)
    cover = (buffer.triangle >= 0).astype(np.float64)
    return _shrink(colors.reshape(height, width, 3)), _shrink(cover), buffer, fine


def _sum_corners(weights: FloatArray, values: FloatArray) -> FloatArray:
    """(N, 3) weighted sums of (N, 3 corners, 3) values."""
    return weights[:, :1] * values[:, 0] + weights[:, 1:2] * values[:, 1] + weights[:, 2:] * values[:, 2]


def _lit(paint: Paint, scene: Scene, camera: Camera, points: FloatArray, normal: FloatArray) -> FloatArray:
    """Colors (N, 3) of one paint under sky light, one lamp and a highlight."""
    facing = np.maximum(_dot(normal, scene.light), 0.0)
    colors = paint_colors(paint, points) * (0.42 + 0.16 * normal[:, 2] + 0.62 * facing)[:, None]
    if paint.shine > 0:
        half = unit(unit(camera.position - points) + scene.light)
        glint = np.maximum(_dot(normal, half), 0.0)
        for _ in range(5):
            glint = glint * glint
        colors += (0.5 * paint.shine * glint)[:, None]
    return colors


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def _shrink(fine: FloatArray) -> FloatArray:
    """Means of OVERSAMPLING x OVERSAMPLING squares, added in a fixed order."""
    total = np.zeros((fine.shape[0] // OVERSAMPLING, fine.shape[1] // OVERSAMPLING, *fine.shape[2:]))
    for row in range(OVERSAMPLING):
        for column in range(OVERSAMPLING):
            total += fine[row::OVERSAMPLING, column::OVERSAMPLING]
    return total / OVERSAMPLING**2


def _sensor_noise(draw: SeededDraw, width: int, height: int) -> FloatArray:
    values = draw.array(3, height, width)
    return ((values[0] + values[1] + values[2] - 1.5) * draw.uniform(0.012, 0.035))[..., None]


def visible_keypoints(model: Model, fine: Camera, buffer: Buffer, size: tuple[int, int]) -> tuple[Seen, ...]:
    """The keypoints inside the image that no surface hides and whose own surface faces the camera."""
    width, height = size
    places = np.array([landmark.position for landmark in model.landmarks])
    pixels, depths = fine.project(places)
    seen = []
    for landmark, (u, v), depth in zip(model.landmarks, pixels, depths, strict=True):
        x, y = round(float(u) / OVERSAMPLING, 2), round(float(v) / OVERSAMPLING, 2)
        if not (0.0 <= x < width and 0.0 <= y < height) or not _faces(landmark, fine):
            continue
        column = min(max(int(u), 0), buffer.depth.shape[1] - 1)
        row = min(max(int(v), 0), buffer.depth.shape[0] - 1)
        if depth <= buffer.depth[row, column] + DEPTH_TOLERANCE * model.radius + landmark.slack:
            seen.append(Seen(landmark, x, y))
    return tuple(seen)


def _faces(landmark: Landmark, camera: Camera) -> bool:
    if landmark.normal is None:
        return True
    return bool(_dot(unit(landmark.normal), unit(camera.position - landmark.position)) > GRAZING)


def _tight_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Box of a fine mask, in whole image pixels that contain any of it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        int(columns[0]) // OVERSAMPLING,
        int(rows[0]) // OVERSAMPLING,
        int(columns[-1]) // OVERSAMPLING + 1,
        int(rows[-1]) // OVERSAMPLING + 1,
    )
