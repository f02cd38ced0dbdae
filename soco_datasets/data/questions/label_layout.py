"""Where markers and letters go in a picture. Pure geometry: points never move, labels do.

The canvas is the image, enlarged where it is too small for letters to be read, and then padded where one side is still
too short (only strips are). The unit is the side of a label's box; everything drawn is measured in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHORT_SIDE = 224  # an image with a shorter side is enlarged to it,
LONG_SIDE = 2048  # but not beyond this
STRIP = 64  # the canvas is at least this high and wide
_LEAST_UNIT = 16  # pixels; a letter in it is about 10 high
_FAR = 8  # units from the outermost points, where labels still are
_TRIED = (1, 50, 400)  # places of a label, the nearest ones, that are looked at for one whose line crosses nothing
_STEPS = 24  # places on a line
_UNITS = 13  # of a canvas's short side
MARK = 0.3  # radius of a candidate's mark, in units
LEAST_MARK = 0.085  # radius of the smallest mark, in units: about 1/150 of the image's short side
GAP = 0.12  # free space around labels and marks, in units

_Point = tuple[float, float]
LabelBox = tuple[int, int, int, int]  # left, top, right, bottom; the last two exclusive


@dataclass(frozen=True)
class Canvas:
    """The picture that is drawn on.

    Attributes:
        size: [width, height] of the canvas.
        content: [width, height] of the image on it, at the top left.
        factor: (x, y), canvas pixels per image pixel: 1 unless the image was enlarged.
    """

    size: tuple[int, int]
    content: tuple[int, int]
    factor: tuple[float, float]

    @classmethod
    def of(cls, width: int, height: int) -> Canvas:
        """The canvas of an image of this size, pixels."""
        enlarge = max(1.0, min(SHORT_SIDE / min(width, height), LONG_SIDE / max(width, height)))
        content = (max(1, round(width * enlarge)), max(1, round(height * enlarge)))
        return cls((max(STRIP, content[0]), max(STRIP, content[1])), content, (content[0] / width, content[1] / height))

    @property
    def unit(self) -> int:
        """Side of a label, pixels."""
        return max(_LEAST_UNIT, round(min(self.size) / _UNITS))

    def point(self, point: Sequence[float]) -> _Point:
        """A point of the image on the canvas."""
        return (point[0] * self.factor[0], point[1] * self.factor[1])


def place_labels(canvas: Canvas, points: Sequence[_Point]) -> list[LabelBox]:
    """A box for the label of each point (on the canvas): inside it, apart from one another and off every mark.

    A label lies as near to its own point, and not nearer to another one, as there is room, and where the line from it
    to its point crosses no other label, line or mark. The boxes do not depend on the order of the points, so that the
    orderings of a question differ in their letters alone.
    """
    best: dict[int, LabelBox] = {}
    fewest = math.inf
    down = sorted(range(len(points)), key=lambda i: (points[i][1], points[i][0]))
    right = sorted(down, key=lambda i: points[i])
    for order in (down, down[::-1], right, right[::-1]):  # of placing: the next one is for where lines cross
        boxes, crossings = _place(canvas, points, order)
        if crossings < fewest:
            best, fewest = boxes, crossings
        if not crossings:
            break
    return [best[index] for index in range(len(points))]


def _place(canvas: Canvas, points: Sequence[_Point], order: Sequence[int]) -> tuple[dict[int, LabelBox], int]:
    """The boxes placed one after the other, each where it is best then, and how many lines cross something."""
    unit = canvas.unit
    lefts, tops = (
        _corners(side, unit, axis) for side, axis in zip(canvas.size, zip(*points, strict=True), strict=True)
    )
    free = np.ones((len(tops), len(lefts)), dtype=bool)
    keep = math.ceil(unit * (MARK + GAP)) + 1
    for x, y in points:
        _block(free, lefts, tops, unit, (x - keep, y - keep, x + keep, y + keep))
    boxes: dict[int, LabelBox] = {}
    reach = dict(zip(points, mark_radii(canvas, points), strict=True))
    gap, crossings = math.ceil(unit * GAP), 0
    for index in order:
        cost = np.where(free, _costs(lefts, tops, unit, points, index), np.inf).ravel()
        taken = [(points[other], box) for other, box in boxes.items()]
        others = [(point, reach[point]) for point in points if point != points[index]]
        for tried in _TRIED:
            nearest = _least(cost, min(tried, int(free.sum())))
            corners = np.stack([lefts[nearest % len(lefts)], tops[nearest // len(lefts)]], axis=1)
            met = _crossings(corners, unit, points[index], others, taken)
            if not met.min():
                break
        chosen = int(met.argmin())
        crossings += int(met[chosen])
        left, top = corners[chosen].tolist()
        boxes[index] = (left, top, left + unit, top + unit)
        _block(free, lefts, tops, unit, (left - gap, top - gap, left + unit + gap, top + unit + gap))
    return boxes, crossings


def _corners(side: int, unit: int, places: Sequence[float]) -> NDArray[np.int64]:
    """Where a label may begin on one axis: inside the canvas, and not far from all points."""
    found = np.unique(np.r_[np.arange(0, side - unit + 1, max(1, unit // 8)), side - unit])
    return found[(found > min(places) - _FAR * unit) & (found < max(places) + _FAR * unit)]


def _least(cost: NDArray[np.float64], number: int) -> NDArray[np.int64]:
    """Where the `number` least costs are, in their order."""
    if number == 1:
        return np.array([cost.argmin()])
    found = np.sort(np.argpartition(cost, number - 1)[:number])
    return found[np.argsort(cost[found], kind="stable")]


def _block(
    free: NDArray[np.bool_], lefts: NDArray[np.int64], tops: NDArray[np.int64], unit: int, area: Sequence[float]
) -> None:
    """No label may touch this area any more."""
    columns = (lefts < area[2]) & (lefts + unit > area[0])
    rows = (tops < area[3]) & (tops + unit > area[1])
    free[np.ix_(rows, columns)] = False


def _costs(
    lefts: NDArray[np.int64], tops: NDArray[np.int64], unit: int, points: Sequence[_Point], own: int
) -> NDArray[np.float64]:
    """(tops, lefts) how unwelcome a label is there: far from its own point, or as near to another one."""
    x, y = lefts[None, :] + unit / 2, tops[:, None] + unit / 2
    distances = [np.hypot(x - px, y - py) for px, py in points]
    cost: NDArray[np.float64] = distances[own].copy()
    for index, distance in enumerate(distances):
        if points[index] != points[own]:
            cost += 1.5 * np.maximum(0, distances[own] + unit / 2 - distance)
    return cost


def mark_radii(canvas: Canvas, points: Sequence[_Point]) -> list[float]:
    """Radius of the mark of each point, canvas pixels.

    A mark is smaller where it would overlap that of another point, but never below `LEAST_MARK`: it stays visible, and
    marks of points that are closer than that overlap. Points far from all others keep their full marks.
    """
    nearest = [min((math.dist(own, other) for other in points if other != own), default=math.inf) for own in points]
    return [min(canvas.unit * MARK, max(canvas.unit * LEAST_MARK, distance / 2)) for distance in nearest]


def _crossings(
    corners: NDArray[np.int64],
    unit: int,
    own: _Point,
    others: Sequence[tuple[_Point, float]],
    taken: Sequence[tuple[_Point, LabelBox]],
) -> NDArray[np.int64]:
    """(K,) how often the line from a point to a label at each of (K, 2) corners meets what it should not.

    Args:
        corners: left and top of the label.
        unit: its side.
        own: its point.
        others: the other points, each with the radius of its mark.
        taken: labels there are, each with its point.
    """
    steps = np.linspace(0, 1, _STEPS)[:, None]
    found = np.zeros(len(corners), dtype=np.int64)
    lines = np.array(own) + steps * (corners[:, None, :] + unit / 2 - np.array(own))  # (K, S, 2)
    for point, reach in others:
        away = lines - np.array(point)
        found += (np.hypot(away[..., 0], away[..., 1]) < reach).any(axis=1)
    for point, (left, top, right, bottom) in taken:
        found += ((lines > (left, top)) & (lines < (right, bottom))).all(axis=2).any(axis=1)
        middle = np.array([(left + right) / 2, (top + bottom) / 2])
        line = np.array(point) + steps * (middle - np.array(point))
        inside = (line > corners[:, None, :]) & (line < corners[:, None, :] + unit)
        found += inside.all(axis=2).any(axis=1)
        found += _cross(np.array(own), corners + unit / 2, np.array(point), middle)
    return found


def _cross(a: NDArray[Any], b: NDArray[Any], c: NDArray[Any], d: NDArray[Any]) -> NDArray[np.bool_]:
    """(K,) whether the lines from `a` to each of (K, 2) `b` cross the one from `c` to `d`."""

    def side(p: NDArray[Any], q: NDArray[Any], r: NDArray[Any]) -> NDArray[Any]:
        return (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])

    crossing: NDArray[np.bool_] = (side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0)
    return crossing


def arrow_tail(canvas: Canvas, tip: _Point, length: float, margin: float) -> _Point:
    """Where an arrow to `tip` begins: the first of eight directions, lower right first, in which it stays inside."""
    width, height = canvas.size
    best, room = tip, -math.inf
    for degrees in (45, 135, 225, 315, 0, 90, 180, 270):
        angle = math.radians(degrees)
        x, y = tip[0] + length * math.cos(angle), tip[1] + length * math.sin(angle)
        inside = min(x, y, width - x, height - y)
        if inside >= margin:
            return (x, y)
        if inside > room:
            best, room = (x, y), inside
    return best
