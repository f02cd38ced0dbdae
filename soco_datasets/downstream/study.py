"""The study of section 5.3 for a list of models: SOC, other correspondence benchmarks, downstream tasks; one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..features.spec import ExtractorSpec
from ..records.base import Record
from ..records.registry import read_record
from ..utils.chunks import Mapper
from ..utils.foreign import ForeignTextError, read_csv_rows
from ..utils.paths import local_path, real_path
from .base import DownstreamTask
from .record import DownstreamResult
from .run_options import RunOptions
from .side_by_side import RunUnit, downstream_units, run_units

_TRUE, _FALSE = ("1", "true", "yes", "x"), ("", "0", "false", "no")


@dataclass(frozen=True)
class StudyModel:
    """One model of the study.

    Attributes:
        model: name, Hub id, folder, plug-in or expression.
        dense_ssl: whether it was trained with a dense self-supervised objective; None = not said.
        doubt: what is not sure about that.
    """

    model: str
    dense_ssl: bool | None = None
    doubt: str = ""


@dataclass(frozen=True)
class StudyOptions:
    """What is run.

    Attributes:
        benchmarks: name -> built dataset folder; "soco" is SOC's own.
        data: kind of downstream data -> place.
        tasks: downstream tasks.
        downstream: their options; `out` is the folder of the whole study.
        spec: how each model is loaded, whatever its `model` is.
    """

    benchmarks: Mapping[str, Path]
    data: Mapping[str, str | Path]
    tasks: Sequence[DownstreamTask]
    downstream: RunOptions
    spec: ExtractorSpec


def read_models(text: str) -> list[StudyModel]:
    """Models from "a,b" or a CSV file with the columns model, and where known dense_ssl and doubt.

    Raises:
        UsageError: no model, a doubled one, a cell that is neither yes nor no.
    """
    path = local_path(text)
    if path.suffix == ".csv" or path.is_file():
        try:
            (_, header), *rows = read_csv_rows(path) or [(0, [])]
        except OSError as error:
            raise UsageError(f"{path} cannot be read ({error.strerror}). Give a CSV with the column model.") from error
        except ForeignTextError as error:
            raise UsageError(f"{path} is {error}. Give a CSV with the column model.") from error
        if not rows or "model" not in header:
            raise UsageError(f"{path} has no column `model`, or no model.")
        models = [_model(path, line, dict(zip(header, row, strict=False))) for line, row in rows]
    else:
        models = [StudyModel(name.strip()) for name in text.split(",") if name.strip()]
    names = [one.model for one in models]
    doubled = {name for name in names if names.count(name) > 1}
    if not models or doubled:
        raise UsageError(f"--models names no model, or one twice: {', '.join(sorted(doubled)) or text}.")
    return models


def _model(path: Path, line: int, row: Mapping[str, Any]) -> StudyModel:
    given = str(row.get("dense_ssl") or "").strip().lower()
    if given not in (*_TRUE, *_FALSE, "?"):
        raise UsageError(f"{path}, line {line}: dense_ssl is {given!r}; write yes, no or ?.")
    dense = None if given in ("", "?") else given in _TRUE
    return StudyModel(str(row.get("model") or "").strip(), dense, str(row.get("doubt") or "").strip())


@dataclass
class StudyResult:
    """What a study holds when it is done.

    Attributes:
        records: of all models.
        paths: of the records.
        names: model as given -> the name in its records.
        failures: (model, what) -> why it has no result.
    """

    records: list[Record]
    paths: list[Path]
    names: dict[str, str]
    failures: dict[tuple[str, str], str]


def study_units(models: Sequence[StudyModel], options: StudyOptions) -> list[tuple[StudyModel, RunUnit]]:
    """What is to be done: each model on each benchmark and on each downstream data set, model after model."""
    units: list[tuple[StudyModel, RunUnit]] = []
    how = replace(options.downstream, out=options.downstream.out / "downstream", resume=True)
    for one in models:
        spec = replace(options.spec, model=one.model)
        own = [RunUnit(spec, name, str(folder), (), options.downstream) for name, folder in options.benchmarks.items()]
        units += [(one, unit) for unit in (*own, *downstream_units(spec, options.tasks, options.data, how))]
    return units


def table_inputs(models: Sequence[StudyModel], options: StudyOptions) -> list[str]:
    """What the tables of a study are made from: a text for each model, data set and task."""
    how = f"image size {options.spec.image_size}, subset {options.downstream.subset}, seed {options.downstream.seed}"
    return [
        f"{model.model}, {task or 'correspondence'} on {unit.what} = {_real(unit.place)}, {how}"
        for model, unit in study_units(models, options)
        for task in unit.tasks or ("",)
    ]


def _real(place: str) -> str:
    path = local_path(place)
    return str(real_path(path)) if path.exists() else place


def run_study(
    models: Sequence[StudyModel], options: StudyOptions, say: Callable[[str], None], mapper: Mapper = map
) -> StudyResult:
    """Run everything that is not done yet; a study that was stopped continues where it was.

    Args:
        models: of the study.
        options: what is run.
        say: called with a sentence for each step.
        mapper: has other processes do it side by side; the builtin `map` = one after the other, here.
    """
    result = StudyResult([], [], {}, {})
    units = study_units(models, options)
    said: set[str] = set()  # a data set's warnings, and a model that does not load, are said once
    for (model, unit), (_, report) in zip(units, run_units([unit for _, unit in units], mapper), strict=True):
        label = f"{model.model}, {unit.what}"
        for warning in report.warnings:
            if warning not in said:
                said.add(warning)
                say(f"{unit.what}: {warning}")
        if report.error:
            failed = (model.model, unit.what) if report.model else (model.model, "loading")
            if failed not in result.failures:
                say(f"{label}: no result: {report.error}" if report.model else f"{model.model} skipped: {report.error}")
            result.failures[failed] = report.error
            continue
        result.names[model.model] = report.model
        result.paths += report.paths
        records = [read_record(path) for path in report.paths]
        result.records += records
        say(f"{label}: done{' (kept)' if len(report.kept) == len(records) else ''}")
        for record in records:
            if isinstance(record, DownstreamResult) and record.reason:
                say(f"  {record.task}: no result: {record.reason}")
    return result
