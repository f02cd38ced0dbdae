from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from helpers.shared_data import ORACLE
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.correspondence.matchers.soft_argmax import soft_argmax
from soco_datasets.correspondence.similarity import best_cells, content_cells, match, similarities
from soco_datasets.errors import UsageError


def slow_soft(scores: np.ndarray, beta: float, window: int, valid: np.ndarray) -> tuple[float, float]:
    """One map, cell by cell, in Python floats."""
    height, width = scores.shape
    cells = [(r, c) for r in range(height) for c in range(width) if valid[r, c]]
    top_row, top_column = max(cells, key=lambda cell: (scores[cell], -cell[0], -cell[1]))
    weights = {}
    for row, column in cells:
        score, across, down = float(scores[row, column]), column - top_column, row - top_row
        if window < 0:
            score *= math.exp(-(across**2 + down**2) / (2 * window**2))
        if window <= 0 or max(abs(across), abs(down)) <= window:
            weights[row, column] = score / beta
    highest = max(weights.values())
    weights = {cell: math.exp(value - highest) for cell, value in weights.items()}
    total = sum(weights.values())
    return tuple(sum(weight * cell[axis] for cell, weight in weights.items()) / total for axis in (1, 0))


@settings(max_examples=60)
@given(
    st.integers(0, 10_000),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.sampled_from([0.02, 0.1, 1.0]),
    st.sampled_from([-3, -1, 0, 1, 2, 7]),
    st.booleans(),
)
def test_all_windows_equal_a_slow_one(seed: int, shape: tuple[int, int], beta: float, window: int, cut: bool) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.uniform(-1, 1, (3, *shape)).astype(np.float32)
    valid = np.ones(shape, dtype=bool)
    if cut:
        valid[(shape[0] + 1) // 2 :], valid[:, (shape[1] + 1) // 2 :] = False, False
    tensor, mask = torch.from_numpy(scores), torch.from_numpy(valid) if cut else None
    found = soft_argmax(tensor, best_cells(tensor, mask)[0], beta=beta, window=window, valid=mask)
    expected = [slow_soft(one, beta, window, valid) for one in scores]
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-4)


def test_every_case_of_the_oracle() -> None:
    rows = json.loads((ORACLE / "expected" / "unit_argmax.json").read_text())["rows"]
    compared = 0
    for row in rows:
        scores = torch.tensor(row["heatmap"])[None]
        peak = best_cells(scores)[0]
        for key, expected in row["result_xy"].items():
            if key != "argmax":
                beta, window = (part.split("=")[1] for part in key.split(","))
                found = soft_argmax(scores, peak, beta=float(beta), window=int(window))
                np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-4, err_msg=f"{row['name']} {key}")
                compared += 1
    assert compared == 60


def test_a_small_temperature_is_the_hard_maximum_and_a_large_one_the_middle() -> None:
    scores = torch.rand(5, 9, 9, generator=torch.Generator().manual_seed(2))
    peak = best_cells(scores)[0]
    hard = torch.stack([peak % 9, peak // 9], dim=1).float()
    torch.testing.assert_close(soft_argmax(scores, peak, beta=1e-6), hard, atol=1e-4, rtol=0)
    torch.testing.assert_close(soft_argmax(scores, peak, beta=1e6, window=0), torch.full((5, 2), 4.0))


def test_no_queries() -> None:
    nothing = torch.zeros(0, 20, 20)
    assert soft_argmax(nothing, best_cells(nothing)[0]).shape == (0, 2)


@pytest.mark.parametrize(("beta", "window"), [(0.0, 7), (-1.0, 7), (float("nan"), 7), (0.02, 1.5), ("x", 7)])
def test_what_is_no_temperature_or_window_is_refused(beta: float, window: int) -> None:
    with pytest.raises(UsageError, match="soft-argmax"):
        soft_argmax(torch.zeros(1, 3, 3), torch.zeros(1, dtype=torch.int64), beta=beta, window=window)


def test_cells_of_padding_can_be_left_out_of_the_match() -> None:
    target = torch.zeros(1, 4, 4)
    target[0, 1, 1], target[0, 3, 3], target[0, 3, 2] = 1, 3, 2
    valid = torch.zeros(4, 4, dtype=torch.bool)
    valid[:2] = True
    query = torch.ones(1, 1)
    assert match(query, target, with_margin=True).cells.tolist() == [[3, 3]]
    found = match(query, target, with_margin=True, valid=valid)
    assert found.cells.tolist() == [[1, 1]]
    assert found.margin is not None
    assert found.margin.tolist() == [1]
    assert similarities(query, target).shape == (1, 4, 4)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 60))
def test_content_cells_are_those_the_image_reaches(width: int, height: int, grid: int) -> None:
    columns, rows = content_cells([[width, height]], grid)[0].tolist()
    side = max(width, height)
    for cells, extent in ((columns, width), (rows, height)):
        reached = [cell for cell in range(grid) if cell * side < extent * grid]
        assert cells == len(reached)
    assert max(columns, rows) == grid
