from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from helpers.pair_tables import (
    HASH,
    MODEL,
    PAIRS_SOC,
    POINTS_SOC,
    build,
    oracle_protocol,
    oracle_tasks,
    pair,
    pairs_table,
    small_table,
)
from helpers.shared_data import ORACLE, REAL_EXPECTED, REAL_SAMPLE

from soco_datasets.config import FeatureConfig, Protocol, ScoringConfig
from soco_datasets.errors import PredictionsError, UsageError
from soco_datasets.records.comparable import check_comparable
from soco_datasets.records.evaluation import (
    EvaluationResult,
    library_versions,
    record_from_predictions,
    write_evaluation,
)
from soco_datasets.records.predictions import TaskPredictions, read_header, read_predictions, write_predictions
from soco_datasets.records.replacement import PlannedRun, check_replaces_own
from soco_datasets.records.result_files import result_name
from soco_datasets.records.scores import row_errors, score

SOURCES = {
    "oracle": (ORACLE / "SOCOv1", ORACLE / "expected"),
    "real_sample": (REAL_SAMPLE, REAL_EXPECTED),
}
TASKS = {
    ("intra", "semantic"): "soc",
    ("intra", "concept"): "cc",
    ("cross", "semantic"): "cross_soc",
    ("cross", "concept"): "cross_cc",
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_number_of_the_reference(source):
    release, expected = SOURCES[source]
    metrics = score(build(oracle_tasks(release, expected), oracle_protocol()))
    rows = json.loads((expected / "metrics.json").read_text(encoding="utf-8"))["rows"]
    compared = 0
    for row in rows:
        if row["model"] != MODEL or row["protocol"] != "hard" or row["use_bbox"]:
            continue
        for (split, kind), task in TASKS.items():
            if split != row["split"]:
                continue
            found = metrics[task][row["reduction"]][str(row["thresh"])]
            _same(found["overall"]["pck"], row["mean"][kind])
            assert found["per_category"].keys() == row["per_category"].keys()
            for category, values in row["per_category"].items():
                _same(found["per_category"][category]["pck"], values[kind])
                compared += 1
    assert compared >= 2 * 2 * 2 * 3 * 5  # kinds, splits, reductions, thresholds, some categories


def _same(fraction, percent):
    if percent is None:
        assert fraction is None
    else:
        assert 100 * fraction == pytest.approx(percent, abs=1e-4)


def test_a_category_without_a_semantic_pair_is_null():
    metrics = score(build(oracle_tasks(*SOURCES["oracle"]), oracle_protocol()))
    dog = metrics["cross_soc"]["pair"]["0.1"]["per_category"]["dog"]
    assert dog["pck"] is None
    assert (dog["pairs"], dog["keypoints"]) == (0, 0)
    assert dog["pairs_without_query"] > 0
    assert metrics["cross_soc"]["pair"]["0.1"]["overall"]["categories"] == 7


def test_numbers_and_counts_of_a_small_table():
    at_tenth = score(small_table())["soc"]["pair"]["0.1"]
    assert at_tenth["per_category"] == {
        "car": {"pck": 0.75, "pairs": 2, "keypoints": 3, "pairs_without_query": 0},
        "cup": {"pck": None, "pairs": 0, "keypoints": 0, "pairs_without_query": 1},
        "ピアノ": {"pck": 1.0, "pairs": 1, "keypoints": 1, "pairs_without_query": 0},
    }
    assert at_tenth["overall"] == {
        "pck": 0.875,
        "categories": 2,
        "pairs": 3,
        "keypoints": 4,
        "pairs_without_query": 1,
        "categories_without_supercategory": 1,
    }
    assert at_tenth["per_supercategory"]["transportation"]["pck"] == 0.75
    assert at_tenth["per_supercategory"]["hand-held"]["pck"] is None
    assert score(small_table())["soc"]["keypoint"]["0.1"]["per_category"]["car"]["pck"] == 2 / 3


def test_cc_takes_the_nearest_target():
    assert score(small_table())["cc"]["pair"]["0.05"]["overall"]["pck"] == 1.0


def test_a_task_without_any_query_is_null_not_zero():
    table = build({"soc": TaskPredictions(pairs_table([pair("cup/1", "cup", {})]), np.zeros((0, 2)))})
    for reduction in ("pair", "keypoint"):
        overall = score(table)["soc"][reduction]["0.1"]["overall"]
        assert overall["pck"] is None
        assert (overall["pairs"], overall["keypoints"], overall["categories"]) == (0, 0, 0)
        assert overall["pairs_without_query"] == 1


def test_the_image_can_be_the_normaliser():
    protocol = Protocol(ScoringConfig(convention="centered", normalizer="image", alphas=(0.1,)))
    small = [pair("car/1", "car", {"wheel": [[50, 60]]}, box=[0, 0, 10, 10])]
    table = build({"soc": TaskPredictions(pairs_table(small), [[60, 60]])}, protocol)
    assert score(table)["soc"]["pair"]["0.1"]["overall"]["pck"] == 1.0  # 10 px of 200


def test_the_order_of_the_rows_changes_no_digit():
    rng = np.random.default_rng(0)
    rows = [
        pair(f"p{i}", f"c{i % 7}", {f"k{j}": (rng.random((1 + j % 3, 2)) * 100).tolist() for j in range(i % 5)})
        for i in range(60)
    ]
    points = rng.random((sum(len(row["keypoints"]) for row in rows), 2)) * 100
    protocol = Protocol(ScoringConfig(convention="centered", alphas=(0.3, 0.2, 0.1)))
    table = build({"cc": TaskPredictions(pairs_table(rows), points)}, protocol)
    want = record_from_predictions(table).to_json()
    for _ in range(5):
        assert record_from_predictions(table.take(rng.permutation(len(table)))).to_json() == want


def test_the_record_is_recomputed_from_the_file_alone(tmp_path):
    table = small_table()
    record_from_predictions(table).write(tmp_path / "result.json")
    write_predictions(tmp_path / "predictions.parquet", table)
    record_from_predictions(read_predictions(tmp_path / "predictions.parquet")).write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "result.json").read_bytes()


def test_an_evaluation_is_two_files_named_after_the_model(tmp_path):
    table = small_table(model={"name": "facebook/dinov2 base"})
    result = record_from_predictions(table)
    record, predictions = write_evaluation(tmp_path / "results", table, result)
    assert sorted(entry.name for entry in (tmp_path / "results").iterdir()) == [
        "facebook_dinov2_base.json",
        "facebook_dinov2_base.predictions.parquet",
    ]
    assert EvaluationResult.read(record) == result == record_from_predictions(read_predictions(predictions))
    with pytest.raises(PredictionsError):
        write_evaluation(tmp_path / "none", table.slice(1), result)
    assert not (tmp_path / "none").exists()


def _planned(result, **changes):
    fields = {
        "model": {**result.model, "weights_hash": "a" * 64},
        "protocol": result.protocol,
        "content_hash": result.dataset["content_hash"],
        "tasks": tuple(result.metrics),
    }
    return PlannedRun(**{**fields, **changes})


def test_results_of_another_run_are_not_replaced(tmp_path):
    result = record_from_predictions(small_table(), resamples=0)
    result = result.replace(model={**result.model, "weights_hash": "a" * 64})
    record = tmp_path / f"{result_name(result.model)}.json"
    assert not check_replaces_own(record, EvaluationResult, _planned(result))
    result.write(record)
    assert check_replaces_own(record, EvaluationResult, _planned(result))
    model = {**result.model, "weights_hash": "b" * 64}
    assert check_replaces_own(record, EvaluationResult, _planned(result, model={**model, "plugin": "f.py:f"}))
    others = {
        "weights aaaa": {"model": model},
        "content hash": {"content_hash": "e" * 64},
        "the split": {"split": "all"},
        "image_size": {"protocol": replace(result.protocol, features=FeatureConfig(image_size=141))},
        "not nothing": {"tasks": ("nothing",)},
    }
    for what, changes in others.items():
        with pytest.raises(UsageError, match=f"another run.*{what}.*overwrite=True"):
            check_replaces_own(record, EvaluationResult, _planned(result, **changes))
        assert check_replaces_own(record, EvaluationResult, _planned(result, **changes), overwrite=True)


@pytest.mark.parametrize("file", ["m.json", "m.predictions.parquet"])
def test_a_file_that_is_no_record_is_not_replaced(tmp_path, file):
    (tmp_path / file).write_text("something else")
    planned = _planned(record_from_predictions(small_table(), resamples=0))
    with pytest.raises(UsageError, match=r"is not replaced.*overwrite=True"):
        check_replaces_own(tmp_path / "m.json", EvaluationResult, planned)


def test_versions_are_known_without_importing_a_library():
    versions = library_versions()
    assert {"soco_datasets", "python", "numpy", "pyarrow"} <= versions.keys()
    assert all(isinstance(version, str) for version in versions.values())


def test_the_record_says_where_the_numbers_come_from(tmp_path):
    record = record_from_predictions(small_table())
    record.write(tmp_path / "r.json")
    assert EvaluationResult.read(tmp_path / "r.json") == record
    stored = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert stored["schema_version"] == 3
    assert stored["dataset"]["content_hash"] == HASH
    assert stored["protocol"]["convention"] == "centered"
    assert stored["counts"]["forwards"] == 8
    assert stored["metrics"]["soc"]["pair"]["0.1"]["overall"]["pck"] == 0.875


def test_the_record_names_its_predictions_to_the_bit_and_in_any_order(tmp_path):
    table = small_table()
    named = record_from_predictions(table, resamples=0).predictions_sha256
    write_predictions(tmp_path / "p.parquet", table.take(list(range(len(table)))[::-1]))
    assert record_from_predictions(read_predictions(tmp_path / "p.parquet"), resamples=0).predictions_sha256 == named
    for name, row, value in (("similarity", 0, 0.123), ("prediction", len(table) - 1, None)):
        column = table[name].to_pylist()
        column[row] = [column[row][0] + 1e-9, column[row][1]] if value is None else value
        place = table.column_names.index(name)
        altered = table.set_column(place, table.schema.field(name), pa.array(column, table.schema.field(name).type))
        assert record_from_predictions(altered, resamples=0).predictions_sha256 != named


def test_a_record_of_an_earlier_version_is_read(tmp_path):
    record = record_from_predictions(small_table())
    fields = json.loads(record.to_json())
    del fields["predictions_sha256"]
    older = EvaluationResult.from_json(json.dumps({**fields, "schema_version": 2}))
    assert older == record.replace(predictions_sha256=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(schema_version=4), "schema version 4"),
        (lambda r: r.update(predictions_sha256="ab"), "64 hexadecimal digits"),
        (lambda r: r.update(predictions_sha256=7), "predictions_sha256 must be a string, got 7"),
        (lambda r: r.pop("schema_version"), "schema_version is missing"),
        (lambda r: r.update(metrics={}), "metrics must be a mapping of at least one"),
        (lambda r: r.pop("device"), "device"),
        (lambda r: r.update(extra=1), "extra"),
        (lambda r: r["dataset"].pop("content_hash"), "content_hash"),
        (lambda r: r["model"].pop("name"), "model"),
        (lambda r: r["counts"].update(images=-1), "counts"),
        (lambda r: r["versions"].update(numpy=2), "versions"),
        (lambda r: r.update(created="yesterday"), "created"),
        (lambda r: r.update(created="2026-01-31T12:00:00+02:00"), "created"),
        (lambda r: r["protocol"].update(convention="reference2"), "convention"),
        (lambda r: r["protocol"].pop("grid"), "grid"),
        (lambda r: r["metrics"]["soc"].pop("pair"), "soc"),
        (lambda r: r["metrics"]["soc"]["pair"]["0.1"].pop("overall"), "malformed"),
        (
            lambda r: r["metrics"]["soc"]["pair"]["0.1"]["overall"].update(pck=87.5),
            "overall/pck is 87.5, in the wrong unit",
        ),
        (lambda r: r["metrics"]["soc"]["pair"]["0.1"]["per_category"]["cup"].update(pck=0.0), "cup"),
        (lambda r: r["metrics"]["soc"]["pair"]["0.1"]["per_category"]["car"].update(pck=None), "car"),
    ],
)
def test_a_malformed_record_is_refused(tmp_path, change, message):
    record = json.loads(record_from_predictions(small_table()).to_json())
    change(record)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(PredictionsError, match=message) as caught:
        EvaluationResult.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b"\xff\xfe"])
def test_what_is_no_record_is_refused(tmp_path, content):
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(PredictionsError, match=r"r\.json"):
        EvaluationResult.read(tmp_path / "r.json")
    with pytest.raises(PredictionsError, match="absent"):
        EvaluationResult.read(tmp_path / "absent.json")


def test_results_are_comparable_only_on_the_same_data_and_scoring():
    first = record_from_predictions(small_table())
    other_model = record_from_predictions(small_table(model={"name": "other"}))
    finer = record_from_predictions(
        small_table(protocol=Protocol(ScoringConfig(convention="centered"), FeatureConfig(grid=50, size=800)))
    )
    check_comparable([first, other_model, finer])
    check_comparable([])
    other_data = record_from_predictions(small_table(dataset={"id": "else", "content_hash": "1"}))
    with pytest.raises(UsageError, match="different data"):
        check_comparable([first, other_data])
    reference = record_from_predictions(small_table(protocol=Protocol()))
    with pytest.raises(UsageError, match="convention"):
        check_comparable([first, reference])


def test_score_refuses_a_table_with_a_row_taken_out():
    table = small_table()
    with pytest.raises(PredictionsError, match="1 of 4 predictions are missing"):
        score(table.slice(1))
    assert read_header(table).tasks["soc"].pairs == {"car": 2, "cup": 1, "ピアノ": 1}


def test_errors_of_some_rows():
    table = small_table()
    assert row_errors(table.slice(0, 3)) == pytest.approx([0.05, 0.7, 0.02], rel=1e-6)
    assert row_errors(table.slice(0, 0)).shape == (0,)


def test_pairs_and_points_must_fit():
    with pytest.raises(PredictionsError, match=r"\(4, 2\)"):
        build({"soc": TaskPredictions(pairs_table(PAIRS_SOC), POINTS_SOC[:3])})
    with pytest.raises(PredictionsError, match="similarities"):
        build({"soc": TaskPredictions(pairs_table(PAIRS_SOC), POINTS_SOC, [0.1])})
