"""Results as people give them to charts (records, `Result`s, evaluations, paths, lists of them), and what they need."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..benchmarks.base import SOCO, find_benchmark
from ..benchmarks.resolve import MINI, dataset_folder, find_data
from ..data.folder import DatasetFolder, open_folder
from ..errors import DataNotFoundError, DatasetFolderError, UsageError, unknown_name, worded
from ..records.comparable import check_comparable
from ..records.compare import read_side
from ..records.evaluation import EvaluationResult
from ..records.predictions import task_rows
from ..records.registry import records_in
from ..utils.paths import local_path
from .paper_match import benchmark_name


def as_records(results: Any) -> list[EvaluationResult]:
    """The records of what was given.

    Args:
        results: an `EvaluationResult`; anything that holds one as `record` or `result`, such as a `Result`
            or an `Evaluation`; the path of a record, or of a folder with records in it or in folders below; or several
            of these.

    Raises:
        UsageError: none of these, or records that are not comparable.
        PredictionsError: a file that is not a record.
    """
    records = list(_records(results))
    checked = isinstance(results, list | tuple) and all(isinstance(one, EvaluationResult) for one in results)
    if not checked:  # a list of records is the caller's own choice
        check_comparable(records, sizes=True)
    return records


def _records(given: Any) -> Iterable[EvaluationResult]:
    if isinstance(given, str | os.PathLike):
        path = local_path(given)
        files = [*records_in(path, (EvaluationResult,)).kinds] if path.is_dir() else [path]
        if not files:
            raise UsageError(f"There is no result record in the folder {path}.")
        return [EvaluationResult.read(one) for one in files]
    if isinstance(given, EvaluationResult):
        return [given]
    for attribute in ("record", "result"):
        if isinstance(held := getattr(given, attribute, None), EvaluationResult):
            return [held]
    if isinstance(given, Iterable):
        return [record for one in given for record in _records(one)]
    raise UsageError(f"Give a result, its record or its path, or a list of them; got {type(given).__name__}.")


def predictions_of(result: Any) -> pa.Table:
    """The predictions of one result: of a record's path, a `Result` or an `Evaluation`.

    Raises:
        UsageError: there are none; a record alone has none.
        PredictionsError: those beside the record cannot be read.
    """
    if isinstance(result, str | os.PathLike):
        return read_side(os.fspath(result))
    for attribute in ("table", "predictions"):
        if isinstance(held := getattr(result, attribute, None), pa.Table):
            return held
    raise UsageError(
        "A pair is drawn from predictions: give a Result, an Evaluation, or the path of a record beside them."
    )


def drawn_pair(
    result: Any, task: str, pair: str | int, data: DatasetFolder | str | Path | None = None
) -> tuple[pa.Table, str, DatasetFolder]:
    """(predictions, `pair_id`, dataset) of one pair of a result.

    Args:
        result: see `predictions_of`.
        task: which task.
        pair: its `pair_id`, or its number in the predictions.
        data: the dataset; None = that of the result, where it can be found.

    Raises:
        UsageError: no such task or pair, or no dataset.
    """
    [record] = as_records(result)
    if task not in record.metrics:
        raise unknown_name("task of this result", task, record.metrics)
    table = predictions_of(result)
    ids = pc.unique(task_rows(table, task)["pair_id"]).to_pylist()
    if isinstance(pair, int) and not -len(ids) <= pair < len(ids):
        raise UsageError(f"The result has {len(ids)} pairs of {task}, so there is no number {pair}.")
    chosen = ids[pair] if isinstance(pair, int) else pair
    if chosen not in ids:
        raise unknown_name(f"pair of {task}", chosen, ids)
    folder = dataset_of(record, data if data is not None else getattr(result, "data", None))
    if folder is None:
        raise UsageError(f"The images of {record.dataset['id']} are not available: give data=FOLDER.")
    return table, chosen, folder


def dataset_of(result: EvaluationResult, data: DatasetFolder | str | Path | None = None) -> DatasetFolder | None:
    """The dataset of a record: `data`, or what is found without a name; None where none is available.

    Raises:
        UsageError: `data` is another dataset.
        ChangedDataError: a file of it is not what was built.
    """
    wanted = result.dataset["content_hash"]
    if data is not None:
        folder = dataset_folder(data)
        if folder.content_hash != wanted:
            raise UsageError(
                f"{folder.path} is not the dataset of these results: its content hash is "
                f"{folder.content_hash[:12]}, theirs is {str(wanted)[:12]} ({result.dataset['id']}). Give the "
                f"folder they were evaluated on, or leave {worded('--data', 'data')} out."
            )
        folder.check_intact()
        return folder
    for place in (None, MINI, *benchmark_places(result)):
        try:
            path = find_data(place)
        except (DataNotFoundError, DatasetFolderError):
            continue  # a broken default is no reason to refuse a report that can do without pictures
        if path is not None and (folder := open_folder(path)).content_hash == wanted:
            folder.check_intact()
            return folder
    return None


def benchmark_places(result: EvaluationResult) -> list[str]:
    """The name by which the data of a record of another benchmark than SOCO is found."""
    benchmark = find_benchmark(benchmark_name(result))
    return [] if benchmark is None or benchmark.name == SOCO else [benchmark.name]
