"""Features of many images, each decoded once and forwarded once per plan; images are decoded ahead of the forwards.

A GPU is given the next batch before its last one is waited for, so that it computes while this process does the rest.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from PIL import Image

from ..utils.progress import progress
from .extractor import DenseFeatureExtractor
from .requests import FeatureRequest, PlannedFeatures, merge_requests

if TYPE_CHECKING:
    import torch

    from ..data.images import ImageStore

_FEWEST, _MOST = 2, 16  # decoding threads, where their number is not given
T = TypeVar("T")
P = TypeVar("P")


class _Batches(Generic[P, T]):
    """Decoded images in batches through forwards, one batch ahead of what is waited for on a GPU.

    Args:
        extractor: says how many images are forwarded together, and whether batches overlap.
        load: position of an image -> what `forward` takes of it.
        forward: (what `load` gave, positions) -> one result for each image.
        arrived: called with (positions, results) once they are waited for.
        counts: "decodes" is added to.
    """

    def __init__(
        self,
        extractor: DenseFeatureExtractor,
        load: Callable[[int], P],
        forward: Callable[[list[P], list[int]], Sequence[T]],
        arrived: Callable[[list[int], Sequence[T]], None],
        counts: dict[str, int],
    ) -> None:
        self._extractor, self._load, self._forward = extractor, load, forward
        self._arrived, self._counts = arrived, counts

    def results(self, images: Iterable[int], workers: int) -> Iterator[tuple[int, T]]:
        with contextlib.closing(decoded_ahead(images, self._load, workers, self._depth)) as ready:
            begun: deque[tuple[list[int], Sequence[T]]] = deque()
            for batch in self._batches(ready):
                numbers = [image for image, _ in batch]
                begun.append((numbers, self._forward([pixels for _, pixels in batch], numbers)))
                if len(begun) > 1 or not self._extractor.is_overlapping:
                    yield from self._waited(*begun.popleft())
            while begun:
                yield from self._waited(*begun.popleft())

    def _batches(self, ready: Iterable[tuple[int, P]]) -> Iterator[list[tuple[int, P]]]:
        batch: list[tuple[int, P]] = []
        for item in ready:
            self._counts["decodes"] += 1
            batch.append(item)
            if len(batch) >= self._extractor.forward_size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _waited(self, numbers: list[int], results: Sequence[T]) -> Iterator[tuple[int, T]]:
        self._arrived(numbers, results)
        yield from zip(numbers, results, strict=True)

    def _depth(self) -> int:
        return 2 * self._extractor.forward_size


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
        batches = _Batches(self._extractor, self._load, self._forward, self._check, self._counts)
        yield from progress(batches.results(images, self._workers), what, total=total, unit="image")

    def _load(self, image: int) -> Any:
        return self._extractor.prepare(self._images.decode(self._names[image]))

    def _forward(self, pixels: list[Any], numbers: list[int]) -> Any:
        return self._extractor.extract_pixels(pixels, self._ids(numbers), checked=False)

    def _check(self, numbers: list[int], maps: Any) -> None:
        self._extractor.check_finite(maps, self._ids(numbers))
        self._counts["forwards"] += len(maps)

    def _ids(self, numbers: list[int]) -> list[str]:
        return [self._names[number] for number in numbers]


class RequestLoader:
    """Features of images for several requests at once: one decode an image, one forward an image and transform.

    Attributes:
        plans: the forwards that each image goes through.
        parts: where each request finds its features, see `requests.RequestPart`.
    """

    def __init__(
        self,
        extractor: DenseFeatureExtractor,
        requests: Sequence[FeatureRequest],
        decode: Callable[[int], Image.Image],
        counts: dict[str, int],
        workers: int | None = None,
    ) -> None:
        """Merge the requests; nothing is decoded.

        Args:
            extractor: the backbone; its image size plays no part.
            requests: of all users.
            decode: position of an image -> the RGB image. Called from `workers` threads.
            counts: "decodes" and "forwards" are added to.
            workers: decoding threads; None = as `decoding_threads`, 0 = decode between the forwards.

        Raises:
            BackboneError, UsageError: see `requests.merge_requests`.
        """
        self.plans, self.parts = merge_requests(requests, extractor.backbone)
        self._extractor, self._decode, self._counts = extractor, decode, counts
        self._workers = decoding_threads(workers)

    def __call__(
        self, images: Iterable[int], what: str = "Extracting features", total: int | None = None
    ) -> Iterator[tuple[int, tuple[PlannedFeatures, ...]]]:
        """(image, its features for each plan) in order; `parts[i].of(features[parts[i].plan])` is request i's.

        Raises:
            BackboneError: features that are not finite, or sides that the model does not take.
        """
        batches = _Batches(self._extractor, self._load, self._forward, self._check, self._counts)
        yield from progress(batches.results(images, self._workers), what, total=total, unit="image")

    def of(self, request: int, features: Sequence[PlannedFeatures]) -> PlannedFeatures:
        """The part of one image's features that belongs to a request, by the request's position."""
        return self.parts[request].of(features[self.parts[request].plan])

    def _load(self, number: int) -> list[Any]:
        image = self._decode(number)
        return [plan.transform.apply(image) for plan in self.plans]

    def _forward(self, pixels: list[list[Any]], numbers: list[int]) -> Sequence[tuple[PlannedFeatures, ...]]:
        names = [f"number {number}" for number in numbers]
        found = [
            self._extractor.extract_plan([views[index] for views in pixels], plan, names)
            for index, plan in enumerate(self.plans)
        ]
        return list(zip(*found, strict=True))

    def _check(self, numbers: list[int], results: Sequence[tuple[PlannedFeatures, ...]]) -> None:
        for number, features in zip(numbers, results, strict=True):
            for plan in features:
                for one in (plan.maps, plan.vectors):
                    if one is not None:
                        self._extractor.check_finite(one[None], [f"number {number}"])
            self._counts["forwards"] += len(features)


def decoding_threads(wanted: int | None = None, processes: int = 1) -> int:
    """The number of decoding threads: as wanted, else one for each core this process may use, from 2 to 16.

    PIL lets other threads run while it decodes and resizes. Sixteen feed a fast GPU (by `benchmarks/gpu_budget.py`:
    20 ms per image of 500 px on one core, 2 ms per forward of a ViT-B at 798 px); eight would not.

    Args:
        wanted: None = chosen here.
        processes: that share the cores.
    """
    if wanted is not None:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores // processes, _FEWEST), _MOST)


def decoded_ahead(
    images: Iterable[int], load: Callable[[int], P], workers: int, depth: Callable[[], int]
) -> Generator[tuple[int, P]]:
    """(image, what `load` gives) in order; threads work ahead by `depth()` images, and twice their number at least."""
    if workers < 1:
        for image in images:
            yield image, load(image)
        return
    ahead: deque[tuple[int, Future[P]]] = deque()
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
