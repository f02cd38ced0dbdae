"""The result record: metrics with everything needed to trust and repeat them, as versioned JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from .. import __version__
from ..config import Protocol, alpha_key
from ..errors import PredictionsError, SocoError, UsageError
from ..utils.files import atomic_write
from .diagnosis import OPTIONAL, check_diagnosis
from .error_analysis import error_analysis
from .header import check_provenance, read_protocol
from .intervals import RESAMPLES, bootstrap_intervals
from .predictions import check_predictions, read_header, write_predictions
from .scores import curves, score_checked
from .validation import predictions_sha256

SCHEMA_VERSION = 3
_READABLE = (1, 2, 3)  # 1 had none of the optional fields, 2 had no predictions_sha256


@dataclass(frozen=True)
class EvaluationResult:
    """What one model scored on one dataset under one protocol.

    Attributes:
        model: name, revision, weights hash and what else says which model it was.
        dataset: id, revision, content_hash; "split": "all" where every pair was evaluated, not the released ones.
        protocol: how features were made, matched and scored.
        versions: of the toolkit and the libraries.
        device: what it ran on.
        counts: images, pairs, keypoints, forwards, decodes.
        created: UTC time, ISO 8601.
        metrics: `metrics[task][reduction][alpha]`, see `score.score`; fractions, never percent.
        intervals: how sure each overall and supercategory score is, see `bootstrap.bootstrap_intervals`.
        anatomy: what goes wrong, see `anatomy.error_analysis`.
        curves: PCK against the difference in azimuth, see `score.curves`.
        baselines: what chance gets, by task.
        predictions_sha256: of the predictions this was computed from, see `predictions_check.predictions_sha256`; None
            where none are kept, or of a record from before version 3.
        schema_version: of this record; an older one is brought up to date when it is read.

    The four fields before the last two are None where they were not computed.
    """

    model: dict[str, Any]
    dataset: dict[str, Any]
    protocol: Protocol
    versions: dict[str, str]
    device: str | dict[str, Any]
    counts: dict[str, int]
    created: str
    metrics: dict[str, dict[str, dict[str, Any]]]
    intervals: dict[str, Any] | None = None
    anatomy: dict[str, Any] | None = None
    curves: dict[str, Any] | None = None
    baselines: dict[str, Any] | None = None
    predictions_sha256: str | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def split(self) -> str:
        """ "test" or "all"; of the latter no predictions are kept."""
        return str(self.dataset.get("split", "test"))

    def to_json(self) -> str:
        """The record as JSON, sorted and indented: equal records give equal bytes."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["protocol"] = self.protocol.to_dict()
        return json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> EvaluationResult:
        """The record from its JSON.

        Raises:
            PredictionsError: not JSON, another schema version, a field missing, unknown or invalid.
        """
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PredictionsError(f"a result record must be JSON: {error}") from None
        if not isinstance(fields, dict) or "schema_version" not in fields:
            raise PredictionsError("this is no result record: schema_version is missing")
        if fields["schema_version"] not in _READABLE:
            raise PredictionsError(
                f"result records of schema version {fields['schema_version']!r} cannot be read, only versions "
                f"{_READABLE[0]} to {_READABLE[-1]}; use the toolkit that wrote it, or score its predictions again"
            )
        if fields["schema_version"] != SCHEMA_VERSION:
            missing = OPTIONAL if fields["schema_version"] == 1 else ()
            since = dict.fromkeys([*missing, "predictions_sha256"])
            fields = {**since, **fields, "schema_version": SCHEMA_VERSION}
        known = {field.name for field in dataclasses.fields(cls)}
        if set(fields) != known:
            raise PredictionsError(
                f"the result record has unknown or lacks fields: {', '.join(sorted(known ^ set(fields)))}"
            )
        check_provenance(fields)
        try:
            fields["protocol"] = read_protocol(fields.get("protocol"))
        except UsageError as error:
            raise PredictionsError(f"the result record's protocol is invalid: {error}") from None
        result = cls(**fields)
        stated = result.predictions_sha256
        if stated is not None and not (isinstance(stated, str) and re.fullmatch("[0-9a-f]{64}", stated)):
            raise PredictionsError("the result record's predictions_sha256 must be 64 hexadecimal digits or null")
        _check_metrics(result)
        check_diagnosis(vars(result), result.protocol.scoring.alphas)
        return result

    def write(self, path: str | Path) -> None:
        """Write the JSON, whole or not at all. Raises `SocoError` when the place cannot be written."""
        atomic_write(Path(path), self.to_json())

    @classmethod
    def read(cls, path: str | Path) -> EvaluationResult:
        """Read a record. Raises `PredictionsError`, naming the file, when it is missing or not valid."""
        try:
            return cls.from_json(Path(path).read_bytes())
        except OSError as error:
            raise PredictionsError(f"{path}: cannot be read ({error.strerror}). Give a result JSON.") from error
        except SocoError as error:
            raise PredictionsError(f"{path}: {error}") from error


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
    result = _scored(table)
    intervals = bootstrap_intervals(table, resamples=resamples, seed=seed) if resamples != 0 else None
    anatomy = error_analysis(table)
    return dataclasses.replace(result, intervals=intervals, anatomy=anatomy, curves=curves(table) or None)


def scored_record(table: pa.Table) -> EvaluationResult:
    """The record with nothing but provenance and metrics. Errors as `record_from_predictions`."""
    return _scored(check_predictions(table))


def _scored(table: pa.Table) -> EvaluationResult:
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
    )


def write_evaluation(out: str | Path, predictions: pa.Table, result: EvaluationResult) -> tuple[Path, Path]:
    """Write a result and its predictions into a folder, named after the model.

    Args:
        out: the folder, made where it is missing; files of an earlier evaluation of the model are replaced.
        predictions: see `predictions.SCHEMA`.
        result: `record_from_predictions(predictions)`.

    Returns:
        (`<model>.json`, `<model>.predictions.parquet`).

    Raises:
        PredictionsError: the predictions are incomplete or malformed; nothing is written.
        SocoError: the folder cannot be written.
    """
    stem = _stem(result.model)
    record, table = Path(out) / f"{stem}.json", Path(out) / f"{stem}.predictions.parquet"
    write_predictions(table, predictions)
    result.write(record)
    return record, table


def write_record(out: str | Path, result: EvaluationResult) -> Path:
    """Write a result of the split `all`, which has no predictions, into a folder as `<model>.all.json`.

    Raises:
        SocoError: the folder cannot be written.
    """
    record = Path(out) / f"{_stem(result.model)}.all.json"
    result.write(record)
    return record


def check_replaces_own(out: str | Path, model: Mapping[str, Any]) -> None:
    """Refuse, before work is done for it, to replace the results of other weights that go by the same name.

    Those of a plug-in may be replaced: whoever writes one evaluates it again and again.

    Args:
        out: the folder that will be written into.
        model: name and weights hash of what will be evaluated.

    Raises:
        UsageError: a record in the folder says that it is of other weights.
    """
    for name in (f"{_stem(model)}.json", f"{_stem(model)}.all.json"):
        path = Path(out) / name
        with contextlib.suppress(PredictionsError):  # no record, or one that nobody can read
            before = EvaluationResult.read(path).model.get("weights_hash")
            if before is not None and "plugin" not in model and before != model.get("weights_hash"):
                raise UsageError(
                    f"{path} holds results of another model that is also called {model['name']!r}: its weights hash is "
                    f"{str(before)[:16]}, not {str(model.get('weights_hash'))[:16]}. Give another --out, or move them."
                )


def _stem(model: Mapping[str, Any]) -> str:
    """The name of a model as that of a file."""
    return re.sub(r"[^\w.-]+", "_", model["name"]).strip("._") or "model"


def library_versions() -> dict[str, str]:
    """Versions of the toolkit, Python and the libraries that numbers depend on, where installed; imports none."""
    found = {"soco_datasets": __version__, "python": platform.python_version()}
    for name in ("datasets", "kornia", "numpy", "pillow", "pyarrow", "torch", "transformers"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


# What may differ between results that are compared: made by the model's own input pipeline, not chosen by the protocol.
_MODEL_FIELDS = ("size", "grid", "layer", "norm", "statistics", "dtype", "matcher", "padding", "resize")


def check_comparable(results: Sequence[EvaluationResult]) -> None:
    """Check that results may stand in one table: same dataset content, same way of scoring, same requested size.

    What a model's input pipeline decides (effective size, grid, layer, statistics, dtype ...) may differ.

    Raises:
        UsageError: naming the first two results that differ, and in what.
    """
    for other in results[1:]:
        first = results[0]
        names = f"{first.model['name']} and {other.model['name']} cannot be compared"
        if first.dataset["content_hash"] != other.dataset["content_hash"]:
            raise UsageError(
                f"{names}: they were evaluated on different data ({_dataset(first)} and {_dataset(other)}). "
                "Evaluate both on the same dataset."
            )
        if first.split != other.split:
            raise UsageError(
                f"{names}: one is of the split {first.split}, the other of {other.split}. Evaluate both on the same."
            )
        ours, theirs = first.protocol.to_dict(), other.protocol.to_dict()
        differ = [
            f"{key} {ours[key]} and {theirs[key]}"
            for key in ours
            if key not in _MODEL_FIELDS and ours[key] != theirs[key]
        ]
        if differ:
            raise UsageError(f"{names}: their protocols differ ({'; '.join(differ)}). Evaluate both alike.")


def _dataset(result: EvaluationResult) -> str:
    return f"{result.dataset['id']}, content hash {result.dataset['content_hash']}"


def _check_metrics(result: EvaluationResult) -> None:
    """Check that every task has every reduction and threshold of the protocol, and every score its counts."""
    wanted = {
        name: {alpha_key(alpha) for alpha in result.protocol.scoring.alphas}
        for name in result.protocol.scoring.reductions
    }
    if not isinstance(result.metrics, dict) or not result.metrics:
        raise PredictionsError("the result record's metrics must be a mapping of at least one task")
    for task, metrics in result.metrics.items():
        try:
            found = {name: set(by_alpha) for name, by_alpha in metrics.items()}
            if found != wanted:
                raise PredictionsError(
                    f"metrics of task {task!r} must be those of the protocol, {sorted(wanted)} at "
                    f"{list(result.protocol.scoring.alphas)}"
                )
            for place, value in _values(metrics):
                _check_value(f"{task}/{place}", value)
        except (AttributeError, KeyError, TypeError):
            raise PredictionsError(f"metrics of task {task!r} are malformed") from None


def _values(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for reduction, by_alpha in metrics.items():
        for alpha, breakdown in by_alpha.items():
            yield f"{reduction}/{alpha}/overall", breakdown["overall"]
            for part in ("per_supercategory", "per_category"):
                for name, value in breakdown[part].items():
                    yield f"{reduction}/{alpha}/{part}/{name}", value


def _check_value(place: str, value: Mapping[str, Any]) -> None:
    pck, numbers = value["pck"], [value[key] for key in ("pairs", "keypoints", "pairs_without_query")]
    counted = all(isinstance(n, int) and n >= 0 for n in numbers)
    if pck is None:
        sound = counted and numbers[:2] == [0, 0]
    else:
        sound = counted and isinstance(pck, int | float) and 0 <= pck <= 1 and min(numbers[:2]) > 0
    if not sound:
        raise PredictionsError(f"metrics {place}: {dict(value)} is no score of 0..1 with its counts, nor null with 0")
