"""The scores the SOCO paper prints for SOCO: tables 2, r1 (supercategories), r2 (protocols), r3 (thresholds), r4 (other
methods) and r5 (all models). No torch.

The reduction of table r2, which does not say, is what the reference evaluation does: soft by pair, probe and geometric
pooled by keypoint.
"""

from __future__ import annotations

from ..published import PaperScore, read_scores

HEADLINE_TABLE = "r5"  # every model, two decimals; table 2 has some of it rounded to one


def paper_scores() -> tuple[PaperScore, ...]:
    """All of them, table by table in the paper's order of rows."""
    return read_scores(__package__, "paper_scores.csv")


def headline(model: str) -> dict[str, float]:
    """Task -> percent of a listed model, hard nearest neighbor at alpha 0.1 by pair; empty where the paper has none.

    >>> headline("dinov2_b14")
    {'cc': 78.9, 'soc': 60.43, 'cross_soc': 54.98}
    """
    return {
        score.task: score.percent for score in paper_scores() if (score.table, score.model) == (HEADLINE_TABLE, model)
    }
