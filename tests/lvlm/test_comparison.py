"""Comparing two models on the same questions, and intervals at 0 % and 100 %."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.lvlm_results import make_answers, mostly_right
from helpers.tiny_folder import write_folder

from soco_datasets.cli import main
from soco_datasets.data.folder import open_folder
from soco_datasets.lvlm.circular_scores import Answer, score_answers
from soco_datasets.lvlm.question_rows import read_rows
from soco_datasets.lvlm.share_interval import wilson_interval


def test_shares_of_none_and_all_have_intervals_with_a_width(tmp_path: Path) -> None:
    folder = open_folder(write_folder(tmp_path / "tiny"))
    rows = read_rows(folder, "vis")
    for right, ends in ((True, (0.0, 1.0)), (False, (0.0, 1.0))):
        answers = {("vis", row["index"]): Answer(row["answer"] if right else "") for row in rows}
        overall = score_answers(rows, answers)["parsers"]["strict"]["settings"]["vis"]["overall"]
        low, high = overall["circular_interval"]
        assert overall["circular"] == float(right)
        assert (low, high) == (
            (pytest.approx(wilson_interval(1.0, overall["groups"])[0]), 1.0) if right else (0.0, high)
        )
        assert 0.0 < high - low < ends[1]


def test_two_models_are_compared_on_the_questions_both_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "tiny")
    records = []
    for name, reply in (("a", lambda row: row["answer"]), ("b", mostly_right)):
        paths = make_answers(folder, tmp_path / name, reply=reply, name=f"soco_hf/lab/{name}")
        out = tmp_path / f"{name}.json"
        assert main(["lvlm", "score", *map(str, paths), "--data", str(folder), "--out", str(out)]) == 0
        records.append(out)
    capsys.readouterr()
    assert main(["compare", *map(str, records), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["settings"]["vis"]["strict"]["circular"]
    wrong = sum(mostly_right({"setting": "vis", "g_index": row["g_index"], "index": row["index"], "answer": "A"})
                != "Answer: A" for row in read_rows(open_folder(folder), "vis") if row["ordering"] == 0)  # fmt: skip
    assert (found["a"], found["only_a"], found["only_b"]) == (1.0, wrong, 0)
    assert found["p"] == min(1.0, 2 / 2**wrong)
    assert found["difference"] == pytest.approx(-wrong / found["questions"])
    assert main(["compare", *map(str, records)]) == 0
    assert "only A" in capsys.readouterr().out
