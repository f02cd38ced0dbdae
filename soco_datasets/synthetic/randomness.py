"""Seeded draws that stay the same across NumPy versions and platforms."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_T = TypeVar("_T")


class SeededDraw:
    """A stream of random values named by a seed and a path, independent of every other stream.

    Only `Generator(PCG64).random()` is used: NumPy promises the stream of the bit generator, but not that of the
    distribution methods built on it (`integers`, `choice`, `normal`).
    """

    def __init__(self, seed: int, *path: str | int) -> None:
        name = "/".join(["soco-mini", str(seed), *map(str, path)])
        digest = hashlib.sha256(name.encode("utf-8")).digest()
        entropy = [int.from_bytes(digest[start : start + 4], "little") for start in range(0, len(digest), 4)]
        self._generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A float in [low, high)."""
        return low + (high - low) * float(self._generator.random())

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform() < probability

    def below(self, count: int) -> int:
        """An integer in [0, count)."""
        return min(int(self.uniform() * count), count - 1)

    def pick(self, items: Sequence[_T]) -> _T:
        """One of the items."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[_T]) -> list[_T]:
        """The items in random order (Fisher-Yates)."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = self.below(last + 1)
            result[last], result[other] = result[other], result[last]
        return result

    def array(self, *shape: int) -> NDArray[np.float64]:
        """An array of floats in [0, 1)."""
        return self._generator.random(shape)
