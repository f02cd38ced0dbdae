from __future__ import annotations

import json
import math

import numpy as np
import pytest
from helpers.feature_worlds import NAMES, world_table
from helpers.pair_tables import HASH, build, pair, pairs_table, small_table
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.config import FeatureConfig, Protocol
from soco_datasets.errors import PredictionsError, UsageError
from soco_datasets.records import error_analysis as anatomy
from soco_datasets.records.annotated_points import AnnotatedPoints
from soco_datasets.records.error_analysis import CLASSES, classify, error_analysis, swap_matrix
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions
from soco_datasets.records.predictions import TaskPredictions, read_annotated_images, task_rows
from soco_datasets.records.scores import row_errors

# The target image of every case: 256 pixels wide, its box 128, so that at alpha 1/8 a hit is nearer than 16 and "near" is
# nearer than 32, both exactly.
POINTS = {
    "nose": (None, [192.0, 64.0]),
    "tail": (None, [240.0, 64.0]),
    "wheel_left": ("wheel", [64.0, 96.0]),
    "wheel_right": ("wheel", [128.0, 96.0]),
    "roof": ("roof", [96.0, 16.0]),
}


def one_query(prediction, keypoint="wheel_left", valid=None):
    """A table of one query in the image of `POINTS`, of SOC unless `valid` says otherwise."""
    names = valid or [keypoint]
    targets = {keypoint: [POINTS[name][1] for name in names]}
    row = pair("car/1", "car", targets, size=(256, 128), box=[0, 0, 128, 128])
    row |= {"concepts": [POINTS[keypoint][0]], "target_keypoints": [names]}
    target = {
        "keypoints": list(POINTS),
        "concepts": [concept for concept, _ in POINTS.values()],
        "points": [point for _, point in POINTS.values()],
        "azimuth": None,
    }
    source = {"keypoints": [keypoint], "concepts": [POINTS[keypoint][0]], "points": [[1.0, 2.0]], "azimuth": 30.0}
    images = {row["source_image_id"]: source, row["target_image_id"]: target}
    return build({"soc": TaskPredictions(pairs_table([row]), [prediction])}, images=images)


def kind_of(table, **options):
    verdicts = classify(table, AnnotatedPoints.of(read_annotated_images(table)), **options)
    return [CLASSES[kind] for kind in verdicts.kind]


@pytest.mark.parametrize(
    ("prediction", "query", "kind"),
    [
        ([64, 96], {}, "hit"),
        ([64, 80.5], {}, "hit"),
        ([64, 80], {}, "near_miss"),  # at exactly alpha: no hit, as in PCK
        ([64, 64.5], {}, "near_miss"),
        ([64, 64], {}, "background"),  # at exactly twice alpha: nothing is near
        ([128, 96], {}, "swap"),
        ([128, 120], {}, "swap"),
        ([128, 128], {}, "background"),  # the other wheel is nearest, but not near
        ([96, 16], {}, "other_part"),
        ([192, 64], {}, "other_part"),  # a point without a concept is another part
        ([150, 10], {}, "background"),
        ([-500, 900], {}, "background"),
        ([96, 96], {}, "background"),  # both wheels at exactly 32
        ([128, 96], {"valid": ["wheel_left", "wheel_right"]}, "hit"),  # CC accepts either
        ([128, 120], {"valid": ["wheel_left", "wheel_right"]}, "near_miss"),
        ([240, 64], {"keypoint": "nose"}, "other_part"),  # without a concept there is nothing to swap with
        ([192, 84], {"keypoint": "nose"}, "near_miss"),
    ],
)
def test_each_class_at_its_borders(prediction, query, kind):
    assert kind_of(one_query(prediction, **query), alpha=0.125) == [kind]


def test_a_hit_stays_a_hit_beside_a_nearer_point():
    assert kind_of(one_query([97, 96]), alpha=0.5) == ["hit"]  # 33 from the left wheel, 31 from the right one


def test_a_tie_goes_to_the_valid_target_then_to_its_concept_then_to_the_first_annotated():
    assert kind_of(one_query([96, 96]), alpha=0.25) == ["near_miss"]  # 32 from both wheels
    assert kind_of(one_query([216, 64], keypoint="tail"), alpha=0.125) == ["near_miss"]  # 24 from nose and tail
    tie = one_query([160, 80])  # as far from the nose, which is annotated first, as from the right wheel
    assert kind_of(tie, alpha=0.25) == ["swap"]
    annotated = AnnotatedPoints.of(read_annotated_images(tie))
    assert annotated.names[annotated.name[classify(tie, annotated).nearest[0]]].as_py() == "wheel_right"


def test_the_radius_of_near_can_be_chosen():
    table = one_query([128, 120])
    assert kind_of(table, alpha=0.0625, near=2) == ["background"]
    assert kind_of(table, alpha=0.0625, near=4) == ["swap"]
    found = error_analysis(table, alpha=0.0625, near=4)
    assert (found["alpha"], found["near"]) == (0.0625, 0.25)
    assert found["tasks"]["soc"]["overall"]["counts"]["swap"] == 1
    for wrong in ({"alpha": 0}, {"near": 0.5}, {"near": math.nan}):
        with pytest.raises(UsageError):
            error_analysis(table, **wrong)


def reference_kinds(table):
    """The definitions, one row and one point at a time."""
    images, found = read_annotated_images(table), []
    for row in table.to_pylist():
        side = max(row["target_size"])
        box = row["target_bbox"]
        scale = np.float32((side if box is None else max(box[2] - box[0], box[3] - box[1])) / side)
        image = images[row["target_image_id"]]
        here = (np.array(row["prediction"]) / side).astype(np.float32)
        ranked = []
        for order, (name, concept, point) in enumerate(
            zip(image["keypoints"], image["concepts"], image["points"], strict=True)
        ):
            x, y = here - (np.array(point) / side).astype(np.float32)
            error = np.sqrt(np.float32(x * x + np.float64(y) ** 2)) / scale
            valid = name in row["target_keypoints"]
            same = concept is not None and concept == row["concept"]
            ranked.append((error, 0 if valid else 1 if same else 2, order))
        own = min(error for error, rank, _ in ranked if rank == 0)
        error, rank, _ = min(ranked)
        if own < np.float32(0.1):
            found.append("hit")
        elif not error < np.float32(0.2):
            found.append("background")
        else:
            found.append(("near_miss", "swap", "other_part")[rank])
    return found


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from([3.0, 10.0, 25.0, 80.0]))
def test_the_classes_part_all_predictions_as_defined(seed, spread):
    table = world_table(seed, spread=spread, pairs=3)
    verdicts = classify(table, AnnotatedPoints.of(read_annotated_images(table)))
    assert [CLASSES[kind] for kind in verdicts.kind] == reference_kinds(table)
    assert np.array_equal(verdicts.error, row_errors(table))  # to the last bit: the same arithmetic as the PCK
    record = record_from_predictions(table, resamples=0)
    for task, found in record.anatomy["tasks"].items():
        check_parts(found, record.metrics[task])
        assert task.endswith("soc") or not found["overall"]["counts"]["swap"]


def check_parts(found, metrics):
    """Counts and shares of every part add up, and the share of hits is the PCK."""
    for reduction, by_alpha in metrics.items():
        breakdown = by_alpha["0.1"]
        assert found["per_supercategory"].keys() == breakdown["per_supercategory"].keys()
        assert found["per_category"].keys() == breakdown["per_category"].keys()
        parts = [(found["overall"], breakdown["overall"])]
        for level in ("per_supercategory", "per_category"):
            parts += [(part, breakdown[level][name]) for name, part in found[level].items()]
        for part, value in parts:
            shares = part["shares"][reduction]
            assert set(shares) == set(part["counts"]) == set(CLASSES)
            assert sum(part["counts"].values()) == value["keypoints"]
            assert shares["hit"] == value["pck"]
            if value["pck"] is None:
                assert set(shares.values()) == {None}
            else:
                assert math.fsum(shares.values()) == pytest.approx(1, abs=1e-12)
    total = {kind: sum(part["counts"][kind] for part in found["per_category"].values()) for kind in CLASSES}
    assert found["overall"]["counts"] == total


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from([10.0, 40.0]))
def test_the_pieces_of_a_drop_add_up_to_it(seed, spread):
    record = record_from_predictions(world_table(seed, spread=spread, pairs=4), resamples=0)
    drops = record.anatomy["drops"]
    assert [(drop["from"], drop["to"]) for drop in drops] == list(anatomy.DROPS)
    for drop in drops:
        assert set(drop["reductions"]) == set(record.protocol.scoring.reductions)
        for reduction, part in drop["reductions"].items():
            above, below = (record.metrics[drop[side]][reduction]["0.1"]["overall"]["pck"] for side in ("from", "to"))
            assert (part["from_pck"], part["to_pck"]) == (above, below)
            assert part["drop"] == above - below
            assert set(part["pieces"]) == set(CLASSES) - {"hit"}
            assert math.fsum(part["pieces"].values()) == pytest.approx(part["drop"], abs=1e-12)
            same = part["same_queries"]
            if drop["from"] == "soc":
                assert same is None  # other pairs: there are no common queries
                continue
            assert math.fsum(same["lost"].values()) + same["other_queries"] == pytest.approx(part["drop"], abs=1e-12)
            assert same["won"] == 0  # CC accepts whatever SOC accepts
            assert min(same["lost"].values()) >= 0


def test_a_drop_on_the_same_queries_says_what_became_of_the_hits():
    """Two queries that CC and SOC ask alike, one of them answered with the other wheel."""
    row = pair("car/1", "car", {"wheel_left": [[50, 80]], "wheel_right": [[90, 80]]}, box=[0, 0, 100, 100])
    row |= {"concepts": ["wheel", "wheel"], "target_keypoints": [["wheel_left"], ["wheel_right"]]}
    both = {"target_keypoints": [["wheel_left", "wheel_right"]] * 2, "target_points": [[[50, 80], [90, 80]]] * 2}
    shown = {"keypoints": ["wheel_left", "wheel_right"], "concepts": ["wheel"] * 2, "azimuth": None}
    images = {
        row["source_image_id"]: shown | {"points": [[1, 2], [1, 2]]},
        row["target_image_id"]: shown | {"points": [[50, 80], [90, 80]]},
    }
    points = [[90, 81], [90, 82]]
    tasks = {
        "cc": TaskPredictions(pairs_table([row | both]), points),
        "soc": TaskPredictions(pairs_table([row]), points),
    }
    found = error_analysis(build(tasks, images=images))
    assert found["tasks"]["soc"]["swaps"] == {
        "wheel": {"wheel_left": {"wheel_right": 1}, "wheel_right": {"wheel_right": 1}}
    }
    (drop,) = found["drops"]
    expected = {"near_miss": 0.0, "swap": 0.5, "other_part": 0.0, "background": 0.0}
    for part in drop["reductions"].values():
        assert (part["from_pck"], part["to_pck"], part["drop"], part["pieces"]) == (1.0, 0.5, 0.5, expected)
        assert part["same_queries"] == {"lost": expected, "won": 0.0, "other_queries": 0.0}


def test_the_swap_matrix_counts_hits_and_near_misses_on_its_diagonal():
    table = world_table(3, pairs=30, spread=30.0)
    found = error_analysis(table)
    for task, part in found["tasks"].items():
        rows = task_rows(table, task)
        kinds = np.array(kind_of(rows))
        swaps = part["swaps"]
        if task.endswith("cc"):
            assert swaps == {}
            continue
        matrices = {concept: swap_matrix(value) for concept, value in swaps.items()}
        assert set(matrices) <= {"wheel", "lamp"}
        for concept, (names, counts) in matrices.items():
            of_concept = np.array([value == concept for value in rows["concept"].to_pylist()])
            on_diagonal = int((of_concept & np.isin(kinds, ["hit", "near_miss"])).sum())
            assert np.trace(counts) == on_diagonal
            assert counts.sum() - np.trace(counts) == (of_concept & (kinds == "swap")).sum() > 0
            assert {NAMES[name] for name in names} == {concept}
        assert sum(c.sum() - np.trace(c) for _, c in matrices.values()) == part["overall"]["counts"]["swap"]
    assert found["tasks"]["soc"]["swaps"]


def test_neither_the_order_of_rows_nor_the_size_of_blocks_changes_a_digit(monkeypatch):
    table = world_table(5)
    want = json.dumps(error_analysis(table))
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    assert json.dumps(error_analysis(shuffled)) == want
    monkeypatch.setattr(anatomy, "_BLOCK", 7)
    assert json.dumps(error_analysis(table)) == want
    monkeypatch.setattr(anatomy, "_BLOCK", 1)
    assert json.dumps(error_analysis(shuffled)) == want


def test_the_reference_convention_truncates_annotated_points_as_the_pck_does():
    protocol = Protocol(features=FeatureConfig(size=280, grid=20))
    table = world_table(6, spread=12.0, protocol=protocol)
    verdicts = classify(table, AnnotatedPoints.of(read_annotated_images(table)))
    assert np.array_equal(verdicts.error, row_errors(table))
    record = record_from_predictions(table, resamples=0)
    for task, found in record.anatomy["tasks"].items():
        check_parts(found, record.metrics[task])


def test_without_annotations_there_is_no_anatomy():
    assert error_analysis(small_table()) is None
    assert record_from_predictions(small_table()).anatomy is None


def test_tasks_that_give_candidates_or_soft_positions_are_left_out():
    tables = world_table(1, tasks=("soc",))
    images = read_annotated_images(tables)
    rows = pairs_table([])
    empty = TaskPredictions(rows, np.zeros((0, 2)))
    found = error_analysis(build({"soc_geo": empty, "soc_soft": empty, "soc": empty, "cc": empty}, images=images))
    assert set(found["tasks"]) == {"soc", "cc"}
    assert found["drops"] == []  # nothing to score
    assert found["tasks"]["soc"]["overall"]["counts"] == dict.fromkeys(CLASSES, 0)
    assert set(found["tasks"]["soc"]["overall"]["shares"]["pair"].values()) == {None}


def test_the_record_keeps_the_anatomy_and_refuses_a_broken_one(tmp_path):
    record = record_from_predictions(world_table(2))
    record.write(tmp_path / "r.json")
    assert EvaluationResult.read(tmp_path / "r.json") == record
    assert record.dataset["content_hash"] == HASH
    for change in (
        lambda r: r.update(anatomy=[1]),
        lambda r: r["anatomy"].pop("tasks"),
        lambda r: r["anatomy"]["tasks"]["soc"]["overall"]["counts"].pop("swap"),
        lambda r: r["anatomy"]["tasks"]["soc"]["per_category"]["car"]["counts"].update(hit=-1),
        lambda r: r["intervals"]["tasks"]["soc"]["pair"]["0.1"].update(overall=[0.5, 0.4]),
        lambda r: r["intervals"]["tasks"]["soc"]["pair"]["0.1"].update(overall=[0.5]),
        lambda r: r["intervals"]["tasks"]["soc"]["pair"]["0.1"].update(overall=[0.5, 1.4]),
        lambda r: r["intervals"]["tasks"]["soc"]["pair"]["0.1"].pop("per_supercategory"),
        lambda r: r.update(curves=3),
    ):
        fields = json.loads(record.to_json())
        change(fields)
        with pytest.raises(PredictionsError, match=r"anatomy|intervals|curves"):
            EvaluationResult.from_json(json.dumps(fields))


def test_a_record_of_version_1_is_read_and_brought_up_to_date():
    record = record_from_predictions(small_table(), resamples=0)
    fields = json.loads(record.to_json())
    for name in ("intervals", "anatomy", "curves", "baselines"):
        assert fields.pop(name) is None
    for name in ("valid_area", "soft_beta", "soft_window"):
        fields["protocol"].pop(name)
    old = json.dumps({**fields, "schema_version": 1})
    again = EvaluationResult.from_json(old)
    assert again == record
    assert EvaluationResult.from_json(again.to_json()) == record
    with pytest.raises(PredictionsError, match="schema version 4"):
        EvaluationResult.from_json(json.dumps({**fields, "schema_version": 4}))
    with pytest.raises(PredictionsError, match="intervals"):
        EvaluationResult.from_json(json.dumps({**fields, "schema_version": 2}))
