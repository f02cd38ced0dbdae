"""Work in chunks, for a mapper to apply a function to: the builtin `map`, or one that has other processes do it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from ..errors import SocoError, UsageError

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


@contextlib.contextmanager
def process_mapper(processes: int) -> Iterator[Mapper]:
    """A mapper over fresh processes of this machine for the duration of the block.

    Args:
        processes: how many; 1 = the builtin `map`, in this process.

    Raises:
        UsageError: fewer than one.
        SocoError: a process was killed, when its result is asked for.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    if processes < 1:
        raise UsageError(f"The number of jobs must be at least 1, got {processes}.")
    if processes == 1:
        yield map
        return
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:

        def mapper(function: Callable[[_C], _R], chunks: Iterable[_C], /) -> Iterator[_R]:
            try:
                yield from pool.map(function, chunks)
            except BrokenProcessPool as error:
                raise SocoError(
                    "A process of the side-by-side runs was killed, most likely for want of memory. Run fewer jobs and "
                    "resume: what was finished is kept."
                ) from error

        yield mapper
