"""Feature maps of many images, each decoded and forwarded once; images are decoded ahead of the forwards.

A GPU is given the next batch before its last one is waited for, so that it computes while this process does the rest.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..utils.files import progress
from .extractor import DenseFeatureExtractor, Pixels

if TYPE_CHECKING:
    import torch

    from ..data.images import ImageStore

_FEWEST, _MOST = 2, 8  # decoding threads, where their number is not given


class FeatureLoader:
    """Raw maps of images, which are decoded ahead of the forwards by up to two batches.

    Args:
        extractor: the backbone at its image size.
        images: of a dataset folder.
        names: distinct image ids; an image is asked for by its position among them.
        workers: decoding threads; None = as `decoding_threads`, 0 = decode between the forwards.
        counts: "decodes" and "forwards" are added to.
    """

    def __init__(
        self,
        extractor: DenseFeatureExtractor,
        images: ImageStore,
        names: Sequence[str],
        workers: int | None,
        counts: dict[str, int],
    ) -> None:
        self._extractor, self._images, self._names = extractor, images, names
        self._workers, self._counts = decoding_threads(workers), counts

    def __call__(
        self, images: Iterable[int], what: str = "Extracting features", total: int | None = None
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """(image, (C, h, w) float32 map) of each; `images` are positions and may be found out as late as possible.

        Raises:
            DatasetFolderError: an image does not decode.
            BackboneError: features that are not finite, or of another shape than promised.
        """
        if total is None and isinstance(images, list):
            total = len(images)
        yield from progress(self._maps(images), what, total=total, unit="image")

    def _maps(self, images: Iterable[int]) -> Iterator[tuple[int, torch.Tensor]]:
        with contextlib.closing(decoded_ahead(images, self._load, self._workers, self._depth)) as ready:
            begun: deque[tuple[list[int], torch.Tensor]] = deque()
            for batch in self._batches(ready):
                numbers = [image for image, _ in batch]
                pixels = [pixels for _, pixels in batch]
                begun.append((numbers, self._extractor.extract_pixels(pixels, self._ids(numbers), checked=False)))
                if len(begun) > 1 or not self._extractor.is_overlapping:
                    yield from self._arrived(*begun.popleft())
            while begun:
                yield from self._arrived(*begun.popleft())

    def _batches(self, ready: Iterable[tuple[int, Pixels]]) -> Iterator[list[tuple[int, Pixels]]]:
        batch: list[tuple[int, Pixels]] = []
        for item in ready:
            self._counts["decodes"] += 1
            batch.append(item)
            if len(batch) >= self._extractor.forward_size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _depth(self) -> int:
        return 2 * self._extractor.forward_size

    def _load(self, image: int) -> Pixels:
        return self._extractor.prepare(self._images.decode(self._names[image]))

    def _arrived(self, numbers: list[int], maps: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        self._extractor.check_finite(maps, self._ids(numbers))
        self._counts["forwards"] += len(maps)
        yield from zip(numbers, maps, strict=True)

    def _ids(self, numbers: list[int]) -> list[str]:
        return [self._names[number] for number in numbers]


def decoding_threads(wanted: int | None = None, processes: int = 1) -> int:
    """The number of decoding threads: as wanted, else one for each core this process may use, from 2 to 8.

    PIL lets other threads run while it decodes and resizes. Eight should feed a fast GPU, by reckoning (15 ms an image
    of 500 px on one core, 3 ms a forward); none was at hand to measure it.

    Args:
        wanted: None = chosen here.
        processes: that share the cores.
    """
    if wanted is not None:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores // processes, _FEWEST), _MOST)


def decoded_ahead(
    images: Iterable[int], load: Callable[[int], Pixels], workers: int, depth: Callable[[], int]
) -> Generator[tuple[int, Pixels]]:
    """(image, what `load` gives) in order; threads work ahead by `depth()` images, and twice their number at least."""
    if workers < 1:
        for image in images:
            yield image, load(image)
        return
    ahead: deque[tuple[int, Future[Pixels]]] = deque()
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for image in images:
            ahead.append((image, pool.submit(load, image)))
            while len(ahead) > max(depth(), 2 * workers):  # `depth` changes with the size of the forwards
                first, future = ahead.popleft()
                yield first, future.result()
        while ahead:
            first, future = ahead.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
