"""Descriptors at keypoints, their similarity to every cell of a target map, and the best cell. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..geometry import Convention, check_point_convention

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Matches:
    """The best cell of one target map for each of Q queries.

    Attributes:
        cells: (Q, 2) int64, [column, row] on the target's grid.
        similarity: (Q,) float32, the dot product there.
        margin: (Q,) float32, similarity minus the second best cell's, inf on a map of one cell; None if not requested.
    """

    cells: NDArray[np.int64]
    similarity: NDArray[np.float32]
    margin: NDArray[np.float32] | None = None


def sample_descriptors(
    feature_map: torch.Tensor, unit_points: NDArray[np.float32], convention: Convention
) -> torch.Tensor:
    """Descriptors at points of an image, bilinear, zeros outside the map, not normalised again.

    Args:
        feature_map: (C, h, w), normally of unit length over C.
        unit_points: (N, 2) float32 [x, y] in the unit frame of the padded square; may lie outside 0..1.
        convention: "reference" samples on the align-corners grid, x * (w - 1); "centered" at x * w - 0.5.

    Returns:
        (N, C) float32 on the map's device.
    """
    import torch

    check_point_convention(convention)
    points = np.asarray(unit_points, dtype=np.float32).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise UsageError(f"Query points must be finite, got {points[~np.isfinite(points).all(axis=1)][0].tolist()}.")
    with torch.inference_mode():
        features = feature_map.float()
        if not len(points):
            return features.new_empty((0, features.shape[0]))
        where = torch.from_numpy(points).to(features.device) * 2 - 1  # -1..1, as `grid_sample` takes it
        sampled = torch.nn.functional.grid_sample(
            features[None],
            where[None, None],
            mode="bilinear",
            padding_mode="zeros",
            align_corners=convention != "centered",
        )
        return sampled[0, :, 0].T.contiguous()


def similarities(queries: torch.Tensor, target_map: torch.Tensor) -> torch.Tensor:
    """(Q, h, w) float32 dot products of (Q, C) queries and every cell of a (C, h, w) map, in one matrix product.

    Every matcher starts here, so that one product serves all tasks. Raises `UsageError` on shapes that do not fit.
    """
    import torch

    channels, height, width = target_map.shape
    if queries.ndim != 2 or queries.shape[1] != channels:
        raise UsageError(f"Queries are {tuple(queries.shape)}, but the target map has {channels} channels.")
    if height * width == 0:
        raise UsageError(f"The target map has no cells: {tuple(target_map.shape)}.")
    with torch.inference_mode():
        return (queries.float() @ target_map.float().reshape(channels, -1)).reshape(-1, height, width)


def similarities_of_many(queries: torch.Tensor, counts: Sequence[int], target_maps: torch.Tensor) -> torch.Tensor:
    """As `similarities`, for several targets in one batched product: a GPU is not filled by one target's queries.

    Args:
        queries: (Q, C), those of the first target first.
        counts: (T,) how many are each target's, 0 or more, Q together. The product has T times the largest of rows.
        target_maps: (T, C, h, w).

    Returns:
        (Q, h, w) float32.

    Raises:
        UsageError: shapes that do not fit.
    """
    import torch

    targets, channels, height, width = target_maps.shape
    if len(counts) != targets or sum(counts) != len(queries) or queries.shape[1:] != (channels,):
        raise UsageError(
            f"Queries are {tuple(queries.shape)}, {list(counts)} of each target, but the target maps "
            f"{tuple(target_maps.shape)}."
        )
    number = np.asarray(counts, dtype=np.int64)
    most = int(number.max(initial=0))
    starts = np.cumsum(number) - number
    own = np.arange(len(queries)) - np.repeat(starts, number)  # place among the queries of its target
    row = torch.from_numpy(np.repeat(np.arange(targets), number) * most + own).to(queries.device)
    with torch.inference_mode():
        padded = torch.zeros((targets * most, channels), dtype=torch.float32, device=queries.device)
        padded[row] = queries.float()
        products = torch.bmm(
            padded.reshape(targets, most, channels), target_maps.float().reshape(targets, channels, -1)
        )
        return products.reshape(targets * most, height, width)[row]


def best_cells(scores: torch.Tensor, valid: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """((Q,) int64 raster index row * w + column of the largest score, the first on ties; (Q,) that score).

    Args:
        scores: (Q, h, w).
        valid: (h, w) bool; cells where it is false are not looked at. At least one must be true.
    """
    flat = _valid_scores(scores, valid)
    best = flat.argmax(dim=1)  # torch documents the first of equal maxima
    return best, flat.gather(1, best[:, None])[:, 0]


def match(
    queries: torch.Tensor, target_map: torch.Tensor, with_margin: bool = False, valid: torch.Tensor | None = None
) -> Matches:
    """The cell of `target_map` with the largest dot product for each query, the first in raster order on ties.

    All queries of a target go through one matrix product. An all-zero query (a point outside the map) gets cell (0, 0).

    Args:
        queries: (Q, C) descriptors.
        target_map: (C, h, w).
        with_margin: also give the distance to the second best cell.
        valid: see `best_cells`.
    """
    import torch

    scores = similarities(queries, target_map)
    with torch.inference_mode():
        best, top = best_cells(scores, valid)
        margin = _margins(_valid_scores(scores, valid)) if with_margin else None
    index, width = best.cpu().numpy(), scores.shape[2]
    cells = np.stack([index % width, index // width], axis=-1)
    return Matches(cells, top.cpu().numpy(), None if margin is None else margin.cpu().numpy())


def content_cells(sizes: ArrayLike, grid: int) -> NDArray[np.int64]:
    """(N, 2) [columns, rows] of the grid that hold any of the image: the cells beyond hold only padding.

    Args:
        sizes: (N, 2) int [width, height] in pixels; the padded square is max(width, height) on a side.
        grid: cells on a side of the square.

    >>> content_cells([[200, 100], [90, 100]], 20).tolist()
    [[20, 10], [18, 20]]
    """
    extent = np.asarray(sizes, dtype=np.int64).reshape(-1, 2)
    return -(-extent * grid // extent.max(axis=1, keepdims=True))


def _valid_scores(scores: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """(Q, h * w) scores, -inf where not valid."""
    flat = scores.flatten(1)
    return flat if valid is None else flat.masked_fill(~valid.flatten(), float("-inf"))


def _margins(scores: torch.Tensor) -> torch.Tensor:
    """(Q,) best minus second best of (Q, cells) scores."""
    if scores.shape[1] == 1:
        return scores.new_full((scores.shape[0],), float("inf"))
    two = scores.topk(2, dim=1).values
    return two[:, 0] - two[:, 1]
