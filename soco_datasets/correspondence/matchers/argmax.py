"""The cell with the largest similarity, the first in raster order on ties."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .matcher import CandidateQueries, Matcher, TargetScores

if TYPE_CHECKING:
    import torch


class Argmax(Matcher):
    """See the module."""

    name = "argmax"
    gives_best = True

    def match(self, scores: TargetScores, candidates: CandidateQueries | None) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Matcher.match`."""
        cells, similarity = scores.best
        return scores.positions(cells), similarity
