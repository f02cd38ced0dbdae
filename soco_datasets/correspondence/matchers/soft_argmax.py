"""Window soft-argmax: the expected cell around the best one, between cells where the scores say so. Needs torch.

    p = softmax(score / beta) over the window,   prediction = sum(p * [column, row])

Paper, supplement A ("soft evaluation"): beta 0.02, window 7, so 15 x 15 cells around the hard maximum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...config import check_soft
from .matcher import CandidateQueries, Matcher, TargetScores

if TYPE_CHECKING:
    import torch

_NOTHING = -1e9  # the score of a cell outside the window, as in the reference: its weight underflows to 0


class SoftArgmax(Matcher):
    """See the module. Its similarity is that of the best cell."""

    name = "soft"
    is_subcell = True
    gives_best = True

    def match(self, scores: TargetScores, candidates: CandidateQueries | None) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Matcher.match`."""
        cells, similarity = scores.best
        beta, window = self.scoring.soft_beta, self.scoring.soft_window
        return soft_argmax(scores.values, cells, beta=beta, window=window, valid=scores.valid), similarity

    def reach(self) -> int | None:
        """The window; None where it is the whole map."""
        return self.scoring.soft_window if self.scoring.soft_window > 0 else None

    def values_per_query(self, cells: int) -> int:
        """See `Matcher.values_per_query`."""
        return 8 * min(cells, (2 * max(self.scoring.soft_window, 0) + 1) ** 2)


def soft_argmax(
    scores: torch.Tensor,
    peak: torch.Tensor,
    *,
    beta: float = 0.02,
    window: int = 7,
    valid: torch.Tensor | None = None,
) -> torch.Tensor:
    """The expected cell of each query, in cells, not divided by the grid.

    Args:
        scores: (Q, h, w), from `similarity.similarities`.
        peak: (Q,) int64 raster index of the hard maximum, from `similarity.best_cells`.
        beta: temperature; the smaller, the nearer to the hard maximum.
        window: cells on each side of the maximum that count, less at the border; 0 = the whole map; -s = the whole
            map, scores multiplied first by a gaussian of sigma s cells around the maximum.
        valid: (h, w) bool; cells where it is false get no weight.

    Returns:
        (Q, 2) float32 [column, row].

    Raises:
        UsageError: a `beta` that is not above 0.
    """
    import torch

    check_soft(beta, window)
    with torch.inference_mode():
        height, width = scores.shape[1:]
        if window > 0 and 2 * window + 1 < max(height, width):
            columns, rows, local = _window(scores, peak, window, valid)
        else:
            columns, rows, local = _whole(scores, peak, window, valid)
        weight = torch.softmax(local.float() / beta, dim=1)
        return torch.stack([(weight * columns).sum(dim=1), (weight * rows).sum(dim=1)], dim=1)


Window = tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]  # columns, rows, scores: (Q, K) or broadcast to it


def _window(scores: torch.Tensor, peak: torch.Tensor, window: int, valid: torch.Tensor | None) -> Window:
    """Only the cells of the window are read: K = (2 * window + 1)^2."""
    import torch

    height, width = scores.shape[1:]
    steps = torch.arange(-window, window + 1, device=scores.device)
    columns = (peak % width)[:, None, None] + steps  # (Q, 1, 2w + 1)
    rows = (peak // width)[:, None, None] + steps[:, None]  # (Q, 2w + 1, 1)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    cells = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).flatten(1)
    inside = inside.flatten(1)
    if valid is not None:
        inside = inside & valid.flatten()[cells]
    local = scores.flatten(1).gather(1, cells).masked_fill(~inside, _NOTHING)
    return cells % width, cells // width, local


def _whole(scores: torch.Tensor, peak: torch.Tensor, window: int, valid: torch.Tensor | None) -> Window:
    """Every cell of the map: K = h * w."""
    import torch

    height, width = scores.shape[1:]
    cells = torch.arange(height * width, device=scores.device)
    columns, rows = cells % width, cells // width
    across, down = columns - (peak % width)[:, None], rows - (peak // width)[:, None]
    local = scores.flatten(1)
    if window < 0:
        local = local * torch.exp(-(across**2 + down**2) / (2 * window**2))
    elif window > 0:
        local = local.masked_fill((across.abs() > window) | (down.abs() > window), _NOTHING)
    if valid is not None:
        local = local.masked_fill(~valid.flatten(), _NOTHING)
    return columns, rows, local
