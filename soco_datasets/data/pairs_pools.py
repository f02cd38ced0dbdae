"""Images in pools, so that a pair is always of one pool, and the visible names of a pool's images as bits.

Within categories a pool is a category. Across categories it is categories linked, directly or by way of others, by
`min_shared` common names, and its names are those that two of them have: what a category has alone makes no pair.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .pairs_counting import Bits

_Ints = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ImagePool:
    """Images among which there may be pairs.

    Attributes:
        images: (S,) int32 image numbers, ascending.
        codes: (S,) int32 category of each.
        bits: (W, S) uint64 names that each shows, see `pairs_counting`.
    """

    images: _Ints
    codes: _Ints
    bits: Bits


def make_pools(codes: _Ints, names: Sequence[Collection[str]], *, cross: bool, min_shared: int) -> list[ImagePool]:
    """The pools of all images; an image that has no category to be paired with is in none.

    Args:
        codes: (N,) int32 category of each image, 0 to C - 1.
        names: names of the visible keypoints of each image.
        cross: pools of pairs between categories, else within.
        min_shared: least number of common names.
    """
    shown = _Shown(codes, names)
    if cross:
        members = list(_linked(shown.own_names, min_shared))
        return [shown.pool(linked, _in_several([shown.own_names[c] for c in linked])) for linked in members]
    return [shown.pool([c], own) for c, own in enumerate(shown.own_names) if len(own) >= min_shared]


class _Shown:
    """The names all images show as numbers, one long list in the order of category, then image.

    Attributes:
        own_names: for each category the names its images show, ascending int32.
    """

    def __init__(self, codes: _Ints, names: Sequence[Collection[str]]) -> None:
        self._codes = codes
        self._order = np.argsort(codes, kind="stable").astype(np.int32)
        number: dict[str, int] = {}
        ordered = [names[image] for image in self._order.tolist()]
        self._names = np.fromiter((number.setdefault(n, len(number)) for shown in ordered for n in shown), np.int32)
        lengths = np.fromiter(map(len, ordered), np.int64, len(ordered))
        ends = np.concatenate(([0], np.cumsum(lengths)))
        self._image = np.repeat(self._order, lengths)  # that shows the name
        categories = int(codes.max(initial=-1)) + 1
        self._first = np.searchsorted(codes[self._order], np.arange(categories + 1))  # image of a category
        self._first_name = ends[self._first]
        self.own_names = [np.unique(self._names[slice(*self._first_name[c : c + 2])]) for c in range(categories)]

    def pool(self, categories: Sequence[int], names: _Ints) -> ImagePool:
        """The images of some categories with the bits of some names, ascending."""
        images = np.sort(np.concatenate([self._order[slice(*self._first[c : c + 2])] for c in categories]))
        entries = np.concatenate([np.arange(*self._first_name[c : c + 2]) for c in categories])
        shown = self._names[entries]
        column = np.minimum(np.searchsorted(names, shown), len(names) - 1)
        known = names[column] == shown
        column, row = column[known], np.searchsorted(images, self._image[entries[known]])
        bits = np.zeros((-(-len(names) // 64), len(images)), dtype=np.uint64)
        np.bitwise_or.at(bits, (column // 64, row), np.uint64(1) << (column % 64).astype(np.uint64))
        return ImagePool(images, self._codes[images], bits)


def _in_several(own_names: Sequence[_Ints]) -> _Ints:
    """The names that at least two categories have."""
    names, categories = np.unique(np.concatenate(own_names), return_counts=True)
    return names[categories > 1]


def _linked(own_names: Sequence[_Ints], min_shared: int) -> Iterator[list[int]]:
    """Groups of two or more categories linked by common names, each ascending."""
    names = np.concatenate([*own_names, np.empty(0, np.int32)])
    holders = np.repeat(np.arange(len(own_names)), [len(own) for own in own_names])[np.argsort(names, kind="stable")]
    having = np.bincount(names)  # categories that have the name
    first = np.concatenate(([0], np.cumsum(having)))
    shared = [own[having[own] > 1] for own in own_names]
    free = np.array([len(common) >= min_shared for common in shared], dtype=np.bool_)
    looked: set[bytes] = set()
    for category in range(len(own_names)):
        if not free[category]:
            continue
        free[category] = False
        group = [category]
        for member in group:  # grows as it is gone through
            if (key := shared[member].tobytes()) in looked:
                continue  # its neighbours are those of a category of the very same names
            looked.add(key)
            near = np.concatenate([holders[first[name] : first[name + 1]] for name in shared[member].tolist()])
            linked = np.flatnonzero((np.bincount(near, minlength=len(own_names)) >= min_shared) & free)
            free[linked] = False
            group.extend(linked.tolist())
        if len(group) > 1:
            yield sorted(group)
