from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from helpers.pair_tables import build, pair, pairs_table
from helpers.reference_pck import query_error
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.benchmarks.task_pairs import keep_queries
from soco_datasets.config import Protocol, ScoringConfig
from soco_datasets.correspondence.matchers.among_candidates import best_candidates
from soco_datasets.data.schema import PAIRS_GEO
from soco_datasets.errors import PredictionsError
from soco_datasets.geometry import CONVENTIONS
from soco_datasets.metrics.candidate_choice import CandidateGrid, candidate_cells, padded_candidates, random_hits
from soco_datasets.records.annotated_points import AnnotatedPoints
from soco_datasets.records.candidate_names import CANDIDATES_KEY, has_candidates, with_candidates
from soco_datasets.records.evaluation import scored_record
from soco_datasets.records.predictions import TaskPredictions, read_predictions, write_predictions
from soco_datasets.records.scores import score


def test_a_point_lies_in_a_cell_and_one_outside_in_the_nearest() -> None:
    points = [[0, 0], [99.9, 49.9], [50, 10], [-8, 40], [250, 30], [30, 99]]
    cells = candidate_cells(points, 100, size=None, grid=10, convention="centered")
    assert cells.tolist() == [0, 49, 15, 40, 39, 93]


def test_a_point_on_the_edge_of_two_cells_goes_where_the_reference_puts_it() -> None:
    """98 of 280 pixels is 7 cells of 20 on paper; its float32 is a little less, and truncated."""
    assert candidate_cells([[98, 0]], 280, size=280, grid=20, convention="reference").tolist() == [6]


def test_the_best_candidate_wins_the_lower_cell_on_ties() -> None:
    scores = torch.tensor([[0.5, 0.9, 0.9, 0.1], [0.3, -1.0, 0.2, 5.0]]).reshape(2, 2, 2)
    choices = torch.from_numpy(padded_candidates([2, 1, 3, 0, 2, 1, 1], [3, 2, 2]))
    cells, top = best_candidates(scores, torch.tensor([0, 1, 1]), choices)
    assert cells.tolist() == [1, 0, 1]
    assert top.tolist() == pytest.approx([0.9, 0.3, -1.0])


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_choices_equal_a_slow_loop(seed: int, counts: list[int]) -> None:
    generator = np.random.default_rng(seed)
    scores = np.round(generator.uniform(-1, 1, (3, 4, 4)), 1).astype(np.float32)
    queries = generator.integers(0, 3, len(counts))
    lists = [generator.integers(0, 16, number).tolist() for number in counts]
    choices = torch.from_numpy(padded_candidates(np.concatenate(lists), counts))
    cells, _ = best_candidates(torch.from_numpy(scores), torch.from_numpy(queries), choices)
    expected = [
        max(sorted(some), key=lambda cell, q=query: (scores[q].flat[cell], -cell))
        for query, some in zip(queries, lists, strict=True)
    ]
    assert cells.tolist() == expected


# --- chance -----------------------------------------------------------------------------------------------------------

ALPHAS = (0.3, 0.1)


@settings(max_examples=60)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 6), min_size=1, max_size=8),
    st.sampled_from([None, 5, 20]),
    st.sampled_from(CONVENTIONS),
)
def test_chance_equals_trying_every_candidate(seed: int, counts: list[int], grid: int | None, convention: Any) -> None:
    generator = np.random.default_rng(seed)
    side, size = 100, None if grid is None else grid * 14
    lists = [np.round(generator.uniform(-5, 105, (number, 2))).tolist() for number in counts]
    targets = [some[0] for some in lists]
    found = random_hits(
        np.concatenate(lists), counts, targets, np.full(len(counts), side), np.full(len(counts), 80.0),
        alphas=ALPHAS, where=CandidateGrid(grid, size, convention),
    )  # fmt: skip
    for index, (some, target) in enumerate(zip(lists, targets, strict=True)):
        if grid is None:
            predictions = {tuple(point) for point in some}
        else:
            cells = candidate_cells(some, side, size=size, grid=grid, convention=convention)
            half = 0.5 if convention == "centered" else 0.0
            predictions = {((c % grid + half) / grid * side, (c // grid + half) / grid * side) for c in cells.tolist()}
        errors = [
            query_error(list(point), [target], [side, side], [0, 0, 80, 80], size=size, convention=convention)
            for point in predictions
        ]
        for row, alpha in enumerate(ALPHAS):
            assert found[row, index] == pytest.approx(np.mean([error < np.float32(alpha) for error in errors]))


# --- in a predictions table -------------------------------------------------------------------------------------------

NAMES = {"front": "wheel", "rear": "wheel", "spare": "wheel", "roof": "roof"}
POINTS = {"front": [20.0, 60.0], "rear": [90.0, 60.0], "spare": [24.0, 62.0], "roof": [60.0, 5.0]}
CANDIDATES = [["front", "rear", "spare"], ["roof"], ["front", "rear"]]  # the last not as the concept says


def geo_table(candidates: list[list[str]] = CANDIDATES, **fields: Any) -> pa.Table:
    """Two pairs: front and roof, then rear; chance is 2/3, 1 and, of the listed candidates, 1/2."""
    rows = [
        pair("car/1", "car", {name: [POINTS[name]] for name in ("front", "roof")}, box=[0, 0, 100, 80]),
        pair("car/2", "car", {"rear": [POINTS["rear"]]}, box=[0, 0, 100, 80]),
    ]
    for row in rows:
        row["concepts"] = [NAMES[name] for name in row["keypoints"]]
        row["target_keypoints"] = [[name] for name in row["keypoints"]]
    images = {}
    for row in rows:
        names = row["keypoints"]
        for image_id, shown, points in (
            (row["source_image_id"], names, row["source_points"]),
            (row["target_image_id"], list(NAMES), list(POINTS.values())),
        ):
            concepts = [NAMES[name] for name in shown]
            images[image_id] = {"keypoints": list(shown), "concepts": concepts, "points": points, "azimuth": None}
    answers = {"soc_geo": TaskPredictions(pairs_table(rows), [[20, 60], [60, 5], [20, 60]])}
    table = build(answers, Protocol(ScoringConfig(convention="centered", alphas=(0.1,))), images=images, **fields)
    return with_candidates(table, {"soc_geo": pa.array(candidates)}, AnnotatedPoints.of(images))


def test_chance_stands_beside_the_score(tmp_path: Any) -> None:
    table = geo_table()
    pair_mean = score(table)["soc_geo"]["pair"]["0.1"]
    car = pair_mean["per_category"]["car"]
    assert (car["pck"], car["pairs"], car["keypoints"]) == (0.5, 2, 3)
    assert car["random_pck"] == pytest.approx(((2 / 3 + 1) / 2 + 1 / 2) / 2)
    assert car["random_choice"] == pytest.approx(((1 / 3 + 1) / 2 + 1 / 2) / 2)
    assert pair_mean["overall"]["random_pck"] == car["random_pck"]
    pooled = score(table)["soc_geo"]["keypoint"]["0.1"]["overall"]
    assert pooled["random_pck"] == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    write_predictions(tmp_path / "p.parquet", table)
    assert scored_record(read_predictions(tmp_path / "p.parquet")).to_json() == scored_record(table).to_json()


def test_only_candidates_that_are_not_those_of_the_concept_are_stored() -> None:
    stored = json.loads(geo_table().schema.metadata[CANDIDATES_KEY])
    assert stored == {"soc_geo": {"car/2": {"rear": ["front", "rear"]}}}
    regular = geo_table([["spare", "rear", "front"], ["roof"], ["rear", "spare", "front"]])
    assert json.loads(regular.schema.metadata[CANDIDATES_KEY]) == {"soc_geo": {}}
    assert has_candidates(regular, "soc_geo")
    assert not has_candidates(regular, "soc")
    assert score(regular)["soc_geo"]["keypoint"]["0.1"]["overall"]["random_pck"] == pytest.approx(
        (2 / 3 + 1 + 1 / 3) / 3
    )


def test_the_order_of_the_rows_changes_no_digit_of_chance() -> None:
    table, generator = geo_table(), np.random.default_rng(0)
    for _ in range(4):
        assert score(table.take(generator.permutation(len(table)))) == score(table)


@pytest.mark.parametrize("stored", [b"[]", b"{", b'{"soc_geo": {"car/2": {"rear": 3}}}', b'{"soc_geo": [1]}'])
def test_damaged_candidates_are_refused(stored: bytes) -> None:
    table = geo_table()
    table = table.replace_schema_metadata({**table.schema.metadata, CANDIDATES_KEY: stored})
    with pytest.raises(PredictionsError, match="candidates of these predictions are damaged"):
        score(table)


@pytest.mark.parametrize("names", [[], ["nose"]])
def test_a_candidate_that_is_not_annotated_is_refused(names: list[str]) -> None:
    table = geo_table()
    stored = json.dumps({"soc_geo": {"car/2": {"rear": names}}})
    table = table.replace_schema_metadata({**table.schema.metadata, CANDIDATES_KEY: stored})
    with pytest.raises(PredictionsError, match=r"pair car/2, keypoint rear: its candidates are not annotated"):
        score(table)


def test_queries_can_be_left_out_of_the_pairs() -> None:
    rows = [pair(f"car/{n}", "car", {f"k{i}": [[i, n]] for i in range(n)}) for n in range(4)]
    for row in rows:
        row["candidate_keypoints"], row["candidate_points"] = row["target_keypoints"], row["target_points"]
    table = pa.Table.from_pylist(rows, schema=PAIRS_GEO.arrow_schema)
    kept = keep_queries(table, np.array([False, True, False, True, False, True]))
    assert kept.schema.equals(table.schema)
    assert kept["keypoints"].to_pylist() == [[], [], ["k0"], ["k0", "k2"]]
    assert kept["candidate_points"].to_pylist() == [[], [], [[[0, 2]]], [[[0, 3]], [[2, 3]]]]
    assert kept["target_size"].equals(table["target_size"])
    assert keep_queries(table, np.ones(6, dtype=bool)).equals(table)
