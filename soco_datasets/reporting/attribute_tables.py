"""Scores by what a benchmark says of its pairs, such as SPair-71k's variation of viewpoint. Percent, 0 to 100."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ..benchmarks.base import benchmark_of
from ..benchmarks.tasks import task_title
from ..config import alpha_key
from ..data.folder import DatasetFolder
from ..metrics.aggregation import aggregate
from ..records.evaluation import EvaluationResult
from ..records.predictions import read_header, task_rows
from ..records.scores import row_errors
from ..records.validation import pair_groups
from .export import Cell, Column, ReportTable
from .score_access import main_alpha, main_reduction, model_names, tasks_of


def attribute_table(
    results: Sequence[EvaluationResult], predictions: Mapping[int, pa.Table], folder: DatasetFolder
) -> ReportTable | None:
    """A row per task, attribute and value, a column per model; None where the benchmark's pairs have no attributes.

    Args:
        results: comparable records.
        predictions: position of a result -> its predictions table; results without one have no column.
        folder: the dataset of the records, whose pair tables hold the attributes.
    """
    benchmark, split = benchmark_of(folder), results[0].split
    if not benchmark.pair_attributes or not predictions or split == "all":
        return None
    alpha, reduction = main_alpha(results), main_reduction(results)
    rows: list[tuple[Cell, ...]] = []
    for task in (name for name in tasks_of(results) if any(known.name == name for known in benchmark.tasks)):
        config = benchmark.task(task).config
        names = [name for name in benchmark.pair_attributes if name in folder.specs[config].features]
        pairs = folder.table(config, split, columns=["pair_id", *names])
        for name in names:
            for value, word in enumerate(benchmark.pair_attributes[name]):
                members = pairs.filter(pc.equal(pairs[name], value))["pair_id"]
                scores = {n: _score(table, task, members, reduction, alpha) for n, table in predictions.items()}
                counts = next(iter(scores.values()))
                rows.append(
                    (
                        task_title(task),
                        name.replace("_", " "),
                        word,
                        len(members),
                        counts[1],
                        *(percent for percent, _ in scores.values()),
                    )
                )
    if not rows:
        return None
    models = model_names(results)
    columns = (
        Column("task"), Column("attribute"), Column("value"), Column("pairs", "count"), Column("keypoints", "count"),
        *(Column(models[number], "percent") for number in predictions),
    )  # fmt: skip
    note = (
        f"PCK@{alpha:g} in percent of the pairs with each value, mean over the {reduction}s of a category, then over "
        "the categories that have such pairs. Values are those of the pair files."
    )
    return ReportTable("attributes", "By attribute of the pairs", note, columns, tuple(rows))


def _score(
    table: pa.Table, task: str, pairs: pa.ChunkedArray, reduction: str, alpha: float
) -> tuple[float | None, int]:
    """(PCK in percent, queries) of the pairs of a task."""
    rows = task_rows(table, task)
    rows = rows.filter(pc.is_in(rows["pair_id"], value_set=pairs.combine_chunks()))
    if not rows.num_rows:
        return None, 0
    found = aggregate(
        row_errors(rows),
        *pair_groups(rows, read_header(table)),
        alphas=(alpha,),
        reductions=(reduction,),
    )
    overall = found[reduction][alpha_key(alpha)]["overall"]
    return (None if overall["pck"] is None else 100 * overall["pck"]), int(overall["keypoints"])
