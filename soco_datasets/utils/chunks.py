"""Work in chunks, for a mapper to apply a function to: the builtin `map`, or one that has other processes do it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

_T = TypeVar("_T")
_C = TypeVar("_C")
_R = TypeVar("_R")


class Mapper(Protocol):
    """As `map`: results in the order of the chunks. Functions, chunks and results can be pickled."""

    def __call__(self, function: Callable[[_C], _R], chunks: Iterable[_C], /) -> Iterator[_R]:
        """Apply the function to each chunk."""


def chunks_of(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Lists of `size` items, the last one shorter.

    >>> list(chunks_of("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk
