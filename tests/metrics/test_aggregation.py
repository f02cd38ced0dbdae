"""The reductions against plain loops; pair and keypoint also meet the reference's numbers in test_pck and test_score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.errors import UsageError
from soco_datasets.metrics.aggregation import PairGroups, aggregate

PARENTS = {"car": "transportation", "bus": "transportation", "cup": None}


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def slow(value: np.ndarray, pair: list[int], category: list[str], images: list[str], reduction: str) -> dict:
    """Category -> mean of the values, one loop inside another; NaN is left out."""
    scores = {}
    for name in sorted(set(category)):
        asked = [i for i in range(len(pair)) if category[pair[i]] == name and not np.isnan(value[i])]
        unit = {"pair": lambda i: pair[i], "keypoint": lambda i: 0, "image": lambda i: images[pair[i]]}[reduction]
        groups: dict = {}
        for i in asked:
            groups.setdefault(unit(i), []).append(float(value[i]))
        scores[name] = mean([mean(group) for group in groups.values()])
    return scores


@settings(max_examples=80)
@given(st.integers(0, 100_000), st.integers(1, 12), st.integers(0, 60))
def test_every_reduction_equals_a_slow_one(seed: int, pairs: int, queries: int) -> None:
    generator = np.random.default_rng(seed)
    category = generator.choice(list(PARENTS), pairs).tolist()
    images = [f"image {n}" for n in generator.integers(0, 4, pairs)]  # the same name may be in two categories
    pair = generator.integers(0, pairs, queries)
    errors = np.round(generator.uniform(0, 0.2, queries), 2).astype(np.float32)
    errors[generator.random(queries) < 0.1] = np.nan
    chance = generator.uniform(0, 1, (2, queries))
    found = aggregate(
        errors, pair, PairGroups(category, images, supercategories=PARENTS), alphas=(0.1, 0.05),
        reductions=("pair", "keypoint", "image"), beside={"random_pck": chance, "random_choice": chance[0]},
    )  # fmt: skip
    for reduction, by_alpha in found.items():
        for row, (alpha, part) in enumerate(by_alpha.items()):
            hit = np.where(np.isnan(errors), np.nan, errors < np.float32(alpha))
            for name, values in (
                ("pck", hit),
                ("random_pck", np.where(np.isnan(errors), np.nan, chance[row])),
                ("random_choice", np.where(np.isnan(errors), np.nan, chance[0])),
            ):
                expected = slow(values, pair.tolist(), category, images, reduction)
                for label, score in expected.items():
                    assert part["per_category"][label][name] == (None if score is None else pytest.approx(score))
                over = mean([score for score in expected.values() if score is not None])
                assert part["overall"][name] == (None if over is None else pytest.approx(over))


def test_what_is_true_or_false_is_averaged_as_ones_and_noughts() -> None:
    generator = np.random.default_rng(1)
    pair, mask = generator.integers(0, 20, 300), generator.random(300) < 0.3
    found = [
        aggregate(np.zeros(300), pair, PairGroups(["car", "cup"] * 10), alphas=[0.1], beside={"share": values})
        for values in (mask, mask.astype(float))
    ]
    assert found[0] == found[1]
    assert found[0]["keypoint"]["0.1"]["per_category"]["car"]["share"] == mask[pair % 2 == 0].mean()


def test_the_image_reduction_needs_the_images() -> None:
    with pytest.raises(UsageError, match="target image of each pair"):
        aggregate([0.1], [0], PairGroups(["car"]), alphas=[0.1], reductions=["image"])


def test_sums_do_not_depend_on_the_order_of_the_queries() -> None:
    generator = np.random.default_rng(4)
    pair, chance = generator.integers(0, 9, 400), generator.uniform(0, 1, 400)
    category, images = list("aabbbccca"), list("xyxxyzzyx")

    def result(order: np.ndarray) -> dict:
        return aggregate(
            np.zeros(400), pair[order], PairGroups(category, images), alphas=[0.1],
            reductions=("pair", "keypoint", "image"), beside={"random_pck": chance[order]},
        )  # fmt: skip

    assert all(result(generator.permutation(400)) == result(np.arange(400)) for _ in range(5))
