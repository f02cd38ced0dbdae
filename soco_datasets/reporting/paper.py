"""The scores the SOCO paper prints, one row a number: tables 2, r1 (supercategories), r2 (protocols), r3 (thresholds),
r4 (other methods) and r5 (all models). No torch.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

HEADLINE_TABLE = "r5"  # every model, two decimals; table 2 has some of it rounded to one


@dataclass(frozen=True)
class PaperScore:
    """One printed number.

    Attributes:
        table: "2", "r1" to "r5".
        label: the row's name as printed.
        model: its name in `features.model_list.BACKBONES`, "" for the methods of table r4.
        task: "cc", "soc", "cross_soc", or "mean" for table 2's average of the three.
        subset: "overall" or a supercategory.
        protocol: "nearest" (hard nearest neighbour), "soft" (window soft-argmax), "linear" (linear probe) or "geo"
            (candidates of the same concept); "" where the paper does not say.
        reduction: "pair" or "keypoint", "" where unknown. For table r2, which does not say, it is what the reference
            evaluation does: soft by pair, probe and geometric pooled by keypoint.
        alpha: the PCK threshold, None where the paper does not say.
        percent: the number, 0 to 100.
    """

    table: str
    label: str
    model: str
    task: str
    subset: str
    protocol: str
    reduction: str
    alpha: float | None
    percent: float


@lru_cache(maxsize=1)
def paper_scores() -> tuple[PaperScore, ...]:
    """All of them, table by table in the paper's order of rows."""
    text = resources.files(__package__).joinpath("paper_scores.csv").read_text(encoding="utf-8")
    return tuple(_score(row) for row in csv.DictReader(text.splitlines()))


def headline(model: str) -> dict[str, float]:
    """Task -> percent of a listed model, hard nearest neighbour at alpha 0.1 by pair; empty where the paper has none.

    >>> headline("dinov2_b14")
    {'cc': 78.9, 'soc': 60.43, 'cross_soc': 54.98}
    """
    return {
        score.task: score.percent for score in paper_scores() if (score.table, score.model) == (HEADLINE_TABLE, model)
    }


def _score(row: Mapping[str, str]) -> PaperScore:
    alpha = float(row["alpha"]) if row["alpha"] else None
    texts = {name: row[name] for name in ("table", "label", "model", "task", "subset", "protocol", "reduction")}
    return PaperScore(**texts, alpha=alpha, percent=float(row["percent"]))
