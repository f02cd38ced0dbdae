"""How far a result was verified, as one value: it keeps its meaning in files, and fields that contradict are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from soco_datasets.errors import PredictionsError
from soco_datasets.records.verification import STATES, Verification


def test_it_survives_json_and_is_ordered() -> None:
    full = Verification("rerun", "ada", "2026-11-30T06:00:00Z", 36, 40, (), "a" * 64)
    for one in (full, Verification(), Verification("recomputed", findings=("too good",), images=3, pairs=2)):
        assert Verification.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    assert Verification().to_dict() == {"state": "claimed"}
    assert str(full) == "rerun (36 images, 40 pairs) by ada on 2026-11-30"
    strengths = [Verification(state, images=1, pairs=1).strength for state in STATES]
    assert strengths == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"state": "proved"}, "state must be"),
        ({"state": "claimed", "images": -1}, "images must be 0 or more"),
        ({"state": "rerun"}, "how many images and pairs"),
        ({"state": "consistent", "findings": ["off the grid"]}, "with findings cannot be"),
        ({"state": "claimed", "when": "yesterday"}, "UTC time"),
        ({"state": "claimed", "data_sha256": "abc"}, "64 hexadecimal digits"),
        ({"state": "claimed", "findings": ["x"] * 101}, "at most 100"),
        ({"state": "claimed", "color": "red"}, "color"),
        (["claimed"], "dictionary"),
    ],
)
def test_what_contradicts_itself_is_refused(stored: Any, words: str) -> None:
    with pytest.raises(PredictionsError, match=words):
        Verification.from_dict(stored)
