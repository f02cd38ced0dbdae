"""Honest predictions of a small model, and every way to change them that a check or a rerun must find."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.config import ScoringConfig
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.correspondence.grid_positions import (
    best_positions,
    cells_to_points,
    positions_on_grid,
    with_predictions,
)
from soco_datasets.data.folder import DatasetFolder
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.records.predictions import HEADER_KEY, read_header
from soco_datasets.records.validation import points_array, sizes_array

TASKS = ("cc", "soc", "soc_soft", "soc_geo")
SIZE = 112  # 14 cells of 8 px
Forgery = Callable[[pa.Table], pa.Table]


def predictions_of(extractor: DenseFeatureExtractor, folder: DatasetFolder, **scoring: Any) -> pa.Table:
    window = {"soft_window": 3, **scoring}
    found = evaluate_backbone(extractor, folder, get_tasks(TASKS), scoring=ScoringConfig(**window)).predictions
    assert found is not None
    return found


def with_header(table: pa.Table, change: Callable[[dict[str, Any]], object]) -> pa.Table:
    fields = json.loads(table.schema.metadata[HEADER_KEY])
    change(fields)
    return table.replace_schema_metadata({**table.schema.metadata, HEADER_KEY: json.dumps(fields)})


def with_similarities(table: pa.Table, change: Callable[[np.ndarray], object]) -> pa.Table:
    values = table["similarity"].to_numpy().copy()
    change(values)
    place = table.column_names.index("similarity")
    column = pa.array(values, pa.float32(), from_pandas=True)
    return table.set_column(place, table.schema.field("similarity"), column)


def moved(table: pa.Table, task: str, cells: float, rows: int = 1) -> pa.Table:
    """The first predictions of a task some cells further, towards the middle of the map."""
    protocol, sizes = read_header(table).protocol, sizes_array(table["target_size"])
    positions = positions_on_grid(points_array(table["prediction"]), sizes, protocol)
    own = np.flatnonzero(pc.equal(table["task"], task).to_numpy())[:rows]
    positions[own, 0] += np.where(positions[own, 0] < 7, cells, -cells)
    return with_predictions(table, cells_to_points(positions, sizes, protocol))


def snapped(table: pa.Table) -> pa.Table:
    """The ground truth on the grid, as hard and soft answers alike."""
    protocol, sizes = read_header(table).protocol, sizes_array(table["target_size"])
    return with_predictions(table, cells_to_points(best_positions(table, protocol).cells, sizes, protocol))


def truth(table: pa.Table) -> pa.Table:
    starts = np.cumsum([0, *pc.list_value_length(table["target_points"]).to_pylist()])[:-1]
    return with_predictions(table, points_array(table["target_points"])[starts])


def finer_than_pixels(table: pa.Table, noise: float = 0.0) -> pa.Table:
    """The ground truth, a little off, on a grid so fine that it hides nothing and that no patch size belies."""

    def change(fields: dict[str, Any]) -> None:
        del fields["model"]["patch_size"]
        fields["protocol"].update(grid=1000)

    table = with_header(table, change)
    protocol, sizes = read_header(table).protocol, sizes_array(table["target_size"])
    cells = best_positions(table, protocol).cells
    shift = np.random.default_rng(0).uniform(-noise, noise, cells.shape)
    query = pc.binary_join_element_wise(table["source_image_id"], table["keypoint"], table["target_image_id"], " ")
    first = np.unique(query.to_numpy(zero_copy_only=False), return_index=True, return_inverse=True)
    shift = shift[first[1]][first[2]]  # one for all tasks
    cells = np.clip(np.rint(cells + shift), 0, 999)
    return with_predictions(table, cells_to_points(cells, sizes, protocol))


def out_of_range(values: np.ndarray) -> None:
    values[3] = 1.5


def absent(values: np.ndarray) -> None:
    values[:7] = np.nan


FORGERIES: dict[str, tuple[Forgery, str]] = {
    "ground truth": (truth, "predictions off the grid"),
    "ground truth on the grid": (snapped, "too good: 100.0 % of"),
    "ground truth on a finer grid": (partial(finer_than_pixels, noise=3), "too good: "),
    "three rows off the grid": (partial(moved, task="cc", cells=0.3, rows=3), "inconsistent: 3 of"),
    "outside": (partial(moved, task="soc", cells=40), "outside the padded square"),
    "a similarity above 1": (partial(with_similarities, change=out_of_range), "inconsistent: 1 of"),
    "no similarities": (partial(with_similarities, change=absent), "7 of"),
    "shuffled similarities": (
        partial(with_similarities, change=np.random.default_rng(0).shuffle),
        "a query that tasks or pairs share differ",
    ),
    "another answer in one task": (partial(moved, task="soc", cells=1), "a query that tasks or pairs share differ"),
    "no candidate": (partial(moved, task="soc_geo", cells=5, rows=40), "choices that are not candidate cells"),
    "out of the window": (partial(moved, task="soc_soft", cells=7), "soft positions not within 3 cells"),
    "another size": (
        partial(with_header, change=lambda fields: fields["model"].update(requested_size=800, effective_size=800)),
        "the protocol states the image size 112, the model 800",
    ),
    "made tomorrow": (
        partial(with_header, change=lambda fields: fields.update(created="2999-01-01T00:00:00Z")),
        "later than now",
    ),
    "another grid": (
        partial(with_header, change=lambda fields: fields["protocol"].update(grid=28)),
        "the model's patches make a grid of 14 cells, the protocol states 28",
    ),
}


def a_hair_off(table: pa.Table) -> pa.Table:
    """Every point moved by less than the grid's tolerance."""
    protocol, sizes = read_header(table).protocol, sizes_array(table["target_size"])
    cells = positions_on_grid(points_array(table["prediction"]), sizes, protocol)
    return with_predictions(table, cells_to_points(cells + np.where(cells < 7, 9e-4, -9e-4), sizes, protocol))


def only(table: pa.Table, task: str) -> pa.Table:
    """One task of a file, as if nothing else had been evaluated."""
    rows = table.filter(pc.equal(table["task"], task))
    return with_header(rows, lambda fields: fields.update(tasks={task: fields["tasks"][task]}))


COPIES: dict[str, Forgery] = {
    "renamed": lambda table: table,
    "1 % of the rows": partial(moved, task="cc", cells=1, rows=27),
    "rows in another order": lambda table: table.take(np.random.default_rng(0).permutation(len(table))),
    "a hair off": a_hair_off,
    "one of four tasks": partial(only, task="soc"),
    "one task changed": partial(moved, task="cc", cells=1, rows=5000),
}


def one_pair_changed(table: pa.Table) -> pa.Table:
    """Every answer of one pair one cell off, so that all tasks still agree."""
    protocol, sizes = read_header(table).protocol, sizes_array(table["target_size"])
    positions = positions_on_grid(points_array(table["prediction"]), sizes, protocol)
    own = pc.equal(table["pair_id"], table["pair_id"][0]).to_numpy()
    positions[own, 1] += np.where(positions[own, 1] < 7, 1, -1)
    return with_predictions(table, cells_to_points(positions, sizes, protocol))
