"""The paper's own category scores of DINOv2 (table r6), aggregated by us, give its overall and supercategory scores."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest
from helpers.shared_data import DATA

from soco_datasets.benchmarks.soco.categories import CATEGORIES
from soco_datasets.metrics.aggregation import PairGroups, aggregate

ALPHAS = (0.1, 0.05, 0.02)
POINTS = 1000  # table r6 prints tenths of a percent: that many points make every score exact


def rows(name: str) -> list[dict[str, str]]:
    with open(DATA / "paper" / name, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def scores(task: str) -> dict[str, Any]:
    """Our breakdown of errors made so that every category has the score that table r6 prints for it."""
    table = rows("table_r6_dinov2b_categories.csv")
    errors = np.full((len(table), POINTS), 9.0, dtype=np.float32)
    for errors_of, row in zip(errors, table, strict=True):
        for alpha, error in zip(ALPHAS, (0.07, 0.03, 0.01), strict=True):
            errors_of[: round(10 * float(row[f"{task}_{alpha:.2f}"]))] = error
    names = [row["category"] for row in table]
    owner = np.repeat(np.arange(len(names)), POINTS)
    parents = {name: CATEGORIES[name].supercategory for name in names}
    return aggregate(errors.ravel(), owner, PairGroups(names, supercategories=parents), alphas=ALPHAS)["keypoint"]


@pytest.mark.parametrize("task", ["soc", "cc"])
def test_overall_scores_of_tables_2_and_r3(task: str) -> None:
    [printed] = [row for row in rows("table_r3_thresholds.csv") if row["model"] == "DINOV2"]
    ours = scores(task)
    for alpha in ALPHAS:
        assert 100 * ours[str(alpha)]["overall"]["pck"] == pytest.approx(
            float(printed[f"pair_{task}_{alpha:.2f}"]), abs=0.02
        )
    [table_2] = [row for row in rows("table2_main_results.csv") if row["model"] == "DINOv2"]
    assert round(100 * ours["0.1"]["overall"]["pck"], 1) == float(table_2[task])


@pytest.mark.parametrize("task", ["soc", "cc"])
def test_supercategory_scores_of_table_r1(task: str) -> None:
    [printed] = [row for row in rows("table_r1_supercategories.csv") if row["model"] == "DINOV2"]
    ours = scores(task)["0.1"]["per_supercategory"]
    columns = {"transportation": "trans", "hand_held": "hand", "furniture": "furn", "animals": "animals"}
    assert set(ours) == set(columns)
    for name, column in columns.items():
        assert 100 * ours[name]["pck"] == pytest.approx(float(printed[f"{column}_{task}"]), abs=0.02)
    assert [ours[name]["categories"] for name in columns] == [31, 19, 10, 40]
