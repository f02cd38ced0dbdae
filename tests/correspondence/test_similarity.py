from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.shared_data import ORACLE, REAL_EXPECTED, REAL_SAMPLE
from hypothesis import given
from hypothesis import strategies as st

from soco_datasets.correspondence.similarity import match, sample_descriptors, similarities, similarities_of_many
from soco_datasets.data.images import open_rgb
from soco_datasets.errors import UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.geometry import CONVENTIONS, cells_to_unit, unit_to_grid_sample


def bilinear(feature_map: np.ndarray, x: float, y: float) -> np.ndarray:
    """Slow independent sampling at fractional indices; what lies outside the map is zero."""
    channels, height, width = feature_map.shape
    result = np.zeros(channels)
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < height and 0 <= column < width:
                result += (1 - abs(y - row)) * (1 - abs(x - column)) * feature_map[:, row, column]
    return result


@given(
    st.sampled_from(CONVENTIONS),
    st.integers(2, 9),
    st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)), min_size=1, max_size=5),
)
def test_sampling_equals_a_slow_one(convention: str, grid: int, points: list[tuple[float, float]]) -> None:
    maps = np.random.default_rng(grid).standard_normal((4, grid, grid)).astype(np.float32)
    unit = np.array(points, dtype=np.float32)
    where = unit_to_grid_sample(unit, grid, convention)  # type: ignore[arg-type]  # a Literal
    expected = np.stack([bilinear(maps, float(x), float(y)) for x, y in where])
    found = sample_descriptors(torch.from_numpy(maps), unit, convention)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)


def test_a_centered_query_on_a_cell_is_that_cell_and_finds_itself() -> None:
    maps = torch.nn.functional.normalize(torch.randn(16, 7, 7, generator=torch.Generator().manual_seed(0)), dim=0)
    cells = np.array([[column, row] for row in range(7) for column in range(7)])
    queries = sample_descriptors(maps, cells_to_unit(cells[:, 0], cells[:, 1], 7, "centered"), "centered")
    torch.testing.assert_close(queries, maps.flatten(1).T, atol=1e-5, rtol=0)
    matches = match(queries, maps, with_margin=True)
    assert np.array_equal(matches.cells, cells)
    np.testing.assert_allclose(matches.similarity, 1, atol=1e-5)
    assert matches.margin is not None
    scores = np.sort(queries.numpy() @ maps.flatten(1).numpy(), axis=1)
    np.testing.assert_allclose(matches.margin, scores[:, -1] - scores[:, -2], atol=1e-6)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(1, 4), st.integers(1, 4))
def test_several_targets_in_one_product_are_each_their_own(counts: list[int], height: int, width: int) -> None:
    draw = torch.Generator().manual_seed(len(counts))
    queries, maps = (
        torch.randn(sum(counts), 8, generator=draw),
        torch.randn(len(counts), 8, height, width, generator=draw),
    )
    each = [similarities(own, target) for own, target in zip(queries.split(counts), maps, strict=True)]
    found = similarities_of_many(queries, counts, maps)
    torch.testing.assert_close(found, torch.cat(each))
    for wrong in ([*counts, 1], [count + 1 for count in counts]):
        with pytest.raises(UsageError, match="of each target"):
            similarities_of_many(queries, wrong, maps)


def test_cells_are_column_then_row_on_a_wide_map() -> None:
    target = torch.zeros(1, 3, 5)
    target[0, 2, 4] = 1
    assert match(torch.ones(1, 1), target).cells.tolist() == [[4, 2]]


def test_the_first_of_equal_maxima_wins() -> None:
    target = torch.zeros(1, 3, 4)
    target[0, 1, 2] = target[0, 2, 0] = 1
    assert match(torch.tensor([[1.0], [0.0], [-1.0]]), target).cells.tolist() == [[2, 1], [0, 0], [0, 0]]


def test_points_outside_give_a_zero_descriptor_and_cell_zero() -> None:
    maps = torch.rand(3, 4, 4)
    queries = sample_descriptors(maps, np.array([[3.0, 0.5], [0.5, -2.0]], dtype=np.float32), "reference")
    assert torch.equal(queries, torch.zeros(2, 3))
    found = match(queries, maps, with_margin=True)
    assert found.cells.tolist() == [[0, 0], [0, 0]]
    assert found.similarity.tolist() == [0, 0]


def test_no_queries_and_one_cell() -> None:
    queries = sample_descriptors(torch.rand(3, 4, 4), np.zeros((0, 2), dtype=np.float32), "reference")
    none = match(queries, torch.rand(3, 4, 4), with_margin=True)
    assert (none.cells.shape, none.similarity.shape) == ((0, 2), (0,))
    one = match(torch.ones(2, 3), torch.rand(3, 1, 1), with_margin=True)
    assert one.margin is not None
    assert np.isinf(one.margin).all()
    assert match(torch.ones(2, 3), torch.rand(3, 1, 1)).margin is None


def test_queries_of_a_target_together_or_alone() -> None:
    generator = torch.Generator().manual_seed(5)
    queries, target = torch.randn(40, 24, generator=generator), torch.randn(24, 9, 9, generator=generator)
    together = match(queries, target)
    alone = [match(query[None], target) for query in queries]
    assert np.array_equal(together.cells, np.concatenate([single.cells for single in alone]))
    np.testing.assert_allclose(together.similarity, np.concatenate([single.similarity for single in alone]), atol=1e-5)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match="3 channels"):
        match(torch.rand(2, 4), torch.rand(3, 2, 2))
    with pytest.raises(UsageError, match="no cells"):
        match(torch.rand(2, 3), torch.rand(3, 0, 2))
    with pytest.raises(UsageError, match="finite"):
        sample_descriptors(torch.rand(3, 2, 2), np.array([[np.nan, 0.5]], dtype=np.float32), "reference")
    with pytest.raises(UsageError, match="Unknown convention"):
        sample_descriptors(torch.rand(3, 2, 2), np.zeros((1, 2), dtype=np.float32), "omniprobe")  # type: ignore[arg-type]  # on purpose


def test_argmax_cases_of_the_oracle() -> None:
    rows = json.loads((ORACLE / "expected" / "unit_argmax.json").read_text())["rows"]
    for row in rows:
        heatmap = torch.tensor(row["heatmap"])[None]
        assert match(torch.ones(1, 1), heatmap).cells[0].tolist() == row["result_xy"]["argmax"], row["name"]
    assert rows


def maps_of_release(root: Path) -> dict[str, torch.Tensor]:
    extractor = DenseFeatureExtractor(load_backbone(ORACLE / "models" / "dinov2_tiny_p14"), 285)
    paths = sorted((root / "Images").glob("*/*.JPEG"))
    names = [f"{path.parent.name}/{path.name}" for path in paths]
    images = [open_rgb(path.read_bytes(), name) for path, name in zip(paths, names, strict=True)]
    return dict(zip(names, extractor.extract_normalized(images, names), strict=True))


@pytest.mark.parametrize(
    ("root", "expected", "queries"),
    [(ORACLE / "SOCOv1", ORACLE / "expected", 1674), (REAL_SAMPLE, REAL_EXPECTED, 1)],
    ids=["oracle", "real"],
)
def test_every_predicted_cell_of_the_reference(root: Path, expected: Path, queries: int) -> None:
    maps = maps_of_release(root)
    compared = doubtful = 0
    for split in ("intra", "cross"):
        answer = json.loads((expected / f"pairs_dinov2_tiny_p14_{split}_nobbox.json").read_text())
        for row in answer["rows"]:
            pair = json.loads((root / "PairAnnotations" / row["pair"]).read_text())
            source = maps[f"{pair['src_category']}/{pair['src_image']}"]
            target = maps[f"{pair['trg_category']}/{pair['trg_image']}"]
            unit = np.array(row["src_kps"], dtype=np.float32).reshape(-1, 2) / np.float32(280)
            found = match(sample_descriptors(source, unit, "reference"), target, with_margin=True)
            sure = np.array(row["margin"]) >= 1e-5
            cells = np.array(row["hard"]).reshape(-1, 2)
            assert np.array_equal(found.cells[sure], cells[sure]), row["pair"]
            np.testing.assert_allclose(found.similarity, row["top"], atol=1e-5, err_msg=row["pair"])
            np.testing.assert_allclose(found.margin, row["margin"], atol=1e-5, err_msg=row["pair"])
            compared += len(sure)
            doubtful += int((~sure).sum())
    assert compared >= queries
    assert doubtful <= 3 + compared // 100
