"""A rerun as it is asked for, by `soco verify` or for a queue of submissions: how many pairs, with which model."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from ..correspondence.rerun_verdict import Rerun
    from ..data.folder import DatasetFolder


def _silent(text: str) -> None:
    return None


@dataclass(frozen=True)
class RerunRequest:
    """How results are run again. Call it with a result's predictions and the dataset.

    Attributes:
        pairs: how many are drawn; None = all.
        seed: what they are drawn with; "" = from the operating system, for each result anew.
        model: the model in place of the one that the result names, such as a folder with the same weights.
        head: the file of a learned head.
        device: a torch device, or "auto".
        announce: called with a line that says how long it will take.
    """

    pairs: int | None = None
    seed: str = ""
    model: str | Path | None = None
    head: str | Path | None = None
    device: str = "cpu"
    announce: Callable[[str], None] = _silent

    @classmethod
    def of_text(cls, pairs: str, **options: Any) -> RerunRequest:
        """From "20" or "all" pairs. Raises `UsageError` for anything else."""
        if pairs == "all":
            return cls(None, **options)
        if not pairs.isascii() or not pairs.isdecimal() or int(pairs) < 1:
            raise UsageError(f"--rerun takes a number of pairs from 1, or all; got {pairs!r}.")
        return cls(int(pairs), **options)

    def __call__(self, table: pa.Table, folder: DatasetFolder) -> Rerun:
        """Run a checked predictions table again. Errors as `correspondence.rerun.rerun_result`."""
        from ..correspondence.rerun import check_rerunnable, open_stated, rerun_result
        from ..records.predictions import read_header

        header, seed = read_header(table), self.seed or os.urandom(16).hex()
        check_rerunnable(header, folder)
        self.announce(f"seed {seed}")
        extractor = open_stated(header, self.model, head=self.head, device=self.device)
        return rerun_result(table, self.pairs, seed, folder=folder, extractor=extractor, announce=self.announce)
