"""Heads on frozen features: identities, a plain reference of region pooling, losses where nothing counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from soco_datasets.downstream import losses
from soco_datasets.downstream.heads import cuboids, dpt, linear, pyramid, roi_align
from soco_datasets.downstream.precision import PRECISIONS, with_precision
from soco_datasets.downstream.training import OptimizerConfig, TrainingRecipe, train
from soco_datasets.errors import UsageError

torch = pytest.importorskip("torch")


def generator() -> Any:
    return torch.Generator().manual_seed(0)


def test_logits_on_the_patch_grid_are_those_of_upsampled_features() -> None:
    parameters = linear.init_segmentation(24, 11, generator())
    features = torch.randn(2, 24, 7, 5, generator=generator())
    grid = linear.segmentation_logits(parameters, features, (31, 40))
    first = linear.segmentation_logits_features_first(parameters, features, (31, 40))
    assert (grid - first).abs().max() < 1e-5


def plain_roi_align(feature: Any, box: list[float], scale: float, cells: int) -> np.ndarray:
    """One sample point at a time."""
    _, height, width = feature.shape
    x1, y1, x2, y2 = (value * scale - 0.5 for value in box)
    points = [max(0, math.ceil(extent / cells)) for extent in (y2 - y1, x2 - x1)]
    result = np.zeros((feature.shape[0], cells, cells))
    for i, j, a, b in np.ndindex(cells, cells, *points):
        y = y1 + (i + (a + 0.5) / points[0]) * (y2 - y1) / cells
        x = x1 + (j + (b + 0.5) / points[1]) * (x2 - x1) / cells
        if -1 <= y <= height and -1 <= x <= width:
            y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            upper = feature[:, top, left] * (1 - x + left) + feature[:, top, right] * (x - left)
            lower = feature[:, bottom, left] * (1 - x + left) + feature[:, bottom, right] * (x - left)
            result[:, i, j] += upper * (1 - y + top) + lower * (y - top)
    return result / max(1, points[0] * points[1])


def test_region_pooling_is_that_of_single_sample_points() -> None:
    random = np.random.default_rng(0)
    feature = random.normal(size=(3, 9, 12))
    low = random.uniform(-30, 60, (20, 2))
    boxes = np.c_[low, low + random.uniform(0, 70, (20, 2))]
    boxes[0, 2:] = boxes[0, :2]  # without extent
    found = roi_align.roi_align(torch.as_tensor(feature), torch.as_tensor(boxes), 1 / 4)
    for box, region in zip(boxes.tolist(), found.numpy(), strict=True):
        np.testing.assert_allclose(region, plain_roi_align(feature, box, 1 / 4, 7), atol=1e-12)
    assert roi_align.roi_align(torch.as_tensor(feature), torch.zeros(0, 4), 0.25).shape == (0, 3, 7, 7)


def test_regions_are_read_from_the_level_of_their_size() -> None:
    boxes = torch.tensor([[0, 0, 10, 10.0], [0, 0, 224, 224], [0, 0, 1e4, 1e4], [0, 0, 223, 223], [5, 5, 5, 5]])
    assert roi_align.region_levels(boxes).tolist() == [2, 4, 5, 3, 2]
    parameters = pyramid.init_pyramid([4, 4, 4, 4], generator(), hidden=6, outputs=5)
    levels = pyramid.pyramid_forward(parameters, [torch.randn(2, 4, 5, 7, generator=generator())] * 4)
    assert [tuple(one.shape) for one in levels.values()] == [(2, 5, 24, 32), (2, 5, 12, 16), (2, 5, 6, 8), (2, 5, 3, 4)]
    found = roi_align.region_features(levels, boxes, image=1)
    for row, name in enumerate(("p2", "p4", "p5", "p3")):
        alone = roi_align.roi_align(levels[name][1], boxes[row : row + 1], 1 / pyramid.STRIDES[name])
        assert torch.allclose(found[row], alone[0], atol=1e-6)


def test_the_right_outputs_decode_to_the_true_cuboid_and_have_no_loss() -> None:
    count = 5
    intrinsics = torch.tensor([[430.0, 0, 256], [0, 430, 200], [0, 0, 1]], dtype=torch.float64)
    shift, depth = torch.randn(count, 2, generator=generator()).double() * 0.1, torch.rand(count, generator=generator())
    boxes = torch.tensor([[100.0, 80, 220, 260]]).double().repeat(count, 1)
    outputs = cuboids.CuboidOutputs(
        shift,
        depth.double() + 2,
        torch.zeros(count, 3).double(),
        torch.randn(count, 6, generator=generator()).double(),
        torch.full((count,), 0.5).double(),
    )
    true = cuboids.decode_cuboids(
        outputs, boxes, intrinsics, torch.rand(count, 3, generator=generator()).double() + 0.5
    )
    assert torch.allclose(torch.linalg.det(true.rotations), torch.ones(count).double())
    centers = cuboids.cuboid_centers(true.pixels, true.depths, intrinsics)
    assert torch.allclose((centers @ intrinsics.T)[:, :2] / centers[:, 2:], true.pixels)
    parts = cuboids.cuboid_losses(true, true, intrinsics, outputs.uncertainty)
    assert max(float(value.abs().max()) for name, value in parts.items() if name != "uncertainty") < 1e-12
    parts["z"] = parts["z"].clone()
    parts["z"][2] = float("nan")
    loss, left_out = cuboids.cuboid_loss(parts)
    assert (float(loss), left_out) == (pytest.approx(0.5), 1)


def test_a_cuboid_head_starts_at_the_mean_sizes_and_gives_each_class_its_own_numbers() -> None:
    parameters = cuboids.init_cuboid_head(2 * 49, 3, generator(), hidden=16)
    regions = torch.randn(4, 2, 7, 7, generator=generator())
    outputs = cuboids.cuboid_outputs(parameters, regions, torch.tensor([0, 2, 2, 1]))
    assert (outputs.uncertainty - 5).abs().max() < 0.1
    assert outputs.size.abs().max() < 0.1
    again = cuboids.cuboid_outputs(parameters, regions, torch.tensor([1, 2, 2, 1]))
    assert not torch.equal(outputs.shift[0], again.shift[0])
    assert torch.equal(outputs.shift[1:], again.shift[1:])


def test_losses_are_nan_where_nothing_counts_and_finite_where_all_is_right() -> None:
    depth = torch.rand(2, 20, 20, generator=generator(), dtype=torch.float64) + 1
    missing = torch.zeros_like(depth)
    assert torch.isnan(losses.silog_loss(depth, missing))
    assert torch.isnan(losses.segmentation_loss(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2)))
    assert torch.isnan(losses.normals_loss(depth[:, :3, None], depth[:, :3, None], torch.zeros(2, 1, 20) > 0))
    right = depth.clone().requires_grad_()
    losses.depth_loss(right, depth).backward()
    assert torch.isfinite(right.grad).all()
    holes = torch.where(torch.rand(depth.shape, generator=generator()) < 0.5, torch.nan, depth)
    assert losses.gradient_loss(depth, holes) < 1e-12


def test_normals_decoder_sizes_and_number_of_maps() -> None:
    parameters = dpt.init_dpt([3, 4, 5, 6], dpt.NORMAL_OUTPUTS, generator(), hidden=4)
    maps = [torch.randn(2, width, 2, 3, generator=generator()) for width in (3, 4, 5, 6)]
    directions, uncertainty = dpt.predicted_normals(parameters, maps, (30, 50))
    assert (directions.shape, uncertainty.shape) == ((2, 3, 30, 50), (2, 30, 50))
    assert "fuse.3.skip.0.weight" not in parameters
    for function in (dpt.dpt_forward, pyramid.pyramid_forward):
        with pytest.raises(UsageError, match="4 layers"):
            function(parameters, maps[:3])


def _segmentation() -> tuple[Any, Any]:
    features = torch.randn(2, 24, 7, 5, generator=generator())
    masks = torch.randint(0, 11, (2, 20, 20), generator=generator())
    start = linear.init_segmentation(24, 11, generator())
    return start, lambda w: losses.segmentation_loss(linear.segmentation_logits(w, features, (20, 20)), masks)


def _pose() -> tuple[Any, Any]:
    vectors, bins = torch.randn(6, 24, generator=generator()), torch.randint(0, 40, (6, 3), generator=generator())
    return linear.init_pose(24, 40, generator()), lambda w: losses.pose_loss(linear.pose_logits(w, vectors), bins)


def _depth() -> tuple[Any, Any]:
    maps = [torch.randn(1, 8, 4, 4, generator=generator()) for _ in range(4)]
    truth = torch.rand(1, 64, 64, generator=generator()) * 12
    start = dpt.init_dpt([8] * 4, 32, generator(), 8)
    return start, lambda w: losses.depth_loss(dpt.predicted_depth(w, maps, (64, 64)), truth)


def _normals() -> tuple[Any, Any]:
    maps = [torch.randn(1, 8, 4, 4, generator=generator()) for _ in range(4)]
    truth = torch.randn(1, 3, 64, 64, generator=generator())
    start = dpt.init_dpt([8] * 4, dpt.NORMAL_OUTPUTS, generator(), 8)

    def loss(weights: Any) -> Any:
        found, uncertainty = dpt.predicted_normals(weights, maps, (64, 64))
        return losses.normals_loss(found, truth, torch.ones(1, 64, 64, dtype=torch.bool), uncertainty)

    return start, loss


@pytest.mark.parametrize("head", [_segmentation, _pose, _depth, _normals])
def test_heads_train_in_bfloat16_to_nearly_the_same(head: Any) -> None:
    """On a CPU, whose autocast is that of a GPU; the option of the command line is for GPUs."""
    start, loss = head()
    results = []
    for precision in PRECISIONS:
        recipe = TrainingRecipe(
            OptimizerConfig("sgd"), lambda _: 0.01, 4, lambda _: [np.arange(1)], device="cpu", precision=precision
        )
        results.append(train(start, lambda weights, _: loss(weights), recipe))
    exact, mixed = results
    assert mixed.skipped == 0
    assert all(value.dtype == torch.float32 for value in mixed.parameters.values())
    assert mixed.losses != exact.losses, "nothing was computed in bfloat16"
    assert np.allclose(mixed.losses, exact.losses, rtol=0.03)
    assert mixed.losses[-1] < mixed.losses[0]


def test_unknown_precisions_are_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'bfloat16'"):
        with_precision(abs, "bfloat", "cpu")
