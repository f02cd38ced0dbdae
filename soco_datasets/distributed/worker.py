"""The actors that run on a cluster: one that makes and matches feature maps, one that calls functions."""

from __future__ import annotations

import os
import pickle
import platform
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..config import CachePolicy, Protocol, RunConfig
from ..correspondence.local_engine import LocalEngine, gpu_room
from ..correspondence.plan import MatchResult, Plan
from ..data.folder import DatasetFolder, open_folder
from ..errors import DatasetFolderError, SocoError
from ..features.cache.memory import MemoryFeatureCache, available_memory
from ..features.loader import FeatureLoader, decoding_threads
from ..features.spec import ExtractorSpec
from ..features.transforms import Anchor
from ..records.evaluation import library_versions
from ..utils.own_files import package_sha256

if TYPE_CHECKING:
    import ray
    import torch

    from ..features.extractor import DenseFeatureExtractor

Counts = dict[str, int]


@dataclass(frozen=True)
class WorkerLocation:
    """Where a worker runs: name of the machine and number of the process."""

    machine: str
    process: int

    def __str__(self) -> str:
        return f"worker {self.process} on {self.machine}"


class Worker:
    """The interface of the actors of a `pool.WorkerPool`."""

    def check_installed(self, versions: dict[str, str], package: str) -> None:
        """Raise `SocoError` unless this machine has these library versions and the same files of this package."""
        _check_same("libraries", library_versions(), versions)
        _check_same("files of soco_datasets", {"their sha256": package_sha256()}, {"their sha256": package})

    def prepare(self, steps: Sequence[tuple[str, tuple[Any, ...]]]) -> WorkerLocation:
        """Call methods of its own, in order."""
        os.environ.pop("SOCO_PROGRESS", None)  # the driver shows the progress
        for method, arguments in steps:
            getattr(self, method)(*arguments)
        return WorkerLocation(platform.node(), os.getpid())


class Caller(Worker):
    """Calls functions."""

    def call(self, function: Callable[[Any], Any], argument: bytes) -> Any:
        """The result of the function for a pickled argument."""
        return function(pickle.loads(argument))


@dataclass(frozen=True)
class EvaluationSetup:
    """What all workers share in an evaluation.

    Attributes:
        folder: path of the dataset folder, the same on every machine.
        content_hash: of that folder, where the evaluation was started.
        model: description of the extractor that all workers must have.
        protocol: of the evaluation.
        run: cache of each worker's maps; decoding threads of each worker, None = those of the machine, shared.
        per_machine: workers that share a machine's memory at most.
        anchor: where images lie in their padded square.
    """

    folder: Path
    content_hash: str
    model: Mapping[str, Any]
    protocol: Protocol
    run: RunConfig
    per_machine: int
    anchor: Anchor


class MapWorker(Worker):
    """Makes the maps of some shards of a plan, keeps them, and matches them.

    Each shard has a `LocalEngine` of its own, so that maps are made, kept and matched by the same code.
    """

    def __init__(self) -> None:
        self._shards: dict[int, LocalEngine] = {}
        self._counts: Counts = {}
        self._fetched: tuple[str, torch.Tensor] | None = None

    def load(self, spec: ExtractorSpec, threads: int, directory: Path) -> None:
        """Load the model. Relative paths in `spec` are relative to `directory` if it exists. Raises as `spec.load`."""
        import torch

        torch.set_num_threads(threads)
        if directory.is_dir():
            os.chdir(directory)
        self._extractor = self._loaded = spec.load()

    def describe(self, anchor: Anchor | None = None) -> dict[str, Any]:
        """The extractor's `describe()`, with images at this place of their padded square (None = as loaded)."""
        return (self._loaded if anchor is None else self._at(anchor)).describe()

    def _at(self, anchor: Anchor) -> DenseFeatureExtractor:
        return self._loaded if self._loaded.anchor == anchor else self._loaded.anchored(anchor)

    def open(self, given: EvaluationSetup) -> None:
        """Begin an evaluation; cached maps of another one are dropped.

        Raises:
            DatasetFolderError: the folder is missing or has another content hash.
            SocoError: the model differs on this machine.
        """
        for engine in self._shards.values():
            engine.close()
        self._shards.clear()
        self._extractor = self._at(given.anchor)
        _check_same("model", self._extractor.describe(), given.model)
        self._given, self._folder = given, _same_folder(given)
        self._room = room_for_maps(given.run.cache.memory_budget, self._extractor.backbone.device, given.per_machine)
        self._fetched = None

    def sample(self, number: int, shard: Plan) -> tuple[NDArray[np.float32], Counts]:
        """The descriptors of a shard's points, (D, C); its maps are cached if they fit."""
        engine = self._make(number, shard)
        return engine.descriptors.cpu().numpy(), dict(self._counts)

    def match(self, number: int, shard: Plan, descriptors: list[ray.ObjectRef]) -> tuple[MatchResult, Counts]:
        """The answers to a shard, of `plan_shards.matching_shard`.

        Args:
            number: of the shard.
            shard: its matches.
            descriptors: the array of the whole plan's descriptors, in a list so that it is fetched once only.

        Returns:
            What was found, and counts. "redone" counts the forwards that repeated maps lost with a worker.
        """
        if number in self._shards:
            self._count_from_zero()
        else:
            self._make(number, shard)
            self._counts.pop("reused", None)  # it was counted when the shard was sampled
            self._counts["redone"] = self._counts["forwards"]
        engine = self._shards[number]
        engine.descriptors = self._fetch(descriptors[0])
        return engine.match(shard), dict(self._counts)

    def raw_maps(self, names: list[str]) -> tuple[NDArray[np.float32], Counts]:
        """The raw maps of some images, (N, C, h, w), and counts; nothing is kept."""
        self._count_from_zero()
        threads = decoding_threads(self._given.run.workers, self._given.per_machine)
        loader = FeatureLoader(self._extractor, self._folder.images, names, threads, self._counts)
        maps = [feature_map.cpu().numpy() for _, feature_map in loader(range(len(names)), total=len(names))]
        return np.stack(maps), dict(self._counts)

    def _make(self, number: int, shard: Plan) -> LocalEngine:
        self._count_from_zero()
        if number in self._shards:
            self._shards.pop(number).close()
        given = self._given
        engine = LocalEngine(
            self._extractor,
            self._folder,
            given.protocol,
            replace(given.run, cache=self._cache(), workers=decoding_threads(given.run.workers, given.per_machine)),
            self._counts,
        )
        try:
            engine.sample(shard)
        except BaseException:
            engine.close()
            raise
        self._shards[number] = engine
        return engine

    def _count_from_zero(self) -> None:
        self._counts.clear()
        self._counts.update(decodes=0, forwards=0)

    def _cache(self) -> CachePolicy:
        """Where the next shard's maps are kept, with the room that is left."""
        left = dict(self._room)
        for engine in self._shards.values():
            store = engine.store
            if isinstance(store, MemoryFeatureCache) and store.kind == "memory":
                left["memory_budget" if store.device == "cpu" else "gpu_budget"] -= store.nbytes
        host, gpu = max(0, left["memory_budget"]), max(0, left["gpu_budget"])
        return replace(self._given.run.cache, memory_budget=host, gpu_budget=gpu)

    def _fetch(self, reference: ray.ObjectRef) -> torch.Tensor:
        """The descriptors on the device, fetched when they are others than before."""
        import ray
        import torch

        if self._fetched is None or self._fetched[0] != reference.hex():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the array, shared by the machine, cannot be written
                array = torch.from_numpy(ray.get(reference))
            self._fetched = reference.hex(), array.to(self._extractor.backbone.device)
        return self._fetched[1]


def room_for_maps(budget: int | None, device: str, per_machine: int) -> dict[str, int]:
    """Bytes of maps in host and GPU memory, by their names in `CachePolicy`, of one of several workers of a machine."""
    room = {
        "memory_budget": available_memory() // 2 // per_machine if budget is None else budget,
        "gpu_budget": 0,
    }
    if device.startswith("cuda"):
        free = gpu_room(device)
        room["gpu_budget"] = free if budget is None else min(free, budget)
    return room


def _check_same(what: str, here: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    different = sorted(name for name in {*here, *wanted} if here.get(name) != wanted.get(name))
    if different:
        name = different[0]
        raise SocoError(
            f"The {what} on {platform.node()}, a machine of the cluster, differ from the others: {name} is "
            f"{here.get(name)!r} there, not {wanted.get(name)!r}. Install the same everywhere."
        )


def _same_folder(given: EvaluationSetup) -> DatasetFolder:
    try:
        folder = open_folder(given.folder)
    except SocoError as error:
        raise DatasetFolderError(
            f"{platform.node()}, a machine of the cluster, cannot read the dataset folder {given.folder}: {error} It "
            "must be at the same path on every machine: on a shared file system, or as a copy."
        ) from error
    if folder.content_hash != given.content_hash:
        raise DatasetFolderError(
            f"The dataset folder {given.folder} on {platform.node()}, a machine of the cluster, differs: its "
            f"content hash is {folder.content_hash[:16]}, not {given.content_hash[:16]}. Copy it there again."
        )
    return folder
