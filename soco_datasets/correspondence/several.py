"""Several benchmarks in one run: one model, one record per benchmark, each distinct picture forwarded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..benchmarks.base import Task
from ..config import RunConfig, ScoringConfig
from ..data.folder import DatasetFolder
from ..errors import UsageError
from ..features.cache.shared import Content, SharedMaps
from ..features.extractor import DenseFeatureExtractor
from ..records.replacement import PlannedRun
from ..utils.paths import real_path
from .engines import Extractor
from .evaluate import Evaluation, by_benchmark, evaluate_backbone, protocol_of
from .local_engine import contents


@dataclass(frozen=True)
class BenchmarkRun:
    """What is evaluated of one benchmark; the fields are arguments of `evaluate.evaluate_backbone`."""

    folder: DatasetFolder
    tasks: tuple[Task, ...]
    scoring: ScoringConfig
    split: str = "test"


def evaluate_several(
    extractor: Extractor, runs: Sequence[BenchmarkRun], run: RunConfig = RunConfig(), memory: int | None = None
) -> Iterator[Evaluation]:
    """Evaluate one model on several benchmarks, one after another; their numbers are those of separate runs.

    Pictures with the same file content are forwarded once where they enter the network alike: AP-10K, whose pictures
    lie in the middle of their square, shares nothing with the others. With the cache `disk`, and on a cluster, the
    cache is what shares maps.

    Args:
        extractor: of `evaluate_backbone`.
        runs: one per benchmark.
        run: where and how the work is done.
        memory: bytes for maps that a later benchmark needs; None = a quarter of the available memory.

    Yields:
        The evaluation of each, in order. `counts` of a record holds "forwards" and "reused", which add up to its
        images.

    Raises:
        As `evaluate_backbone`.
    """
    shared, announced = None, list[list[Content]]()
    by_content = run.cache.kind == "disk" or run.cache.directory is not None
    if isinstance(extractor, DenseFeatureExtractor) and not by_content:
        shared = SharedMaps(memory)
        for one in runs:
            local, _ = by_benchmark(extractor, one.folder, one.scoring)
            assert isinstance(local, DenseFeatureExtractor)
            announced.append(contents(local, one.folder, list(one.folder.images)))
            shared.expect(announced[-1])
    for number, one in enumerate(runs):
        yield evaluate_backbone(
            extractor, one.folder, one.tasks, scoring=one.scoring, run=run, split=one.split, shared=shared
        )
        if shared is not None:
            shared.finish(announced[number])


def planned_run(extractor: Extractor, run: BenchmarkRun) -> PlannedRun:
    """What an evaluation will be of, to compare with what has its name already, see `records.replacement`."""
    used, scoring = by_benchmark(extractor, run.folder, run.scoring)
    model = used.describe()
    names = [task.name for task in run.tasks]
    return PlannedRun(model, protocol_of(model, scoring), run.folder.content_hash, names, run.split)


def result_labels(folders: Sequence[DatasetFolder]) -> list[str]:
    """The name of each one's folder of results: the benchmark's, where several are of one the data folder's too.

    Raises:
        UsageError: one folder is named twice.
    """
    paths = [real_path(folder.path) for folder in folders]
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"The data names {path} twice.")
    benchmarks = [folder.benchmark for folder in folders]
    found: list[str] = []
    for path, benchmark in zip(paths, benchmarks, strict=True):
        label = benchmark if benchmarks.count(benchmark) == 1 else f"{benchmark}-{path.name}"
        number, candidate = 1, label
        while candidate in found:
            number += 1
            candidate = f"{label}-{number}"
        found.append(candidate)
    return found
