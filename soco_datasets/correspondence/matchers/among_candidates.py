"""The candidate cell with the largest similarity: the candidates are annotated points of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .matcher import CandidateQueries, Matcher, TargetScores

if TYPE_CHECKING:
    import torch


class AmongCandidates(Matcher):
    """See the module. Cells without content are not excluded: candidates are annotated points."""

    name = "candidates"
    needs_candidates = True

    def match(self, scores: TargetScores, candidates: CandidateQueries | None) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Matcher.match`."""
        assert candidates is not None
        cells, similarity = best_candidates(scores.values, candidates.query, candidates.cells)
        return scores.positions(cells), similarity


def best_candidates(
    scores: torch.Tensor, queries: torch.Tensor, candidates: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """((G,) int64 raster index of the best candidate cell, the lower on ties; (G,) its score).

    Args:
        scores: (Q, h, w), from `similarity.similarities`.
        queries, candidates: of `CandidateQueries`.
    """
    import torch

    with torch.inference_mode():
        given = scores.flatten(1)[queries[:, None], candidates.clamp(min=0)]
        given = given.masked_fill(candidates < 0, float("-inf"))
        best = given.argmax(dim=1, keepdim=True)  # torch documents the first of equal maxima
        return candidates.gather(1, best)[:, 0], given.gather(1, best)[:, 0]
