"""The choice among candidate cells of the target, by the largest similarity. Needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def best_candidates(
    scores: torch.Tensor, queries: torch.Tensor, candidates: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """((G,) int64 raster index of the best candidate cell, the lower on ties; (G,) its score).

    Args:
        scores: (Q, h, w), from `matching.similarities`.
        queries: (G,) int64, which of the Q queries is asked; one may be asked several times, among other candidates.
        candidates: (G, K) int64 from `padded_candidates`, at least one cell each.
    """
    import torch

    with torch.inference_mode():
        given = scores.flatten(1)[queries[:, None], candidates.clamp(min=0)]
        given = given.masked_fill(candidates < 0, float("-inf"))
        best = given.argmax(dim=1, keepdim=True)  # torch documents the first of equal maxima
        return candidates.gather(1, best)[:, 0], given.gather(1, best)[:, 0]
