"""The options that say where the work is done: in this process, or by the workers of a Ray cluster."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .model_options import extractor_spec

if TYPE_CHECKING:
    from ..correspondence.engines import Extractor
    from ..utils.chunks import Mapper

ENGINES = ("local", "ray")


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--engine` and what belongs to it."""
    parser.add_argument("--engine", default="local", help="local (default: this process) or ray: a cluster's workers")
    parser.add_argument("--address", help="of the Ray cluster: auto, HOST:PORT (default: one on this machine)")
    parser.add_argument("--ray-workers", type=int, help="workers of the cluster (default: by its GPUs, else its cores)")


def check_engine(arguments: argparse.Namespace) -> None:
    """Refuse an unknown engine, or options that the one asked for does not have."""
    from ..errors import UsageError, unknown_name

    if arguments.engine not in ENGINES:
        raise unknown_name("engine", arguments.engine, ENGINES)
    if arguments.engine != "ray" and (arguments.address or arguments.ray_workers is not None):
        raise UsageError("--address and --ray-workers go with --engine ray.")


@contextlib.contextmanager
def open_extractor(arguments: argparse.Namespace) -> Iterator[Extractor]:
    """The model the options ask for, loaded, in this process or on the cluster."""
    check_engine(arguments)
    if arguments.engine == "local":
        yield extractor_spec(arguments).load()
        return
    from ..distributed.ray_engine import RayExtractor

    spec = extractor_spec(arguments)
    with RayExtractor(spec, address=arguments.address, workers=arguments.ray_workers) as extractor:
        yield extractor


@contextlib.contextmanager
def open_mapper(arguments: argparse.Namespace) -> Iterator[Mapper]:
    """What applies functions to chunks, in this process or on the cluster."""
    check_engine(arguments)
    if arguments.engine == "local":
        yield map
        return
    from ..distributed.mapper import ray_mapper

    with ray_mapper(address=arguments.address, workers=arguments.ray_workers) as mapper:
        yield mapper
