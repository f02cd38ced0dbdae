"""What a rerun may differ in, and what it found."""

from __future__ import annotations

import math
from dataclasses import dataclass

NEARER, CHANCE = 0.75, 1e-4
MISSED_SHARES = (0.01, 0.05, 0.10)


@dataclass(frozen=True)
class Tolerance:
    """What a rerun may differ in.

    Attributes:
        margin: by which a cell's similarity may be below that of the best cell found now; where the second best is
            further behind, that cell must be found again.
        similarity: by which similarities may differ.
        soft: by which positions between cells may differ, in cells, where the margin decides.
        strays: fraction of the compared predictions that may differ by more.
        why: for whom these are, in words.
    """

    margin: float
    similarity: float
    soft: float
    strays: float
    why: str


def tolerance_for(stated_dtype: str, own_dtype: str, stated_device: str, own_device: str) -> Tolerance:
    """The tolerance for a result of one dtype and device that is made again with another.

    Measured on a CPU: float32 again in float32 differs by 6e-8, bfloat16 from float32 by 3e-3 at most. Those that a GPU
    takes part in are not measured.

    >>> tolerance_for("float32", "float32", "cpu", "cpu")
    Tolerance(margin=0.0001, similarity=0.001, soft=0.05, strays=0.0, why='float32 on cpu')
    """
    dtypes = sorted({stated_dtype, own_dtype}, reverse=True)
    devices = sorted({stated_device.partition(":")[0], own_device.partition(":")[0]})
    why = f"{' and '.join(dtypes)} on {' and '.join(devices)}"
    if "bfloat16" in dtypes:
        return Tolerance(1e-2, 2e-2, 1.0, 0.01, why)
    if {"float16", "tf32"} & set(dtypes):
        return Tolerance(2e-3, 5e-3, 0.5, 0.01, why)
    if devices != ["cpu"]:
        return Tolerance(1e-3, 1e-3, 0.25, 0.001, why)
    return Tolerance(1e-4, 1e-3, 0.05, 0.0, why)


@dataclass(frozen=True)
class Rerun:
    """What a rerun found.

    Attributes:
        seed: that the pairs were drawn with, beside the hash of the predictions.
        pairs, total: how many were drawn, and of how many.
        images: how many were forwarded.
        compared: predictions that were compared.
        decided: those of them whose margin decides, so that their positions had to be equal.
        moved: predictions in a cell that is further than the margin behind the best one, or off the cells; of those
            between cells, where the margin decides, those that are elsewhere.
        changed: those whose similarity differs by more than the tolerance.
        wrong: those that are moved or changed.
        unstated: those that state no similarity.
        largest: the largest difference of two similarities.
        tolerance: what was allowed.
        model: what of the model is not as stated; nothing was forwarded then.
        examples: the first predictions that differ.
        seconds: that the forwards and matches took.
        ties: queries that are in another cell within the margin, with another error.
        nearer: of these, those whose stated cell is nearer to the target.
    """

    seed: str
    pairs: int
    total: int
    images: int
    compared: int
    decided: int
    moved: int
    changed: int
    wrong: int
    unstated: int
    largest: float
    tolerance: Tolerance
    model: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    seconds: float = 0.0
    ties: int = 0
    nearer: int = 0

    @property
    def agrees(self) -> bool:
        """Whether the model gives these predictions, within the tolerance."""
        close = self.compared > 0 and self.wrong <= self.tolerance.strays * self.compared
        return not self.model and close and not self.is_chosen

    @property
    def is_chosen(self) -> bool:
        """Whether near ties were settled by who knew the targets: arithmetic favors them as often as not.

        At least `NEARER` of them, with a probability below `CHANCE` by Hoeffding's inequality.
        """
        excess = self.nearer / self.ties - 0.5 if self.ties else 0.0
        return excess >= NEARER - 0.5 and math.exp(-2 * self.ties * excess**2) < CHANCE

    def missed(self, share: float) -> float:
        """The probability that a rerun agrees although this share of all pairs is made up: (1 - share)^N.

        Where some predictions may differ, that many made-up pairs among the drawn ones do not show either.
        """
        if self.pairs >= self.total:
            return float(share <= self.tolerance.strays)
        hidden = range(int(self.tolerance.strays * self.pairs) + 1)
        return sum(math.comb(self.pairs, k) * share**k * (1 - share) ** (self.pairs - k) for k in hidden)

    @property
    def findings(self) -> tuple[str, ...]:
        """What differs, one sentence each; empty where the rerun agrees."""
        if self.agrees:
            return ()
        if self.model:
            return tuple(f"another model: {text}" for text in self.model)
        found = [
            f"rerun: {number:,} of {of:,} {what}"
            for number, of, what in (
                (self.moved, self.compared, "predictions are not where the model puts them"),
                (self.changed, self.compared, "similarities are not the model's"),
            )
            if number
        ]
        if self.is_chosen:
            found.append(
                f"rerun: of {self.ties:,} near ties the stated cell is the one nearer to the target in {self.nearer:,}"
            )
        return tuple(found) or ("rerun: nothing could be compared",)

    def report(self) -> list[str]:
        """What was done and what it proves, in lines."""
        limits = self.tolerance
        lines = [
            f"rerun of {self.pairs:,} of {self.total:,} pairs ({self.images:,} images, seed {self.seed}): "
            f"{self.compared:,} predictions compared, largest difference of similarities {self.largest:.2g}",
            f"{self.decided:,} positions had to be equal (second best cell at least {limits.margin:g} behind), "
            f"{self.compared - self.decided:,} could be any cell within that margin; similarities may differ by "
            f"{limits.similarity:g}, positions between cells by {limits.soft:g} cells ({limits.why}); "
            f"{100 * limits.strays:g} % of predictions may differ by more",
        ]
        if self.unstated:
            lines.append(f"{self.unstated:,} predictions state no similarity, so theirs were not compared")
        lines += [f"differs: {example}" for example in self.examples]
        if self.agrees and (self.pairs < self.total or limits.strays):
            chances = ", ".join(f"{100 * self.missed(f):.2g} % where {100 * f:g} %" for f in MISSED_SHARES)
            lines.append(f"chance that made-up pairs were missed: {chances} of all pairs are made up")
        return lines
