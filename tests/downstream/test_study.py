"""The study: figure 4 and r9 on the paper's own tables, refusals for want of models, resuming."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from helpers.shared_builds import built_mini

from soco_datasets.cli import main
from soco_datasets.downstream.study import read_models
from soco_datasets.downstream.task_registry import downstream_tasks
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
    assert said.count("such-model-here.py:features skipped: ") == 1
    assert "nobody knows" in said
    assert "column" in said  # there is no column soc, so no correlation
    first = (tmp_path / "out" / "downstream" / "one" / "imagenet_knn.tiny.json").read_bytes()
    assert main(command) == 0
    assert (tmp_path / "out" / "downstream" / "one" / "imagenet_knn.tiny.json").read_bytes() == first
    assert (tmp_path / "out" / "report" / "report.html").is_file()
    capsys.readouterr()
    assert main([*command, "--seed", "7"]) == 2  # refused before any work, not after it
    said = capsys.readouterr()
    assert (said.out, "was made from" in said.err, "--overwrite" in said.err) == ("", True, True)


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


def other_dinov2(folder: Path) -> Path:
    """A second model of four blocks: the packaged one with the signs of a layer turned."""
    import shutil

    from safetensors.torch import load_file, save_file

    from soco_datasets.features.backbones import PACKAGED

    shutil.copytree(PACKAGED["tiny_dinov2"], folder)
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.1.mlp.fc1.weight"] *= -1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.slow
def test_two_tiny_models_fill_the_whole_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("scipy")
    models = f"tiny_dinov2,{other_dinov2(tmp_path / 'other_dinov2')},dense_sift"
    command = ["study", "--models", models, "--data", f"soco={built_mini()}", "--data", "synth", "--subset", "4"]
    command += ["--image-size", "112", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    said = capsys.readouterr().out
    rows = {row["model"]: row for row in csv.DictReader((tmp_path / "out" / "r8.csv").open())}
    columns = {task.column.key for task in downstream_tasks().values() if task.column}
    own = {task.own_column.key for task in downstream_tasks().values() if task.own_column}
    assert (len(columns), own) == (7, {"ap3d_given_boxes", "ap3d_own_detector"})
    assert set(rows["tiny_dinov2"]) == {"model", "soc", *columns, *own}  # and not r8's AP3D
    for name in ("tiny_dinov2", "other_dinov2"):
        assert all(rows[name].values()), rows[name]
    assert rows["tiny_dinov2"] != {**rows["other_dinov2"], "model": "tiny_dinov2"}
    five = {"imagenet_knn_top1", "ade20k_miou", "navi_recall", "tapvid_davis_aj"}
    assert {name for name, value in rows["dense_sift"].items() if value} == {"model", "soc", *five}
    assert "nyu_depth: no result: dense_sift (dense_sift) does not give four layers" in said
    page = (tmp_path / "out" / "report" / "report.html").read_text()
    for text in ('<a href="#downstream">', "Downstream tasks", "published (table r8)", "degrees apart", "within 2 cm", "matches in space",
                 "true and predicted depth", "true and predicted normals", "tracks (solid)", "SOC against NAVI"):  # fmt: skip
        assert text in page, text
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.json")}
    assert main(command) == 0
    assert capsys.readouterr().out.count("(kept)") == 3 * 8
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.json")} == before
    other = ["--models", "dense_sift", "--data", f"soco={built_mini()}", "--image-size", "96", "--device", "cpu"]
    assert main(["study", *other, "--out", str(tmp_path / "out")]) == 2  # the tables are of the size before
    assert "is not replaced" in capsys.readouterr().err
    # the record of another size is not taken for it
    assert main(["study", *other, "--out", str(tmp_path / "out"), "--overwrite"]) == 0
    assert {path.name for path in (tmp_path / "out" / "soco").glob("dense_sift*.json")} == {
        "dense_sift.size112.json",
        "dense_sift.size96.json",
    }


@pytest.mark.slow
def test_jobs_give_the_records_of_one_process(
    synthetic: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = [f"--data={kind}={synthetic(kind)}" for kind in ("imagenet", "ade20k", "imagenet3d")]
    command = ["study", "--models", "tiny_dinov2,dense_sift", *data, "--protocol", "tiny", "--subset", "6"]
    for jobs in ("1", "2"):
        assert main([*command, "--device", "cpu", "--jobs", jobs, "--out", str(tmp_path / jobs)]) == 0
    assert "imagenet3d_pose: no result" in capsys.readouterr().out
    common = ["downstream", "run", "--model", "tiny_dinov2", *data, "--protocol", "tiny", "--subset", "6"]
    assert main([*common, "--jobs", "2", "--out", str(tmp_path / "run")]) == 0
    for path in sorted((tmp_path / "1" / "downstream").rglob("*.json")):
        place = path.relative_to(tmp_path / "1" / "downstream")
        others = [tmp_path / "2" / "downstream" / place]
        others += [tmp_path / "run" / place] if place.parts[0] == "tiny_dinov2" else []
        for other in others:
            mine, theirs = (json.loads(one.read_text()) for one in (path, other))
            assert {**theirs, "created": ""} == {**mine, "created": ""}, place
    assert not list(tmp_path.rglob(".work"))
    assert not list(tmp_path.rglob(".features"))
    assert main([*common, "--jobs", "0", "--out", str(tmp_path / "none")]) == 2


def test_a_dry_run_lists_units_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, tasks = tmp_path / "out", "tapvid_davis,navi,ade20k_linear"
    data = ["--data", "davis=/data/davis", "--data", "ade20k=/data/ade"]
    command = ["study", "--models", "no/such-model,dense_sift", *data, "--tasks", tasks, "--out", str(out), "--dry-run"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:4]] == ["no/such-model"] * 2 + ["dense_sift"] * 2
    assert "dense_sift: tapvid_davis, data davis = /data/davis" in lines
    assert lines[4:] == ["left out, since no data is given: navi (--data navi=DIR)"]
    assert not out.exists()
