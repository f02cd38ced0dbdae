from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pytest
from helpers.feature_worlds import world_table
from helpers.pair_tables import build, pair, pairs_table, small_table

from soco_datasets.errors import UsageError
from soco_datasets.metrics.pck import hits
from soco_datasets.records import intervals as bootstrap
from soco_datasets.records.evaluation import record_from_predictions
from soco_datasets.records.intervals import (
    PairSample,
    bootstrap_intervals,
    category_scores,
    interval,
    mean_scores,
    multiplicities,
)
from soco_datasets.records.predictions import TaskPredictions, read_header, task_rows
from soco_datasets.records.scores import row_errors, score

REDUCTIONS = ("pair", "keypoint", "image")
PINNED_COUNTS = [
    [0, 0, 2, 1, 1, 1, 1],
    [1, 1, 0, 1, 1, 1, 1],
    [1, 2, 0, 0, 1, 2, 0],
    [0, 1, 1, 1, 1, 0, 2],
    [2, 0, 0, 1, 2, 0, 1],
    [0, 0, 2, 1, 0, 1, 2],
]
PINNED_HASH = "86976345785abc536ed7276f3af0f2f68567fd9e255faa2209e77f18383b97fb"
PINNED_INTERVALS = {
    "pair": [0.0857142857142857, 0.3833333333333333],
    "keypoint": [0.08715728715728716, 0.3833333333333333],
    "image": [0.0833333333333357, 0.39506172839506193],
}

# --- the resamples ----------------------------------------------------------------------------------------------------


def test_images_are_drawn_within_their_category_one_less_than_there_are():
    strata = [("car", 5), ("ピアノ", 3), ("cup", 40)]
    counts = multiplicities(strata, 300, 7)
    assert counts.shape == (48, 300)
    assert (counts[:5].sum(axis=0) == 4).all()
    assert (counts[5:8].sum(axis=0) == 3).all()  # so few are all drawn
    assert (counts[8:].sum(axis=0) == 39).all()
    assert counts[8:].mean(axis=1) == pytest.approx(39 / 40, abs=0.3)
    assert np.var(counts[8:]) == pytest.approx(39 / 40 * 39 / 40, abs=0.05)  # of a multinomial draw


def test_the_draws_of_a_category_depend_on_nothing_else():
    alone = multiplicities([("cup", 40)], 50, 3)
    assert np.array_equal(multiplicities([("car", 5), ("cup", 40)], 50, 3)[5:], alone)
    assert not np.array_equal(multiplicities([("cup", 40)], 50, 4), alone)
    assert not np.array_equal(multiplicities([("can", 40)], 50, 3), alone)


def test_the_draws_stay_the_same_for_ever():
    counts = multiplicities([("car", 4), ("ピアノ", 3)], 6, 0)
    assert counts.T.tolist() == PINNED_COUNTS
    many = multiplicities([("car", 40), ("cup", 40)], 1000, 1)
    assert hashlib.sha256(many.astype("<u2").tobytes()).hexdigest() == PINNED_HASH


# --- the scores of a resample -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["cc", "soc", "cross_soc"])
def test_every_image_once_gives_the_scores_themselves(task):
    table = world_table(1, pairs=15)
    sample = PairSample.of(task_rows(table, task))
    ones = np.ones((sum(number for _, number in sample.strata), 1), dtype=np.uint16)
    scores = category_scores(sample, ones, REDUCTIONS)
    metrics = score(table)[task]
    for reduction in REDUCTIONS:
        for index, alpha in enumerate(("0.1", "0.05", "0.02")):
            wanted = metrics[reduction][alpha]
            found = dict(zip(sample.categories, scores[reduction][index, :, 0].tolist(), strict=True))
            assert found == pytest.approx({k: v["pck"] for k, v in wanted["per_category"].items() if k in found})
            overall = mean_scores(scores[reduction], range(len(found)))[index, 0]
            assert overall == pytest.approx(wanted["overall"]["pck"], abs=1e-12)


def duplicated(table, task, drawn):
    """The overall score at 0.1 of each reduction over literal copies of the drawn images, in plain Python."""
    rows = task_rows(table, task)
    hit = hits(row_errors(rows), [0.1])[0].tolist()
    pairs = {}
    for row, found in zip(rows.to_pylist(), hit, strict=True):
        key = row["pair_group"], row["target_image_id"], row["source_image_id"], row["pair_id"]
        pairs.setdefault(key, []).append(found)
    by_pair, by_image = {}, {}
    for (category, target, source, _), found in pairs.items():
        for copy in range(drawn[target]):
            for _ in range(drawn[source]):
                by_pair.setdefault(category, []).append(found)
                by_image.setdefault(category, {}).setdefault((target, copy), []).extend(found)

    def mean(values):
        values = list(values)
        return math.fsum(values) / len(values) if values else None

    return {
        "pair": mean(mean(map(mean, copies)) for copies in by_pair.values()),
        "keypoint": mean(mean(hit for copy in copies for hit in copy) for copies in by_pair.values()),
        "image": mean(mean(map(mean, images.values())) for images in by_image.values()),
    }


@pytest.mark.parametrize("task", ["soc", "cross_cc"])
def test_a_resample_is_scored_as_copies_of_its_images_would_be(task):
    table = world_table(2, per_category=5, pairs=12)
    sample = PairSample.of(task_rows(table, task))
    counts = multiplicities(sample.strata, 25, 5)
    scores = category_scores(sample, counts, REDUCTIONS)
    rows = task_rows(table, task)
    category = {}
    for side in ("source", "target"):
        category |= dict(zip(rows[f"{side}_image_id"].to_pylist(), rows[f"{side}_category"].to_pylist(), strict=True))
    images = sorted(category, key=lambda image: (category[image], image))
    for b in range(25):
        wanted = duplicated(table, task, dict(zip(images, counts[:, b].tolist(), strict=True)))
        for reduction in REDUCTIONS:
            found = mean_scores(scores[reduction], range(len(sample.categories)))[0, b]
            assert found == pytest.approx(wanted[reduction], abs=1e-12)


def test_blocks_of_any_size_give_the_same_bits(monkeypatch):
    table = world_table(4)
    sample = PairSample.of(task_rows(table, "soc"))
    counts = multiplicities(sample.strata, 40, 0)
    whole = category_scores(sample, counts, REDUCTIONS)
    monkeypatch.setattr(bootstrap, "_BLOCK", 100)
    for reduction, scores in category_scores(sample, counts, REDUCTIONS).items():
        assert np.array_equal(scores, whole[reduction], equal_nan=True)


# --- the intervals ----------------------------------------------------------------------------------------------------


def node_sample(generator, images, pairs=None, spread=0.15, queries=8):
    """Three categories with every directed pair of their images (or `pairs` of them); how hard a pair is comes from its
    two images. The true score is 0.5."""
    source, target, chance = [], [], []
    first, second = np.nonzero(~np.eye(images, dtype=bool))
    for category in range(3):
        effect = generator.normal(scale=spread, size=(2, images))
        some = generator.permutation(len(first))[:pairs]
        source.append(second[some] + category * images)
        target.append(first[some] + category * images)
        chance.append(np.clip(0.5 + effect[0][second[some]] + effect[1][first[some]], 0, 1))
    number = len(chance[0])
    return PairSample(
        strata=tuple((str(category), images) for category in range(3)),
        categories=tuple(map(str, range(3))),
        bounds=np.arange(4) * number,
        source=np.concatenate(source),
        target=np.concatenate(target),
        queries=np.full(number * 3, queries),
        hits=generator.binomial(queries, np.concatenate(chance))[None],
    )


def mean_interval(sample, seed, resamples=200):
    scores = category_scores(sample, multiplicities(sample.strata, resamples, seed), ["pair"])["pair"]
    return interval(mean_scores(scores, range(3))[0])


@pytest.mark.parametrize(
    ("images", "pairs", "least", "most"),
    [(15, None, 0.88, 0.97), (40, 200, 0.93, 0.995)],  # expected: 0.92 and 0.97
    ids=["all pairs of 15 images", "200 pairs of 40 images"],
)
def test_intervals_cover_the_truth_about_as_often_as_they_say(images, pairs, least, most):
    generator = np.random.default_rng(0)
    runs, covered, naive = 300, 0, 0
    for run in range(runs):
        sample = node_sample(generator, images, pairs)
        low, high = mean_interval(sample, run)
        covered += low <= 0.5 <= high
        fractions = (sample.hits / sample.queries)[0]
        error = 1.96 * fractions.std() / np.sqrt(len(fractions))  # as if pairs were independent
        naive += abs(fractions.mean() - 0.5) <= error
    assert least * runs <= covered <= most * runs
    assert naive < 0.8 * runs


def test_intervals_shrink_with_more_images():
    widths = []
    for images in (6, 24):
        generator = np.random.default_rng(1)
        ends = [mean_interval(node_sample(generator, images), seed) for seed in range(10)]
        widths.append(np.mean([high - low for low, high in ends]))
    assert widths[1] == pytest.approx(widths[0] / 2, rel=0.25)  # four times the images, half the width


def test_every_headline_number_has_an_interval_around_it():
    table = world_table(3, pairs=15)
    record = record_from_predictions(table, resamples=200, seed=5)
    found = record.intervals
    assert (found["level"], found["resamples"], found["seed"]) == (0.95, 200, 5)
    assert found["tasks"].keys() == record.metrics.keys()
    for task, metrics in record.metrics.items():
        for reduction, by_alpha in metrics.items():
            for alpha, breakdown in by_alpha.items():
                ends = found["tasks"][task][reduction][alpha]
                assert ends["per_supercategory"].keys() == breakdown["per_supercategory"].keys()
                low, high = ends["overall"]
                assert low <= breakdown["overall"]["pck"] <= high
                for name, (low, high) in ends["per_supercategory"].items():
                    assert 0 <= low <= breakdown["per_supercategory"][name]["pck"] <= high <= 1


def test_the_same_seed_gives_the_same_bytes_whatever_the_order_of_rows():
    table = world_table(4)
    want = json.dumps(bootstrap_intervals(table, resamples=100, seed=2))
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    assert json.dumps(bootstrap_intervals(shuffled, resamples=100, seed=2)) == want
    assert json.dumps(bootstrap_intervals(table, resamples=100, seed=3)) != want
    alone = world_table(4, tasks=("soc",))  # another task in the file changes nothing
    assert bootstrap_intervals(alone, resamples=100, seed=2)["tasks"]["soc"] == json.loads(want)["tasks"]["soc"]


def test_the_intervals_of_a_table_are_pinned():
    found = bootstrap_intervals(world_table(8, pairs=20), resamples=1000)["tasks"]["soc"]
    assert {reduction: by_alpha["0.1"]["overall"] for reduction, by_alpha in found.items()} == PINNED_INTERVALS


def test_what_cannot_vary_has_no_interval_and_nothing_is_nan():
    """small_table: two pairs of a car, one of a piano and one of a cup without a query; CC has one pair in all."""
    found = bootstrap_intervals(small_table(), resamples=50)["tasks"]
    for reduction in ("pair", "keypoint"):
        part = found["soc"][reduction]["0.1"]
        assert part["overall"] is not None
        assert part["per_supercategory"] == {
            "hand-held": None,
            "transportation": part["per_supercategory"]["transportation"],
        }
        assert part["per_supercategory"]["transportation"] is not None
        assert found["cc"][reduction]["0.1"] == {"overall": None, "per_supercategory": {"transportation": None}}
    json.dumps(found, allow_nan=False)


def test_two_directions_of_one_pair_are_one_pair_of_images():
    rows = [pair("car/1", "car", {"wheel": [[50, 60]]}), pair("car/2", "car", {"wheel": [[50, 60]]})]
    rows[1] |= {"source_image_id": rows[0]["target_image_id"], "target_image_id": rows[0]["source_image_id"]}
    table = build({"soc": TaskPredictions(pairs_table(rows), [[50, 60], [0, 0]])})
    assert bootstrap_intervals(table, resamples=20)["tasks"]["soc"]["pair"]["0.1"]["overall"] is None


def test_one_category_is_enough():
    rows = [pair(f"car/{i}", "car", {"wheel": [[50, 60]]}) for i in range(6)]
    points = [[50, 60]] * 3 + [[150, 60]] * 3
    table = build({"soc": TaskPredictions(pairs_table(rows), points)})
    low, high = bootstrap_intervals(table, resamples=400)["tasks"]["soc"]["pair"]["0.1"]["overall"]
    assert low < 0.5 < high


def test_a_task_without_any_query_has_null_intervals():
    table = build({"soc": TaskPredictions(pairs_table([pair("cup/1", "cup", {})]), np.zeros((0, 2)))})
    expected = {"overall": None, "per_supercategory": {"hand-held": None}}
    assert bootstrap_intervals(table, resamples=10)["tasks"]["soc"]["pair"]["0.1"] == expected
    assert read_header(table).tasks["soc"].pairs == {"cup": 1}


def test_the_record_can_do_without_and_wrong_numbers_are_refused():
    assert record_from_predictions(small_table(), resamples=0).intervals is None
    for wrong in ({"resamples": -1}, {"resamples": 2.5}, {"seed": "x"}, {"resamples": True}):
        with pytest.raises(UsageError):
            record_from_predictions(small_table(), **wrong)
    with pytest.raises(UsageError, match="level"):
        bootstrap_intervals(small_table(), level=1.0)


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        (np.arange(1000.0)[::-1], [25, 974]),
        (np.arange(40.0), [1, 38]),
        (np.arange(10.0), [0, 9]),
        ([3.0], [3, 3]),
        ([np.nan, 2.0, 1.0, np.nan], [1, 2]),
        ([np.nan], None),
        ([], None),
    ],
)
def test_an_interval_is_two_order_statistics(values, ends):
    assert interval(np.array(values, dtype=np.float64)) == ends
