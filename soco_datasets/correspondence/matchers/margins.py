"""How far the best cell, or candidate, is ahead of the second best: what decides whether a rerun must find it again.

Not of any task: `rerun` adds them to a plan. Their "similarity" is the margin, infinite where there is one choice only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .matcher import CandidateQueries, Matcher, TargetScores

if TYPE_CHECKING:
    import torch


class CellMargin(Matcher):
    """The margin of the best valid cell."""

    name = "cell margin"

    def match(self, scores: TargetScores, candidates: CandidateQueries | None) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Matcher.match`."""
        flat = scores.values.flatten(1)
        if scores.valid is not None:
            flat = flat.masked_fill(~scores.valid.flatten(), float("-inf"))
        return scores.positions(scores.best[0]), _margin(flat)


class CandidateMargin(Matcher):
    """The margin of the best candidate cell; candidates in one cell are one choice."""

    name = "candidate margin"
    needs_candidates = True

    def match(self, scores: TargetScores, candidates: CandidateQueries | None) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Matcher.match`."""
        assert candidates is not None
        cells = candidates.cells  # ascending, so equal ones are neighbors
        given = scores.values.flatten(1)[candidates.query[:, None], cells.clamp(min=0)]
        repeated = cells < 0
        repeated[:, 1:] |= cells[:, 1:] == cells[:, :-1]
        given = given.masked_fill(repeated, float("-inf"))
        return scores.positions(cells.gather(1, given.argmax(dim=1, keepdim=True))[:, 0]), _margin(given)


def _margin(scores: torch.Tensor) -> torch.Tensor:
    """(Q,) best minus second best of (Q, K) scores."""
    if scores.shape[1] == 1:
        return scores.new_full((scores.shape[0],), float("inf"))
    two = scores.topk(2, dim=1).values
    return two[:, 0] - two[:, 1]
