"""The options of the engine: this process, or the workers of a Ray cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from typer import Option

if TYPE_CHECKING:
    from ..config import RunConfig
    from ..correspondence.engines import Extractor
    from ..features.spec import ExtractorSpec
    from ..utils.chunks import Mapper

_ENGINE = "local (this process) or ray (the workers of a cluster)"


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """`--engine` and its options."""

    PANEL: ClassVar[str] = "Run"

    engine: Annotated[str, Option(metavar="NAME", help=_ENGINE)] = "local"
    address: Annotated[
        str | None,
        Option(metavar="HOST:PORT", help="Ray cluster address, or auto", show_default="a cluster on this machine"),
    ] = None
    ray_workers: Annotated[
        int | None, Option(help="workers of the cluster", show_default="by its GPUs, else its cores")
    ] = None

    def config(self, **options: Any) -> RunConfig:
        """The `RunConfig` of these options and others. Raises `UsageError` for options that do not go together."""
        from ..config import RunConfig

        return RunConfig(engine=self.engine, address=self.address, cluster_workers=self.ray_workers, **options)


@contextlib.contextmanager
def open_extractor(spec: ExtractorSpec, run: RunConfig) -> Iterator[Extractor]:
    """The model of a spec, loaded, in this process or on the cluster."""
    if run.engine == "local":
        yield spec.load()
        return
    from ..distributed.ray_engine import RayExtractor

    with RayExtractor(spec, address=run.address, workers=run.cluster_workers) as extractor:
        yield extractor


@contextlib.contextmanager
def open_mapper(run: RunConfig) -> Iterator[Mapper]:
    """What applies functions to chunks, in this process or on the cluster."""
    if run.engine == "local":
        yield map
        return
    from ..distributed.mapper import ray_mapper

    with ray_mapper(address=run.address, workers=run.cluster_workers) as mapper:
        yield mapper
