"""The summary that commands print: 80 columns, intervals, what makes it incomparable, and nonsense refused."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from helpers.pair_tables import build, oracle_protocol, oracle_tasks, small_table
from helpers.shared_data import ORACLE
from helpers.small_release import make_release

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main
from soco_datasets.config import Protocol
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions
from soco_datasets.reporting.terminal_summary import summarize


@pytest.fixture(scope="module")
def oracle() -> EvaluationResult:
    tasks = oracle_tasks(ORACLE / "SOCOv1", ORACLE / "expected")
    return record_from_predictions(build(tasks, oracle_protocol()), resamples=100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("summary")
    return build_dataset(str(make_release(root / "release")), root / "built").path


def test_it_fits_eighty_columns_and_shows_intervals(oracle: EvaluationResult) -> None:
    summary = summarize(oracle)
    lines = summary.table.text().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["task", "PCK@0.1", "[95", "%]", "@0.05", "@0.02", "pairs"]
    low, high = oracle.intervals["tasks"]["soc"]["pair"]["0.1"]["overall"]
    (row,) = [line for line in lines if line.startswith("SOC ")]
    assert row.split()[1:] == ["31.30", f"[{100 * low:.2f},", f"{100 * high:.2f}]", "16.38", "5.31", row.split()[-1]]
    assert "not comparable with the paper" in summary.note
    assert len(summary.note.splitlines()) == 1


def test_few_images_have_no_interval() -> None:
    summary = summarize(record_from_predictions(small_table(), resamples=50))
    for line in summary.table.text().splitlines()[1:]:
        assert line.split()[2] == "-"


def test_the_papers_value_stands_beside_where_it_is_comparable(oracle: EvaluationResult) -> None:
    metrics = copy.deepcopy(dict(oracle.metrics))
    for reductions in metrics.values():  # what says that it is SOCO: a score for each of its categories
        for by_alpha in reductions.values():
            for breakdown in by_alpha.values():
                some = next(iter(breakdown["per_category"].values()))
                breakdown["per_category"] = dict.fromkeys((f"category{number}" for number in range(100)), some)
    protocol = Protocol.from_dict({**oracle.protocol.to_dict(), "image_size": 800, "convention": "reference"})
    model = {**oracle.model, "name": "dinov2_b14"}
    summary = summarize(oracle.replace(protocol=protocol, model=model, metrics=metrics))
    assert summary.note == ""
    head, *rows = summary.table.text().splitlines()
    assert head.split()[-1] == "paper"
    assert max(map(len, (head, *rows))) <= 80
    (row,) = [row for row in rows if row.startswith("SOC ")]
    assert row.split()[-1] == "60.43"  # table r5 of the paper


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--alphas", "10"], "--alphas are fractions of the box: 10 is above 1. Did you mean 0.1?"),
        (["--alphas", "0.1,1.5"], "1.5 is above 1. Did you mean 0.015?"),
        (["--image-size", "20"], "2 x 2 cells; at least 4 x 4 are needed"),
    ],
)
def test_nonsense_is_refused_before_any_work(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    arguments = [
        "evaluate",
        "--model",
        "dense_sift",
        "--data",
        str(folder),
        "--tasks",
        "soc",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main([*arguments, "--image-size", "64", *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_evaluate_says_what_to_do_next_and_full_prints_everything(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "--model", "dense_sift", "--data", str(folder), "--image-size", "64"]
    assert main([*arguments, "--out", str(tmp_path / "a b")]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert f"next         soco report '{tmp_path / 'a b' / 'dense_sift.size64.json'}'" in out
    assert "keypoint @0.1" not in out
    predictions = str(tmp_path / "a b" / "dense_sift.size64.predictions.parquet")
    assert main(["score", predictions, "--full"]) == 0
    full = capsys.readouterr().out
    assert "keypoint @0.1" in full
    assert "not comparable with the paper" in full
