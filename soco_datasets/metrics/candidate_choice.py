"""SOC-geo: the choice among the annotated points of one concept in the target, and how well chance does at it.

The candidates of a query are all points of its concept in the target image (four wheels, say); the model only has to
tell them apart. Each candidate stands for the cell it lies in, the prediction is the candidate cell with the largest
similarity, and it is scored like any other: by its distance to the one true point.

NumPy only; `correspondence.candidates` makes the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry import (
    Convention,
    cells_to_unit,
    keypoints_to_unit,
    unit_to_pixels,
)
from .pck import hits, keypoint_errors


def candidate_cells(
    points: ArrayLike, side: ArrayLike, *, size: int | None, grid: int, convention: Convention
) -> NDArray[np.int64]:
    """The cell each point lies in, as raster index row * grid + column; points outside get the cell at the border.

    Args:
        points: (N, 2) float64, pixels.
        side: (N,) or scalar; side of the padded square, pixels.
        size: network size in pixels, see `geometry.keypoints_to_unit`.
        grid: cells on a side.
        convention: see `geometry`.
    """
    unit = keypoints_to_unit(points, side, size, convention)
    # The product in float64, as in the reference: in float32 a point on the edge of two cells could round to the next.
    cells = np.clip((unit.astype(np.float64) * grid).astype(np.int64), 0, grid - 1)
    index: NDArray[np.int64] = cells[:, 1] * grid + cells[:, 0]
    return index


def padded_candidates(cells: ArrayLike, counts: ArrayLike) -> NDArray[np.int64]:
    """(Q, K) the cells of each query in ascending order, -1 in front; K = the most candidates of any query.

    Args:
        cells: (M,) int, the cells of all queries, one query after another.
        counts: (Q,) int, how many each query has.

    >>> padded_candidates([7, 3, 5], [1, 2]).tolist()
    [[-1, 7], [3, 5]]
    """
    number = np.asarray(counts, dtype=np.int64)
    padded = np.full((len(number), int(number.max(initial=0))), -1, dtype=np.int64)
    padded[np.arange(padded.shape[1]) < number[:, None]] = np.asarray(cells, dtype=np.int64)
    return np.sort(padded, axis=1)


@dataclass(frozen=True)
class CandidateGrid:
    """Where a prediction can lie.

    Attributes:
        grid: predictions are cells of a grid x grid map of the padded square; None = the candidates themselves.
        size: side of the network input, pixels; None = points are not rounded to its pixels.
        convention: where cells lie in the image.
    """

    grid: int | None = None
    size: int | None = None
    convention: Convention = "reference"


def random_hits(
    candidates: ArrayLike,
    counts: ArrayLike,
    targets: ArrayLike,
    side: ArrayLike,
    normaliser: ArrayLike,
    *,
    alphas: Sequence[float],
    where: CandidateGrid,
) -> NDArray[np.float64]:
    """The chance that a candidate drawn at random is a hit: exact, by trying every distinct candidate of each query.

        chance = (distinct candidate predictions that are hits) / (distinct candidate predictions)

    Its mean over queries is the PCK that guessing is expected to get.

    Args:
        candidates: (M, 2) float64 pixels, the candidates of all queries, one query after another.
        counts: (Q,) int, how many each query has, 1 or more.
        targets: (Q, 2) float64 pixels, the true point of each.
        side: (Q,) side of the padded square of each query's target image, pixels.
        normaliser: (Q,) what its errors are divided by, pixels.
        alphas: thresholds.
        where: predictions can lie, as in the protocol.

    Returns:
        (A, Q) float64, 0..1.
    """
    number = np.asarray(counts, dtype=np.int64)
    points = np.asarray(candidates, dtype=np.float64).reshape(-1, 2)
    owner = np.repeat(np.arange(len(number)), number)
    sides = np.asarray(side, dtype=np.float64)
    grid, size, convention = where.grid, where.size, where.convention
    if grid is None:
        first = np.unique(np.column_stack([owner, points]), axis=0, return_index=True)[1]
        owner, predictions = owner[first], points[first]
    else:
        cells = candidate_cells(points, sides[owner], size=size, grid=grid, convention=convention)
        distinct = np.unique(owner * grid**2 + cells)
        owner, cells = distinct // grid**2, distinct % grid**2
        predictions = unit_to_pixels(cells_to_unit(cells % grid, cells // grid, grid, convention), sides[owner])
    errors = keypoint_errors(
        predictions,
        np.asarray(targets, dtype=np.float64).reshape(-1, 2)[owner],
        np.arange(len(owner) + 1),
        sides[owner],
        np.asarray(normaliser, dtype=np.float64)[owner],
        convention=convention,
        size=size,
    )
    found = [np.bincount(owner[hit], minlength=len(number)) for hit in hits(errors, alphas)]
    return np.stack(found) / np.bincount(owner, minlength=len(number))
