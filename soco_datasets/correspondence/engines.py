"""Engines make and match the feature maps of a plan, in this process or on a cluster."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from .. import config as protocols
from ..data.folder import DatasetFolder
from ..features.extractor import DenseFeatureExtractor
from .local_engine import LocalEngine
from .plan import MatchResult, Plan


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
    """

    grid: int

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


Extractor: TypeAlias = DenseFeatureExtractor | RemoteExtractor


def open_engine(
    extractor: Extractor,
    folder: DatasetFolder,
    protocol: protocols.Protocol,
    run: protocols.RunConfig,
    counts: dict[str, int],
) -> Engine:
    """The engine for an extractor, with the arguments of `LocalEngine`: in this process, or where the extractor is."""
    if isinstance(extractor, DenseFeatureExtractor):
        return LocalEngine(extractor, folder, protocol, run, counts)
    return extractor.engine(folder, protocol, run, counts)
