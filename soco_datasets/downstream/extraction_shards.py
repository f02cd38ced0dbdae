"""Extraction by shards of images: what a worker of a cluster does, with the digits of one process on a CPU."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..features.requests import PlannedFeatures
from ..features.spec import ExtractorSpec
from .base import Wanted
from .readers.base import DataOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..features.extractor import DenseFeatureExtractor

IMAGES_PER_SHARD = 64
Parts = tuple[tuple["NDArray[Any] | None", "NDArray[Any] | None"], ...]


@dataclass(frozen=True)
class ShardSource:
    """What a worker needs to extract features of one data set, as plain values.

    Attributes:
        spec: how the model is loaded.
        kind: of the data set.
        place: of the data set, the same on every machine.
        options: how it is read.
        tasks: (task, protocol) whose features are wanted, in order.
    """

    spec: ExtractorSpec
    kind: str
    place: str
    options: DataOptions
    tasks: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ShardExtractor:
    """Features of a list of images for some of the wanted requests.

    Attributes:
        source: see `ShardSource`.
        numbers: of the wanted requests, all on one set of images.
        workers: decoding threads.
    """

    source: ShardSource
    numbers: tuple[int, ...]
    workers: int | None

    def __call__(self, images: list[int]) -> list[tuple[int, Parts]]:
        """(image, maps and vectors of each request) in order."""
        from ..features.loader import RequestLoader

        extractor, wanted = _opened(self.source)
        chosen = [wanted[number] for number in self.numbers]
        counts = {"decodes": 0, "forwards": 0}
        load = chosen[0].images.load
        loader = RequestLoader(extractor, [one.request for one in chosen], load, counts, self.workers)
        found = []
        for index, features in loader(images, "Extracting features", len(images)):
            parts = [loader.of(place, features) for place in range(len(chosen))]
            found.append((index, tuple((_array(one.maps), _array(one.vectors)) for one in parts)))
        return found


_open: dict[bytes, tuple[DenseFeatureExtractor, list[Wanted]]] = {}  # of this process; the last source only


def _opened(source: ShardSource) -> tuple[DenseFeatureExtractor, list[Wanted]]:
    import pickle

    from .readers.known_readers import open_data
    from .task_registry import downstream_tasks

    key = pickle.dumps(source)
    if key not in _open:
        _open.clear()
        extractor = source.spec.load()
        reader = open_data(source.kind, source.place, source.options)
        known, wanted = downstream_tasks(), []
        for name, protocol in source.tasks:
            with tempfile.TemporaryDirectory(prefix="soco-downstream-") as work:  # jobs keep their progress there
                job = known[name].open(reader, extractor.backbone, known[name].protocols[protocol], Path(work))
                wanted += list(job.wanted())
        _open[key] = (extractor, wanted)
    return _open[key]


def _array(values: Any) -> Any:
    return None if values is None else values.float().cpu().numpy()


def received(parts: tuple[Any, Any], dtype: str) -> PlannedFeatures:
    """Features of a request as tensors again, in the model's dtype."""
    import torch

    tensors = [None if one is None else torch.tensor(one).to(getattr(torch, dtype)) for one in parts]
    return PlannedFeatures(*tensors)


def search_shard(argument: Mapping[str, Any]) -> Any:
    """The nearest neighbors of queries within a shard of a bank, see `metrics.knn.nearest_neighbors`."""
    from ..metrics.knn import nearest_neighbors

    return nearest_neighbors(
        argument["queries"], argument["bank"], argument["k"], first_position=argument["first_position"]
    )
