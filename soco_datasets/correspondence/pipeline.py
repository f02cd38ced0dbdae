"""Every match of a plan: images are decoded ahead of the forwards, features kept in a store or met in two passes.

With a store each image costs one forward, or none where a shared store has its map. Without one (`--store none`, or
when neither memory nor disk has room) there are two passes: descriptors of the images that ask, then the maps of the
images that are asked, each matched as it comes and dropped.

On a CPU every image goes through the same calls alone, whatever the batch size, number of threads or kind of store, so
the numbers are equal to the last bit. On a GPU the images of a batch share a forward, and its size moves the last bits.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data.folder import DatasetFolder
from ..errors import SocoError, UsageError, unknown_name
from ..features.extractor import DenseFeatureExtractor, Pixels, l2_normalise
from ..features.geometry import keypoints_to_unit
from ..features.store import FeatureStore, available_memory
from ..features.store_disk import SharedStore, feature_key
from ..files import progress
from .geo import best_candidates
from .matching import best_cells, sample_descriptors, similarities
from .plan import Plan
from .protocol import Protocol
from .results import library_versions
from .soft import soft_argmax

if TYPE_CHECKING:
    import torch

STORES = ("auto", "memory", "disk", "none")
_BLOCK = 2048  # queries in one matrix product: bounds the scores a much asked target takes
_log = logging.getLogger(__name__)
Store = FeatureStore | SharedStore


@dataclass(frozen=True)
class StoreChoice:
    """Where feature maps are kept.

    Attributes:
        kind: "auto" = GPU memory, else host memory, else a temporary file, else two passes: the first that has room;
            "memory" = in host memory or not at all; "disk" = in `directory`, shared between runs; "none" = two passes.
        memory_budget: bytes that maps may take in memory; None = half of what is free.
        directory: of the shared stores; given with "auto" it means "disk".
    """

    kind: str = "auto"
    memory_budget: int | None = None
    directory: Path | None = None

    def __post_init__(self) -> None:
        if self.kind not in STORES:
            raise unknown_name("store", self.kind, STORES)
        if self.kind in ("memory", "none") and self.directory is not None:
            raise UsageError(f"A store folder goes with the store disk or auto, not {self.kind}.")


@dataclass(frozen=True)
class Found:
    """Where each match and choice of a `Plan` ended up.

    Attributes:
        cell: (M,) int64 raster index of the best cell.
        similarity: (M,) float32 there.
        soft: (M, 2) float32 [column, row] of the soft-argmax; (0, 2) when no task needs it.
        choice: (G,) int64 raster index of the best candidate cell.
        choice_similarity: (G,) float32 there.
    """

    cell: NDArray[np.int64]
    similarity: NDArray[np.float32]
    soft: NDArray[np.float32]
    choice: NDArray[np.int64]
    choice_similarity: NDArray[np.float32]


def match_all(
    extractor: DenseFeatureExtractor,
    folder: DatasetFolder,
    plan: Plan,
    protocol: Protocol,
    *,
    choice: StoreChoice,
    workers: int,
    counts: dict[str, int],
) -> Found:
    """Every match and choice, target by target: one matrix product serves all tasks.

    Args:
        extractor, folder, plan, protocol: of the evaluation.
        choice: where the maps are kept.
        workers: decoding threads; 0 = decode between the forwards.
        counts: "decodes" and "forwards" are added to; a shared store also sets "reused".

    Raises:
        DatasetFolderError, BackboneError: as `runner.evaluate_backbone`.
        SocoError: the store asked for has no room.
    """
    maps = MapReader(extractor, folder, plan.images, workers, counts)
    matcher = Matcher(extractor, plan, protocol)
    store = open_store(choice, extractor, folder, plan)
    if store is None:
        for image, feature_map in maps(np.unique(plan.point_image).tolist(), "Sampling descriptors"):
            matcher.sample(image, feature_map)
        for image, feature_map in maps(np.unique(plan.match_target).tolist(), "Extracting and matching"):
            matcher.match(image, feature_map)
        return matcher.found()
    with store:
        if isinstance(store, SharedStore):
            counts["reused"] = 0
        _fill(store, maps, matcher, len(plan.images), counts)
        for image in progress(np.unique(plan.match_target).tolist(), "Matching", unit="image"):
            matcher.match(image, store.get(image))
    return matcher.found()


def _fill(store: Store, maps: MapReader, matcher: Matcher, images: int, counts: dict[str, int]) -> None:
    """Put the map of every image and sample its descriptors; what the store has already is checked and taken as is."""
    waiting = list(range(images))
    while waiting:  # again for what another process finished meanwhile
        missing = []
        for image in waiting:
            if store.is_intact(image):
                matcher.sample(image, store.get(image))
                counts["reused"] += 1
            else:
                missing.append(image)
        done = set()
        for image, feature_map in maps((image for image in missing if image not in store), total=len(missing)):
            store.put(image, feature_map)
            matcher.sample(image, feature_map)
            done.add(image)
        waiting = [image for image in missing if image not in done]


def open_store(
    choice: StoreChoice, extractor: DenseFeatureExtractor, folder: DatasetFolder, plan: Plan
) -> Store | None:
    """The store for the maps of a plan's images, None for two passes.

    Raises:
        UsageError: the maps do not fit the memory they should be kept in; or a model that a shared store cannot know
            again, see `store_disk.feature_key`.
        SocoError: the shared store cannot be written.
    """
    shape = (len(plan.images), extractor.channels, extractor.grid, extractor.grid)
    if choice.kind == "none":
        return None
    if choice.kind == "disk" or choice.directory is not None:
        key = feature_key(extractor, folder, library_versions())
        return SharedStore(choice.directory, key, shape[1:], total=len(folder.images), rows=plan.images)
    nbytes = int(np.prod(shape, dtype=object)) * 4
    if choice.kind == "memory":
        budget = available_memory() // 2 if choice.memory_budget is None else choice.memory_budget
        if nbytes > budget:
            raise UsageError(
                f"{shape[0]} feature maps take {nbytes / 1e6:,.1f} MB, more than the memory budget of "
                f"{budget / 1e6:,.1f} MB. Raise --memory-budget, or take --store auto, disk or none."
            )
        return FeatureStore(*shape, memory_budget=budget)
    on_gpu = _gpu_store(shape, nbytes, extractor.backbone.device, choice.memory_budget)
    if on_gpu is not None:
        return on_gpu
    try:
        return FeatureStore(*shape, memory_budget=choice.memory_budget)
    except UsageError:
        raise
    except SocoError as error:
        _log.warning("two passes over the images instead of a store: %s", error)
        return None


def _gpu_store(shape: tuple[int, int, int, int], nbytes: int, device: str, budget: int | None) -> FeatureStore | None:
    import torch

    if not device.startswith("cuda"):
        return None
    free = torch.cuda.mem_get_info(torch.device(device))[0] // 2  # the other half is for the forwards
    if nbytes > (free if budget is None else min(free, budget)):
        return None
    with contextlib.suppress(torch.OutOfMemoryError):
        return FeatureStore(*shape, memory_budget=nbytes, device=device)
    return None


class MapReader:
    """L2-normalised maps of images, which are decoded ahead of the forwards by up to two batches."""

    def __init__(
        self,
        extractor: DenseFeatureExtractor,
        folder: DatasetFolder,
        rows: NDArray[np.int64],
        workers: int,
        counts: dict[str, int],
    ) -> None:
        ids = list(folder.images)
        self._extractor, self._images, self._counts = extractor, folder.images, counts
        self._names = [ids[row] for row in rows]
        self._workers = workers

    def __call__(
        self, images: Iterable[int], what: str = "Extracting features", total: int | None = None
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """(image, (C, h, w) float32 map) of each; `images` are positions and may be found out as late as possible."""
        if total is None and isinstance(images, list):
            total = len(images)
        yield from progress(self._maps(images), what, total=total, unit="image")

    def _maps(self, images: Iterable[int]) -> Iterator[tuple[int, torch.Tensor]]:
        extractor = self._extractor
        with contextlib.closing(decoded_ahead(images, self._load, self._workers, 2 * extractor.forward_size)) as ready:
            batch: list[tuple[int, Pixels]] = []
            for item in ready:
                self._counts["decodes"] += 1
                batch.append(item)
                if len(batch) >= extractor.forward_size:
                    yield from self._forward(batch)
                    batch = []
            if batch:
                yield from self._forward(batch)

    def _load(self, image: int) -> Pixels:
        return self._extractor.prepare(self._images.decode(self._names[image]))

    def _forward(self, batch: list[tuple[int, Pixels]]) -> Iterator[tuple[int, torch.Tensor]]:
        maps = self._extractor.extract_pixels([pixels for _, pixels in batch], [self._names[i] for i, _ in batch])
        self._counts["forwards"] += len(maps)
        for (image, _), feature_map in zip(batch, maps, strict=True):
            yield image, l2_normalise(feature_map[None])[0]


def decoded_ahead(
    images: Iterable[int], load: Callable[[int], Pixels], workers: int, depth: int
) -> Generator[tuple[int, Pixels]]:
    """(image, what `load` gives) in order; threads work ahead by `depth` images, and twice their number at least."""
    if workers < 1:
        for image in images:
            yield image, load(image)
        return
    ahead: deque[tuple[int, Future[Pixels]]] = deque()
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for image in images:
            ahead.append((image, pool.submit(load, image)))
            if len(ahead) > max(depth, 2 * workers):
                first, future = ahead.popleft()
                yield first, future.result()
        while ahead:
            first, future = ahead.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


class Matcher:
    """The descriptors of a plan's points, and the matches of each target map that is shown to it."""

    def __init__(self, extractor: DenseFeatureExtractor, plan: Plan, protocol: Protocol) -> None:
        import torch

        self._plan, self._protocol, self._size = plan, protocol, extractor.size
        device = extractor.backbone.device
        every_image = np.arange(len(plan.images) + 1)
        self._points = np.searchsorted(plan.point_image, every_image)
        self._matches = np.searchsorted(plan.match_target, every_image)
        self._asked_by = plan.query_match[plan.choice_query]
        self._descriptors = torch.empty((len(plan.points), extractor.channels), dtype=torch.float32, device=device)
        self._point = torch.from_numpy(plan.match_point).to(device)
        self._chooser = torch.from_numpy(self._asked_by).to(device)
        self._choices = torch.from_numpy(plan.choices).to(device)
        matches, chosen = len(plan.match_point), len(self._asked_by)
        self._cell, self._choice = (torch.zeros(n, dtype=torch.int64, device=device) for n in (matches, chosen))
        self._top, self._choice_top = (torch.zeros(n, device=device) for n in (matches, chosen))
        self._soft = torch.zeros((matches if plan.soft else 0, 2), device=device)

    def sample(self, image: int, feature_map: torch.Tensor) -> None:
        """Take the descriptors of an image's points from its (C, h, w) map."""
        asked = slice(self._points[image], self._points[image + 1])
        if asked.start == asked.stop:
            return
        unit = keypoints_to_unit(
            self._plan.points[asked], self._plan.sides[image], self._size, self._protocol.convention
        )
        found = sample_descriptors(feature_map.to(self._descriptors.device), unit, self._protocol.convention)
        self._descriptors[asked] = found

    def match(self, image: int, feature_map: torch.Tensor) -> None:
        """Match everything that asks for this target; the descriptors must be there."""
        target = feature_map.to(self._descriptors.device)
        first, last = int(self._matches[image]), int(self._matches[image + 1])
        for start in range(first, last, _BLOCK):
            self._match_block(image, target, slice(start, min(start + _BLOCK, last)))

    def _match_block(self, image: int, target: torch.Tensor, asked: slice) -> None:
        protocol = self._protocol
        scores = similarities(self._descriptors[self._point[asked]], target)
        valid = _content(self._plan.content[image], scores) if protocol.valid_area else None
        self._cell[asked], self._top[asked] = best_cells(scores, valid)
        if self._plan.soft:
            self._soft[asked] = soft_argmax(
                scores, self._cell[asked], beta=protocol.soft_beta, window=protocol.soft_window, valid=valid
            )
        chosen = slice(*np.searchsorted(self._asked_by, [asked.start, asked.stop]).tolist())
        if chosen.start < chosen.stop:
            self._choice[chosen], self._choice_top[chosen] = best_candidates(
                scores, self._chooser[chosen] - asked.start, self._choices[chosen]
            )

    def found(self) -> Found:
        """What was found, on the host."""
        parts = (self._cell, self._top, self._soft, self._choice, self._choice_top)
        return Found(*(part.cpu().numpy() for part in parts))


def _content(cells: NDArray[np.int64], scores: torch.Tensor) -> torch.Tensor:
    """(h, w) bool: the cells that hold any of the image; `cells` is [columns, rows]."""
    import torch

    valid = torch.zeros(scores.shape[1:], dtype=torch.bool, device=scores.device)
    valid[: int(cells[1]), : int(cells[0])] = True
    return valid
