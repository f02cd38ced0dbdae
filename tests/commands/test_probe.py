"""`soco probe` on the built-in set, without weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.shared_builds import built_mini

from soco_datasets.cli import main
from soco_datasets.features.heads import load_head


@pytest.fixture(scope="module")
def mini() -> Path:
    return built_mini()


def test_it_trains_tests_and_writes_record_and_heads(
    mini: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["probe", "--model", "dense_sift", "--data", str(mini), "--image-size", "96", "--out", str(tmp_path)]
    assert main([*arguments, "--epochs", "2", "--holdout", "0.5"]) == 0
    printed = capsys.readouterr().out
    record = json.loads((tmp_path / "dense_sift.probe.json").read_text())
    assert record["format"] == "soco_probe"
    assert record["counts"]["forwards"] == record["counts"]["images"] == 96
    for name, result in record["variants"].items():
        assert result["title"] in printed
        assert load_head(tmp_path / f"dense_sift.probe-{name}.safetensors").hash == result["head"]["sha256"]
        assert len(result["epochs"]) == 2
    selected = record["variants"]["reference"]["metrics"]["test"]["soc_probe"]["keypoint"]["0.1"]["overall"]["pck"]
    assert f"{100 * selected:.2f}" in printed
    assert record["variants"]["heldout"]["batch_size"] < 32  # so few pairs are left that they are one batch


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--variants", "heldot"], "Did you mean 'heldout'"),
        (["--epochs", "0"], "epochs of a probe"),
        (["--alphas", "ten"], "--alphas takes numbers"),
        (["--convention", "centred"], "Did you mean 'centered'"),
        (["--holdout", "1"], "at most 0.5"),
    ],
)
def test_wrong_use_is_said_before_a_model_is_loaded(
    mini: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    out = tmp_path / "out"
    assert main(["probe", "--model", "no_such_model", "--data", str(mini), "--out", str(out), *options]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
