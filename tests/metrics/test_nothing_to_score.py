"""Nothing to score is None with count 0, in every metric; the null rules of AP3D; AP2D on a case worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from soco_datasets.errors import UsageError
from soco_datasets.metrics import depth, navi, normals, pose, resampling, segmentation, tracking
from soco_datasets.metrics.average_precision3d import (
    Detections,
    TrueBoxes,
    average_precision_2d,
    average_precision_3d,
    is_ignored,
)
from soco_datasets.metrics.boxes3d import cuboid_corners


def test_depth_and_normals_leave_out_images_without_pixels() -> None:
    truth = np.stack([np.zeros((2, 2)), np.full((2, 2), np.nan), np.full((2, 2), 2.0), np.full((2, 2), 10.5)])
    scores = depth.depth_scores(np.full((4, 2, 2), 1.0), truth)
    assert scores["scale_aware_mean"]["rmse"] == 1
    assert (scores["images"], scores["images_left_out"]) == (1, 3)
    assert scores["scale_aware"][0] == {"rmse": None, "d1": None, "d2": None, "d3": None, "pixels": 0}
    assert scores["alignment"] == [(1.0, 0.0)] * 4
    assert depth.depth_scores(np.ones((1, 2, 2)), truth[:1])["scale_aware_mean"]["rmse"] is None
    with pytest.raises(UsageError, match="finite"):
        depth.image_depth_scores(np.full((2, 2), np.nan), truth[2])
    found = normals.normal_scores(np.ones((2, 3, 1, 1)), np.zeros((2, 3, 1, 1)), [[[True]], [[False]]])
    assert found["mean"]["rmse"] == 90
    assert found["images"][0]["zero_normals"] == 1
    assert (found["images"][1]["rmse"], found["images_left_out"]) == (None, 1)


def test_depth_below_zero_after_the_fit_is_no_near_prediction() -> None:
    scores = depth.image_depth_scores([[-2.0, 2.0]], [[2.0, 2.0]])
    assert scores["d1"] == 0.5
    perfect = depth.image_depth_scores([[1.0, 2.0, 4.0]], [[2.0, 4.0, 8.0]], align=True)
    assert perfect["rmse"] == pytest.approx(0, abs=1e-12)


def test_segmentation_pose_and_navi() -> None:
    empty = segmentation.confusion_table([0, 0], [1, 2], 3)
    assert segmentation.mean_iou(empty, "reference") == segmentation.mean_iou(empty) == (None, 0)
    assert segmentation.pixel_accuracy(empty) == (None, 0)
    with pytest.raises(UsageError, match="0 to 2"):
        segmentation.confusion_table([0, 3], [1, 2], 3)
    assert pose.pose_scores([])["objects"] == 0
    assert pose.pose_scores_by_class([0.1, 1.0, 1.2], ["a", "a", "b"])["mean_over_classes"]["below_30_degrees"] == 0.25
    nowhere = np.zeros((3, 4, 4))
    pair = navi.pair_recall((np.ones((2, 2, 2)), np.ones((2, 2, 2))), (nowhere, nowhere), np.eye(4))
    assert (pair["matches"], pair["recall"]["0.02"], pair["points"]) == (0, None, [0, 0])
    summary = navi.recall_summary([pair])
    assert summary["recall_all"]["0.02"] is None
    assert summary["bins"]["0.02"]["0-30"] == {"mean": None, "pairs": 0}
    assert (summary["pairs"], summary["pairs_left_out"]) == (0, 1)


def test_tracking_without_a_visible_point_after_the_query() -> None:
    tracks = tracking.first_queries(np.full((1, 3, 2), 0.5), [[False, True, True]])
    scores = tracking.video_scores(tracks, np.full((1, 3, 2), 128.0))
    assert (scores["delta_avg"], scores["average_jaccard"], scores["visible"], scores["frames"]) == (None, 0.0, 0, 2)
    hidden = tracking.video_scores(tracks, np.full((1, 3, 2), 128.0), np.ones((1, 3), bool))
    assert (hidden["average_jaccard"], hidden["occlusion_accuracy"]) == (None, 1.0)
    none = tracking.video_scores(tracking.first_queries(np.ones((2, 3, 2)), np.ones((2, 3), bool)), np.ones((0, 3, 2)))
    assert none["occlusion_accuracy"] is None
    mean = tracking.mean_over_videos([scores, none, {**none, "delta_avg": 0.25}])
    assert mean["delta_avg"] == {"value": 0.25, "videos": 1}
    perfect = tracking.first_queries(np.full((1, 3, 2), 0.5), np.zeros((1, 3), bool))
    assert tracking.video_scores(perfect, perfect.points)["average_jaccard"] == 1


def test_average_precision() -> None:
    boxes = cuboid_corners([[0, 0, 5], [0, 0, 20], [3, 0, 5]], np.ones((3, 3)), np.eye(3))
    ids, depths = np.array([1, 1, 1]), np.array([5.0, 20.0, 5.0])
    true = TrueBoxes(ids, np.array([0, 0, 1]), np.array([False, False, True]), boxes, depths)
    nothing = Detections(*(np.empty(0, np.int64),) * 2, np.empty(0), np.empty((0, 8, 3)), np.empty(0))
    result = average_precision_3d(nothing, true, [1], [0, 1, 2])
    assert (result["AP3D"], result["far"], result["per_class"]) == (0.0, None, {0: 0.0, 1: None, 2: None})
    assert result["counts"] == {"all": 2, "near": 1, "medium": 1, "far": 0}
    perfect = Detections(ids, np.array([0, 0, 1]), np.array([0.5, 0.9, 0.9]), boxes, depths)
    result = average_precision_3d(perfect, true, [1], [0, 1])
    assert [result[name] for name in ("AP3D", "AP50", "near", "medium", "far")] == pytest.approx([100] * 4 + [None])
    assert average_precision_3d(perfect, true, [7], [0, 1])["AP3D"] is None
    squares = np.array([[0, 0, 10, 10], [50, 50, 10, 10]], dtype=float)
    two = TrueBoxes(np.array([1, 1]), np.array([0, 0]), np.array([False, False]), squares, np.full(2, 100.0))
    shifted = np.array([[0, 0, 10, 8], [0, 0, 10, 10.0]])  # IoU 0.8, and a second detection of the same box
    found = Detections(np.array([1, 1]), np.array([0, 0]), np.array([0.9, 0.8]), shifted, np.full(2, 90.0))
    result = average_precision_2d(found, two, [1], [0])
    # 0.5 to 0.8: the first is a hit, precision 1 up to recall 0.5; above: the second is, precision 0.5
    assert result["AP2D"] == pytest.approx(100 * (7 * 51 / 101 + 3 * 51 / 202) / 10)
    assert (result["small"], result["large"]) == (pytest.approx(result["AP2D"]), None)
    with pytest.raises(UsageError, match="score"):
        average_precision_2d(Detections(ids, ids, np.full(3, np.nan), boxes, depths), two, [1], [0])
    assert is_ignored({"dimensions": [1, 1, 1], "center_cam": [0, 0, 1]}, 480)  # without any 2D box


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(5, 9), (13, 4), (1, 1), (3, 4)])
def test_resizing_is_that_of_torch(method: resampling.Filter, size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    maps = np.random.default_rng(0).normal(size=(2, 3, 3, 4))
    expected = torch.nn.functional.interpolate(torch.as_tensor(maps), size=size, mode=method, align_corners=False)
    np.testing.assert_allclose(resampling.resize(maps, *size, method), expected.numpy(), atol=1e-12)
