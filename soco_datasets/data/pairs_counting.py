"""How many images each image of a pool shares enough names with, by distinct sets of visible names and not by pairs.

A pool is given as bits: (W, S) uint64, bit n % 64 of word n // 64 of image s says whether image s shows name n.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint64]

BLOCK_BYTES = 2**20  # of words compared at a time: what stays in a processor's cache
_TABLE_ENTRIES = 2**23  # of four bytes


def common_names(first: Bits, second: Bits) -> NDArray[np.uint8 | np.uint16]:
    """(A, B) number of names that each of A images shares with each of B, from (W, A) and (W, B) bits."""
    common = np.zeros((first.shape[1], second.shape[1]), dtype=np.uint8 if len(first) < 4 else np.uint16)
    for own, other in zip(first, second, strict=True):
        if own.any():  # images of one category show names of few words
            common += np.bitwise_count(own[:, None] & other)
    return common


def count_partners(bits: Bits, min_shared: int, earlier: bool) -> NDArray[np.int64]:
    """For each image, how many others share at least `min_shared` names with it: all others, or those before it.

    With S images of P distinct sets of names, P <= S: all others cost P * P comparisons, or, where that is more,
    about 2**N * N * `min_shared` additions for up to some 20 names N; those before cost S * P comparisons, half of it
    where all sets differ. A comparison takes about a nanosecond a word, and memory is bounded.

    Args:
        bits: (W, S) uint64.
        min_shared: at least 1.
        earlier: count only images before the image.

    Returns:
        (S,) int64.
    """
    patterns, pattern, counts = _distinct(bits)
    if earlier:
        return _count_earlier(bits, patterns, pattern, min_shared)
    names = int(patterns[0].max(initial=0)).bit_length() if len(patterns) == 1 else 64
    entries = min_shared << names
    if entries <= _TABLE_ENTRIES and entries * names < patterns.shape[1] ** 2:
        found = _count_by_table(patterns, counts, names, min_shared)
    else:
        found = np.zeros(patterns.shape[1], dtype=np.int64)
        for start, stop, common in _compared(patterns):
            found[start:stop] = (common >= min_shared) @ counts.astype(np.float64)  # whole numbers below 2**53
    found -= np.bitwise_count(patterns).sum(axis=0) >= min_shared  # an image is no partner of its own
    return found[pattern]


def count_common_names(bits: Bits, min_shared: int) -> int:
    """Number of common names over all ordered pairs of different images that share at least `min_shared`.

    Takes P * P comparisons for P distinct sets of names.
    """
    patterns, _, counts = _distinct(bits)
    own = np.bitwise_count(patterns).sum(axis=0, dtype=np.int64)
    total = -int((own * counts).sum(where=own >= min_shared))
    for start, stop, common in _compared(patterns):
        shared = np.where(common >= min_shared, common, 0) @ counts.astype(np.float64)
        total += int(shared.astype(np.int64) @ counts[start:stop])
    return total


def _distinct(bits: Bits) -> tuple[Bits, NDArray[np.intp], NDArray[np.int64]]:
    """(W, P) the distinct columns in the order they first appear; (S,) which one each column is; (P,) how often."""
    order = np.lexsort(bits)
    ordered = bits[:, order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (ordered[:, 1:] != ordered[:, :-1]).any(axis=0)
    firsts = order[new]  # the sort is stable: the first image of each
    by_appearance = np.argsort(firsts)
    rank = np.empty_like(firsts)
    rank[by_appearance] = np.arange(len(firsts))
    pattern = np.empty_like(order)
    pattern[order] = rank[np.cumsum(new) - 1]
    return bits[:, firsts[by_appearance]], pattern, np.bincount(pattern, minlength=len(firsts))


def _compared(patterns: Bits) -> Iterator[tuple[int, int, NDArray[np.uint8 | np.uint16]]]:
    """Ranges of patterns with the number of names they share with every pattern."""
    number = patterns.shape[1]
    most = max(1, BLOCK_BYTES // (8 * max(1, number)))
    for start in range(0, number, most):
        stop = min(start + most, number)
        yield start, stop, common_names(patterns[:, start:stop], patterns)


def _count_earlier(bits: Bits, patterns: Bits, pattern: NDArray[np.intp], min_shared: int) -> NDArray[np.int64]:
    """Images in blocks: against the patterns of the images before the block, and against one another."""
    images = bits.shape[1]
    found = np.zeros(images, dtype=np.int64)
    before = np.zeros(patterns.shape[1], dtype=np.float64)  # images of each pattern so far
    seen = start = 0
    while start < images:
        stop = min(images, start + max(1, min(512, BLOCK_BYTES // (8 * max(1, seen)))))
        block = bits[:, start:stop]
        found[start:stop] = (common_names(block, patterns[:, :seen]) >= min_shared) @ before[:seen]
        found[start:stop] += np.tril(common_names(block, block) >= min_shared, -1).sum(axis=1)
        before += np.bincount(pattern[start:stop], minlength=len(before))
        seen = max(seen, int(pattern[start:stop].max()) + 1)  # patterns are numbered as they appear
        start = stop
    return found


def _count_by_table(patterns: Bits, counts: NDArray[np.int64], names: int, min_shared: int) -> NDArray[np.int64]:
    """Images that share at least `min_shared` names with each pattern, itself included, from one sum over all sets.

    Entry (j, A) starts as the number of images that show exactly the names of bits A, for j = 0. Name by name, the
    name's bit of A turns from "the image shows it" to "the target shows it", and j counts the names both show. In the
    end entry (j, A) is the number of images that share j names with a target of names A.
    """
    table = np.zeros((min_shared, 1 << names), dtype=np.int32)
    np.add.at(table[0], patterns[0].astype(np.intp), counts.astype(np.int32))
    for name in range(names):
        split = table.reshape(min_shared, -1, 2, 1 << name)
        without, shown = split[:, :, 0].copy(), split[:, :, 1].copy()
        split[:, :, 0] += shown
        split[:, :, 1] = without
        split[1:, :, 1] += shown[:-1]
    fewer = table[:, patterns[0].astype(np.intp)].sum(axis=0, dtype=np.int64)
    return counts.sum() - fewer
