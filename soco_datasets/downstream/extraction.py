"""Features of all tasks from one pass over each set of images: requests are merged, features stored or handed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..features.requests import merge_requests
from ..utils.chunks import Mapper, chunks_of
from .base import Sink, Wanted

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ..features.extractor import DenseFeatureExtractor
    from ..features.requests import ForwardPlan, PlannedFeatures
    from .extraction_shards import ShardSource

_ANY_SIZE = (512, 512)  # of images whose transform gives one size


class TaskFeatures:
    """Maps and global vectors of one `Wanted`, on disk where the model has an identity, else in memory.

    Maps of several shapes go to one cache per shape.
    """

    def __init__(
        self, wanted: Wanted, extractor: DenseFeatureExtractor, folder: Path | None, memory_budget: int | None = None
    ) -> None:
        """Open the stores.

        Args:
            wanted: what to store.
            extractor: makes the features.
            folder: of the stores on disk; None = in memory, or a temporary file beyond the budget.
            memory_budget: bytes in memory.
        """
        plans, _ = merge_requests([wanted.request], extractor.backbone)
        self._plan, self._extractor, self._count = plans[0], extractor, len(wanted.images)
        self._folder, self._budget = folder, memory_budget
        self._place = [self._shape_of(wanted, index) for index in range(self._count)] if self._plan.maps else []
        self._rank: list[int] = []
        members: dict[tuple[int, ...], list[int]] = {}
        for index, shape in enumerate(self._place):
            self._rank.append(len(members.setdefault(shape, [])))
            members[shape].append(index)
        digests = wanted.images.digests()
        self._maps = {shape: self._open_maps(shape, [digests[i] for i in own]) for shape, own in members.items()}
        self._vectors: Any = self._open_vectors(digests) if self._plan.vectors else None
        self._has_vector = [False] * self._count
        self._on_disk = hasattr(self._vectors, "missing")  # else an array

    def _shape_of(self, wanted: Wanted, index: int) -> tuple[int, int, int, int]:
        size = wanted.images.size(index) if wanted.images.size else _ANY_SIZE
        return self._extractor.map_shape(self._plan, size)

    def _key(self, plan: ForwardPlan) -> dict[str, Any] | None:
        from ..features.cache.key import feature_key
        from ..records.evaluation import library_versions

        if self._folder is None:
            return None
        try:
            return feature_key(self._extractor, library_versions(), plan)
        except UsageError:  # a model without an identity: its features are not kept between runs
            return None

    def _open_maps(self, shape: tuple[int, ...], digests: list[bytes]) -> Any:
        from ..features.cache.disk import DiskFeatureCache
        from ..features.cache.memory import MemoryFeatureCache

        key = self._key(self._plan)
        if key is not None:
            return DiskFeatureCache(self._folder, {**key, "shape": shape}, shape, digests)
        dtype = self._extractor.backbone.dtype
        return MemoryFeatureCache(len(digests), shape, memory_budget=self._budget, dtype=dtype)

    def _open_vectors(self, digests: list[bytes]) -> Any:
        import numpy as np

        from ..features.cache.vectors import GlobalVectorCache

        shape = (len(self._plan.vectors), self._extractor.backbone.channels)
        key = self._key(self._plan)
        if key is not None:
            return GlobalVectorCache(self._folder, key, shape, digests)
        return np.zeros((self._count, *shape), dtype=np.float32)

    def missing(self) -> list[int]:
        """Positions without features."""
        return [index for index in range(self._count) if not self._is_there(index)]

    def _is_there(self, index: int) -> bool:
        if self._plan.maps and self._rank[index] not in self._maps[self._place[index]]:
            return False
        if self._vectors is None:
            return True
        return index in self._vectors if self._on_disk else self._has_vector[index]

    def put(self, index: int, features: PlannedFeatures) -> None:
        """Store the features of one image."""
        if features.maps is not None:
            self._maps[self._place[index]].put(self._rank[index], features.maps)
        if features.vectors is not None and self._on_disk:
            self._vectors.put(index, features.vectors)
        elif features.vectors is not None:
            self._vectors[index] = features.vectors.float().cpu().numpy()
            self._has_vector[index] = True

    def maps(self, index: int) -> Tensor:
        """(layers, C, rows, columns) of an image, on the CPU."""
        found: Tensor = self._maps[self._place[index]].get(self._rank[index])
        return found

    def vectors(self) -> NDArray[Any]:
        """(N, layers, C) global vectors of all images."""
        found: NDArray[Any] = self._vectors.array if self._on_disk else self._vectors
        return found

    def nbytes(self) -> int:
        """Size of what is stored."""
        import math

        maps = sum(math.prod(shape) for shape in self._place)
        return 4 * (maps + self._count * len(self._plan.vectors) * self._extractor.backbone.channels)

    def close(self) -> None:
        """Close the stores."""
        for cache in self._maps.values():
            cache.close()
        if hasattr(self._vectors, "close"):
            self._vectors.close()


@dataclass
class Extraction:
    """The features that several tasks want of one data set.

    Attributes:
        extractor: the model.
        folder: of the stores; None = in memory.
        workers: decoding threads.
        memory_budget: bytes in memory.
        mapper: applies functions to shards on a cluster; None = in this process.
        source: what the workers of the mapper need.
        counts: "decodes" and "forwards" are added to.
    """

    extractor: DenseFeatureExtractor
    folder: Path | None
    workers: int | None = None
    memory_budget: int | None = None
    mapper: Mapper | None = None
    source: ShardSource | None = None
    counts: dict[str, int] = field(default_factory=lambda: {"decodes": 0, "forwards": 0})

    def open(self, wanted: Sequence[Wanted]) -> list[Sink]:
        """A sink for each: its own, or a store, which equal requests on one set of images share."""
        shared: dict[tuple[str, Any], Sink] = {}
        sinks: list[Sink] = []
        for one in wanted:
            if one.sink is not None:
                sinks.append(one.sink)
                continue
            key = (one.images.name, merge_requests([one.request], self.extractor.backbone)[0])
            if key not in shared:
                shared[key] = TaskFeatures(one, self.extractor, self.folder, self.memory_budget)
            sinks.append(shared[key])
        return sinks

    def run(self, wanted: Sequence[Wanted], sinks: Sequence[Sink], what: str = "Extracting features") -> None:
        """Fill the sinks: each image is decoded once, and forwarded once per distinct view."""
        from ..features.loader import RequestLoader

        self._wanted = list(wanted)
        for name in dict.fromkeys(one.images.name for one in wanted):
            own = [number for number, one in enumerate(wanted) if one.images.name == name]
            distinct = list({id(sinks[number]): number for number in own}.values())
            lacking = {number: set(sinks[number].missing()) for number in distinct}
            todo = sorted(set().union(*lacking.values()))
            if not todo:
                continue
            images = wanted[own[0]].images
            requests = [wanted[number].request for number in distinct]
            if self.mapper is not None and self.source is not None:
                self._run_shards(distinct, todo, lacking, sinks)
                continue
            loader = RequestLoader(self.extractor, requests, images.load, self.counts, self.workers)
            for index, features in loader(todo, what, len(todo)):
                for place, number in enumerate(distinct):
                    if index in lacking[number]:
                        sinks[number].put(index, loader.of(place, features))

    def _run_shards(
        self, distinct: Sequence[int], todo: Sequence[int], lacking: Mapping[int, set[int]], sinks: Sequence[Sink]
    ) -> None:
        """The same by the workers of a cluster, shard after shard in order."""
        from .extraction_shards import IMAGES_PER_SHARD, ShardExtractor, received

        assert self.mapper is not None
        assert self.source is not None
        work = ShardExtractor(self.source, tuple(distinct), self.workers)
        dtype = self.extractor.backbone.dtype
        for shard in self.mapper(work, chunks_of(todo, IMAGES_PER_SHARD)):
            for index, parts in shard:
                self.counts["decodes"] += 1
                for number, part in zip(distinct, parts, strict=True):
                    if index in lacking[number]:
                        sinks[number].put(index, received(part, dtype))
        requests = [self._wanted[number].request for number in distinct]
        self.counts["forwards"] += len(todo) * len(merge_requests(requests, self.extractor.backbone)[0])

    def planned(self, wanted: Sequence[Wanted]) -> dict[str, int]:
        """Decodes and forwards that a run without anything stored does."""
        decodes = forwards = 0
        for name in dict.fromkeys(one.images.name for one in wanted):
            own = [one for one in wanted if one.images.name == name]
            plans, _ = merge_requests([one.request for one in own], self.extractor.backbone)
            decodes += len(own[0].images)
            forwards += len(own[0].images) * len(plans)
        return {"decodes": decodes, "forwards": forwards}


def distinct_wants(wanted: Sequence[Wanted], extractor: DenseFeatureExtractor) -> list[Wanted]:
    """Wants that are stored, equal ones once."""
    found = {
        (one.images.name, merge_requests([one.request], extractor.backbone)[0]): one
        for one in wanted
        if one.sink is None
    }
    return list(found.values())


def stored_bytes(extractor: DenseFeatureExtractor, wanted: Wanted) -> int:
    """Size of what is stored for one of them, estimated before it is made."""
    import math

    plan = merge_requests([wanted.request], extractor.backbone)[0][0]
    maps = 0
    if plan.maps:
        size_of = wanted.images.size or (lambda _: _ANY_SIZE)
        maps = sum(math.prod(extractor.map_shape(plan, size_of(index))) for index in range(len(wanted.images)))
    return 4 * (maps + len(wanted.images) * len(plan.vectors) * extractor.backbone.channels)
