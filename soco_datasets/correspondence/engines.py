"""Engines make and match the feature maps of a plan, in this process or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from .. import config as protocols
from ..data.folder import DatasetFolder
from ..features.cache.shared import SharedMaps
from ..features.extractor import DenseFeatureExtractor
from ..features.transforms import Anchor
from .local_engine import LocalEngine
from .plan import MatchResult, Plan

if TYPE_CHECKING:
    import torch


class Engine(AbstractContextManager[Any], Protocol):
    """What `local_engine.LocalEngine` does: `sample` a plan, then `match` plans over the same images and points."""

    def sample(self, plan: Plan) -> None:
        """See `LocalEngine.sample`."""

    def match(self, plan: Plan) -> MatchResult:
        """See `LocalEngine.match`."""


class RemoteExtractor(Protocol):
    """An extractor in other processes, with the engine that works there.

    Attributes:
        grid: cells on a side of the map.
        anchor, anchor_is_fixed: see `DenseFeatureExtractor`.
    """

    grid: int
    anchor: Anchor
    anchor_is_fixed: bool

    def anchored(self, anchor: Anchor) -> RemoteExtractor:
        """See `DenseFeatureExtractor.anchored`."""

    def describe(self) -> dict[str, Any]:
        """See `DenseFeatureExtractor.describe`."""

    def engine(
        self,
        folder: DatasetFolder,
        protocol: protocols.Protocol,
        run: protocols.RunConfig,
        counts: dict[str, int],
    ) -> Engine:
        """The engine of one evaluation, with the arguments of `LocalEngine`."""

    def raw_maps(
        self,
        folder: DatasetFolder,
        protocol: protocols.Protocol,
        run: protocols.RunConfig,
        names: Sequence[str],
        counts: dict[str, int],
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """(position, raw (C, h, w) map) of each image, in any order; counts as of `engine`."""


Extractor: TypeAlias = DenseFeatureExtractor | RemoteExtractor


def open_engine(
    extractor: Extractor,
    folder: DatasetFolder,
    protocol: protocols.Protocol,
    run: protocols.RunConfig,
    counts: dict[str, int],
    shared: SharedMaps | None = None,
) -> Engine:
    """The engine for an extractor, with the arguments of `LocalEngine`: in this process, or where the extractor is.

    On a cluster `shared` has no effect: there the cache `disk` shares maps by content.
    """
    if isinstance(extractor, DenseFeatureExtractor):
        return LocalEngine(extractor, folder, protocol, run, counts, shared)
    return extractor.engine(folder, protocol, run, counts)
