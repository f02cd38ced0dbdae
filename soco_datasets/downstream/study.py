"""The study of section 5.3 for a list of models: SOC, other correspondence benchmarks, downstream tasks; one table."""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BackboneError, SocoError, UsageError
from ..records.base import Record
from ..records.registry import read_record
from .base import DownstreamTask
from .downstream_run import DownstreamRun, RunOptions

if TYPE_CHECKING:
    from ..features.extractor import DenseFeatureExtractor

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
        out: folder.
        benchmarks: name -> built dataset folder; "soco" is SOC's own.
        data: kind of downstream data -> place.
        tasks: downstream tasks.
        downstream: their options, without `out` and `resume`.
        load: name of a model -> its extractor.
    """

    out: Path
    benchmarks: Mapping[str, Path]
    data: Mapping[str, str | Path]
    tasks: Sequence[DownstreamTask]
    downstream: RunOptions
    load: Callable[[str], DenseFeatureExtractor]


def read_models(text: str) -> list[StudyModel]:
    """Models from "a,b" or a CSV file with the columns model, and where known dense_ssl and doubt.

    Raises:
        UsageError: no model, a doubled one, a cell that is neither yes nor no.
    """
    path = Path(text)
    if path.suffix == ".csv" or path.is_file():
        try:
            rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        except OSError as error:
            raise UsageError(f"{path} cannot be read ({error.strerror}). Give a CSV with the column model.") from error
        if not rows or "model" not in rows[0]:
            raise UsageError(f"{path} has no column `model`.")
        models = [_model(path, line, row) for line, row in enumerate(rows, start=2)]
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
    return StudyModel(str(row["model"]).strip(), dense, str(row.get("doubt") or "").strip())


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


def run_study(models: Sequence[StudyModel], options: StudyOptions, say: Callable[[str], None]) -> StudyResult:
    """Run everything that is not done yet; a study that was stopped continues where it was.

    Args:
        models: of the study.
        options: what is run.
        say: called with a sentence for each step.
    """
    result = StudyResult([], [], {}, {})
    for one in models:
        say(f"{one.model}")
        try:
            extractor = options.load(one.model)
        except BackboneError as error:
            result.failures[one.model, "loading"] = str(error)
            say(f"  skipped: {error}")
            continue
        result.names[one.model] = str(extractor.describe()["name"])
        for name, folder in options.benchmarks.items():
            work = functools.partial(_correspondence, name, folder, extractor, options)
            _guarded(result, one.model, name, say, work)
        if options.data:
            _guarded(result, one.model, "downstream", say, functools.partial(_downstream, extractor, options))
    return result


def _guarded(
    result: StudyResult, model: str, what: str, say: Callable[[str], None], work: Callable[[], list[Path]]
) -> None:
    try:
        paths = work()
    except SocoError as error:
        result.failures[model, what] = str(error)
        say(f"  {what}: no result: {error}")
        return
    result.paths += paths
    result.records += [read_record(path) for path in paths]
    say(f"  {what}: done")


def _correspondence(name: str, folder: Path, extractor: DenseFeatureExtractor, options: StudyOptions) -> list[Path]:
    from ..benchmarks.base import SOCO, benchmark_of
    from ..correspondence.evaluate import evaluate_backbone
    from ..correspondence.presets import get_preset, tasks_for
    from ..data.folder import open_folder
    from ..records.evaluation import write_evaluation

    data = open_folder(folder)
    out = options.out / name
    model = extractor.describe()
    stem = re.sub(r"[^\w.-]+", "_", str(model["name"])).strip("._") or "model"
    path = out / f"{stem}.json"
    if path.is_file():
        record = read_record(path)
        same = record.model.get("weights_hash") == model["weights_hash"]
        if same and record.dataset["content_hash"] == data.content_hash:
            return [path]
    benchmark = benchmark_of(data)
    preset = get_preset("standard")
    tasks, _ = tasks_for(preset, data.configs, benchmark)
    scoring = replace(preset.scoring, **({} if benchmark.name == SOCO else benchmark.scoring))
    evaluation = evaluate_backbone(extractor, data, tasks, scoring=scoring)
    assert evaluation.predictions is not None  # of the split `test` they are kept
    return [write_evaluation(out, evaluation.predictions, evaluation.result)[0]]


def _downstream(extractor: DenseFeatureExtractor, options: StudyOptions) -> list[Path]:
    how = replace(options.downstream, out=options.out / "downstream", resume=True)
    return list(DownstreamRun(extractor, options.tasks, options.data, how).run().paths.values())
