"""How downstream tasks are run: where results go, what is kept, and how much of the data and the machine is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .readers.base import DataOptions


@dataclass(frozen=True)
class RunOptions:
    """How tasks are run.

    Attributes:
        out: folder of records; one folder per model in it.
        protocols: task -> protocol; "" = of all others; tasks without it take their default.
        seed: of the draws.
        subset: images of each split, None = all.
        resume: keep finished records and continue what was begun.
        overwrite: replace records of other runs, which are refused otherwise.
        store: folder of features that are kept; None = within `out`, removed when all is done.
        workers: decoding threads.
        memory_budget: bytes that features may take in memory.
        split_names, pairs: see `readers.base.DataOptions`.
        checked: look at a sample of the data before any forward, and stop at errors.
        precision: of training heads on a GPU, one of `precision.PRECISIONS`; on a CPU it is float32.
    """

    out: Path
    protocols: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    subset: int | None = None
    resume: bool = False
    overwrite: bool = False
    store: Path | None = None
    workers: int | None = None
    memory_budget: int | None = None
    split_names: tuple[str, str] | None = None
    pairs: Path | None = None
    checked: bool = True
    precision: str = "float32"

    @property
    def data_options(self) -> DataOptions:
        """Those that readers take."""
        return DataOptions(self.subset, self.seed, self.split_names, self.pairs)
