"""What an evaluation has to compute, as numbers: images, points and matches, each once, and who asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..benchmarks.tasks import Task
from ..config import Protocol
from ..data.folder import DatasetFolder
from ..errors import DatasetFolderError, UsageError
from ..geometry import cells_to_unit, centered_offset, unit_to_pixels
from ..metrics.candidate_choice import candidate_cells, padded_candidates
from .matchers.matcher import matcher_class
from .similarity import content_cells


@dataclass(frozen=True)
class Plan:
    """The work of all tasks together: I images, D query points, M matches, Q queries, G of them with candidates.

    Attributes:
        images: (I,) dataset row of each image used, ascending.
        square_sides: (I,) side of each one's padded square, pixels.
        valid_extent: (I, 2) columns and rows of the patch grid that hold any of the image.
        point_image: (D,) position in `images` of each distinct query point, ascending.
        points: (D, 2) float64, pixels of the source image.
        match_point, match_target: (M,) query point and position in `images` of the target, ordered by target.
        query_match: (Q,) the match of each query.
        candidate_query: (G,) queries with candidates, ordered by their match, so by target.
        candidates: (G, K) int64 candidate cells, see `candidate_choice.padded_candidates`.
        task_slices: task -> its queries among the Q; tasks with the same queries share them.
        task_matchers: task -> the name of its matcher.
        offsets: (I, 2) where each image lies in its padded square, pixels; None where all lie at the top left.
    """

    images: NDArray[np.int64]
    square_sides: NDArray[np.int64]
    valid_extent: NDArray[np.int64]
    point_image: NDArray[np.int64]
    points: NDArray[np.float64]
    match_point: NDArray[np.int64]
    match_target: NDArray[np.int64]
    query_match: NDArray[np.int64]
    candidate_query: NDArray[np.int64]
    candidates: NDArray[np.int64]
    task_slices: dict[str, slice]
    task_matchers: dict[str, str]
    offsets: NDArray[np.float64] | None = None

    @property
    def matchers(self) -> tuple[str, ...]:
        """The matchers of the tasks, each once."""
        return tuple(dict.fromkeys(self.task_matchers.values()))

    @property
    def candidate_match(self) -> NDArray[np.int64]:
        """(G,) the match of each query with candidates, ascending."""
        return self.query_match[self.candidate_query]


@dataclass(frozen=True)
class MatchResult:
    """Where each matcher of a plan found its queries.

    Attributes:
        positions: matcher -> (M, 2) [column, row] of each match, (G, 2) if the matcher needs candidates; int64 cells,
            or float32 if it is subcell.
        similarity: matcher -> (M,) or (G,) float32 similarity there.
    """

    positions: dict[str, NDArray[Any]]
    similarity: dict[str, NDArray[np.float32]]


Answers = dict[str, tuple[NDArray[np.float64], NDArray[np.float32]]]  # task -> (N, 2) pixels, (N,) similarity


@dataclass(frozen=True)
class MatchBlock:
    """Pairs that are matched and scored together.

    Attributes:
        plan: of their queries, with the images and points of the plan that was sampled.
    """

    plan: Plan


class QueryKey(NamedTuple):
    """What tasks must share to have the same queries."""

    config: str
    min_candidates: int
    has_candidates: bool


def query_key(task: Task) -> QueryKey:
    """The queries of a task."""
    return QueryKey(task.config, task.min_candidates, needs_candidates(task))


def needs_candidates(task: Task) -> bool:
    """Whether a task chooses among candidates."""
    return matcher_class(task.matcher).needs_candidates


@dataclass(frozen=True)
class Candidates:
    """Candidate points of some queries: `counts[i]` of the `points` (pixels) are those of the query `query[i]`."""

    query: NDArray[np.int64]
    counts: NDArray[np.int64]
    points: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: Sequence[Candidates]) -> Candidates:
        """Several together."""
        none = np.zeros(0, dtype=np.int64)
        return cls(
            np.concatenate([none, *(part.query for part in parts)]),
            np.concatenate([none, *(part.counts for part in parts)]),
            np.concatenate([np.zeros((0, 2)), *(part.points for part in parts)]),
        )


def image_plan(
    folder: DatasetFolder,
    images: NDArray[np.int64],
    point_image: NDArray[np.int64],
    points: NDArray[np.float64],
    tasks: Sequence[Task],
    grid: int,
) -> Plan:
    """The plan to sample some points, which matches nothing yet.

    Args:
        folder: where the images come from.
        images, point_image, points: of the `Plan`.
        tasks: what is evaluated.
        grid: cells per side of the feature maps.
    """
    sizes = folder.table("images", "test", columns=["width", "height"])
    extent = np.column_stack([sizes["width"].to_numpy(), sizes["height"].to_numpy()]).astype(np.int64)[images]
    none = np.zeros(0, dtype=np.int64)
    return Plan(
        images=images,
        square_sides=extent.max(axis=1, initial=0),
        valid_extent=content_cells(extent, grid),
        point_image=point_image,
        points=points,
        match_point=none,
        match_target=none,
        query_match=none,
        candidate_query=none,
        candidates=none.reshape(0, 0),
        task_slices={},
        task_matchers={task.name: task.matcher for task in tasks},
    )


def in_square(plan: Plan, folder: DatasetFolder, protocol: Protocol) -> Plan:
    """A plan whose points are pixels of the image, for the padding of a protocol.

    Raises:
        UsageError: a valid area, with images in the middle of their square.
    """
    if not protocol.is_centered_padding:
        return plan
    if protocol.scoring.valid_area:
        raise UsageError("The valid area is not defined for images in the middle of their square.")
    sizes = folder.table("images", "test", columns=["width", "height"])
    extent = np.column_stack([sizes["width"].to_numpy(), sizes["height"].to_numpy()])[plan.images]
    offsets = centered_offset(extent, protocol.scoring.convention)
    return replace(plan, points=plan.points + offsets[plan.point_image], offsets=offsets)


def with_queries(
    plan: Plan,
    point: NDArray[np.int64],
    target: NDArray[np.int64],
    task_slices: dict[str, slice],
    candidates: Candidates,
    protocol: Protocol,
) -> Plan:
    """The plan of Q queries over the images and points of another, each match once.

    Args:
        plan: whose images and points these are.
        point, target: (Q,) query point and position in `plan.images` of the target.
        task_slices: task -> its queries among the Q.
        candidates: of the queries that choose among some.
        protocol: of the evaluation.
    """
    points, where = max(len(plan.points), 1), candidates.points
    if plan.offsets is not None:
        where = where + np.repeat(plan.offsets[target[candidates.query]], candidates.counts, axis=0)
    matches, query_match = np.unique(target * points + point, return_inverse=True)
    cells = candidate_cells(
        where,
        np.repeat(plan.square_sides[target[candidates.query]], candidates.counts),
        size=protocol.features.size,
        grid=grid_of(protocol),
        convention=protocol.point_convention,
    )
    order = np.argsort(query_match[candidates.query], kind="stable")
    return replace(
        plan,
        match_point=matches % points,
        match_target=matches // points,
        query_match=query_match,
        candidate_query=candidates.query[order],
        candidates=padded_candidates(cells, candidates.counts)[order],
        task_slices=task_slices,
    )


def predicted_points(plan: Plan, found: MatchResult, protocol: Protocol) -> Answers:
    """Task -> ((N, 2) predicted pixels of the target images, (N,) similarity) of its queries."""
    candidate = np.zeros(len(plan.query_match), dtype=np.int64)
    candidate[plan.candidate_query] = np.arange(len(plan.candidate_query))
    sides, grid, answers = plan.square_sides[plan.match_target[plan.query_match]], grid_of(protocol), Answers()
    for task, queries in plan.task_slices.items():
        matcher = plan.task_matchers[task]
        row = (candidate if matcher_class(matcher).needs_candidates else plan.query_match)[queries]
        columns, rows = found.positions[matcher][row].T
        unit = cells_to_unit(columns, rows, grid, protocol.scoring.convention)
        pixels = unit_to_pixels(unit, sides[queries])
        if plan.offsets is not None:
            pixels -= plan.offsets[plan.match_target[plan.query_match[queries]]]
        answers[task] = pixels, found.similarity[matcher][row]
    return answers


def grid_of(protocol: Protocol) -> int:
    """Cells per side of the feature maps of an extractor's protocol."""
    assert protocol.features.grid is not None  # only imported predictions have none
    return protocol.features.grid


def distinct_points(
    image: NDArray[np.int64], points: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """((D,) first query of each distinct point of an image, ascending by image; (Q,) which of the D each query is)."""
    across, column = np.unique(points[:, 0], return_inverse=True)
    down, row = np.unique(points[:, 1], return_inverse=True)
    _, first, inverse = np.unique(
        (image * len(across) + column) * len(down) + row, return_index=True, return_inverse=True
    )
    return first, inverse


def rows_of(names: pa.ChunkedArray, ids: pa.Array) -> NDArray[np.int64]:
    """(N,) place of each image id among `ids`. Raises `DatasetFolderError` naming one that is not there."""
    rows = pc.index_in(names, value_set=ids).combine_chunks()
    if rows.null_count:
        unknown = names.filter(pc.is_null(rows))[0].as_py()
        raise DatasetFolderError(f"A pair names the image {unknown!r}, which is not in `images`. Build the data again.")
    return rows.to_numpy(zero_copy_only=False).astype(np.int64)
