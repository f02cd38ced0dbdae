"""Where markers and letters go in a picture. Pure geometry: points never move, labels do.

The canvas is the image, enlarged where it is too small for letters to be read, and then padded where one side is still
too short (only strips are). The unit is the side of a label's box; everything drawn is measured in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHORT_SIDE = 224  # an image with a shorter side is enlarged to it,
LONG_SIDE = 2048  # but not beyond this
STRIP = 64  # the canvas is at least this high and wide
_LEAST_UNIT = 16  # pixels; a letter in it is about 10 high
_UNITS = 13  # of a canvas's short side
MARK = 0.3  # radius of a candidate's mark, in units
GAP = 0.12  # free space around labels and marks, in units

Point = tuple[float, float]
Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two exclusive


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

    def point(self, point: Sequence[float]) -> Point:
        """A point of the image on the canvas."""
        return (point[0] * self.factor[0], point[1] * self.factor[1])


def place_labels(canvas: Canvas, points: Sequence[Point]) -> list[Box]:
    """A box for the label of each point (on the canvas): inside it, apart from one another and off every mark.

    A label lies as near to its own point, and not nearer to another one, as there is room. The boxes do not depend on
    the order of the points, so that the orderings of a question differ in their letters alone.
    """
    unit = canvas.unit
    width, height = canvas.size
    step = max(1, unit // 8)
    lefts = np.unique(np.r_[np.arange(0, width - unit + 1, step), width - unit])
    tops = np.unique(np.r_[np.arange(0, height - unit + 1, step), height - unit])
    free = np.ones((len(tops), len(lefts)), dtype=bool)
    keep = math.ceil(unit * (MARK + GAP)) + 1
    for x, y in points:
        _block(free, lefts, tops, unit, (x - keep, y - keep, x + keep, y + keep))
    boxes: dict[int, Box] = {}
    for index in sorted(range(len(points)), key=lambda i: (points[i][1], points[i][0])):
        cost = _costs(lefts, tops, unit, points, index)
        best = int(np.where(free, cost, np.inf).argmin())
        left, top = int(lefts[best % len(lefts)]), int(tops[best // len(lefts)])
        boxes[index] = (left, top, left + unit, top + unit)
        gap = math.ceil(unit * GAP)
        _block(free, lefts, tops, unit, (left - gap, top - gap, left + unit + gap, top + unit + gap))
    return [boxes[index] for index in range(len(points))]


def _block(
    free: NDArray[np.bool_], lefts: NDArray[np.int64], tops: NDArray[np.int64], unit: int, area: Sequence[float]
) -> None:
    """No label may touch this area any more."""
    columns = (lefts < area[2]) & (lefts + unit > area[0])
    rows = (tops < area[3]) & (tops + unit > area[1])
    free[np.ix_(rows, columns)] = False


def _costs(
    lefts: NDArray[np.int64], tops: NDArray[np.int64], unit: int, points: Sequence[Point], own: int
) -> NDArray[np.float64]:
    """(tops, lefts) how unwelcome a label is there: far from its own point, or as near to another one."""
    x, y = lefts[None, :] + unit / 2, tops[:, None] + unit / 2
    distances = [np.hypot(x - px, y - py) for px, py in points]
    cost: NDArray[np.float64] = distances[own].copy()
    for index, distance in enumerate(distances):
        if points[index] != points[own]:
            cost += 1.5 * np.maximum(0, distances[own] + unit / 2 - distance)
    return cost


def arrow_tail(canvas: Canvas, tip: Point, length: float, margin: float) -> Point:
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
