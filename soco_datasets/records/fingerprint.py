"""A short sketch of predictions, by which files that equal each other in all or most rows are found.

Of the rows are kept those with the smallest hashes of (task, pair, keypoint), at most `KEPT`, and of each the predicted
position. Two sketches of the same benchmark keep the same rows, so the share of equal ones estimates that of the files.
Positions are equal where they are nearly so, and tasks are compared one by one: else a copy with every point a hair
off, or with one task changed, would go unseen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .predictions import read_header
from .validation import points_array, sizes_array, whole_array

KEPT = 4096
_FEWEST = 50  # shared rows of a task of which a share is worth anything
_EQUAL = 1 / 512  # of the square's side: a ninth of a cell where there are 57
_ODD = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # odd 64-bit constants, of splitmix64


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """The sketch of one predictions file.

    Attributes:
        name: of the model, as the file states it.
        weights: hash of its weights, None where it states none.
        keys: (K,) uint64, ascending.
        positions: (K, 2) float32, fractions of the padded square's side.
        tasks: (K,) names.
    """

    name: str
    weights: str | None
    keys: NDArray[np.uint64]
    positions: NDArray[np.float32]
    tasks: NDArray[np.object_]

    @classmethod
    def of(cls, table: pa.Table, left_out: frozenset[str] = frozenset()) -> Self:
        """The sketch of a checked predictions table.

        Args:
            table: the table.
            left_out: tasks that choose among a few candidates, where different models agree often.
        """
        header = read_header(table)
        keys = np.zeros(len(table), dtype=np.uint64)
        for name, odd in zip(("task", "pair_id", "keypoint"), _ODD, strict=True):
            keys = _mixed(keys * np.uint64(odd) + _hashes(table[name]))
        tasks = whole_array(table["task"]).to_numpy(zero_copy_only=False)
        kept = np.flatnonzero(~np.isin(tasks, list(left_out)))
        kept = kept[np.argsort(keys[kept], kind="stable")[:KEPT]]
        rows = table.select(["prediction", "target_size"]).take(pa.array(kept))
        positions = points_array(rows["prediction"]) / sizes_array(rows["target_size"]).max(axis=1, initial=1)[:, None]
        stated = header.model.get("weights_hash")
        weights = stated if isinstance(stated, str) else None
        return cls(str(header.model["name"]), weights, keys[kept], positions.astype(np.float32), tasks[kept])

    def most_equal(self, other: Fingerprint) -> tuple[str, int, float]:
        """(task, its shared rows, the share of them with equal positions) of the task where the share is largest.

        ("", 0, 0.0) where no task has 50 shared rows.
        """
        _, ours, theirs = np.intersect1d(self.keys, other.keys, return_indices=True)
        equal = (np.abs(self.positions[ours] - other.positions[theirs]) <= _EQUAL).all(axis=1)
        tasks, found = self.tasks[ours], ("", 0, 0.0)
        for task in sorted(set(tasks)):
            own = equal[tasks == task]
            if len(own) >= _FEWEST and own.mean() > found[2]:
                found = (task, len(own), float(own.mean()))
        return found


def _hashes(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    """(N,) uint64 hash of each text."""
    coded = whole_array(column).dictionary_encode()
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in coded.dictionary.to_pylist()]
    known = np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)
    return known[coded.indices.to_numpy(zero_copy_only=False)]


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit spread over all: the last steps of splitmix64."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(_ODD[1])
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(_ODD[2])
    return numbers ^ (numbers >> np.uint64(31))
