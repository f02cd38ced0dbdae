"""What an evaluation has to compute, as numbers: the pairs of each task, then images, points and matches, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..benchmarks.tasks import Task
from ..config import Protocol
from ..data.folder import DatasetFolder
from ..errors import DatasetFolderError
from ..metrics.candidate_choice import candidate_cells, padded_candidates
from ..records.validation import points_array
from .similarity import content_cells


@dataclass(frozen=True)
class Plan:
    """The work of all tasks together: I images, D query points, M matches, Q queries, G of them with candidates.

    Attributes:
        images: (I,) dataset row of each image used, ascending.
        sides: (I,) side of each one's padded square, pixels.
        content: (I, 2) columns and rows of the patch grid that hold any of the image.
        point_image: (D,) position in `images` of each distinct query point, ascending.
        points: (D, 2) float64, pixels of the source image.
        match_point, match_target: (M,) query point and position in `images` of the target, ordered by target.
        soft: whether a task needs the soft position of the matches.
        query_match: (Q,) which match answers each query.
        rows: task -> its queries among the Q; tasks with the same queries share them.
        choice_query: (G,) queries of the geo tasks, ordered by their match, so by target.
        choices: (G, K) int64 candidate cells, see `geo.padded_candidates`.
    """

    images: NDArray[np.int64]
    sides: NDArray[np.int64]
    content: NDArray[np.int64]
    point_image: NDArray[np.int64]
    points: NDArray[np.float64]
    match_point: NDArray[np.int64]
    match_target: NDArray[np.int64]
    soft: bool
    query_match: NDArray[np.int64]
    rows: dict[str, slice]
    choice_query: NDArray[np.int64]
    choices: NDArray[np.int64]


class QueryKey(NamedTuple):
    """What tasks must share to ask the same queries in the same way."""

    config: str
    min_candidates: int
    choosing: bool


def make_plan(
    tasks: Sequence[Task], pairs: Mapping[str, pa.Table], folder: DatasetFolder, protocol: Protocol, grid: int
) -> Plan:
    """The plan for the pairs of some tasks.

    Args:
        tasks: what is evaluated.
        pairs: the name of each -> `task_pairs`.
        folder: where they come from.
        protocol: of the evaluation.
        grid: cells on a side of the feature maps.

    Raises:
        DatasetFolderError: a pair names an image that is not there, or lacks a point or a candidate.
    """
    first = {query_key(task): task.name for task in reversed(tasks)}
    tables = {task.name: pairs[task.name] for task in tasks if task.name in first.values()}
    spans = _spans(tables)
    sizes = folder.table("images", "test", columns=["image_id", "width", "height"])
    ids = sizes["image_id"].combine_chunks()
    source, target = (_query_images(tables, ids, name) for name in ("source_image_id", "target_image_id"))
    images, positions = np.unique(np.concatenate([source, target]), return_inverse=True)
    source, target = positions[: len(source)], positions[len(source) :]
    flat = np.concatenate([*(points_array(table["source_points"]) for table in tables.values()), np.zeros((0, 2))])
    if len(flat) != len(source):
        raise DatasetFolderError(f"{folder.path}: pairs have not one source point per keypoint. Build the data again.")
    distinct, point = distinct_points(source, flat)
    extent = np.column_stack([sizes["width"].to_numpy(), sizes["height"].to_numpy()]).astype(np.int64)[images]
    choosing = {task.name: tables[task.name] for task in tasks if task.matcher == "candidates" and task.name in tables}
    return with_queries(
        image_plan(images, extent, source[distinct], flat[distinct], tasks, grid),
        point,
        target,
        {task.name: spans[first[query_key(task)]] for task in tasks},
        _candidates_of(choosing, spans),
        protocol,
        grid,
    )


def image_plan(
    images: NDArray[np.int64],
    extent: NDArray[np.int64],
    point_image: NDArray[np.int64],
    points: NDArray[np.float64],
    tasks: Sequence[Task],
    grid: int,
) -> Plan:
    """The plan to sample some points, which matches nothing yet.

    Args:
        images, point_image, points: of the `Plan`.
        extent: (I, 2) [width, height] of each image.
        tasks: what is evaluated.
        grid: cells on a side of the feature maps.
    """
    none = np.zeros(0, dtype=np.int64)
    return Plan(
        images=images,
        sides=extent.max(axis=1, initial=0),
        content=content_cells(extent, grid),
        point_image=point_image,
        points=points,
        match_point=none,
        match_target=none,
        soft=any(task.matcher == "soft" for task in tasks),
        query_match=none,
        rows={},
        choice_query=none,
        choices=none.reshape(0, 0),
    )


@dataclass(frozen=True)
class Candidates:
    """The candidates of the queries that choose: `counts[i]` of the `points` are those of the query `query[i]`."""

    query: NDArray[np.int64]
    counts: NDArray[np.int64]
    points: NDArray[np.float64]


def with_queries(
    plan: Plan,
    point: NDArray[np.int64],
    target: NDArray[np.int64],
    rows: dict[str, slice],
    candidates: Candidates,
    protocol: Protocol,
    grid: int,
) -> Plan:
    """The plan of Q queries over the images and points of another, each match once.

    Args:
        plan: whose images and points these are.
        point, target: (Q,) query point and position in `plan.images` of the target.
        rows: task -> its queries among the Q.
        candidates: of the queries that choose among some, in pixels.
        protocol, grid: as of `make_plan`.
    """
    points = max(len(plan.points), 1)
    matches, query_match = np.unique(target * points + point, return_inverse=True)
    cells = candidate_cells(
        candidates.points,
        np.repeat(plan.sides[target[candidates.query]], candidates.counts),
        size=protocol.features.size,
        grid=grid,
        convention=protocol.scoring.convention,
    )
    order = np.argsort(query_match[candidates.query], kind="stable")
    return replace(
        plan,
        match_point=matches % points,
        match_target=matches // points,
        query_match=query_match,
        rows=rows,
        choice_query=candidates.query[order],
        choices=padded_candidates(cells, candidates.counts)[order],
    )


def query_key(task: Task) -> QueryKey:
    """The way a task asks."""
    return QueryKey(task.config, task.min_candidates, task.matcher == "candidates")


def _query_images(tables: Mapping[str, pa.Table], ids: pa.Array, column: str) -> NDArray[np.int64]:
    """(Q,) dataset row of the image in `column` for every query."""
    rows = [
        np.repeat(rows_of(table[column], ids), pc.list_value_length(table["keypoints"]).to_numpy())
        for table in tables.values()
    ]
    return np.concatenate([*rows, np.zeros(0, dtype=np.int64)])


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


def _spans(tables: Mapping[str, pa.Table]) -> dict[str, slice]:
    """The queries of each table when they follow one another."""
    spans, start = {}, 0
    for name, table in tables.items():
        end = start + int(pc.sum(pc.list_value_length(table["keypoints"])).as_py() or 0)
        spans[name] = slice(start, end)
        start = end
    return spans


def _candidates_of(tables: Mapping[str, pa.Table], spans: Mapping[str, slice]) -> Candidates:
    """The candidates of some tasks."""
    queries, counts, points = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)], [np.zeros((0, 2))]
    for name, table in tables.items():
        listed = table["candidate_points"].combine_chunks().flatten()
        queries.append(np.arange(spans[name].start, spans[name].stop))
        counts.append(pc.list_value_length(listed).to_numpy(zero_copy_only=False).astype(np.int64))
        points.append(points_array(pa.chunked_array([listed])))
    found = Candidates(np.concatenate(queries), np.concatenate(counts), np.concatenate(points))
    if len(found.query) != len(found.counts) or (found.counts == 0).any():
        raise DatasetFolderError(f"A query of {', '.join(tables)} has no candidate points. Build the data again.")
    return found
