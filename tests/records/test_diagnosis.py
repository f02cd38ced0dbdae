"""A record whose intervals, anatomy or curves are damaged is refused when it is read, not when it is drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from helpers.report_records import record

from soco_datasets.errors import PredictionsError
from soco_datasets.records.evaluation import EvaluationResult


@pytest.fixture(scope="module")
def text() -> str:
    return record(["car", "bus"], supercategories={"car": "transportation"}).to_json()


def test_a_whole_record_is_read(text: str) -> None:
    assert EvaluationResult.from_json(text).to_json() == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["intervals"]["tasks"]["soc"]["pair"]["0.1"].update(overall=[0.5, 0.4]), "is not an interval"),
        (lambda r: r.update(curves=[]), "curves must be a mapping"),
        (lambda r: r["curves"].update(soc=None), "curves/soc must be a mapping, got None"),
        (lambda r: r["curves"]["soc"]["azimuth"]["pck"].pop("keypoint"), "curve of task 'soc'"),
        (lambda r: r["curves"]["soc"]["azimuth"]["pck"]["pair"].pop("0.1"), "curve of task 'soc'"),
        (lambda r: r["curves"]["soc"]["azimuth"]["pck"]["pair"]["0.1"].pop(), "curve of task 'soc'"),
        (lambda r: r["curves"]["soc"]["azimuth"]["edges"].append("x"), "edges/7 must be a number, got 'x'"),
        (lambda r: r["anatomy"].update(alpha=None), "anatomy/alpha must be a number"),
        (lambda r: r["anatomy"].update(drops=[3]), "anatomy/drops/0 must be a mapping"),
        (lambda r: r["anatomy"]["drops"][0].update(to=[]), "drops/0/to must be a string"),
        (
            lambda r: r["anatomy"]["drops"][0]["reductions"]["pair"]["pieces"].update(swap="x"),
            "pieces/swap must be a number",
        ),
        (
            lambda r: r["anatomy"]["drops"][0]["reductions"]["pair"]["same_queries"].update(lost=True),
            "lost must be a mapping",
        ),
        (lambda r: r["anatomy"]["tasks"]["soc"]["overall"]["shares"]["pair"].update(hit="x"), "shares"),
        (lambda r: r["anatomy"]["tasks"]["soc"]["overall"]["counts"].pop("hit"), "must count"),
        (
            lambda r: r["anatomy"]["tasks"]["soc"]["swaps"].update(wheel={"wheel_front": 3.5}),
            "soc/swaps/wheel/wheel_front must be a mapping",
        ),
    ],
)
def test_a_damaged_one_is_refused(text: str, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    fields = json.loads(text)
    change(fields)
    with pytest.raises(PredictionsError, match=message):
        EvaluationResult.from_json(json.dumps(fields))
