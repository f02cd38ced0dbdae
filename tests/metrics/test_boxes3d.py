"""Exact IoU3D: invariances on random boxes, boxes whose overlap is known, boxes that are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from soco_datasets.errors import UsageError
from soco_datasets.metrics.boxes3d import (
    are_cuboids,
    cuboid_corners,
    cuboid_volumes,
    intersection_volumes,
    iou3d,
    iou3d_matrix,
)
from soco_datasets.metrics.navi import rotations_from_quaternions

SEEDS = st.integers(0, 2**32 - 1)


def random_boxes(generator: np.random.Generator, count: int, spread: float = 0.5) -> NDArray[np.float64]:
    rotations = rotations_from_quaternions(generator.normal(size=(count, 4)))
    return cuboid_corners(generator.normal(0, spread, (count, 3)), generator.uniform(0.1, 2, (count, 3)), rotations)


@settings(max_examples=25)
@given(SEEDS)
def test_iou_is_symmetric_and_does_not_change_with_the_frame_or_with_the_unit(seed: int) -> None:
    generator = np.random.default_rng(seed)
    one, two = random_boxes(generator, 40), random_boxes(generator, 40)
    iou = iou3d(one, two)
    assert ((iou >= 0) & (iou <= 1)).all()
    np.testing.assert_allclose(iou3d(two, one), iou, atol=1e-10)
    turn, shift = rotations_from_quaternions(generator.normal(size=4)), generator.normal(0, 20, 3)
    moved = [box @ turn.T + shift for box in (one, two)]
    np.testing.assert_allclose(iou3d(*moved), iou, atol=1e-9)
    np.testing.assert_allclose(iou3d(1.5 * one, 1.5 * two), iou, atol=1e-10)
    mirrored = [box * [1, 1, -1] for box in (one, two)]
    np.testing.assert_allclose(iou3d(*mirrored), iou, atol=1e-10)


@settings(max_examples=25)
@given(SEEDS, st.floats(0.05, 0.95))
def test_a_contained_box_gives_the_ratio_of_volumes_and_a_box_overlaps_itself_fully(seed: int, share: float) -> None:
    boxes = random_boxes(np.random.default_rng(seed), 20)
    for anchor in (boxes.mean(axis=1, keepdims=True), boxes[:, :1]):  # inside, and sharing a corner and three faces
        inner = anchor + share * (boxes - anchor)
        np.testing.assert_allclose(iou3d(boxes, inner), share**3, atol=1e-9)
    np.testing.assert_allclose(iou3d(boxes, boxes), 1, atol=1e-12)


@settings(max_examples=25)
@given(SEEDS, st.sampled_from([0.0, 1e-14, 1e-11, 1e-9, 1e-7]))
def test_boxes_on_a_common_grid_share_faces_and_edges(seed: int, noise: float) -> None:
    generator = np.random.default_rng(seed)
    low = generator.integers(0, 4, (2, 200, 3)).astype(float)
    high = low + generator.integers(1, 4, (2, 200, 3))
    expected = np.clip(np.minimum(high[0], high[1]) - np.maximum(low[0], low[1]), 0, None).prod(axis=1)
    turn = rotations_from_quaternions(generator.normal(size=4))
    boxes = [
        cuboid_corners((low[i] + high[i]) / 2, (high[i] - low[i])[:, [2, 1, 0]], np.eye(3)) @ turn.T for i in (0, 1)
    ]
    boxes[1] = boxes[1] + generator.normal(0, noise, (200, 1, 3)) if noise else boxes[1]
    np.testing.assert_allclose(intersection_volumes(*boxes), expected, atol=100 * noise + 1e-10)


def test_volumes_against_counted_points() -> None:
    generator = np.random.default_rng(0)
    one, two = random_boxes(generator, 5, 0.3), random_boxes(generator, 5, 0.3)
    points = generator.uniform(-3, 3, (400_000, 3))
    for a, b, volume in zip(one, two, intersection_volumes(one, two), strict=True):
        inside = np.ones(len(points), dtype=bool)
        for box in (a, b):
            edges = box[[1, 3, 4]] - box[0]
            shares = (points - box[0]) @ edges.T / (edges**2).sum(axis=1)
            inside &= ((shares >= 0) & (shares <= 1)).all(axis=1)
        assert volume == pytest.approx(inside.mean() * 6**3, abs=6**3 * 4 * np.sqrt(inside.mean() / len(points)) + 1e-3)


def test_what_is_no_cuboid_overlaps_nothing() -> None:
    box = cuboid_corners(np.zeros((5, 3)), np.ones((5, 3)), np.eye(3))
    box[1, 6] += [0, 0, 0.001]  # a corner off its faces
    box[2, 4:, 2] = box[2, :4, 2]  # without depth
    box[3, 0, 0] = np.nan
    box[4] = 0
    assert are_cuboids(box).tolist() == [True, False, False, False, False]
    assert iou3d(box, np.tile(box[:1], (5, 1, 1))).tolist() == [1, 0, 0, 0, 0]
    tapered = cuboid_corners([0, 0, 0], [2, 2, 2], np.eye(3)) * np.r_[np.ones(4), np.full(4, 0.5)][:, None] ** [1, 1, 0]
    assert cuboid_volumes(tapered[None]) == pytest.approx(2 / 3 * (4 + 1 + 2))
    assert iou3d(tapered[None], tapered[None]) == pytest.approx(1)


def test_shapes() -> None:
    boxes = random_boxes(np.random.default_rng(1), 3)
    assert iou3d_matrix(boxes, boxes[:2]).shape == (3, 2)
    assert iou3d_matrix(boxes, boxes[:0]).shape == (3, 0)
    with pytest.raises(UsageError, match="pairs"):
        iou3d(boxes, boxes[:2])
    with pytest.raises(UsageError, match="8, 3"):
        iou3d(boxes[0], boxes[0])
