from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.feature_worlds import answers, world_pairs
from helpers.pair_tables import build
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.config import Protocol, ScoringConfig
from soco_datasets.errors import UsageError
from soco_datasets.records.azimuth import azimuth_curve, azimuth_difference
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions
from soco_datasets.records.predictions import TaskPredictions, read_predictions, task_rows, write_predictions
from soco_datasets.records.scores import curves, row_errors


@given(st.floats(-720, 720), st.floats(-720, 720))
def test_the_difference_is_the_angle_between_two_directions(one: float, other: float) -> None:
    apart = azimuth_difference([one, other, one], [other, one, one + 180])
    ends = [np.array([np.cos(np.radians(a)), np.sin(np.radians(a))]) for a in (one, other)]
    angle = np.degrees(np.arccos(np.clip(ends[0] @ ends[1], -1, 1)))
    assert apart[0] == pytest.approx(angle, abs=1e-4)
    assert apart[1] == apart[0]
    assert apart[2] == pytest.approx(180)


def test_an_unknown_pose_is_in_no_bin() -> None:
    apart = azimuth_difference([0, np.nan, 5], [30, 3, np.nan])
    curve = azimuth_curve([0.05, 0.05, 0.05], apart, [0.1])
    assert curve["unknown"] == 2
    assert curve["keypoints"] == [0, 1, 0, 0, 0, 0]


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(0, 60))
def test_a_curve_equals_a_slow_one(seed: int, number: int) -> None:
    generator = np.random.default_rng(seed)
    pair = generator.integers(0, 8, number)
    difference = generator.choice([0, 10, 30, 59.9, 60, 180, np.nan], 8)[pair] if number else np.zeros(0)
    errors = np.round(generator.uniform(0, 0.2, number), 2).astype(np.float32)
    errors[generator.random(number) < 0.1] = np.nan
    curve = azimuth_curve(errors, difference, [0.1, 0.05], bins=(0, 30, 60, 180), pair=pair)
    scored = [i for i in range(number) if not np.isnan(errors[i])]
    for place, (low, high) in enumerate(((0, 30), (30, 60), (60, 180.1))):
        inside = [i for i in scored if low <= difference[i] < high]
        pairs = sorted({int(pair[i]) for i in inside})
        assert (curve["keypoints"][place], curve["pairs"][place]) == (len(inside), len(pairs))
        for alpha in (0.1, 0.05):
            hit = {i: errors[i] < np.float32(alpha) for i in inside}
            pooled = None if not inside else np.mean(list(hit.values()))
            fractions = [np.mean([hit[i] for i in inside if pair[i] == own]) for own in pairs]
            assert curve["pck"]["keypoint"][str(alpha)][place] == (None if pooled is None else pytest.approx(pooled))
            expected = None if not pairs else pytest.approx(np.mean(fractions))
            assert curve["pck"]["pair"][str(alpha)][place] == expected
    assert curve["unknown"] == len(scored) - sum(curve["keypoints"])


@pytest.mark.parametrize("bins", [(), (0,), (0, 0, 5), (5, 0), [[0, 1]]])
def test_bins_must_rise(bins: Any) -> None:
    with pytest.raises(UsageError, match="rising edges"):
        azimuth_curve([0.1], [10], [0.1], bins=bins)


def test_one_difference_per_error() -> None:
    with pytest.raises(UsageError, match="one azimuth difference per error"):
        azimuth_curve([0.1, 0.2], [10], [0.1])


def table_of(azimuths: Any) -> Any:
    pairs, images = world_pairs(3)
    for image, azimuth in zip(images.values(), azimuths, strict=False):
        image["azimuth"] = azimuth
    answered = {name: TaskPredictions(rows, answers(rows, 0, 20.0)) for name, rows in pairs.items()}
    return build(answered, Protocol(ScoringConfig(convention="centered", alphas=(0.2, 0.1))), images=images), images


def test_the_record_has_the_curve_of_every_task(tmp_path: Any) -> None:
    table, images = table_of([5.0 * (number**2 % 73) for number in range(11)])
    write_predictions(tmp_path / "p.parquet", table)
    record = record_from_predictions(read_predictions(tmp_path / "p.parquet"), resamples=0)
    assert record.curves is not None
    assert set(record.curves) == {"cc", "soc", "cross_cc", "cross_soc"}
    rows = task_rows(table, "soc")
    errors = row_errors(rows)
    found: dict[int, list[bool]] = {}
    for row, error in zip(rows.to_pylist(), errors, strict=True):
        ends = [images[row[f"{side}_image_id"]]["azimuth"] for side in ("source", "target")]
        if None not in ends:
            apart = min((ends[0] - ends[1]) % 360, (ends[1] - ends[0]) % 360)
            found.setdefault(min(int(apart // 30), 5), []).append(bool(error < np.float32(0.2)))
    curve = record.curves["soc"]["azimuth"]
    assert curve["edges"] == [0, 30, 60, 90, 120, 150, 180]
    assert curve["keypoints"] == [len(found.get(place, [])) for place in range(6)]
    assert curve["unknown"] == len(rows) - sum(curve["keypoints"]) > 0
    assert curve["pck"]["keypoint"]["0.2"] == [
        pytest.approx(np.mean(found[place])) if place in found else None for place in range(6)
    ]
    assert EvaluationResult.from_json(record.to_json()) == record
    shuffled = table.take(np.random.default_rng(1).permutation(len(table)))
    assert curves(shuffled) == curves(table)


def test_without_a_known_pose_there_is_no_curve() -> None:
    assert curves(table_of([])[0]) == {}
    assert record_from_predictions(table_of([])[0], resamples=0).curves is None
    assert curves(table_of([90.0])[0]) == {}  # one pose is not two
