from __future__ import annotations

import json
import math

import numpy as np
import pytest
from helpers import reference_pck
from helpers.pair_tables import MODEL, oracle_protocol, oracle_tasks
from helpers.shared_data import ORACLE, REAL_EXPECTED, REAL_SAMPLE, needs_photographs
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from soco_datasets.errors import UsageError
from soco_datasets.geometry import keypoints_to_unit, pixels_to_unit
from soco_datasets.metrics.aggregation import PairGroups, aggregate
from soco_datasets.metrics.pck import bbox_normaliser, hits, keypoint_errors, mask_length, normalisers, unit_errors

coordinate = st.floats(-50, 1700, width=32)
point = st.tuples(coordinate, coordinate).map(list)
length = st.integers(1, 1600)


@st.composite
def pair_lists(draw):
    pairs = []
    for _ in range(draw(st.integers(1, 6))):
        box = None
        if draw(st.booleans()):
            left, top = draw(coordinate), draw(coordinate)
            box = [left, top, left + draw(st.floats(1, 900)), top + draw(st.floats(1, 900))]
        queries = st.lists(st.tuples(point, st.lists(point, min_size=1, max_size=4)), max_size=4)
        pairs.append(
            {
                "group": draw(st.sampled_from(["car", "théière", "ピアノ"])),
                "image": [draw(length), draw(length)],
                "box": box,
                "queries": draw(queries),
            }
        )
    return pairs


def arrays(pairs):
    """(predictions, targets, offsets, side, boxes, sizes, pair) of the queries of `pairs`."""
    queries = [(index, *query) for index, pair in enumerate(pairs) for query in pair["queries"]]
    owner = np.array([index for index, _, _ in queries], dtype=np.int64)
    sizes = np.array([pair["image"] for pair in pairs])[owner].reshape(-1, 2)
    boxes = np.array([pair["box"] or [np.nan] * 4 for pair in pairs])[owner].reshape(-1, 4)
    return (
        [prediction for _, prediction, _ in queries],
        [target for _, _, targets in queries for target in targets],
        np.cumsum([0] + [len(targets) for _, _, targets in queries]),
        sizes.max(axis=1, initial=0),
        boxes,
        sizes,
        owner,
    )


def test_every_row_of_the_threshold_table():
    for row in json.loads((ORACLE / "expected" / "unit_threshold.json").read_text(encoding="utf-8"))["rows"]:
        given_row = {"predictions": [row["pred"]], "targets": [row["gt"]], "offsets": [0, 1], "side": 1}
        if row["scale"] == 0:  # the reference scores a box without area as a miss, here it is an error
            assert row["hit"] is False
            with pytest.raises(UsageError, match="normaliser"):
                keypoint_errors(**given_row, normaliser=0)
            continue
        error = keypoint_errors(**given_row, normaliser=row["scale"])
        assert error.dtype == np.float32
        assert error[0] == np.float32(row["err_over_scale"]), row
        assert hits(error, [row["thresh"]]).item() is row["hit"], row


@needs_photographs
@pytest.mark.parametrize("source", ["oracle", "real_sample"])
@pytest.mark.parametrize(("subset", "tasks"), [("intra", ("soc", "cc")), ("cross", ("cross_soc", "cross_cc"))])
def test_every_error_of_the_reference_bit_for_bit(source, subset, tasks):
    release, expected = (ORACLE / "SOCOv1", ORACLE / "expected") if source == "oracle" else (REAL_SAMPLE, REAL_EXPECTED)
    stored = json.loads((expected / f"pairs_{MODEL}_{subset}_nobbox.json").read_text(encoding="utf-8"))["rows"]
    for task, matched, key in zip(tasks, ("semantic_pairs", "concept_map"), ("sem_err", "con_err"), strict=True):
        answered = oracle_tasks(release, expected)[task]
        start = 0
        for row, pair in zip(stored, answered.pairs.to_pylist(), strict=True):
            number = len(pair["keypoints"])
            found = keypoint_errors(
                answered.points[start : start + number],
                [point for points in pair["target_points"] for point in points],
                np.cumsum([0] + [len(points) for points in pair["target_points"]]),
                max(pair["target_size"]),
                bbox_normaliser(pair["target_bbox"], pair["target_size"]),
                size=oracle_protocol().features.size,
            )
            start += number
            names = [point["name"] for point in source_keypoints(release, row["pair"])]
            want = {names[match[0]]: np.float32(error) for match, error in zip(row[matched], row[key], strict=True)}
            assert dict(zip(pair["keypoints"], found, strict=True)) == want, row["pair"]
        assert start == len(answered.points) > 0


def source_keypoints(release, file):
    return json.loads((release / "PairAnnotations" / file).read_text(encoding="utf-8"))["src_keypoints"]


@settings(max_examples=150)
@given(
    pairs=pair_lists(),
    convention=st.sampled_from(["reference", "centered"]),
    size=st.sampled_from([None, 14, 280, 798]),
    normaliser=st.sampled_from(["bbox", "image"]),
    alpha=st.floats(0.01, 1.5),
)
def test_equals_plain_loops(pairs, convention, size, normaliser, alpha):
    predictions, targets, offsets, side, boxes, sizes, owner = arrays(pairs)
    errors = keypoint_errors(
        predictions, targets, offsets, side, normalisers(boxes, sizes, normaliser), convention=convention, size=size
    )
    options = {"convention": convention, "size": size, "normaliser": normaliser}
    slow = [
        reference_pck.query_error(prediction, valid, pair["image"], pair["box"], **options)
        for pair in pairs
        for prediction, valid in pair["queries"]
    ]
    np.testing.assert_array_equal(errors, np.array(slow, dtype=np.float32))
    metrics = aggregate(errors, owner, PairGroups([pair["group"] for pair in pairs]), alphas=[alpha])
    for reduction, by_alpha in metrics.items():
        (found,) = by_alpha.values()
        want = reference_pck.pck(pairs, alpha, reduction, **options)
        _same(found["overall"]["pck"], want.pop(""))
        assert found["per_category"].keys() == want.keys()
        for category, value in want.items():
            _same(found["per_category"][category]["pck"], value)


def _same(found, want):
    assert found == (None if want is None else pytest.approx(want, rel=1e-12))


@settings(max_examples=60)
@given(pairs=pair_lists(), seed=st.integers(0, 2**31))
def test_the_order_of_queries_and_pairs_changes_no_digit(pairs, seed):
    predictions, targets, offsets, side, boxes, sizes, owner = arrays(pairs)
    errors = keypoint_errors(predictions, targets, offsets, side, normalisers(boxes, sizes), convention="centered")
    category = np.array([pair["group"] for pair in pairs], dtype=object)
    rng = np.random.default_rng(seed)
    rows, renumbered = rng.permutation(len(errors)), rng.permutation(len(pairs))
    shuffled = aggregate(
        errors[rows], np.argsort(renumbered)[owner[rows]], PairGroups(list(category[renumbered])), alphas=[0.1, 0.5]
    )
    assert shuffled == aggregate(errors, owner, PairGroups(list(category)), alphas=[0.1, 0.5])


@settings(max_examples=60)
@given(pairs=pair_lists(), factor=st.integers(1, 9))
def test_scaling_image_and_points_together_changes_nothing_when_centered(pairs, factor):
    predictions, targets, offsets, side, boxes, sizes, _ = arrays(pairs)
    assume(len(predictions) > 0)
    times = [np.asarray(values, dtype=np.float64) * factor for values in (predictions, targets, side, boxes, sizes)]
    plain = keypoint_errors(predictions, targets, offsets, side, normalisers(boxes, sizes), convention="centered")
    scaled = keypoint_errors(
        times[0], times[1], offsets, times[2], normalisers(times[3], times[4]), convention="centered"
    )
    if factor in (1, 2, 4, 8):
        np.testing.assert_array_equal(scaled, plain)
    # A float32 coordinate may round the other way; the error moves by that much, in units of the normaliser.
    reach = 1 + np.abs(np.asarray(predictions + targets)).max()
    tolerance = 4e-7 * reach / normalisers(boxes, sizes).min()
    np.testing.assert_allclose(scaled, plain, rtol=1e-5, atol=tolerance)


@settings(max_examples=60)
@given(pairs=pair_lists(), extra=point, convention=st.sampled_from(["reference", "centered"]))
def test_another_valid_target_never_makes_an_error_larger(pairs, extra, convention):
    predictions, targets, offsets, side, boxes, sizes, _ = arrays(pairs)
    scale = normalisers(boxes, sizes)
    before = keypoint_errors(predictions, targets, offsets, side, scale, convention=convention, size=280)
    more = np.insert(np.asarray(targets, dtype=np.float64).reshape(-1, 2), offsets[1:], extra, axis=0)
    after = keypoint_errors(
        predictions, more, offsets + np.arange(len(offsets)), side, scale, convention=convention, size=280
    )
    assert (after <= before).all()


@settings(max_examples=60)
@given(
    points=st.lists(st.tuples(point, point, length, st.floats(1, 900)), min_size=1, max_size=20),
    convention=st.sampled_from(["reference", "centered"]),
    size=st.sampled_from([None, 280, 798]),
)
def test_the_errors_of_unit_points_are_the_same_to_the_last_bit(points, convention, size):
    predicted, target, sides, scales = (np.array(part, dtype=float) for part in zip(*points, strict=True))
    whole = keypoint_errors(
        predicted, target, np.arange(len(points) + 1), sides, scales, convention=convention, size=size
    )
    parts = unit_errors(
        pixels_to_unit(predicted, sides),
        keypoints_to_unit(target, sides, size, convention),
        (scales / sides).astype(np.float32),
    )
    assert parts.dtype == whole.dtype == np.float32
    assert np.array_equal(parts, whole)


@given(errors=st.lists(st.floats(0, 3, width=32), max_size=20), low=st.floats(0.01, 1), high=st.floats(0.01, 1))
def test_a_larger_alpha_never_lowers_pck(errors, low, high):
    assume(low < high)
    metrics = aggregate(errors, [0] * len(errors), PairGroups(["car"]), alphas=[low, high])
    for by_alpha in metrics.values():
        small, large = (part["overall"]["pck"] for part in by_alpha.values())
        assert (small is None and large is None) if not errors else small <= large


def test_a_hit_is_strictly_below_alpha_in_float32():
    edge = np.float32(0.1)
    errors = [edge, np.nextafter(edge, np.float32(0)), np.nan, np.inf]
    assert hits(errors, [0.1]).tolist() == [[False, True, False, False]]


def test_a_query_without_target_is_nan_and_counted_nowhere():
    errors = keypoint_errors([[1, 1], [5, 5], [9, 9]], [[1, 1], [9, 9]], [0, 1, 1, 2], 10, 10)
    assert np.isnan(errors).tolist() == [False, True, False]
    overall = aggregate(errors, [0, 0, 1], PairGroups(["car", "car"]), alphas=[0.1])["keypoint"]["0.1"]["overall"]
    assert (overall["pck"], overall["keypoints"]) == (1.0, 2)
    assert np.isnan(keypoint_errors([[1, 1]], [], [0, 0], 10, 10)).all()


def test_reference_truncates_targets_in_the_network_frame():
    targets, offsets = [[10.9, 0.9]], [0, 1]
    assert keypoint_errors([[10, 0]], targets, offsets, 100, 100, convention="reference", size=100)[0] == 0
    exact = keypoint_errors([[10, 0]], targets, offsets, 100, 100, convention="reference")[0]
    assert exact == pytest.approx(math.hypot(0.9, 0.9) / 100, rel=1e-5)


def test_normalisers():
    boxes, sizes = [[10, 20, 60, 50], [np.nan] * 4], [[200, 100], [30, 90]]
    assert normalisers(boxes, sizes).tolist() == [50, 90]
    assert normalisers(boxes, sizes, "image").tolist() == [200, 90]
    assert normalisers(np.zeros((0, 4)), np.zeros((0, 2))).shape == (0,)
    assert bbox_normaliser((0.5, 0, 10.25, 30), (5, 5)) == 30


def test_a_mask_as_the_normaliser():
    mask = np.zeros((40, 50), dtype=bool)
    mask[5:12, 30:33] = mask[20, 31] = True
    assert mask_length(mask) == 16
    assert mask_length(mask.T) == 16
    boxes, sizes = np.full((2, 4), np.nan), [[50, 40], [50, 40]]
    assert normalisers(boxes, sizes, "mask", [16, 20.5]).tolist() == [16, 20.5]
    with pytest.raises(UsageError, match="no masks"):
        normalisers(boxes, sizes, "mask")
    for lengths in ([16], [16, 0], [16, np.nan]):
        with pytest.raises(UsageError, match="masks"):
            normalisers(boxes, sizes, "mask", lengths)
    for nothing in (np.zeros((3, 3)), [1, 1]):
        with pytest.raises(UsageError, match="at least one true pixel"):
            mask_length(nothing)


@pytest.mark.parametrize(
    "box", [[60, 20, 10, 50], [10, 50, 60, 20], [10, 20, 10, 50], [0, 0, np.inf, 5], [0, np.nan, 1, 1]]
)
def test_a_box_without_area_is_refused(box):
    with pytest.raises(UsageError, match="Row 1: box"):
        normalisers([[0, 0, 1, 1], box], [[9, 9], [9, 9]])
    with pytest.raises(UsageError, match="box"):
        bbox_normaliser(box, (9, 9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictions": [[1, 2, 3]]}, r"predictions must have shape \(N, 2\)"),
        ({"predictions": [[1, np.nan]]}, r"predictions\[0\]"),
        ({"targets": [[np.inf, 1]]}, r"targets\[0\]"),
        ({"offsets": [0]}, "offsets"),
        ({"offsets": [0, 2]}, "offsets"),
        ({"side": 0}, "side"),
        ({"side": [1, 2]}, "side"),
        ({"normaliser": -1.0}, "normaliser"),
        ({"normaliser": [np.nan]}, "normaliser"),
        ({"convention": "centred"}, "Did you mean 'centered'"),
    ],
)
def test_bad_arguments_are_named(change, message):
    good = {"predictions": [[1, 2]], "targets": [[1, 2]], "offsets": [0, 1], "side": 5, "normaliser": 5.0}
    with pytest.raises(UsageError, match=message):
        keypoint_errors(**{**good, **change})


def test_aggregate_refuses_pairs_it_does_not_know():
    with pytest.raises(UsageError, match="pair number"):
        aggregate([0.1], [1], PairGroups(["car"]), alphas=[0.1])
    with pytest.raises(UsageError, match="1 pairs, more than the 0 announced"):
        aggregate([0.1], [0], PairGroups(["car"], total_pairs={"cup": 3}), alphas=[0.1])
    with pytest.raises(UsageError, match="alphas"):
        hits([0.1], [])
