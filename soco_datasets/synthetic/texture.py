"""Solid patterns: color as a function of the position, from an integer hash. No sines, so the same everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .mesh import FloatArray, Paint

_FACTORS = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)


def _seeded(shape: tuple[int, ...], salt: int) -> NDArray[np.uint32]:
    return np.full(shape, (salt * 0x27D4EB2F + 0x165667B1) & 0xFFFFFFFF, dtype=np.uint32)


def _mix(state: NDArray[np.uint32], cell: NDArray[np.int64], axis: int) -> NDArray[np.uint32]:
    """Hash state after one more coordinate; unsigned integers wrap around, by design."""
    mixed = state ^ cell.astype(np.uint32) * np.uint32(_FACTORS[axis])
    mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(0x2C1B3C6D)
    return mixed


def _finish(mixed: NDArray[np.uint32]) -> FloatArray:
    mixed = mixed ^ (mixed >> np.uint32(12))
    mixed *= np.uint32(0x297A2D39)
    mixed ^= mixed >> np.uint32(15)
    return mixed / 2.0**32


def cell_hash(cells: NDArray[np.int64], salt: int = 0) -> FloatArray:
    """(...,) values in [0, 1) for integer cells (..., D), D <= 3."""
    mixed = _seeded(cells.shape[:-1], salt)
    for axis in range(cells.shape[-1]):
        mixed = _mix(mixed, cells[..., axis], axis)
    return _finish(mixed)


def noise(points: FloatArray, salt: int = 0) -> FloatArray:
    """(N,) smooth noise in 0..1 at points (N, D), D <= 3, one lattice cell per unit."""
    floor = np.floor(points)
    part = points - floor
    part = part * part * (3.0 - 2.0 * part)
    cells = floor.astype(np.int64)
    # The corners of a cell in binary order, the first axis in the lowest bit; they share the hash of earlier axes.
    states = [_seeded(points.shape[:-1], salt)]
    for axis in range(points.shape[-1]):
        states = [_mix(state, cells[..., axis] + step, axis) for step in (0, 1) for state in states]
    corners = [_finish(state) for state in states]
    for axis in range(points.shape[-1]):
        share = part[..., axis]
        corners = [low + (high - low) * share for low, high in zip(corners[::2], corners[1::2], strict=True)]
    return corners[0]


def pattern_share(paint: Paint, points: FloatArray) -> FloatArray:
    """(N,) how much of `paint.second` shows at object points (N, 3), 0..1."""
    scaled = points * paint.scale
    if paint.texture == "stripes":
        wobble = noise(scaled * 0.55) * 0.9
        along = scaled[:, 0] * paint.axis[0] + scaled[:, 1] * paint.axis[1] + scaled[:, 2] * paint.axis[2]
        phase = along + wobble
        wave = np.abs(2.0 * (phase - np.floor(phase)) - 1.0)
        return np.clip((wave - 0.5) * 6.0 + 0.5, 0.0, 1.0)
    if paint.texture == "spots":
        # Bend the lattice so that the spots do not stand in rows.
        scaled = scaled + 1.3 * noise(scaled * 0.4, 5)[:, None]
        cells = np.floor(scaled).astype(np.int64)
        part = scaled - cells
        squared = np.zeros(len(points))
        for axis in range(3):
            middle = 0.34 + 0.32 * cell_hash(cells, salt=axis + 1)
            squared += (part[:, axis] - middle) ** 2
        return np.clip((0.105 - squared) * 30.0, 0.0, 1.0)
    if paint.texture == "checks":
        cells = np.floor(scaled).astype(np.int64)
        return (cells[:, 0] + cells[:, 1] + cells[:, 2] & 1).astype(np.float64)
    if paint.texture == "fur":
        return noise(scaled * np.array([1.0, 1.0, 0.35]))
    if paint.texture == "wood":
        rings = (noise(scaled * np.array([0.4, 0.4, 0.12])) * 5.0 + scaled[:, 2] * 0.1) % 1.0
        return np.abs(2.0 * rings - 1.0)
    return np.zeros(len(points))


def paint_colors(paint: Paint, points: FloatArray) -> FloatArray:
    """(N, 3) RGB 0..1 of a paint at object points (N, 3), before lighting."""
    color, second = np.array(paint.color), np.array(paint.second)
    if paint.texture == "plain":
        return np.broadcast_to(color, (len(points), 3))
    share = pattern_share(paint, points)[:, None]
    return color * (1.0 - share) + second * share
