"""The options of the engine: this process, or the workers of a Ray cluster."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from typer import Option

from ..utils.terminal import print_note

if TYPE_CHECKING:
    from ..config import RunConfig
    from ..correspondence.engines import Extractor
    from ..features.families.base import Backbone
    from ..features.spec import ExtractorSpec
    from ..utils.chunks import Mapper

_PRECISION = "of training heads on a GPU: float32 or bfloat16"
_BF16 = {  # see docs/concepts/performance.md
    "GPU": "multiplies bf16 by itself: --dtype auto takes it",
    "AMX": "has matrix units for bf16 (AMX): a run took 20 s with --dtype auto on such a one, 45 s without",
    "AVX512-BF16": "multiplies bf16 by AVX512-BF16: --dtype auto took 0.6 of the time of forwards on such a one",
}
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


@dataclass(frozen=True, kw_only=True)
class DownstreamEngineOptions(EngineOptions):
    """Where and how downstream tasks are computed."""

    jobs: Annotated[int, Option(help="data sets side by side, each in a process; with ray, on a worker")] = 1
    precision: Annotated[str, Option(metavar="NAME", help=_PRECISION)] = "float32"


@contextlib.contextmanager
def open_extractor(spec: ExtractorSpec, run: RunConfig) -> Iterator[Extractor]:
    """The model of a spec, loaded, in this process or on the cluster."""
    if run.engine == "local":
        local = spec.load()
        _hint_dtype(spec, local.backbone)
        yield local
        return
    from ..distributed.ray_engine import RayExtractor

    with RayExtractor(spec, address=run.address, workers=run.cluster_workers) as extractor:
        yield extractor


def _hint_dtype(spec: ExtractorSpec, model: Backbone) -> None:
    """Say at a terminal where a run in float32, the default, may be faster in bf16; figures are measured ones."""
    from ..features.device import bf16_support

    by_default = spec.options.get("dtype") is None and not spec.tf32 and model.dtype == "float32"
    if by_default and sys.stderr.isatty() and (units := bf16_support(model.device)):
        print_note(f"{model.device} {_BF16[units]}")


@contextlib.contextmanager
def open_mapper(run: RunConfig, *, jobs: int | None = None, device: str = "cpu") -> Iterator[Mapper]:
    """What applies functions to chunks: processes of this machine, or the workers of the cluster.

    Args:
        run: the engine.
        jobs: processes, for a few long chunks; None = by the cores, for many short ones.
        device: of the cluster's workers.
    """
    if run.engine == "local":
        from ..utils.workers import process_mapper

        with process_mapper(jobs, least=4 if jobs is None else 2) as mapper:
            yield mapper
        return
    from ..distributed.mapper import ray_mapper

    with ray_mapper(address=run.address, workers=run.cluster_workers, device=device) as mapper:
        yield mapper
