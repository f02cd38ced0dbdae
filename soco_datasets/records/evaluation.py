"""The result record: metrics with everything needed to trust and repeat them, as versioned JSON."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import model_validator

from .. import __version__
from ..benchmarks.soco.benchmark import BENCHMARK
from ..benchmarks.task_pairs import task_pairs
from ..benchmarks.tasks import get_tasks, task_title
from ..config import alpha_key
from ..data.questions.point_pairs import POINT_TASKS, point_pairs
from ..errors import PredictionsError, UsageError
from ..utils.files import atomic_files
from ..utils.foreign import is_version
from ..utils.paths import local_path
from .annotated_points import image_annotations
from .base import Record
from .error_analysis import error_analysis
from .fields import Nested, StoredProtocol
from .intervals import RESAMPLES, bootstrap_intervals
from .pck_fields import Curves, ErrorAnalysis, Intervals, PckMetrics, Sha256, check_curve, check_tasks
from .pck_rules import PckRules
from .predictions import (
    check_against_dataset,
    check_predictions,
    read_header,
    read_predictions,
    write_checked,
)
from .ranking import OVERALL, RANKED_SUBSETS, Headline, PublishedScore, RankedTask, Rules, bootstrap_of
from .replacement import settled_stem
from .result_files import result_name
from .scores import curves, score_checked
from .summary import headline_rows, interval_of, table_html
from .validation import predictions_sha256

if TYPE_CHECKING:
    from ..data.folder import DatasetFolder

SCHEMA_VERSION = 3
_READABLE = (1, 2, 3)  # 1 had none of the optional fields, 2 had no predictions_sha256
_OPTIONAL = ("intervals", "anatomy", "curves", "baselines")
_UNSTATED = "the record does not state the sha256 of its predictions, as none from before version 3 does"
_PAPER_ALPHA, _PAPER_TABLES = 0.1, ("r5", "r1", "2")  # where a number is printed twice, the first of these counts


class EvaluationResult(Record):
    """What one model scored on one dataset under one protocol.

    Attributes:
        protocol: how features were made, matched and scored.
        metrics: `metrics[task][reduction][alpha]`, see `scores.score`; fractions, never percent.
        intervals: how certain each overall and supercategory score is, see `intervals.bootstrap_intervals`.
        anatomy: the error analysis, see `error_analysis.error_analysis`.
        curves: PCK against the difference in azimuth, see `scores.curves`.
        baselines: chance level by task.
        predictions_sha256: of the predictions this was computed from, see `validation.predictions_sha256`; None where
            none are kept, or of a record from before version 3.

    The other attributes are those of `base.Record`. The four fields before the last are None where they were not
    computed. A record of an older version is brought up to date when it is read.
    """

    kind: ClassVar[str] = "pck"
    version: ClassVar[int] = SCHEMA_VERSION
    tasks: ClassVar[Mapping[str, RankedTask]] = {task.name: RankedTask(task.title) for task in BENCHMARK.tasks}
    main_task: ClassVar[str] = "soc"
    heading: ClassVar[str] = "PCK@0.1 in percent"
    yaml_file: ClassVar[str] = ".eval_results/soco.yaml"
    title: ClassVar[str] = "SOCO evaluation results"
    rules: ClassVar[type[Rules]] = PckRules
    optional: ClassVar[tuple[str, ...]] = (*_OPTIONAL, "predictions_sha256")
    remake: ClassVar[str] = "soco score {data} --out {record}"
    restore: ClassVar[str] = (
        "evaluate again with `soco evaluate` (with --split all it keeps no predictions, and none can be submitted)"
    )
    headline_leaves: ClassVar[tuple[str, tuple[str, ...]]] = ("metrics/", ("/overall/pck",))

    protocol: StoredProtocol
    metrics: PckMetrics
    intervals: Intervals | None = None
    anatomy: ErrorAnalysis | None = None
    curves: Curves | None = None
    baselines: Nested | None = None
    predictions_sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _check_meaning(self) -> Self:
        scoring = self.protocol.scoring
        check_tasks(self.metrics, scoring.alphas, scoring.reductions)
        for task, by_quantity in (self.curves or {}).items():
            check_curve(task, by_quantity["azimuth"], {alpha_key(alpha) for alpha in scoring.alphas})
        return self

    @property
    def split(self) -> str:
        """ "test" or "all"; of the latter no predictions are kept."""
        return str(self.dataset.get("split", "test"))

    @classmethod
    def mark(cls) -> dict[str, Any]:
        return {"schema_version": cls.version}

    @classmethod
    def matches(cls, fields: Mapping[str, Any]) -> bool:
        return "schema_version" in fields and not {"kind", "format"} & set(fields)

    @classmethod
    def no_match(cls, fields: Any) -> str:
        if "schema_version" in fields:
            return f"not a result record but of kind {fields.get('kind') or fields.get('format')!r}"
        return "not a result record: schema_version is missing"

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if not is_version(version := fields["schema_version"], *_READABLE):
            raise PredictionsError(
                f"result records of schema version {version!r} cannot be read, only versions {_READABLE[0]} to "
                f"{_READABLE[-1]}; use the toolkit that wrote it, or score its predictions again"
            )
        if version != SCHEMA_VERSION:
            fields = {**dict.fromkeys([*(_OPTIONAL if version == 1 else ()), "predictions_sha256"]), **fields}
        differ = sorted(set(cls.model_fields) ^ (set(fields) - {"schema_version"}))  # also of those with a default
        if differ:
            raise PredictionsError(f"the result record has unknown or lacks fields: {', '.join(differ)}")
        return fields

    @classmethod
    def read_data(cls, path: Path) -> pa.Table:
        return read_predictions(path)

    def recompute(self, data: pa.Table) -> EvaluationResult:
        resamples, seed = bootstrap_of(self.intervals or {"resamples": 0, "seed": 0})
        try:
            return record_from_predictions(data, resamples=resamples, seed=seed)
        except UsageError as error:
            raise PredictionsError(f"the record's intervals cannot be computed again: {error}") from error

    @classmethod
    def check_references(cls, data: pa.Table, folder: DatasetFolder) -> bool:
        """Queries, targets, sizes, boxes and annotations."""
        header = read_header(data)
        names, split = list(header.tasks), str(header.dataset.get("split", "test"))
        try:
            tasks = [task for name in names if name not in POINT_TASKS for task in get_tasks(name)]
            pairs = {task.name: task_pairs(folder, task, split) for task in tasks}
        except UsageError as error:
            raise PredictionsError(f"the predictions have a task or split that the data does not: {error}") from error
        pairs |= {name: _asked_points(data, name, folder) for name in names if name in POINT_TASKS}
        check_against_dataset(data, pairs, folder.content_hash, image_annotations(folder), folder.supercategories)
        return True

    def main_metric(self) -> tuple[str, float]:
        """(reduction, alpha) of the headline: over pairs at 0.1 where they were scored, else the first and largest."""
        scoring = self.protocol.scoring
        reduction = "pair" if "pair" in scoring.reductions else scoring.reductions[0]
        return reduction, _PAPER_ALPHA if _PAPER_ALPHA in scoring.alphas else max(scoring.alphas)

    def unstated(self) -> list[str]:
        return [_UNSTATED] if self.predictions_sha256 is None else []

    def task_names(self) -> list[str]:
        return list(self.metrics)

    @property
    def headline(self) -> Headline:
        name = self.main_task if self.main_task in self.metrics else next(iter(self.metrics))
        return Headline(f"{task_title(name)} PCK@{self.main_metric()[1]:g}", self.score(name))

    def score(self, task: str, subset: str = OVERALL) -> float | None:
        reduction, alpha = self.main_metric()
        return PckRules(alpha=alpha, reduction=reduction).score(self, task, subset)

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row per score: task, reduction, alpha, level ("overall", "supercategory", "category"), name, numbers.

        "low" and "high" are the ends of its interval, None where there is none.
        """
        for task, by_reduction in self.metrics.items():
            for reduction, by_alpha in by_reduction.items():
                for alpha, breakdown in by_alpha.items():
                    place = {"task": task, "reduction": reduction, "alpha": float(alpha)}
                    groups = [(OVERALL, OVERALL, OVERALL, breakdown[OVERALL])]
                    for level in ("supercategory", "category"):
                        groups += [(level, name, f"per_{level}", v) for name, v in breakdown[f"per_{level}"].items()]
                    for level, name, stored, value in groups:
                        low, high = interval_of(self, task, reduction, alpha, stored, name) or (None, None)
                        yield {**place, "level": level, "name": name, **value, "low": low, "high": high}

    def _repr_html_(self) -> str:
        titles, rows = headline_rows(self)
        heading = f"{self.model['name']} on {self.dataset['id']}"
        return table_html(heading, titles, [cells for _, cells in rows], f"PCK in percent, {self.notes(None)}")

    def notes(self, rules: Any) -> str:
        scoring, features = self.protocol.scoring, self.protocol.features
        inner = "" if features.size is None else f" (network {features.size}, grid {features.grid})"
        layer = "no layer" if features.layer is None else f"layer {features.layer}"
        norm = "" if features.norm is None else ", after the final norm" if features.norm else ", before the final norm"
        return f"{scoring.convention} convention, {features.image_size} px{inner}, {layer}{norm}, {features.dtype}"

    @classmethod
    def is_benchmark(cls, dataset_id: str, record: EvaluationResult | None = None) -> bool:
        counts: set[int] = set()
        if record is not None:
            counts |= {
                len(breakdown["per_category"])
                for task in record.metrics.values()
                for by_alpha in task.values()
                for breakdown in by_alpha.values()
            }
            return any(BENCHMARK.is_full_record("", count) for count in counts)  # what was scored, not what is stated
        return BENCHMARK.is_full_record(dataset_id, 0)

    @classmethod
    def published(cls) -> Iterable[PublishedScore]:
        """The paper's models under SOCO's rules, one row per model. Its other protocols mean something else."""
        found: dict[str, PublishedScore] = {}
        tables = {name: place for place, name in enumerate(_PAPER_TABLES)}
        rows = [s for s in BENCHMARK.published() if s.table in tables and s.model and s.task in cls.tasks]
        for score in sorted(rows, key=lambda score: tables[score.table]):
            is_headline = (score.protocol, score.reduction, score.alpha) == ("nearest", "pair", _PAPER_ALPHA)
            if not is_headline or score.subset not in RANKED_SUBSETS:
                continue
            entry = found.setdefault(score.model, PublishedScore(score.model, f"{score.label}, SOCO paper", {}))
            entry.scores.setdefault((score.task, score.subset), score.percent)
        return found.values()


def record_from_predictions(table: pa.Table, *, resamples: int = RESAMPLES, seed: int = 0) -> EvaluationResult:
    """The whole record from a predictions table alone, the same to the last digit wherever it is computed.

    Args:
        table: a predictions table.
        resamples: of the bootstrap; 0 = no intervals.
        seed: of the bootstrap.

    Raises:
        PredictionsError: the table is incomplete or malformed, see `predictions.check_predictions`.
        UsageError: a number of resamples below 0.
    """
    return record_of_checked(check_predictions(table), resamples=resamples, seed=seed)


def record_of_checked(table: pa.Table, *, resamples: int = RESAMPLES, seed: int = 0) -> EvaluationResult:
    """`record_from_predictions` of a table that has been checked, as `predictions_table` and `read_predictions` do."""
    intervals = bootstrap_intervals(table, resamples=resamples, seed=seed) if resamples != 0 else None
    return _scored(table, intervals=intervals, anatomy=error_analysis(table), curves=curves(table) or None)


def scored_record(table: pa.Table) -> EvaluationResult:
    """The record with nothing but provenance and metrics. Errors as `record_from_predictions`."""
    return _scored(check_predictions(table))


def _scored(table: pa.Table, **diagnosis: Any) -> EvaluationResult:
    header = read_header(table)
    return EvaluationResult(
        model=header.model,
        dataset=header.dataset,
        protocol=header.protocol,
        versions=header.versions,
        device=header.device,
        counts=header.counts,
        created=header.created,
        metrics=score_checked(table),
        predictions_sha256=predictions_sha256(table),
        **diagnosis,
    )


def _asked_points(data: pa.Table, task: str, folder: DatasetFolder) -> pa.Table:
    """The dataset's pairs of a pointing task. Raises `PredictionsError` where only a part of them was asked."""
    try:
        pairs = point_pairs(folder)
    except UsageError as error:
        raise PredictionsError(f"task {task!r}: {error}") from error
    asked = set(data.filter(pc.equal(data["task"], task))["pair_id"].to_pylist())
    if len(asked) < len(pairs):
        raise PredictionsError(
            f"task {task!r}: {len(asked):,} of the dataset's {len(pairs):,} questions were asked; a chosen part is not "
            "verified. Ask all of them, without --limit, --category and --per-category"
        )
    return pairs


def write_evaluation(
    out: str | Path,
    predictions: pa.Table,
    result: EvaluationResult,
    name: str | None = None,
    *,
    overwrite: bool = False,
    checked: bool = False,
) -> tuple[Path, Path]:
    """Write a result and its predictions into a folder, named after the model.

    Args:
        out: the folder, made where it is missing.
        predictions: see `predictions.SCHEMA`.
        result: `record_from_predictions(predictions)`.
        name: of the files in place of the model's, see `result_files.result_name`.
        overwrite: replace whatever has the name; else only a result of the very same run is replaced, and logged.
        checked: the name was looked at before the work, see `replacement.settled_stem`.

    Returns:
        (`<name>.json`, `<name>.predictions.parquet`).

    Raises:
        PredictionsError: the predictions are incomplete or malformed; nothing is written.
        UsageError: a result of another run has the name.
        SocoError: the folder cannot be written.
    """
    wanted, folder = name or result_name(result.model), local_path(out)
    predictions = check_predictions(predictions)  # before a folder is made
    with settled_stem(result, folder, wanted, overwrite=overwrite, checked=checked) as stem:
        record, table = folder / f"{stem}.json", folder / f"{stem}.predictions.parquet"
        with atomic_files(record, table) as (new_record, new_table):  # an interrupted write leaves the pair of before
            write_checked(new_table, predictions)
            result.write(new_record)
    return record, table


def write_record(
    out: str | Path,
    result: EvaluationResult,
    name: str | None = None,
    *,
    overwrite: bool = False,
    checked: bool = False,
) -> Path:
    """Write a result of the split `all`, which has no predictions, into a folder as `<name>.all.json`.

    Arguments are those of `write_evaluation`.

    Raises:
        UsageError: a result of another run has the name.
        SocoError: the folder cannot be written.
    """
    wanted, folder = name or result_name(result.model), local_path(out)
    with settled_stem(result, folder, wanted, ".all.json", overwrite=overwrite, checked=checked) as stem:
        record = folder / f"{stem}.all.json"
        result.write(record)
    return record


def library_versions() -> dict[str, str]:
    """Versions of the toolkit, Python and the libraries that numbers depend on, where installed; imports none."""
    found = {"soco_datasets": __version__, "python": platform.python_version()}
    for name in ("datasets", "kornia", "numpy", "pillow", "pyarrow", "torch", "transformers"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
