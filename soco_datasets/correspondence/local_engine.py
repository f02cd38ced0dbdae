"""Every match of a plan in this process: feature maps are cached, or computed in two passes over the images.

With a cache each image costs one forward, or none where a shared cache has its map. Without one (`--store none`, or
when neither memory nor disk has room) there are two passes: descriptors of the source images, then the maps of the
target images, each matched and discarded.

On a CPU every image goes through the same calls alone, whatever the batch size, number of threads or kind of store, so
the numbers are equal to the last bit. On a GPU the images of a batch share a forward, and its size moves the last bits.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..config import CachePolicy, Protocol, RunConfig
from ..data.folder import DatasetFolder
from ..errors import SocoError, UsageError, worded
from ..features.cache.disk import DiskFeatureCache
from ..features.cache.key import feature_key, image_digests
from ..features.cache.memory import MemoryFeatureCache, available_memory
from ..features.cache.shared import Content, SharedMaps
from ..features.extractor import DenseFeatureExtractor, l2_normalize
from ..features.loader import FeatureLoader
from ..records.evaluation import library_versions
from ..utils.details import bytes_text
from ..utils.progress import progress_bar
from .plan import MatchResult, Plan
from .target_matcher import (
    TARGETS_PER_BATCH,
    DescriptorSampler,
    TargetMatcher,
)

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)
Store = MemoryFeatureCache | DiskFeatureCache


class LocalEngine:
    """The maps of a plan's images, made and matched in this process.

    A context manager: `sample` once, then `match` as often as there are plans over the same images and points.

    Args:
        extractor, folder, protocol: of the evaluation.
        run: where the maps are kept, and how many threads decode.
        counts: "decodes" and "forwards" are added to; a shared store and `shared` also set "reused".
        shared: maps that other evaluations of this run need too; with it each distinct picture is forwarded once.

    Attributes:
        store: holds the maps once `sample` was called; None before, and in two passes.
        descriptors: (D, C) float32 that `sample` took; others may be put in their place for `match`.
    """

    store: Store | None
    descriptors: torch.Tensor

    def __init__(
        self,
        extractor: DenseFeatureExtractor,
        folder: DatasetFolder,
        protocol: Protocol,
        run: RunConfig,
        counts: dict[str, int],
        shared: SharedMaps | None = None,
    ) -> None:
        self._extractor, self._folder, self._protocol = extractor, folder, protocol
        self._run, self._counts, self._shared = run, counts, shared
        self.store = None

    def sample(self, plan: Plan) -> None:
        """Take the descriptors of the plan's points, and cache the maps of its images if they fit.

        Raises:
            DatasetFolderError, BackboneError: as `evaluate.evaluate_backbone`.
            SocoError: the requested cache has no room.
        """
        extractor, ids = self._extractor, list(self._folder.images)
        names = [ids[row] for row in plan.images]
        self._contents: list[Content] = []
        if self._shared is not None:
            self._counts["reused"] = 0
            self._contents = contents(extractor, self._folder, names)
        self._maps = FeatureLoader(extractor, self._folder.images, names, self._run.workers, self._counts)
        sampler = DescriptorSampler(
            plan,
            self._protocol,
            size=extractor.size,
            channels=extractor.channels,
            device=extractor.backbone.device,
        )
        self.store = open_store(self._run.cache, extractor, self._folder, plan)
        _log.info("feature maps: %s", "two passes, none kept" if self.store is None else _described(self.store))
        if self.store is None:
            for image, feature_map in self._read(np.unique(plan.point_image).tolist(), "Sampling descriptors"):
                sampler.sample(image, feature_map)
        else:
            self._fill(self.store, sampler, len(plan.images))
        self.descriptors = sampler.descriptors

    def match(self, plan: Plan) -> MatchResult:
        """Every match and choice of a plan, target by target: one matrix product serves all tasks.

        Args:
            plan: with the images and points of the plan that was sampled. Errors as `sample`.
        """
        matcher = TargetMatcher(plan, self._protocol, self.descriptors)
        if self.store is None:
            targets = [images.start for images in matcher.groups(1)]
            for image, feature_map in self._read(targets, "Extracting and matching"):
                matcher.match(range(image, image + 1), feature_map[None])
        else:
            groups = matcher.groups(targets_together(self.store))
            with progress_bar("Matching", sum(map(len, groups)), unit="image") as advance:
                for images in groups:
                    matcher.match(images, self.store.get_many(images))
                    advance(len(images))
        return matcher.found()

    def _read(
        self, images: Iterable[int], what: str = "Extracting features", total: int | None = None
    ) -> Iterator[tuple[int, torch.Tensor]]:
        if self._shared is not None:
            yield from self._read_distinct(self._shared, images, what)
            return
        for image, feature_map in self._maps(images, what, total):
            yield image, l2_normalize(feature_map[None])[0]

    def _read_distinct(
        self, shared: SharedMaps, images: Iterable[int], what: str
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """The same in another order: first what is kept, then one forward for each further content."""
        device, same = self._extractor.backbone.device, dict[Content, list[int]]()
        for image in images:
            kept = shared.get(self._contents[image])
            if kept is None:
                same.setdefault(self._contents[image], []).append(image)
            else:
                self._counts["reused"] += 1
                yield image, kept.to(device)
        firsts = [group[0] for group in same.values()]
        for image, feature_map in self._maps(firsts, what, len(firsts)):
            normalized, content = l2_normalize(feature_map[None])[0], self._contents[image]
            shared.put(content, normalized)
            self._counts["reused"] += len(same[content]) - 1
            for position in same[content]:
                yield position, normalized

    def _fill(self, store: Store, sampler: DescriptorSampler, images: int) -> None:
        """Put the map of every image and sample it; what the store has already is checked and taken as is."""
        if isinstance(store, DiskFeatureCache):
            self._counts["reused"] = 0
        waiting = list(range(images))
        while waiting:  # repeat for what another process finished in the meantime
            missing = []
            for image in waiting:
                if store.is_intact(image):
                    sampler.sample(image, store.get(image))
                    self._counts["reused"] += 1
                else:
                    missing.append(image)
            done = set()
            for image, feature_map in self._read((i for i in missing if i not in store), total=len(missing)):
                store.put(image, feature_map)
                sampler.sample(image, feature_map)
                done.add(image)
            waiting = [image for image in missing if image not in done]

    def close(self) -> None:
        """Give the maps' memory back, or close their file; safe to call twice."""
        if self.store is not None:
            self.store.close()
            self.store = None

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def contents(extractor: DenseFeatureExtractor, folder: DatasetFolder, names: Sequence[str]) -> list[Content]:
    """What decides the map of each named image, the model being given: the input transform and the file's bytes."""
    transform = json.dumps(extractor.transform.describe(), sort_keys=True)
    return [(transform, digest) for digest in image_digests(folder.images, names)]


def _described(store: Store) -> str:
    if isinstance(store, DiskFeatureCache):
        return f"on disk in {store.path}"
    return f"{bytes_text(store.nbytes)} in {'memory' if store.kind == 'memory' else 'a file'} ({store.device})"


def targets_together(store: Store) -> int:
    """How many targets one product serves: several if their maps are in a GPU's memory, else one."""
    return TARGETS_PER_BATCH if isinstance(store, MemoryFeatureCache) and store.device.startswith("cuda") else 1


def open_store(
    choice: CachePolicy, extractor: DenseFeatureExtractor, folder: DatasetFolder, plan: Plan
) -> Store | None:
    """The store for the maps of a plan's images, None for two passes.

    Raises:
        UsageError: the maps do not fit the memory they should be kept in; or a model that a shared cache cannot
            identify, see `cache.key.feature_key`.
        SocoError: the shared cache cannot be written.
    """
    shape = (len(plan.images), extractor.channels, extractor.grid, extractor.grid)
    if choice.kind == "none":
        return None
    if choice.kind == "disk" or choice.directory is not None:
        key, ids = feature_key(extractor, library_versions()), list(folder.images)
        digests = image_digests(folder.images, [ids[row] for row in plan.images])
        return DiskFeatureCache(choice.directory, key, shape[1:], digests)
    nbytes = int(np.prod(shape, dtype=object)) * 4
    if choice.kind == "memory":
        budget = available_memory() // 2 if choice.memory_budget is None else choice.memory_budget
        if nbytes > budget:
            raise UsageError(
                f"{shape[0]} feature maps take {nbytes / 1e6:,.1f} MB, more than the {budget / 1e6:,.1f} MB that the "
                f"memory budget leaves for them. Raise {worded('--memory-budget', 'memory_budget')}, or take "
                f"{worded('--store', 'the CachePolicy')} auto, disk or none."
            )
        return MemoryFeatureCache(shape[0], shape[1:], memory_budget=budget)
    on_gpu = _gpu_store(shape, nbytes, extractor.backbone.device, choice)
    if on_gpu is not None:
        return on_gpu
    try:
        return MemoryFeatureCache(shape[0], shape[1:], memory_budget=choice.memory_budget)
    except UsageError:
        raise
    except SocoError as error:
        _log.warning("two passes over the images instead of a cache: %s", error)
        return None


def gpu_room(device: str) -> int:
    """Bytes of a GPU's free memory that maps may take: 3/4, so that those of 4,000 images, 57 x 57 cells and 768
    channels (40 GB) fit a card of 80 GB; the rest is for the forwards."""
    import torch

    return int(torch.cuda.mem_get_info(torch.device(device))[0]) * 3 // 4


def _gpu_store(
    shape: tuple[int, int, int, int], nbytes: int, device: str, choice: CachePolicy
) -> MemoryFeatureCache | None:
    import torch

    if not device.startswith("cuda"):
        return None
    free = gpu_room(device)
    budget = choice.memory_budget if choice.gpu_budget is None else choice.gpu_budget
    if nbytes > (free if budget is None else min(free, budget)):
        return None
    with contextlib.suppress(torch.OutOfMemoryError):
        return MemoryFeatureCache(shape[0], shape[1:], memory_budget=nbytes, device=device)
    return None
