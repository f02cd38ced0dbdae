from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.shared_data import ORACLE, REAL_EXPECTED, REAL_SAMPLE
from hypothesis import given
from hypothesis import strategies as st

from soco_datasets.errors import UsageError
from soco_datasets.geometry import (
    CONVENTIONS,
    cells_to_unit,
    effective_size,
    keypoints_to_unit,
    network_points,
    pixels_to_unit,
    unit_to_grid_sample,
    unit_to_pixels,
)

sizes = st.integers(1, 3000)
patches = st.integers(1, 64)
sides = st.integers(1, 5000)


@given(sizes, patches)
def test_effective_size_is_the_nearest_multiple_with_ties_down(requested: int, multiple: int) -> None:
    size = effective_size(requested, multiple)
    assert size >= multiple
    assert size % multiple == 0
    for other in range(multiple, requested + 2 * multiple, multiple):
        assert (abs(size - requested), size) <= (abs(other - requested), other)


def test_effective_size_of_the_oracle() -> None:
    rows = json.loads((ORACLE / "expected" / "unit_image_size.json").read_text())["rows"]
    assert [effective_size(requested, patch) for requested, patch, _, _ in rows] == [row[2] for row in rows]


@pytest.mark.parametrize(("requested", "multiple"), [(0, 14), (-3, 14), (800, 0)])
def test_effective_size_refuses(requested: int, multiple: int) -> None:
    with pytest.raises(UsageError, match="positive"):
        effective_size(requested, multiple)


@given(st.tuples(st.floats(-100, 6000), st.floats(-100, 6000)), sides, st.integers(8, 1024))
def test_network_points_truncate_twice(point: tuple[float, float], side: int, size: int) -> None:
    expected = [int(np.float32(int(value) * size) / np.float32(side)) for value in point]
    assert network_points([point], side, size).tolist() == [expected]


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32), sides)
def test_units_survive_the_way_through_pixels(x: float, y: float, side: int) -> None:
    unit = np.array([[x, y]], dtype=np.float32)
    assert np.array_equal(pixels_to_unit(unit_to_pixels(unit, side), side), unit)


@given(st.floats(0, 1), st.floats(0, 1), sides, st.integers(8, 1024))
def test_conventions_differ_by_less_than_two_truncations(x: float, y: float, side: int, size: int) -> None:
    point = [[x * side, y * side]]
    reference = keypoints_to_unit(point, side, size, "reference")
    centered = keypoints_to_unit(point, side, size, "centered")
    assert (centered - reference >= -1e-5).all()
    assert (centered - reference <= 1 / side + 1 / size + 1e-5).all()


@given(st.integers(1, 100), st.data())
def test_centered_cell_centers_are_grid_indices(grid: int, data: st.DataObject) -> None:
    column, row = data.draw(st.integers(0, grid - 1)), data.draw(st.integers(0, grid - 1))
    center = cells_to_unit([column], [row], grid, "centered")
    np.testing.assert_allclose(unit_to_grid_sample(center, grid, "centered"), [[column, row]], atol=1e-4)
    corner = cells_to_unit([column], [row], grid, "reference")
    np.testing.assert_allclose(center - corner, 0.5 / grid, atol=1e-6)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_one_side_per_point(convention: str) -> None:
    points = [[10.7, 20.2], [10.7, 20.2]]
    both = keypoints_to_unit(points, [64, 128], 280, convention)  # type: ignore[arg-type]  # a Literal
    for row, side in enumerate([64, 128]):
        assert np.array_equal(both[row : row + 1], keypoints_to_unit(points[:1], side, 280, convention))  # type: ignore[arg-type]


def test_unknown_convention() -> None:
    with pytest.raises(UsageError, match="Did you mean 'centered'"):
        cells_to_unit([0], [0], 4, "centred")  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("split", ["intra", "cross"])
@pytest.mark.parametrize("data", ["oracle", "real"])
def test_network_points_of_all_pairs(data: str, split: str) -> None:
    root, expected = (REAL_SAMPLE, REAL_EXPECTED) if data == "real" else (ORACLE / "SOCOv1", ORACLE / "expected")
    rows = json.loads((expected / f"pairs_dinov2_tiny_p14_{split}_nobbox.json").read_text())["rows"]
    checked = 0
    for row in rows:
        pair = json.loads((root / "PairAnnotations" / row["pair"]).read_text())
        for view, size in (("src", pair["src_imsize"]), ("trg", pair["trg_imsize"])):
            points = [keypoint["pos"] for keypoint in pair[f"{view}_keypoints"]]
            assert network_points(points, max(size), 280).tolist() == row[f"{view}_kps"], row["pair"]
            checked += len(points)
    assert checked > 400
