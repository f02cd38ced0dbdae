"""Several (model, data set) runs side by side: each is plain values, so any process or machine can do it.

The digits are those of one process: a unit is done whole by one worker, with as many threads as here, and its tasks
train on that worker's device. Records are written by the workers: machines need data and output at the same path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import FeatureConfig, ScoringConfig
from ..errors import BackboneError, SocoError
from ..features.spec import ExtractorSpec
from ..records.replacement import check_same_run
from ..records.result_files import qualifiers_of, result_name
from ..utils.chunks import Mapper
from .downstream_run import DownstreamRun, Report
from .record import DownstreamResult
from .run_options import RunOptions
from .task_registry import select_tasks

if TYPE_CHECKING:
    from ..features.extractor import DenseFeatureExtractor
    from .base import DownstreamTask


@dataclass(frozen=True)
class RunUnit:
    """What one worker does at once.

    Attributes:
        spec: the model.
        what: kind of downstream data, or name of a built benchmark.
        place: of the data.
        tasks: downstream tasks on it; () = `what` is a benchmark with correspondence tasks.
        options: of downstream tasks; `out` is where records go in any case.
        threads: of torch; None = as the worker has them.
        folder: that relative paths start from.
    """

    spec: ExtractorSpec
    what: str
    place: str
    tasks: tuple[str, ...]
    options: RunOptions
    threads: int | None = None
    folder: str = ""


@dataclass
class UnitReport:
    """What became of a unit.

    Attributes:
        model: name in its records; "" where the model did not load.
        paths: of its records.
        kept: tasks whose finished record was kept.
        warnings: about the data.
        seconds: see `downstream_run.Report`.
        error: why there is no result; "" = there is.
    """

    model: str = ""
    paths: list[Path] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    error: str = ""


def downstream_units(
    spec: ExtractorSpec, tasks: Sequence[DownstreamTask], data: Mapping[str, str | Path], options: RunOptions
) -> list[RunUnit]:
    """One unit per data set that some task needs, so that tasks on the same images share their forwards."""
    kinds = dict.fromkeys(task.data for task in tasks if task.data in data)
    return [
        RunUnit(spec, kind, str(data[kind]), tuple(task.name for task in tasks if task.data == kind), options)
        for kind in kinds
    ]


def run_units(units: Sequence[RunUnit], mapper: Mapper = map) -> Iterator[tuple[RunUnit, UnitReport]]:
    """Each unit with its report, in order, as they are done. An error of one unit does not stop the others.

    Args:
        units: to do.
        mapper: the builtin `map` = one after the other, here; or one that has other processes do it.
    """
    here = _as_here(units) if mapper is not map else list(units)
    yield from zip(units, mapper(run_unit, here), strict=True)


def _as_here(units: Sequence[RunUnit]) -> list[RunUnit]:
    """The units with this process's number of threads and its working directory."""
    import torch

    return [replace(one, threads=torch.get_num_threads(), folder=str(Path.cwd())) for one in units]


def run_unit(unit: RunUnit) -> UnitReport:
    """Do one unit, in this process."""
    import torch

    if unit.folder:
        os.chdir(unit.folder)
    if unit.threads is not None:
        torch.set_num_threads(unit.threads)
    try:
        extractor = _loaded(unit.spec)
    except BackboneError as error:
        return UnitReport(error=str(error))
    report = UnitReport(str(extractor.describe()["name"]))
    try:
        if unit.tasks:
            _run_downstream(unit, extractor, report)
        else:
            report.paths.append(_run_benchmark(unit, extractor, report))
    except SocoError as error:
        report.error = str(error)
    return report


def _run_downstream(unit: RunUnit, extractor: DenseFeatureExtractor, report: UnitReport) -> None:
    run = DownstreamRun(extractor, select_tasks(",".join(unit.tasks)), {unit.what: unit.place}, unit.options)
    report.warnings = run.warnings
    found = run.run()
    report.paths, report.kept, report.seconds = list(found.paths.values()), found.kept, found.seconds


def _run_benchmark(unit: RunUnit, extractor: DenseFeatureExtractor, report: UnitReport) -> Path:
    """The record of a built benchmark under its own protocol; one of the same model, data and size is kept."""
    from ..benchmarks.base import benchmark_of
    from ..correspondence.evaluate import evaluate_backbone
    from ..correspondence.presets import get_preset, preset_scoring, tasks_for
    from ..data.folder import open_folder
    from ..records.evaluation import write_evaluation
    from ..records.registry import read_record

    data, model, out = open_folder(Path(unit.place)), extractor.describe(), unit.options.out / unit.what
    sizes = qualifiers_of(FeatureConfig(image_size=extractor.requested_size), ScoringConfig())
    name = result_name(model, *sizes)
    path = out / f"{name}.json"
    if path.is_file():
        before = read_record(path)
        mine = {"weights": model["weights_hash"], "data": data.content_hash}
        theirs = {"weights": before.model.get("weights_hash"), "data": before.dataset["content_hash"]}
        if mine == theirs:
            report.kept.append(unit.what)
            return path
        if not unit.options.overwrite:
            check_same_run(path, mine, theirs)
    benchmark = benchmark_of(data)
    preset = get_preset("standard")
    tasks, _ = tasks_for(preset, data.configs, benchmark)
    evaluation = evaluate_backbone(extractor, data, tasks, scoring=preset_scoring(preset, benchmark))
    assert evaluation.predictions is not None  # of the split `test` they are kept
    written: Path = write_evaluation(
        out, evaluation.predictions, evaluation.result, name, overwrite=unit.options.overwrite
    )[0]
    return written


_model: list[tuple[ExtractorSpec, Any]] = []  # of this process; the last one only


def _loaded(spec: ExtractorSpec) -> Any:
    if not _model or _model[0][0] != spec:
        _model[:] = []
        _model.append((spec, spec.load()))
    return _model[0][1]


def report_of(reports: Sequence[UnitReport]) -> Report:
    """The reports of one model's units as that of one run.

    Raises:
        SocoError: a unit failed; records of the others stay.
    """
    whole, errors = Report(), []
    for one in reports:
        for path in one.paths:
            record = DownstreamResult.read(path)
            whole.records[record.task], whole.paths[record.task] = record, path
        whole.kept += one.kept
        whole.seconds |= one.seconds
        errors += [one.error] if one.error else []
    if errors:
        raise SocoError("\n".join(errors))
    return whole
