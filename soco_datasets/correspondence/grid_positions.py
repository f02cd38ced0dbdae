"""Where predictions are on the patch grid of their protocol, and the best that this grid allows. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..config import FeatureConfig, Protocol
from ..errors import UsageError
from ..geometry import cells_to_unit, keypoints_to_unit, unit_to_cells, unit_to_pixels
from ..records.predictions import HEADER_KEY, read_header, task_rows
from ..records.scores import score_checked
from ..records.validation import points_array, sizes_array

_MOST_MERGED = 4  # patches on a side that a model may want in multiples, which zero padding fills up to
TOLERANCE = 1e-3  # cells: float32 keeps a position on a grid of 1,000 cells to 1e-4


def positions_on_grid(
    points: NDArray[np.float64], sizes: NDArray[np.float64], protocol: Protocol
) -> NDArray[np.float64]:
    """(N, 2) float64 [column, row] of predicted points (N, 2), pixels of images of `sizes` (N, 2) [width, height].

    Whole numbers where they are cells. The protocol must state a grid.
    """
    grid = protocol.features.grid
    assert grid is not None
    unit = protocol.to_square(points, sizes) / sizes.max(axis=1, keepdims=True, initial=1)
    return unit_to_cells(unit, grid, protocol.scoring.convention)


def target_positions(
    points: NDArray[np.float64], sizes: NDArray[np.float64], protocol: Protocol
) -> NDArray[np.float64]:
    """(N, 2) float64 [column, row] of annotated points, as the scores see them. Arguments as above."""
    grid = protocol.features.grid
    assert grid is not None
    sides = sizes.max(axis=1, initial=1)
    square = protocol.to_square(points, sizes)
    unit = keypoints_to_unit(square, sides, protocol.features.size, protocol.point_convention)
    return unit_to_cells(unit, grid, protocol.scoring.convention)


def cells_to_points(cells: NDArray[np.float64], sizes: NDArray[np.float64], protocol: Protocol) -> NDArray[np.float64]:
    """(N, 2) float64 pixels of cells (N, 2), the inverse of `positions_on_grid`."""
    grid = protocol.features.grid
    assert grid is not None
    unit = cells_to_unit(cells[:, 0], cells[:, 1], grid, protocol.scoring.convention)
    shift = protocol.to_square(np.zeros((len(cells), 2)), sizes)
    return unit_to_pixels(unit, sizes.max(axis=1, initial=1)) - shift


@dataclass(frozen=True)
class BestPositions:
    """What is the best that each of N predictions could be.

    Attributes:
        cells: (N, 2) the position nearest to any valid target.
        apart: (N,) how far the prediction is from the nearest of such positions, in cells (the larger of both axes).
    """

    cells: NDArray[np.float64]
    apart: NDArray[np.float64]


def best_positions(rows: pa.Table, protocol: Protocol, subcell: bool = False) -> BestPositions:
    """The best positions for N rows of a predictions table; `subcell`: they may be between cells."""
    grid = protocol.features.grid
    assert grid is not None
    sizes = sizes_array(rows["target_size"])
    counts = pc.list_value_length(rows["target_points"]).to_numpy()
    owner = np.repeat(np.arange(len(rows)), counts)
    exact = target_positions(points_array(rows["target_points"]), sizes[owner], protocol)
    cells = np.clip(exact if subcell else np.rint(exact), 0, grid - 1)
    predicted = positions_on_grid(points_array(rows["prediction"]), sizes, protocol)
    if not len(rows):
        return BestPositions(cells, np.zeros(0))
    starts = np.cumsum(counts) - counts
    order = np.lexsort((np.hypot(*(cells - exact).T), owner))
    apart = np.maximum(*np.abs(cells - predicted[owner]).T)
    return BestPositions(cells[order[starts]], np.minimum.reduceat(apart, starts))


def best_possible(table: pa.Table, exact_tasks: frozenset[str] = frozenset()) -> dict[str, dict[str, float | None]]:
    """The PCK that no predictions on the stated grid can exceed, from the valid targets in a checked predictions table.

    Args:
        table: whose protocol states a grid.
        exact_tasks: those whose positions may be between cells.

    Returns:
        task -> alpha -> fraction under the first of the protocol's reductions, None where nothing is scored.
    """
    header = read_header(table)
    protocol, parts = header.protocol, []
    for task in header.tasks:
        rows = task_rows(table, task)
        best = best_positions(rows, protocol, task in exact_tasks).cells
        parts.append(with_predictions(rows, cells_to_points(best, sizes_array(rows["target_size"]), protocol)))
    metadata = {HEADER_KEY: table.schema.metadata[HEADER_KEY]}  # without annotations no baselines are computed
    scores = score_checked(pa.concat_tables(parts).replace_schema_metadata(metadata))
    reduction = protocol.scoring.reductions[0]
    return {
        task: {alpha: found["overall"]["pck"] for alpha, found in by[reduction].items()} for task, by in scores.items()
    }


def with_predictions(rows: pa.Table, points: NDArray[np.float64]) -> pa.Table:
    """Rows of a predictions table with other predicted points (N, 2)."""
    place = rows.column_names.index("prediction")
    flat = pa.array(np.ascontiguousarray(points, dtype=np.float64).reshape(-1))
    return rows.set_column(place, rows.schema.field("prediction"), pa.FixedSizeListArray.from_arrays(flat, 2))


def statement_problems(model: Mapping[str, Any], features: FeatureConfig) -> tuple[list[str], list[str]]:
    """(what the protocol states of the features and the model otherwise, what cannot be told), in words.

    Args:
        model: `DenseFeatureExtractor.describe()` as stored.
        features: of the protocol, with a grid.
    """
    try:
        own = FeatureConfig.of_model(model)
    except (KeyError, TypeError, AttributeError, UsageError):
        return [], ["the model does not say how its features were made, so the protocol was not compared with it"]
    wrong = [
        f"the protocol states the {name.replace('_', ' ')} {theirs!r}, the model {ours!r}"
        for name, ours in vars(own).items()
        if ours != (theirs := getattr(features, name))
    ]
    grid, patches = expected_grid(model), _patches(model)
    if grid is None or patches is None:
        return wrong, [f"the model states no patch size that its grid of {features.grid} cells follows from"]
    if grid != features.grid:
        wrong.append(f"the model's patches make a grid of {grid} cells, the protocol states {features.grid}")
    size, asked = features.size or 0, features.image_size
    if abs(size - asked) > max(_MOST_MERGED * math.prod(patches) / 2, asked / 10):  # rounded to a multiple
        return wrong, [f"{features.image_size} px were asked for and the network saw {size}, as of a fixed size only"]
    return wrong, []


def _patches(model: Mapping[str, Any]) -> set[int] | None:
    """The different patch sizes of a model and its parts, None where one is not stated."""
    parts = model.get("parts")
    inner = [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
    found = [_patches(part) for part in inner] if inner else [{_whole(model.get("patch_size"))}]
    every = {patch for one in found for patch in (one or {None})}
    return None if None in every else {patch for patch in every if patch is not None}


def expected_grid(model: Mapping[str, Any]) -> int | None:
    """Cells on a side of the maps of a model as it is stated, None where that does not follow from the statement."""
    parts, patch, size = model.get("parts"), _whole(model.get("patch_size")), _whole(model.get("effective_size"))
    if isinstance(parts, list) and parts:
        grids = [expected_grid(part) if isinstance(part, Mapping) else None for part in parts]
        finest = None if None in grids else max(grid for grid in grids if grid is not None)
        common = _whole(_field(model, "composition", "grid")) or finest
        factor = _whole(_field(model, "upsampling", "factor")) if "upsampling" in model else 1
        return None if common is None or factor is None else common * factor
    if patch is None or size is None:
        return None
    if "zero_padding" not in model:
        return size // patch
    least, stated = -(-size // patch), _whole(model.get("grid"))
    return stated if stated is not None and least <= stated < least + _MOST_MERGED else least


def _field(model: Mapping[str, Any], name: str, inner: str) -> object:
    """A field within a field of a stranger's statement, None where there is none."""
    found = model.get(name)
    return found.get(inner) if isinstance(found, Mapping) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
