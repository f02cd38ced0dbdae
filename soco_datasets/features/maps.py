"""Feature maps of many images, each decoded and forwarded once; images are decoded ahead of the forwards."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..files import progress
from .extractor import DenseFeatureExtractor, Pixels

if TYPE_CHECKING:
    import torch

    from ..data.images import ImageStore


class MapReader:
    """Raw maps of images, which are decoded ahead of the forwards by up to two batches.

    Args:
        extractor: the backbone at its image size.
        images: of a dataset folder.
        names: distinct image ids; an image is asked for by its position among them.
        workers: decoding threads; 0 = decode between the forwards.
        counts: "decodes" and "forwards" are added to.
    """

    def __init__(
        self,
        extractor: DenseFeatureExtractor,
        images: ImageStore,
        names: Sequence[str],
        workers: int,
        counts: dict[str, int],
    ) -> None:
        self._extractor, self._images, self._names = extractor, images, names
        self._workers, self._counts = workers, counts

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
        extractor = self._extractor
        with contextlib.closing(decoded_ahead(images, self._load, self._workers, self._depth)) as ready:
            batch: list[tuple[int, Pixels]] = []
            for item in ready:
                self._counts["decodes"] += 1
                batch.append(item)
                if len(batch) >= extractor.forward_size:
                    yield from self._forward(batch)
                    batch = []
            if batch:
                yield from self._forward(batch)

    def _depth(self) -> int:
        return 2 * self._extractor.forward_size

    def _load(self, image: int) -> Pixels:
        return self._extractor.prepare(self._images.decode(self._names[image]))

    def _forward(self, batch: list[tuple[int, Pixels]]) -> Iterator[tuple[int, torch.Tensor]]:
        maps = self._extractor.extract_pixels([pixels for _, pixels in batch], [self._names[i] for i, _ in batch])
        self._counts["forwards"] += len(maps)
        for (image, _), feature_map in zip(batch, maps, strict=True):
            yield image, feature_map


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
