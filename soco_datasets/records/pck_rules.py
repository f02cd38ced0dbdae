"""What a leaderboard asks of PCK records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..benchmarks.tasks import TASKS
from ..config import alpha_key
from .ranking import OVERALL, Rules

_COMPARED = ("convention", "image_size", "normaliser", "matcher", "padding", "resize", "valid_area")


@dataclass(frozen=True)
class PckRules(Rules):
    """The rules. The defaults are SOCO's.

    Attributes:
        tasks: that a submission must have; the other tasks of `eval.yaml` are included where a record has them.
        convention, alpha, reduction, normaliser, matcher, padding, resize, valid_area: of the protocol; alpha and
            reduction are those of the ranked number, a record may have more.
        image_size: requested side of the network input, pixels. Size, grid, layer, norm, statistics and dtype are the
            submitter's.
    """

    tasks: tuple[str, ...] = ("cc", "soc", "cross_soc")
    convention: str = "reference"
    alpha: float = 0.1
    reduction: str = "pair"
    image_size: int = 800
    normaliser: str = "bbox"
    matcher: str = "cosine argmax"
    padding: str = "white, right and bottom"
    resize: str = "bicubic"
    valid_area: bool = False

    def __post_init__(self) -> None:
        if not set(self.tasks) <= set(TASKS):
            raise ValueError("tasks")

    @property
    def measure(self) -> str:
        return f"PCK@{self.alpha:g} in percent"

    @property
    def advice(self) -> str:
        return (
            f"Evaluate again on that dataset with its protocol: soco evaluate --image-size {self.image_size} "
            f"--convention {self.convention} --tasks {','.join(self.tasks)}"
        )

    def violations(self, record: Any) -> list[str]:
        scoring, stored, found = record.protocol.scoring, record.protocol.to_dict(), []
        if record.split == "all":
            found.append("it is of all pairs, the leaderboard is of the released ones")
        elif record.split != "test":
            found.append(f"it is of the split {record.split}, the leaderboard is of test")
        for name in _COMPARED:
            ours, theirs = getattr(self, name), stored[name]
            if ours != theirs:
                found.append(f"the {name.replace('_', ' ')} is {theirs!r}, the leaderboard's is {ours!r}")
        if self.alpha not in scoring.alphas:
            found.append(f"it was not scored at alpha {self.alpha:g}, only at {', '.join(map(str, scoring.alphas))}")
        if self.reduction not in scoring.reductions:
            found.append(f"it lacks the reduction {self.reduction!r}")
        if missing := [task for task in self.tasks if task not in record.metrics]:
            found.append(f"the evaluation is incomplete: it lacks the task(s) {', '.join(missing)}")
        empty = [task for task in self.tasks if task not in missing and self.score(record, task, OVERALL) is None]
        if empty and not found:
            found.append(f"the evaluation is incomplete: nothing was scored in {', '.join(empty)}")
        return found

    def score(self, record: Any, task: str, subset: str) -> float | None:
        """PCK in percent with four decimals, None where the record has none."""
        breakdown = record.metrics.get(task, {}).get(self.reduction, {}).get(alpha_key(self.alpha), {})
        value = breakdown.get(OVERALL) if subset == OVERALL else breakdown.get("per_supercategory", {}).get(subset)
        pck = value["pck"] if value else None
        return None if pck is None else round(100 * pck, 4)
