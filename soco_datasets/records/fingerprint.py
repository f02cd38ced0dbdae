"""A short sketch of predictions, by which files that equal each other in all or most rows are found.

Of the rows are kept those with the smallest hashes of (task, pair, keypoint), at most `KEPT`, and of each a hash of the
predicted position. Two sketches of the same benchmark keep the same rows, so the share of equal ones estimates that of
the files, to 0.8 points of percent (one standard deviation at one half).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import PredictionsError
from .predictions import read_header
from .validation import points_array, sizes_array, whole_array

KEPT = 4096
_FEWEST = 50  # shared rows of which a share is worth anything
_STEPS = 2**16  # positions that are told apart on a side of the square
_ODD = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # odd 64-bit constants, of splitmix64


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """The sketch of one predictions file.

    Attributes:
        name: of the model, as the file states it.
        weights: hash of its weights, None where it states none.
        keys: (K,) uint64, ascending.
        positions: (K,) uint32.
    """

    name: str
    weights: str | None
    keys: NDArray[np.uint64]
    positions: NDArray[np.uint32]

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
        side = sizes_array(table["target_size"]).max(axis=1, initial=1)[:, None]
        place = np.rint(points_array(table["prediction"]) / side * _STEPS).astype(np.int64).astype(np.uint64)
        positions = (_mixed(place[:, 0] * np.uint64(_ODD[0]) + place[:, 1]) >> np.uint64(32)).astype(np.uint32)
        kept = ~np.isin(whole_array(table["task"]).to_numpy(zero_copy_only=False), list(left_out))
        keys, positions = keys[kept], positions[kept]
        order = np.argsort(keys, kind="stable")[:KEPT]
        stated = header.model.get("weights_hash")
        weights = stated if isinstance(stated, str) else None
        return cls(str(header.model["name"]), weights, keys[order], positions[order])

    def share_equal(self, other: Fingerprint) -> tuple[int, float]:
        """(shared rows, the share of them with equal positions); the share is 0 of fewer than 50 rows."""
        _, ours, theirs = np.intersect1d(self.keys, other.keys, assume_unique=False, return_indices=True)
        shared = len(ours)
        equal = int((self.positions[ours] == other.positions[theirs]).sum())
        return shared, equal / shared if shared >= _FEWEST else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; about 65 kB."""
        packed = {"keys": self.keys.astype("<u8"), "positions": self.positions.astype("<u4")}
        stored = {name: base64.b64encode(array.tobytes()).decode() for name, array in packed.items()}
        return {"name": self.name, "weights": self.weights, **stored}

    @classmethod
    def from_dict(cls, stored: Any) -> Self:
        """The inverse of `to_dict`. Raises `PredictionsError` for anything else."""
        try:
            if not isinstance(stored, Mapping) or not isinstance(stored["name"], str):
                raise TypeError
            keys = np.frombuffer(base64.b64decode(stored["keys"], validate=True), "<u8")
            positions = np.frombuffer(base64.b64decode(stored["positions"], validate=True), "<u4")
            if len(keys) != len(positions) or len(keys) > KEPT or not isinstance(stored["weights"], str | None):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise PredictionsError("a fingerprint of predictions is damaged; make it again") from None
        return cls(stored["name"], stored["weights"], keys.astype(np.uint64), positions.astype(np.uint32))


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
