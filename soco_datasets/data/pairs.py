"""Which pairs exist, by random access and by a seeded draw. Nothing about them is stored.

A pair exists when both images show at least `min_shared` keypoints of the same name; within one category (`soc`, `cc`)
or between two (`cross_soc`, `cross_cc`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError

BLOCK = 2**22  # numbers of common names held at a time


class PairIndex(Sequence[tuple[int, int]]):
    """The pairs among given images, in a fixed order, by random access and without listing them.

    Order: category of the target (sorted), then target image, then source image, both in the order given. Undirected:
    each pair once, its source the earlier image; directed: both directions.

    The number of common names of a block of targets and all images is one product of visibility matrices, restricted to
    the names that the targets' category shows. The length, a range of a category and the first access by number take
    one pass over all blocks; an access by number then takes one row. Memory: a byte per image and name, and one block.

    Args:
        categories: category of each image.
        names: names of the visible keypoints of each image.
        cross: pairs of images of different categories; else of the same.
        min_shared: least number of common names, at least 1.
        directed: both directions.

    Raises:
        UsageError: `min_shared` below 1, or lists of different length.
    """

    def __init__(
        self,
        categories: Sequence[str],
        names: Sequence[Collection[str]],
        *,
        cross: bool,
        min_shared: int = 3,
        directed: bool = False,
    ) -> None:
        if min_shared < 1:
            raise UsageError(f"min_shared must be at least 1, got {min_shared}: a pair has a common keypoint.")
        if len(categories) != len(names):
            raise UsageError(f"PairIndex got {len(categories)} categories but the names of {len(names)} images.")
        self.cross, self.min_shared, self.directed = bool(cross), int(min_shared), bool(directed)
        self._categories = sorted(set(categories))
        code = {category: i for i, category in enumerate(self._categories)}
        self._codes = np.array([code[category] for category in categories], dtype=np.int32)
        self._targets = np.argsort(self._codes, kind="stable").astype(np.int32)  # in the order of the pairs
        self._first = np.searchsorted(self._codes[self._targets], np.arange(len(self._categories) + 1))
        number: dict[str, int] = {}
        shown = [[number.setdefault(name, len(number)) for name in own] for own in names]
        self._visible = np.zeros((len(names), len(number)), dtype=np.bool_)
        for image, own in enumerate(shown):
            self._visible[image, own] = True
        self._starts: NDArray[np.int64] | None = None  # first pair of each target, and the total
        self._reset_caches()

    def __len__(self) -> int:
        return int(self._counted()[-1])

    def __getitem__(self, k: Any) -> Any:
        """Pair `k` as (source, target) image numbers; a list of them for a slice."""
        if isinstance(k, slice):
            return [self[i] for i in range(*k.indices(len(self)))]
        number = int(k) + len(self) if k < 0 else int(k)
        if not 0 <= number < len(self):
            raise IndexError(f"pair {k} of {len(self)}")
        starts = self._counted()
        position = int(np.searchsorted(starts, number, side="right")) - 1
        return int(self._row(position)[number - starts[position]]), int(self._targets[position])

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return self.iter_pairs()

    def iter_pairs(self) -> Iterator[tuple[int, int]]:
        """All (source, target), one block of targets at a time."""
        for sources, targets in self.iter_blocks():
            yield from zip(sources.tolist(), targets.tolist(), strict=True)

    def iter_blocks(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """All (sources, targets) as int32 blocks of bounded size in the order of the pairs; each is whole targets."""
        for start, stop in self._blocks():
            sources, pairs, _ = self._common(start, stop)
            rows, columns = pairs.nonzero()
            yield sources[columns], self._targets[start:stop][rows]

    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """All sources and all targets, two int32 arrays of length `len(self)`."""
        none = np.empty(0, dtype=np.int32)
        sources, targets = zip(*self.iter_blocks(), strict=True) if len(self._targets) else ((none,), (none,))
        return np.concatenate(sources), np.concatenate(targets)

    def correspondences(self) -> int:
        """Number of common keypoints over all pairs."""
        blocks = (self._common(start, stop) for start, stop in self._blocks())
        return sum(int(common[pairs].sum(dtype=np.int64)) for _, pairs, common in blocks)

    def group_ranges(self) -> dict[str, range]:
        """Category of the target -> its pairs as a range of numbers; sorted, categories without pairs left out."""
        starts = self._counted()
        ranges = {
            category: range(int(starts[self._first[i]]), int(starts[self._first[i + 1]]))
            for i, category in enumerate(self._categories)
        }
        return {category: numbers for category, numbers in ranges.items() if numbers}

    def group_counts(self) -> dict[str, int]:
        """Category of the target -> number of pairs; sorted, categories without pairs left out."""
        return {category: len(numbers) for category, numbers in self.group_ranges().items()}

    def with_direction(self, directed: bool) -> PairIndex:
        """The same images with each pair once or in both directions; shares the visibility."""
        if directed == self.directed:
            return self
        other = PairIndex.__new__(PairIndex)
        other.__dict__.update(self.__dict__, directed=directed, _starts=None)
        other._reset_caches()
        return other

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_row", "_candidates")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset_caches()

    def _reset_caches(self) -> None:
        def row(position: int) -> NDArray[np.int32]:
            sources, pairs, _ = self._common(position, position + 1)
            return sources[pairs[0]]

        self._row = lru_cache(maxsize=16)(row)  # neighboring pairs share a target
        self._candidates = lru_cache(maxsize=2)(self._of_category)

    def _of_category(self, code: int) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """The images that may be sources for targets of a category, (S,) ascending; (S, names) float32 of what these
        show of its names, and (images, names) of all images. Within categories the sources are the targets."""
        own = self._targets[self._first[code] : self._first[code + 1]]
        sources = np.flatnonzero(self._codes != code).astype(np.int32) if self.cross else own
        shown = self._visible[:, self._visible[own].any(axis=0)]
        sources = sources[shown[sources].sum(axis=1) >= self.min_shared]
        numbers = shown.astype(np.float32)
        return sources, numbers[sources], numbers

    def _counted(self) -> NDArray[np.int64]:
        if self._starts is None:
            counts = [self._common(start, stop)[1].sum(axis=1) for start, stop in self._blocks()]
            self._starts = np.concatenate([[0], np.cumsum(np.concatenate([[], *counts]), dtype=np.int64)])
        return self._starts

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Ranges of target positions: of one category and of bounded size."""
        most = max(1, BLOCK // max(1, len(self._targets)))
        for first, last in itertools.pairwise(self._first.tolist()):
            for start in range(first, last, most):
                yield start, min(start + most, last)

    def _common(self, start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.float32]]:
        """For T targets of one category, at positions start..stop: (S,) images that may be sources, ascending; (T, S)
        whether they are a pair; (T, S) number of common names."""
        targets = self._targets[start:stop]
        code = int(self._codes[targets[0]])
        sources, offered, shown = self._candidates(code)
        if not self.directed:  # sources are earlier images
            earlier = np.searchsorted(sources, targets.max())
            sources, offered = sources[:earlier], offered[:earlier]
        common = shown[targets] @ offered.T
        pairs = common >= self.min_shared
        pairs &= (sources != targets[:, None]) if self.directed else (sources < targets[:, None])
        return sources, pairs, common


def draw_pairs(index: PairIndex, total: int = 20_000, seed: int = 0) -> list[tuple[int, int]]:
    """Draw fixed pairs, uniformly over the categories of the target, without replacement and without listing them.

    Each category that has pairs gives total // C of them, the first total % C categories in sorted order one more, and
    a category with fewer gives all. Across categories both directions of a pair are drawn from; within a category a
    pair is drawn at most once, in a direction of its own. The random numbers are SHA-256 of seed, category and counter,
    so the draw is deterministic for a given seed, whatever the machine and the version of NumPy.

    Args:
        index: the pairs there are; whether it is directed does not matter.
        total: number of pairs wanted, at least 0.
        seed: any integer.

    Returns:
        (source, target) image numbers, in the order of the index.
    """
    if total < 0:
        raise UsageError(f"the number of pairs to draw must not be negative, got {total}.")
    index = index.with_direction(directed=index.cross)
    tag = "cross" if index.cross else "intra"
    ranges = index.group_ranges()
    drawn = []
    for i, (category, numbers) in enumerate(ranges.items()):
        quota = total // len(ranges) + (i < total % len(ranges))
        key: list[int | str] = [int(seed), tag, category]
        for rank in sorted(_sample(len(numbers), quota, key)):
            source, target = index[numbers[rank]]
            swap = not index.cross and _hash_words([*key, "direction", rank])[0] & 1
            drawn.append((target, source) if swap else (source, target))
    return drawn


def _sample(population: int, size: int, key: list[int | str]) -> set[int]:
    """`size` distinct integers of range(population), all of them where it has fewer (Floyd's algorithm)."""
    words = _random_words([*key, "rank"])
    chosen: set[int] = set()
    for last in range(max(0, population - size), population):
        number = _below(last + 1, words)
        chosen.add(last if number in chosen else number)
    return chosen


def _below(limit: int, words: Iterator[int]) -> int:
    """A uniform integer of range(limit): words of the last, incomplete stretch are rejected, so there is no bias."""
    accepted = 2**64 - 2**64 % limit
    return next(word for word in words if word < accepted) % limit


def _random_words(key: list[int | str]) -> Iterator[int]:
    counter = 0
    while True:
        yield from _hash_words([*key, counter])
        counter += 1


def _hash_words(key: list[int | str]) -> list[int]:
    """Four 64-bit integers from the SHA-256 of `key` as ASCII JSON."""
    digest = hashlib.sha256(json.dumps(["soco-pairs-1", *key], separators=(",", ":")).encode("ascii")).digest()
    return [int.from_bytes(digest[i : i + 8], "big") for i in range(0, 32, 8)]
