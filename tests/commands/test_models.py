"""`soco models` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.tiny_models import TOKEN_MODELS

from soco_datasets.cli import main
from soco_datasets.features.model_list import BACKBONES

SHIFTED = """
import torch
from soco_datasets.features.plugin import plugin

@plugin(stride=8)
def features(images):
    means = torch.nn.functional.avg_pool2d(images, 8)
    return means.roll({shift}, dims=3)
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["models", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_whole_list_in_a_process_of_its_own(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-X", "importtime", "-m", "soco_datasets.cli", "models"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "name",
        "family",
        "paper",
        "patch",
        "sizes",
        "access",
        "CC",
        "SOC",
        "Cross-SOC",
        "weights",
        "license",
        "checked",
    ]
    assert [line.split()[0] for line in lines[1 : 1 + len(BACKBONES)]] == [spec.name for spec in BACKBONES]
    row = next(line for line in lines if line.startswith("dinov3_vitl16 "))
    for part in ("dinov3_vit", "gated", "76.56", "61.36", "56.15", "facebook/dinov3-vitl16-pretrain-lvd1689m"):
        assert part in row
    assert "x14 (800 -> 798)" in next(line for line in lines if line.startswith("clip_l14 "))
    assert "id unverified" in next(line for line in lines if line.startswith("radio "))
    assert not any(line.rstrip().endswith(("| torch", "| transformers")) for line in done.stderr.splitlines())


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, _ = run(capsys)
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= width
    assert out.split()[:2] == ["name", "family"]
    assert "SOC" in out.splitlines()[0]
    assert "Hidden (terminal too narrow)" in " ".join(out.split())


def test_json_is_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--json")
    records = {record["name"]: record for record in json.loads(out)}
    assert code == 0
    assert list(records) == [spec.name for spec in BACKBONES]
    assert records["qwen_vl"]["paper_scores"] == {"cc": 27.24, "soc": 19.36, "cross_soc": 16.25}
    assert records["dense_sift"]["paper_scores"] == {"cc": None, "soc": None, "cross_soc": None}
    assert records["croco"]["needs"] == "plug-in"
    assert records["pixio_vitb16"]["paper_norm"] == "final"


def test_family(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--family", "siglip", "--json")
    assert [record["name"] for record in json.loads(out)] == ["siglip_b16", "siglip_l16"]
    _, out, _ = run(capsys, "--family", "plug-in", "--json")
    assert {record["name"] for record in json.loads(out)} == {
        *("croco", "dune_vitb14", "dune_vits14", "vjepa2_1_base", "vjepa2_1_large")
    }


def test_one_model(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "ibot_b16")
    assert code == 0
    for part in ("iBOT in the paper", "soco convert ibot", "SOC 39.64", "github.com/bytedance/ibot"):
        assert part in out
    for name in ("SD 2.1", "sd 2.1", "dift"):
        assert run(capsys, name)[1].startswith("name             dift (SD 2.1 in the paper)")
    assert run(capsys, "Qwen2.5-VL")[1].startswith("name             qwen_vl (QWEN-L, Qwen2.5-VL in the paper)")
    assert run(capsys, "facebook/dinov2-base")[1].startswith("name             dinov2_b14")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--family", "dinov22"], "Did you mean 'dinov2'"),
        (["dinov2_b41"], "Did you mean 'dinov2_b14'"),
        (["--image-size", "800"], "--image-size goes with --check"),
        (["--check", "dense_sift", "--family", "vit"], "leave the name and --family out"),
        (["--check", "dinov2_b41"], "Did you mean 'dinov2_b14'"),
        (["--check", "dense_sift", "--image-size", "0"], "must be positive"),
    ],
)
def test_wrong_use(capsys: pytest.CaptureFixture[str], arguments: list[str], text: str) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert text in err


def test_check_of_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = str(TOKEN_MODELS["dinov2_with_registers"](tmp_path / "model"))
    code, out, _ = run(capsys, "--check", folder, "--image-size", "101")
    assert code == 0
    assert "104x104 px -> 13x13" in out
    assert out.splitlines()[-1].startswith("passed: ")
    code, out, _ = run(capsys, "--check", folder, "--layer", "0", "--norm", "final", "--json")
    record = json.loads(out)
    assert (code, record["passed"], record["settings"]["layer"], record["settings"]["norm"]) == (0, True, 0, "final")


@pytest.mark.parametrize(("shift", "code"), [(0, 0), (1, 1)])
def test_check_of_a_plug_in(capsys: pytest.CaptureFixture[str], tmp_path: Path, shift: int, code: int) -> None:
    plugin = tmp_path / f"shifted_{shift}.py"
    plugin.write_text(SHIFTED.format(shift=shift))
    found, out, err = run(capsys, "--check", f"{plugin}:features")
    assert found == code
    assert ("FAILED" in out) == (code == 1)
    assert ("failed: locality. docs/howto/backbones.md" in err) == (code == 1)


def test_check_of_a_model_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "--check", str(tmp_path / "nowhere"))
    assert code == 1
    assert "There is no model folder" in err
    code, _, err = run(capsys, "--check", "dune_vitb14")
    assert code == 1
    assert "--model module:function" in err
