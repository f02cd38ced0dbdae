"""3D boxes: corners of a cuboid and the exact IoU of two, vectorized over pairs, in float64.

Corner order: 0-3 the face at -z, 4-7 the face at +z of the box's own frame, each (-,-), (+,-), (+,+), (-,+) in x, y.
Dimensions are [width, height, length]: length along the box's x axis, height along y, width along z (Omni3D).

The surface of an intersection of two convex bodies consists of each body's faces cut by the other. Every face of one
box is clipped by the six half-spaces of the other (Sutherland-Hodgman); the volume follows from the divergence theorem.
Faces of both boxes in one plane are counted once; where they face each other the boxes only touch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError

Floats = NDArray[np.float64]

FACES = np.array([[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [3, 7, 6, 2], [0, 4, 7, 3], [1, 2, 6, 5]])  # outward
_SIGNS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
_UNIT = np.concatenate([np.c_[(_SIGNS + 1) // 2, np.full(4, z)] for z in (0, 1)])  # corners of the unit cube
OFF_PLANE = 1e-4  # a fourth corner farther off its face's plane: not a cuboid
SMALLEST_AREA = 1e-8  # of half a face: below, not a cuboid
EMPTY = 1e-12  # intersections below this volume are empty
_ONE_PLANE = 1e-8  # of the boxes' size: faces that lie nearer share a plane
_MOST_CORNERS = 10  # of a quadrilateral clipped by six half-spaces
_CHUNK = 4096  # pairs at a time


def cuboid_corners(centers: ArrayLike, dimensions: ArrayLike, rotations: ArrayLike) -> Floats:
    """Eight corners of cuboids.

    Args:
        centers: (..., 3) meters.
        dimensions: (..., 3) [width, height, length], meters.
        rotations: (..., 3, 3), box frame to camera frame.

    Returns:
        (..., 8, 3) float64, in the order of this module.

    >>> cuboid_corners([0, 0, 5], [2, 4, 6], np.eye(3))[[0, 6]].tolist()
    [[-3.0, -2.0, 4.0], [3.0, 2.0, 6.0]]
    """
    width, height, length = np.moveaxis(np.asarray(dimensions, dtype=np.float64), -1, 0)
    half = np.stack([length, height, width], axis=-1)[..., None, :] / 2
    turned = ((2 * _UNIT - 1) * half) @ np.swapaxes(np.asarray(rotations, dtype=np.float64), -1, -2)
    return turned + np.asarray(centers, dtype=np.float64)[..., None, :]


def are_cuboids(corners: ArrayLike) -> NDArray[np.bool_]:
    """Which boxes have plane faces with area; the others overlap nothing.

    Args:
        corners: (N, 8, 3), meters.

    Returns:
        (N,) bool: finite, each face's fourth corner at most 1e-4 m off the plane of the other three, no triangle of a
        face below 1e-8 square meters.
    """
    boxes = _boxes(corners)
    finite = np.asarray(np.isfinite(boxes).all(axis=(1, 2)))
    faces = np.where(finite[:, None, None], boxes, 0.0)[:, FACES]
    sides = faces[:, :, 1:] - faces[:, :, :1]  # from the first corner to the others
    normals = np.cross(sides[:, :, :2], sides[:, :, 1:])  # of both triangles, twice their areas long
    areas = np.linalg.norm(normals, axis=-1) / 2
    off = np.abs((normals[:, :, 0] * sides[:, :, 2]).sum(axis=-1)) / np.maximum(2 * areas[:, :, 0], 1e-300)
    return finite & (areas >= SMALLEST_AREA).all(axis=(1, 2)) & (off <= OFF_PLANE).all(axis=1)


def cuboid_volumes(corners: ArrayLike) -> Floats:
    """(N,) float64 volumes of (N, 8, 3) boxes, whatever the handedness of their corners.

    >>> cuboid_volumes(cuboid_corners([[1, 2, 3]], [[1, 2, 3]], np.eye(3)[None])).tolist()
    [6.0]
    """
    boxes = _boxes(corners)
    edges = boxes[:, [1, 3, 4]] - boxes[:, :1]
    volumes = np.abs(np.linalg.det(edges))
    regular = boxes[:, :1] + _UNIT @ edges  # where all edges of one direction are equal
    other = np.flatnonzero(~(np.abs(regular - boxes).max(axis=(1, 2)) <= OFF_PLANE))
    faces = (boxes[other] - boxes[other].mean(axis=1, keepdims=True))[:, FACES]
    diagonals = np.cross(faces[:, :, 2] - faces[:, :, 0], faces[:, :, 3] - faces[:, :, 1])  # twice the vector area
    volumes[other] = np.abs((diagonals * faces.mean(axis=2)).sum(axis=(1, 2))) / 6
    return volumes


def intersection_volumes(first: ArrayLike, second: ArrayLike) -> Floats:
    """Volume of the intersection of each pair of boxes.

    Args:
        first: (N, 8, 3) corners, meters.
        second: (N, 8, 3) corners, meters.

    Returns:
        (N,) float64, cubic meters; 0 below 1e-12 and where either box is not a cuboid (see `are_cuboids`).

    Raises:
        UsageError: shapes that differ or are not (N, 8, 3).
    """
    one, two = _boxes(first), _boxes(second)
    if one.shape != two.shape:
        raise UsageError(f"Boxes to compare come in pairs: {one.shape} and {two.shape} differ.")
    volumes = np.zeros(len(one))
    usable = are_cuboids(one) & are_cuboids(two)
    for start in range(0, len(one), _CHUNK):
        part = start + np.flatnonzero(usable[start : start + _CHUNK])
        a, b = one[part], two[part]
        near = _spheres_meet(a, b)
        part, a, b = part[near], a[near], b[near]
        origin = a.mean(axis=1, keepdims=True)  # local coordinates: no digits are lost far from the origin
        volumes[part] = _convex_intersections(a - origin, b - origin)
    return np.where(volumes < EMPTY, 0.0, volumes)


def iou3d(first: ArrayLike, second: ArrayLike) -> Floats:
    """Exact IoU of each pair of boxes: volume of the intersection over volume of the union.

    Args:
        first: (N, 8, 3) corners, meters.
        second: (N, 8, 3) corners, meters.

    Returns:
        (N,) float64 in [0, 1].

    Raises:
        UsageError: shapes that differ or are not (N, 8, 3).

    >>> box = cuboid_corners([[0, 0, 0], [0.5, 0, 0]], [[1, 1, 1], [1, 1, 1]], [np.eye(3)] * 2)
    >>> iou3d(box[:1], box[1:]).round(6).tolist()
    [0.333333]
    """
    shared = intersection_volumes(first, second)
    result = np.zeros(len(shared))
    held = np.flatnonzero(shared > 0)
    one, two = _boxes(first)[held], _boxes(second)[held]
    union = cuboid_volumes(one) + cuboid_volumes(two) - shared[held]
    result[held] = np.clip(shared[held] / np.maximum(union, shared[held]), 0.0, 1.0)
    return result


def iou3d_matrix(first: ArrayLike, second: ArrayLike) -> Floats:
    """(N, M) exact IoU of every box of (N, 8, 3) with every box of (M, 8, 3)."""
    one, two = _boxes(first), _boxes(second)
    rows, columns = np.divmod(np.arange(len(one) * len(two)), max(1, len(two)))
    return iou3d(one[rows], two[columns]).reshape(len(one), len(two))


def _boxes(corners: ArrayLike) -> Floats:
    boxes = np.asarray(corners, dtype=np.float64)
    if boxes.ndim != 3 or boxes.shape[1:] != (8, 3):
        raise UsageError(f"Boxes are (N, 8, 3) corners; given: {boxes.shape}.")
    return boxes


def _spheres_meet(one: Floats, two: Floats) -> NDArray[np.bool_]:
    centers = [box.mean(axis=1) for box in (one, two)]
    pairs = zip((one, two), centers, strict=True)
    radii = [np.sqrt(((box - center[:, None]) ** 2).sum(axis=2).max(axis=1)) for box, center in pairs]
    return np.linalg.norm(centers[0] - centers[1], axis=1) < radii[0] + radii[1]


def _planes(boxes: Floats) -> tuple[Floats, Floats]:
    """Outward unit normals (N, 6, 3) and offsets (N, 6) of the faces' planes: inside is normal . x <= offset."""
    faces = boxes[:, FACES]
    middles = faces.mean(axis=2)
    normals = np.cross(faces[:, :, 2] - faces[:, :, 0], faces[:, :, 3] - faces[:, :, 1])
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    outward = ((middles - boxes.mean(axis=1, keepdims=True)) * normals).sum(axis=-1)
    normals *= np.where(outward < 0, -1.0, 1.0)[..., None]
    return normals, (normals * middles).sum(axis=-1)


def _convex_intersections(one: Floats, two: Floats) -> Floats:
    """(N,) volumes, given cuboids in coordinates around the first one's center."""
    volumes = np.zeros(len(one))
    planes = _planes(one), _planes(two)
    # Signed distances of each box's corners to the other's planes, (N, 6 planes, 8 corners); above 0 is outside.
    two_off_one = planes[0][0] @ np.swapaxes(two, 1, 2) - planes[0][1][..., None]
    one_off_two = planes[1][0] @ np.swapaxes(one, 1, 2) - planes[1][1][..., None]
    apart = (two_off_one.min(axis=2) >= 0).any(axis=1) | (one_off_two.min(axis=2) >= 0).any(axis=1)
    left = np.flatnonzero(~apart)
    if not len(left):
        return volumes
    one, two, two_off_one, one_off_two = one[left], two[left], two_off_one[left], one_off_two[left]
    normals, offsets = zip(*((normal[left], offset[left]) for normal, offset in planes), strict=True)
    size = np.sqrt(np.minimum(*(((box[:, 6] - box[:, 0]) ** 2).sum(axis=1) for box in (one, two))))
    limit = _ONE_PLANE * size[:, None, None]
    # (N, faces of one, faces of two): every corner of each face lies in the other's plane
    in_two = np.swapaxes((np.abs(one_off_two)[:, :, FACES].max(axis=3) < limit), 1, 2)
    in_one = np.abs(two_off_one)[:, :, FACES].max(axis=3) < limit
    shared = in_two & in_one
    along = normals[0] @ np.swapaxes(normals[1], 1, 2) > 0
    same, opposite = shared & along, shared & ~along
    kept_one, kept_two = ~opposite.any(axis=2), ~shared.any(axis=1)
    total = _clipped_faces(one, kept_one, normals[1], offsets[1], np.swapaxes(same, 1, 2))
    total += _clipped_faces(two, kept_two, normals[0], offsets[0], same)
    volumes[left] = np.maximum(total, 0.0) / 6
    return volumes


def _clipped_faces(
    boxes: Floats, kept: NDArray[np.bool_], normals: Floats, offsets: Floats, skipped: NDArray[np.bool_]
) -> Floats:
    """(N,) sums over some faces, clipped by planes, of point . vector area, times 2: six times their share of a volume.

    Args:
        boxes: (N, 8, 3) corners.
        kept: (N, 6) faces that count.
        normals: (N, 6, 3) of the planes.
        offsets: (N, 6) of the planes.
        skipped: (N, 6 planes, 6 faces): planes that do not cut a face because it lies in them.
    """
    owner, face = np.nonzero(kept)
    polygons = np.zeros((len(owner), _MOST_CORNERS, 3))
    polygons[:, :4] = boxes[owner[:, None], _outward_faces(boxes)[owner, face]]
    counts = np.full(len(owner), 4)
    for plane in range(6):
        distance = np.einsum("nvc,nc->nv", polygons, normals[owner, plane]) - offsets[owner, plane, None]
        corner = np.arange(_MOST_CORNERS) < counts[:, None]
        outside = (distance > 0) & corner & ~skipped[owner, plane, face][:, None]
        cut = np.flatnonzero(outside.any(axis=1))
        if not len(cut):
            continue
        polygons[cut], counts[cut] = _clip(polygons[cut], counts[cut], distance[cut])
        alive = counts > 0
        owner, face, polygons, counts = owner[alive], face[alive], polygons[alive], counts[alive]
    # Unused places repeat the first corner, where they add nothing to the area.
    unused = np.arange(_MOST_CORNERS) >= counts[:, None]
    polygons = np.where(unused[..., None], polygons[:, :1], polygons)
    from_first = polygons[:, 1:] - polygons[:, :1]
    area = np.cross(from_first[:, :-1], from_first[:, 1:]).sum(axis=1)  # twice the vector area
    sums: NDArray[Any] = np.bincount(owner, weights=(area * polygons[:, 0]).sum(axis=1), minlength=len(boxes))
    return sums.astype(np.float64, copy=False)  # without a face, bincount counts in integers


def _outward_faces(boxes: Floats) -> NDArray[np.int64]:
    """(N, 6, 4) corners of faces, counterclockwise seen from outside also for mirrored boxes."""
    edges = boxes[:, [1, 3, 4]] - boxes[:, :1]
    mirrored = np.linalg.det(edges) < 0
    return np.where(mirrored[:, None, None], FACES[:, ::-1], FACES)


def _clip(polygons: Floats, counts: NDArray[np.int64], distance: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Convex polygons (M, 10, 3) with `counts` corners cut by one half-space each, given their corners' distances."""
    places = np.arange(_MOST_CORNERS)
    used = places < counts[:, None]
    following = np.where(places + 1 < counts[:, None], places + 1, 0)
    every = np.arange(len(polygons))[:, None]
    after = distance[every, following]
    inside, inside_after = distance <= 0, after <= 0
    crossing = used & (inside != inside_after)
    share = np.divide(distance, distance - after, out=np.zeros_like(distance), where=crossing)
    kept = used & inside
    # Each corner that stays is followed by the point where its side leaves or enters the half-space.
    emitted = kept.astype(np.int64) + crossing
    ends = np.cumsum(emitted, axis=1)
    total = ends[:, -1]
    result = np.zeros((len(polygons), max(_MOST_CORNERS, int(total.max())), 3))
    row, column = np.nonzero(kept)
    result[row, (ends - emitted)[row, column]] = polygons[row, column]
    row, column = np.nonzero(crossing)
    start, end = polygons[row, column], polygons[row, following[row, column]]
    result[row, ends[row, column] - 1] = start + share[row, column, None] * (end - start)
    return result[:, :_MOST_CORNERS], np.minimum(total, _MOST_CORNERS)
