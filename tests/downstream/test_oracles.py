"""Every formula of the downstream tasks against its oracle: one test per case found in the folder `SOCO_ORACLES` names.

The default is the committed copy. What computes a case is chosen by its folder, the names of its inputs and the names of
its expected values; every expected value of a known name is compared, and a case without any fails.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch")
from helpers.downstream_oracles.cases import COMMITTED, FOLDER, case_names, differences, load_case
from helpers.downstream_oracles.solvers import SOLVERS

NAMES = case_names(FOLDER)


@pytest.mark.parametrize("name", NAMES)
def test_oracle(name: str) -> None:
    case, folder = load_case(FOLDER, name), name.split("/")[0]
    if folder not in {one.folder for one in SOLVERS}:
        pytest.skip(f"the task of {name} is not built")
    fitting = [one for one in SOLVERS if one.fits(folder, case)]
    assert fitting, f"{name}: nothing computes {sorted(case.expected)} from {sorted(case.inputs)}"
    compared, wrong = differences(fitting[0].compute(case), case.expected, case.tolerance, name)
    assert compared, f"{name}: none of the expected values {sorted(case.expected)} is known"
    assert not wrong, "\n".join(wrong)


def test_there_are_cases_and_every_committed_one_is_listed() -> None:
    assert NAMES, f"no oracle case in {FOLDER}"
    assert case_names(COMMITTED) == sorted(json.loads((COMMITTED / "index.json").read_text()))


def test_a_value_that_differs_is_found() -> None:
    expected = {"a": [1.0, None], "b": {"c": [[1, 2], [3, 4]], "other": 1}, "d": 0.5, "e": None}
    right = {"a": [1.0, None], "b": {"c": np.array([[1, 2], [3, 4]])}, "d": 0.5, "e": None}
    assert differences(right, expected, 1e-6, "case") == (6, [])
    changes = ({"a": [1.0, 0.0]}, {"a": [None, None]}, {"b": {"c": [[1, 2], [3, 5]]}}, {"b": {"c": [1]}}, {"e": 0.0})
    for change in (*changes, {"d": None}, {"d": 0.6}, {"d": float("nan")}, {"a": [1.0]}, {"b": None}):
        assert len(differences({**right, **change}, expected, 1e-6, "case")[1]) == 1, change
