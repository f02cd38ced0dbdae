"""Aligned pooling of regions (RoI align) in plain torch: per region one pooling matrix along y and one along x.

Bilinear sample weights are products of one-dimensional ones, so a region's pooling is Wy F Wx^T: matrix products only,
differentiable in the map, and deterministic. Source: Mask R-CNN (He et al. 2017), aligned variant of Detectron2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .pyramid import LEVELS, STRIDES

if TYPE_CHECKING:
    from torch import Tensor

CELLS = 7  # a side of a pooled region


def roi_align(feature: Tensor, boxes: Tensor, scale: float, cells: int = CELLS) -> Tensor:
    """Pool regions of one map.

    Args:
        feature: (C, H, W) float.
        boxes: (N, 4) float [x1, y1, x2, y2], pixels.
        scale: map cells per pixel.
        cells: cells a side of the result.

    Returns:
        (N, C, cells, cells). Each cell is the mean of ceil(region cells / cells) sample points a side; points more than
        one cell outside the map count 0. A region without extent is 0.
    """
    import torch

    if not len(boxes):
        return feature.new_zeros((0, feature.shape[0], cells, cells))
    edges = boxes.to(feature.dtype) * scale - 0.5
    along_y = _pooling_matrices(edges[:, 1], edges[:, 3], feature.shape[1], cells)
    along_x = _pooling_matrices(edges[:, 0], edges[:, 2], feature.shape[2], cells)
    columns = torch.einsum("chw,nkw->nchk", feature, along_x)
    return torch.einsum("nih,nchk->ncik", along_y, columns)


def region_levels(boxes: Tensor) -> Tensor:
    """(N,) int64 pyramid levels 2 to 5 of (N, 4) boxes: floor(4 + log2(sqrt(area) / 224 + 1e-8)), clamped."""
    import torch

    area = (boxes[:, 2] - boxes[:, 0]).clamp(min=0) * (boxes[:, 3] - boxes[:, 1]).clamp(min=0)
    return torch.floor(4 + torch.log2(area.sqrt() / 224 + 1e-8)).clamp(2, 5).long()


def region_features(levels: Mapping[str, Tensor], boxes: Tensor, image: int = 0, cells: int = CELLS) -> Tensor:
    """Pooled features of one image's regions, each from its level of the pyramid.

    Args:
        levels: {"p2": (B, C, H, W), ...}.
        boxes: (N, 4) float [x1, y1, x2, y2], network pixels.
        image: row of the batch.
        cells: cells a side of the result.

    Returns:
        (N, C, cells, cells), in the order of the boxes.
    """
    wanted = region_levels(boxes)
    result = levels["p2"].new_zeros((len(boxes), levels["p2"].shape[1], cells, cells))
    for number, name in enumerate(LEVELS, start=2):
        rows = (wanted == number).nonzero()[:, 0]
        if len(rows):
            pooled = roi_align(levels[name][image], boxes[rows], 1 / STRIDES[name], cells)
            result = result.index_copy(0, rows, pooled.to(result.dtype))
    return result


def _pooling_matrices(low: Tensor, high: Tensor, size: int, cells: int) -> Tensor:
    """(N, cells, size) weights along one axis: the mean over the sample points of each cell."""
    import torch

    extent = high - low
    points = torch.ceil(extent / cells).clamp(min=0)  # sample points per cell
    most = max(1, int(points.max()))
    number = torch.arange(most, dtype=low.dtype, device=low.device)
    places = (number + 0.5) / points.clamp(min=1)[:, None]  # (N, points), in cells
    cell = torch.arange(cells, dtype=low.dtype, device=low.device)
    at = low[:, None, None] + (cell[:, None] + places[:, None, :]) * (extent / cells)[:, None, None]
    counted = (number < points[:, None])[:, None, :] & (at >= -1) & (at <= size)
    inside = at.clamp(0, size - 1)
    grid = torch.arange(size, dtype=low.dtype, device=low.device)
    weights = (1 - (inside[..., None] - grid).abs()).clamp(min=0) * counted[..., None]
    return weights.sum(dim=2) / points.clamp(min=1)[:, None, None]
