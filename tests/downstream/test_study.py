"""The study: figure 4 and r9 on the paper's own tables, refusals for want of models, resuming."""

from __future__ import annotations

import csv
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from soco_datasets.cli import main
from soco_datasets.downstream.study import read_models
from soco_datasets.errors import UsageError

pytest.importorskip("matplotlib")
SOC = (
    "model,soc\nDINov1,30.6\nDINov2,60.4\nDINov3,55.5\niBOT,39.6\nI-JEPA,46.3\nC-RADIOv3,51.1\nDUNE,45.7\nSD 2.1,44.8\n"
)
SOC += "CroCov2,10.2\nMAE,9.4\nPIXIO,37.5\nCLIP,16.1\nPE-Spatial,43.8\n"  # the paper's table 2
PLUGIN = """
import torch
from soco_datasets.features.plugin import plugin

@plugin(stride=16, name="NAME", weights=__file__)
def features(images):
    return torch.nn.functional.avg_pool2d(images, 16)
"""


def test_the_papers_tables_give_figure_4_and_r9(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "soc.csv").write_text(SOC)
    r8 = resources.files("soco_datasets.downstream").joinpath("published_r8.csv").read_text()
    (tmp_path / "r8.csv").write_text(r8)
    tables = [str(tmp_path / "soc.csv"), str(tmp_path / "r8.csv")]
    subset = "DINov1,DINov2,DINov3,iBOT,I-JEPA"
    command = [
        "study",
        "--tables",
        *tables,
        "--subset-models",
        subset,
        "--resamples",
        "300",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(command) == 0
    out = tmp_path / "out" / "correlations"
    assert {"figure4.svg", "figure_r4.png", "r9.csv", "correlations.csv"} <= {path.name for path in out.iterdir()}
    rows = {row["task"]: row for row in csv.DictReader((out / "r9.csv").open())}
    assert len(rows) == 7
    for row in rows.values():
        assert row["soc_models"] == "13"
        assert abs(float(row["soc_r"]) - float(row["published_soc_r"])) < 0.3  # 13 of the paper's 37 models
        assert float(row["soc_r"]) * float(row["published_soc_r"]) > 0
    assert "wrote" in capsys.readouterr().out


def test_two_models_run_and_are_told_to_be_too_few(
    synthetic: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["model,dense_ssl,doubt"]
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(PLUGIN.replace("NAME", name))
        models.append(f"{tmp_path / name}.py:features,yes,")
    models.append("no/such-model-here.py:features,?,nobody knows")
    (tmp_path / "models.csv").write_text("\n".join(models) + "\n")
    command = ["study", "--models", str(tmp_path / "models.csv"), "--data", f"imagenet={synthetic('imagenet')}"]
    command += ["--tasks", "imagenet_knn", "--protocol", "tiny", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "skipped: " in said
    assert "nobody knows" in said
    assert "column" in said  # there is no column soc, so no correlation
    first = (tmp_path / "out" / "downstream" / "one" / "imagenet_knn.tiny.json").read_bytes()
    assert main(command) == 0
    assert (tmp_path / "out" / "downstream" / "one" / "imagenet_knn.tiny.json").read_bytes() == first
    assert (tmp_path / "out" / "report" / "report.html").is_file()


def test_lists_of_models(tmp_path: Path) -> None:
    assert [one.model for one in read_models("a, b")] == ["a", "b"]
    for text, said in (
        ("model,dense_ssl\na,maybe\n", "line 2: dense_ssl is 'maybe'"),
        ("name\na\n", "no column `model`"),
    ):
        (tmp_path / "models.csv").write_text(text)
        with pytest.raises(UsageError, match=said):
            read_models(str(tmp_path / "models.csv"))
    with pytest.raises(UsageError, match="one twice: a"):
        read_models("a,a")
