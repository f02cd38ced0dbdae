"""Several benchmarks in one run: shared features, one record each, one table, reports and correlations of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.shared_data import DATA, ORACLE

from soco_datasets import cli
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.records.evaluation import EvaluationResult, check_comparable
from soco_datasets.errors import UsageError

pytest.importorskip("torch")
MINIATURES = DATA / "benchmarks" / "miniatures"
MODEL = ["--model", str(ORACLE / "models" / "dinov2_tiny_p14"), "--image-size", "285", "--device", "cpu"]
EXPECTED = {"spair71k": ("soc", 17.2716), "ap10k": ("soc", 39.4396), "misc210k": ("soc", 26.5170)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SOCO_HOME with built benchmarks by name (one by its alias), and a second copy of SPair-71k."""
    root = tmp_path_factory.mktemp("home")
    for source, name in {"SPair-71k": "spair", "ap-10k": "ap10k", "MISC210K": "misc210k"}.items():
        build_dataset(MINIATURES / source, root / name)
    return root


@pytest.fixture(scope="module")
def evaluated(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOCO_HOME", str(home))
        command = ["evaluate", *MODEL, "--data", "spair,ap10k,misc210k", "--out", str(out), "--no-probe"]
        assert cli.main(command) in (0, None)
    return out


def record_of(out: Path, benchmark: str) -> Path:
    (found,) = [path for path in (out / benchmark).glob("*.json")]
    return found


def test_one_record_per_benchmark_with_the_expected_scores(evaluated: Path) -> None:
    for benchmark, (task, percent) in EXPECTED.items():
        record = EvaluationResult.read(record_of(evaluated, benchmark))
        found = record.metrics[task]["keypoint"]["0.1"]["overall"]["pck"]
        assert 100 * found == pytest.approx(percent, abs=1e-4)
        assert record.dataset["benchmark"] == benchmark
        assert record.counts["forwards"] + record.counts["reused"] == record.counts["images"]
    spair = EvaluationResult.read(record_of(evaluated, "spair71k"))
    assert spair.counts["reused"] == 1  # the picture that dog and cat both have


def test_pictures_of_an_earlier_benchmark_are_not_forwarded_again(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    build_dataset(MINIATURES / "SPair-71k", copy)
    data = f"{home / 'spair'},{copy}"
    assert cli.main(["evaluate", *MODEL, "--data", data, "--out", str(tmp_path / "out")]) in (0, None)
    records = [EvaluationResult.read(path) for path in sorted((tmp_path / "out").glob("*/*.json"))]
    assert sorted(record.counts["forwards"] for record in records)[0] == 0
    assert records[0].metrics == records[1].metrics
    assert "SPair-71k" in capsys.readouterr().out.splitlines()[-3]


def test_names_that_cannot_be_meant(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCO_HOME", str(home))
    for data, said in (("spair,spair71k", "twice"), ("spair,,ap10k", "commas"), ("spair,nosuch", "nosuch")):
        assert cli.main(["evaluate", *MODEL, "--data", data, "--out", str(tmp_path)]) not in (0, None), said
    options = ["--data", "spair,ap10k", "--tasks", "cross_family", "--out", str(tmp_path)]
    assert cli.main(["evaluate", *MODEL, *options]) not in (0, None)
    assert not list(tmp_path.iterdir())
