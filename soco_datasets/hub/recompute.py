"""A record beside the same record computed again from its predictions, leaf by leaf."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..correspondence.predictions import check_against_dataset, read_header, read_predictions
from ..correspondence.results import EvaluationResult, record_from_predictions
from ..correspondence.tasks import get_tasks
from ..errors import PredictionsError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from ..data.folder import DatasetFolder

_MOST_RESAMPLES = 100_000
_MAY_BE_ABSENT = ("intervals", "anatomy", "curves", "baselines")  # a record need not state them
_ABSENT = "nothing"
_LISTED = 5  # differences that an error names


@dataclass(frozen=True)
class Check:
    """One thing that was stated and what it should be. `name` is a path such as "metrics/soc/pair/0.1/overall/pck"."""

    name: str
    stated: Any
    found: Any

    @property
    def agrees(self) -> bool:
        return bool(self.stated == self.found) and isinstance(self.stated, bool) == isinstance(self.found, bool)


def read_record(path: Path) -> EvaluationResult:
    """A record for the leaderboard.

    Raises:
        PredictionsError: it cannot be read, is malformed, or its scores are in percent.
    """
    try:
        return EvaluationResult.read(path)
    except PredictionsError:
        _refuse_percent(path)
        raise


def predictions_beside(record: Path) -> Path:
    """The predictions file of a record, as `soco evaluate` names it."""
    return record.with_name(f"{record.stem}.predictions.parquet")


def read_table(path: Path, record: EvaluationResult | None = None) -> pa.Table:
    """The predictions, checked against their own header. Raises `PredictionsError`, also where they lack image points
    that the record needs."""
    if not path.is_file():
        beside = f" beside {record.model['name']}'s record" if record else ""
        raise PredictionsError(
            f"{path.name} is not there{beside}. Put the predictions that `soco evaluate` wrote there, or "
            "evaluate again."
        )
    return read_predictions(path)


def recomputed(record: EvaluationResult, table: pa.Table) -> EvaluationResult:
    """The record that the predictions give, with the intervals that `record` has.

    Raises:
        PredictionsError: the predictions are malformed, or the record asks for an absurd number of resamples.
    """
    intervals: Mapping[str, Any] = record.intervals or {"resamples": 0, "seed": 0}
    resamples, seed = intervals.get("resamples"), intervals.get("seed")
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in (resamples, seed))
    if not whole or not 0 <= resamples <= _MOST_RESAMPLES:  # type: ignore[operator]  # `whole` says it is a number
        raise PredictionsError(f"the record's intervals state {resamples!r} resamples with seed {seed!r}")
    try:
        return record_from_predictions(table, resamples=int(resamples or 0), seed=int(seed or 0))
    except UsageError as error:
        raise PredictionsError(f"the record's intervals cannot be computed again: {error}") from error


def compare_records(stated: EvaluationResult, found: EvaluationResult) -> list[Check]:
    """A check for every leaf of either record, in order; optional parts that `stated` lacks are left out."""
    left, right = (json.loads(record.to_json()) for record in (stated, found))
    for name in _MAY_BE_ABSENT:
        if left[name] is None:
            right[name] = None
    ours, theirs = dict(_leaves(left)), dict(_leaves(right))
    names = list(dict.fromkeys([*ours, *theirs]))
    return [Check(name, ours.get(name, _ABSENT), theirs.get(name, _ABSENT)) for name in names]


def check_result(path: Path) -> tuple[EvaluationResult, Path]:
    """A record that its predictions give to the last digit, and the file of those.

    Raises:
        PredictionsError: a file is missing or malformed, or numbers differ; the first ones are named.
    """
    record, predictions = read_record(path), predictions_beside(path)
    table = read_table(predictions, record)
    wrong = [check for check in compare_records(record, recomputed(record, table)) if not check.agrees]
    if wrong:
        listed = "\n".join(
            f"  {c.name}: the record says {c.stated!r}, the predictions give {c.found!r}" for c in wrong[:_LISTED]
        )
        more = f"\n  and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise PredictionsError(
            f"{path}: the record is not what its predictions give:\n{listed}{more}\n"
            f"Make it again with: soco score {predictions} --out {path}"
        )
    return record, predictions


def check_references(table: pa.Table, folder: DatasetFolder) -> None:
    """Check that queries, targets, sizes, boxes and annotations are those of the dataset.

    Raises:
        PredictionsError: naming what differs.
        DatasetFolderError: the dataset lacks a task's pairs.
    """
    from ..correspondence.plan import task_pairs
    from ..correspondence.predictions_images import image_annotations

    try:
        tasks = get_tasks(read_header(table).tasks)
    except UsageError as error:
        raise PredictionsError(f"the predictions have a task that the benchmark does not: {error}") from error
    pairs = {task.name: task_pairs(folder, task) for task in tasks}
    check_against_dataset(table, pairs, folder.content_hash, image_annotations(folder))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(part, f"{path}/{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for place, part in enumerate(value):
            yield from _leaves(part, f"{path}/{place}")
    else:
        yield path, value


def _refuse_percent(path: Path) -> None:
    """Say so where the scores of a record are percents."""
    try:
        leaves = dict(_leaves(json.loads(path.read_bytes())["metrics"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    scores = [v for name, v in leaves.items() if name.endswith("/pck") and isinstance(v, int | float)]
    if scores and 1 < max(scores) <= 100:
        raise PredictionsError(
            f"{path}: the scores are in the wrong unit, they go up to {max(scores):g}: a record holds fractions, 0 "
            "to 1 (percent is only shown). Make it again from its predictions with `soco score`."
        )
