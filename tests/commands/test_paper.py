"""`soco evaluate --protocol paper`: every table of the paper in one run, without weights."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.command_lines import read_command_line
from helpers.shared_builds import built_mini

from soco_datasets.cli import main
from soco_datasets.commands import evaluate
from soco_datasets.commands.evaluate_options import EvaluationPlan
from soco_datasets.commands.paper_probe import requested_probe
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.records.probe import ProbeRecord


@pytest.fixture(scope="module")
def mini() -> DatasetFolder:
    return open_folder(built_mini())


def parsed(*options: str) -> EvaluationPlan:
    read = read_command_line(evaluate, "--model", "dense_sift", "--protocol", "paper", *options)
    return EvaluationPlan(read.model, read.protocol, read.storage, read.engine, read.output)


def test_one_run_and_its_report_fill_every_table(
    mini: DatasetFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", "dense_sift", "--data", str(mini.path), "--image-size", "80", "--out", str(tmp_path / "r")]
    assert main(["evaluate", "--protocol", "paper", "--alphas", "0.1,0.05", *options]) == 0
    printed = capsys.readouterr().out
    probe = ProbeRecord.read(tmp_path / "r" / "dense_sift.size80.probe.json")
    assert list(probe.variants) == ["heldout", "reference"]
    assert probe.protocol.scoring.alphas == (0.1, 0.05)
    assert "heldout (selected on held-out train images)" in printed
    assert "dense_sift.size80.probe-heldout.safetensors" in printed
    out = tmp_path / "report"
    assert (
        main(["report", str(tmp_path / "r" / "dense_sift.size80.json"), "--data", str(mini.path), "--out", str(out)])
        == 0
    )
    with (out / "tables" / "protocols.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    expected = probe.variants["heldout"]["metrics"]["test"]["soc_probe"]["pooled"]["0.1"]["pck"]
    assert float(row["SOC linear (held out)"]) == pytest.approx(100 * expected)
    assert {"SOC", "SOC soft", "SOC linear", "SOC-geo", "SOC-geo: random", "SOC-geo 2+"} <= row.keys()
    assert all(row.values())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], ""),
        (["--no-probe"], ""),
        (["--tasks", "soc"], ""),
        (["--split", "all"], "since it uses the released pairs"),
        (["--engine", "ray"], ""),
        (["--head", "h.safetensors"], "since the model has a head already"),
        (["--normaliser", "image"], "since it is scored by boxes"),
        (["--valid-area"], "since it is scored by boxes"),
    ],
)
def test_a_probe_that_belongs_to_the_paper_is_trained_or_said_to_be_left_out(
    mini: DatasetFolder, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    data = requested_probe(parsed(*options), mini)
    assert (data is not None) == (options in ([], ["--engine", "ray"]))
    told = capsys.readouterr().err
    assert said in told
    assert bool(told) == bool(said)


def test_other_presets_have_no_probe(mini: DatasetFolder, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("standard", "fast"):
        assert requested_probe(parsed("--protocol", name), mini) is None
    assert not capsys.readouterr().err


def test_data_without_probe_pairs_is_no_reason_to_fail(capsys: pytest.CaptureFixture[str]) -> None:
    folder: Any = SimpleNamespace(path="D", configs=("soc", "cc"))
    assert requested_probe(parsed(), folder) is None
    assert capsys.readouterr().err == "left out, since D has no soc_probe: the linear probe\n"


def test_too_few_images_to_hold_out_leave_the_reference_alone(
    mini: DatasetFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soco_datasets.correspondence.probe_pairs._FEWEST", 1000)
    data = requested_probe(parsed(), mini)
    assert data is not None
    assert data.variants == ("reference",)
    assert "the heldout variant" in capsys.readouterr().err
