"""Aggregation against slow independent computations, and against mistakes that were planted."""

from __future__ import annotations

import itertools
import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.annotation.agreement import ImageResult, agreement_report, krippendorff_alpha
from soco_datasets.annotation.consensus import Vote, aggregate_image, aggregate_keypoint, keep_inliers, points_of

LONGEST, DISPUTE = 200.0, 0.05


def votes(*points: tuple[float, float] | str) -> list[Vote]:
    return [
        Vote(f"p{n}", point) if isinstance(point, str) else Vote(f"p{n}", "visible", *point)
        for n, point in enumerate(points)
    ]


def test_the_median_of_what_is_left() -> None:
    found = aggregate_keypoint(votes((10, 10), (12, 11), (90, 90)), LONGEST, DISPUTE)
    assert (found.state, found.x, found.y, dict(found.outliers)) == ("visible", 11.0, 10.5, {"p2": "distance"})
    assert found.disputes == ()
    mean = (11.0, 10.5)
    by_hand = math.sqrt(statistics.fmean([math.dist(mean, p) ** 2 for p in ((10, 10), (12, 11))])) / LONGEST
    assert found.spread == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("given_votes", "state", "dispute"),
    [
        (votes((10, 10), (11, 10), "hidden"), "visible", None),
        (votes((10, 10), "hidden", "hidden"), "hidden", None),
        (votes((10, 10), "hidden"), "unknown", "visibility"),
        (votes((10, 10), "unsure", "unsure"), "visible", "fewer than two"),
        (votes("unsure", "unsure", "unsure"), "unknown", "fewer than two"),
        (votes((10, 10), (80, 10)), "visible", "positions"),
        (votes((10, 10), (80, 10), (40, 100)), "visible", "positions"),
        (votes((10, 10)), "visible", None),
        (votes("hidden", "hidden", "unsure"), "hidden", None),
    ],
)
def test_majorities_and_disputes(given_votes: list[Vote], state: str, dispute: str | None) -> None:
    found = aggregate_keypoint(given_votes, LONGEST, DISPUTE)
    assert found.state == state
    assert (found.disputes == ()) if dispute is None else dispute in found.disputes[0]


places = st.tuples(st.floats(0, 200), st.floats(0, 150))


@settings(max_examples=200)
@given(st.lists(places, min_size=1, max_size=7), st.floats(0, 20))
def test_the_rule_keeps_a_majority_and_does_not_depend_on_order(
    points: list[tuple[float, float]], floor: float
) -> None:
    array = points_of(votes(*points))
    kept = keep_inliers(array, floor)
    assert 2 * kept.sum() > len(points)
    center = (statistics.median(p[0] for p in points), statistics.median(p[1] for p in points))
    distances = [math.dist(center, p) for p in points]
    limit = max(floor, 3 * 1.4826 * statistics.median(distances))
    by_hand = [d <= limit for d in distances]
    if 2 * sum(by_hand) > len(points) and all(abs(d - limit) > 1e-9 for d in distances):
        assert kept.tolist() == by_hand
        assert keep_inliers(array[::-1], floor).tolist() == by_hand[::-1]


def test_left_for_right_is_found_for_two_points_and_for_one() -> None:
    mirrors = {"ear_left": "ear_right", "ear_right": "ear_left"}
    left, right = (20.0, 20.0), (100.0, 25.0)
    both = {"ear_left": votes(left, (21, 20), right), "ear_right": votes(right, (100, 26), (21, 21))}
    found = aggregate_image(both, mirrors, LONGEST, DISPUTE)
    assert [dict(found[name].outliers) for name in mirrors] == [{"p2": "left-right swap"}] * 2
    assert (found["ear_left"].x, found["ear_right"].x) == (20.5, 100.0)
    one = {"ear_left": votes(left, (21, 20), "hidden"), "ear_right": votes("hidden", "hidden", (21, 21))}
    found = aggregate_image(one, mirrors, LONGEST, DISPUTE)
    assert found["ear_right"].outliers == {"p2": "left-right swap"}
    assert (found["ear_left"].state, found["ear_right"].state) == ("visible", "hidden")
    right_ones = {"ear_left": votes(left, (21, 20), (20, 22)), "ear_right": votes(right, (100, 26), (99, 25))}
    assert not any(point.outliers for point in aggregate_image(right_ones, mirrors, LONGEST, DISPUTE).values())


def slow_alpha(units: list[list[str]]) -> float | None:
    """Krippendorff's alpha by counting ordered pairs of values."""
    paired = [unit for unit in units if len(unit) > 1]
    n = sum(map(len, paired))
    everything = [value for unit in paired for value in unit]
    expected = sum(a != b for a, b in itertools.permutations(everything, 2)) / (n * (n - 1)) if n > 1 else 0
    if not expected:
        return None
    observed = sum(sum(a != b for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in paired) / n
    return 1 - observed / expected


@settings(max_examples=150)
@given(st.lists(st.lists(st.sampled_from("ab"), max_size=4), max_size=12))
def test_alpha_equals_counting_pairs(units: list[list[str]]) -> None:
    wanted = slow_alpha(units)
    assert krippendorff_alpha(units) == (None if wanted is None else pytest.approx(wanted, abs=1e-9))


def test_alpha_of_krippendorffs_own_example() -> None:
    """Nominal data with missing values of four observers: alpha = 0.743 (Krippendorff, Computing alpha, 2011, C)."""
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = [[row[i] for row in table if row[i] is not None] for i in range(12)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_statistics_of_annotators_equal_a_slow_computation() -> None:
    draw = random.Random(3)
    results, offsets = [], []
    bias = {"a": (0.0, 0.0), "b": (0.02, 0.0), "c": (0.0, 0.0)}
    for number in range(60):
        true = (draw.uniform(40, 160), draw.uniform(40, 110))
        own = [
            Vote(name, "visible", true[0] + 200 * b[0] + draw.gauss(0, 1), true[1] + 200 * b[1] + draw.gauss(0, 1))
            for name, b in bias.items()
        ]
        point = aggregate_keypoint(own, LONGEST, DISPUTE)
        assert not point.outliers
        others = [(v.x, v.y) for v in own if v.annotator != "b"]
        offsets.append(
            [(getattr(own[1], axis) - statistics.median(o[i] for o in others)) / LONGEST for i, axis in enumerate("xy")]
        )
        results.append(ImageResult(f"i{number}", "cup", LONGEST, {}, {"k": point}))
    report = agreement_report(results)
    found = report["per_annotator"]["b"]
    for axis in (0, 1):
        values = [offset[axis] for offset in offsets]
        assert found["bias"][axis] == pytest.approx(statistics.fmean(values))
        assert found["bias_error"][axis] == pytest.approx(statistics.stdev(values) / math.sqrt(len(values)))
    assert found["bias"][0] == pytest.approx(0.02, abs=0.003)
    assert found["distance_median"] == pytest.approx(statistics.median(math.hypot(*o) for o in offsets))
    assert report["spread_median"] == pytest.approx(statistics.median(r.points["k"].spread or 0 for r in results))
    empty = agreement_report([])
    assert (empty["spread_median"], empty["spread_count"], empty["visibility_alpha"]) == (None, 0, None)
