"""The options of the engine: this process, or the workers of a Ray cluster."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config import RunConfig
    from ..correspondence.engines import Extractor
    from ..features.spec import ExtractorSpec
    from ..utils.chunks import Mapper


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--engine` and its options."""
    parser.add_argument("--engine", default="local", help="local (default: this process) or ray: a cluster's workers")
    parser.add_argument("--address", help="of the Ray cluster: auto, HOST:PORT (default: one on this machine)")
    parser.add_argument("--ray-workers", type=int, help="workers of the cluster (default: by its GPUs, else its cores)")


def engine_config(arguments: argparse.Namespace, **options: Any) -> RunConfig:
    """The `RunConfig` of the engine options and others. Raises `UsageError` for options that do not go together."""
    from ..config import RunConfig

    return RunConfig(
        engine=arguments.engine, address=arguments.address, cluster_workers=arguments.ray_workers, **options
    )


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
def open_mapper(run: RunConfig, *, jobs: int = 1, device: str = "cpu") -> Iterator[Mapper]:
    """What applies functions to chunks: this process, `jobs` processes here, or the workers of the cluster."""
    if run.engine == "local":
        from ..utils.chunks import process_mapper

        with process_mapper(jobs) as mapper:
            yield mapper
        return
    from ..distributed.mapper import ray_mapper

    with ray_mapper(address=run.address, workers=run.cluster_workers, device=device) as mapper:
        yield mapper
