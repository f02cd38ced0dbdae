"""Runs of several tasks: one forward per image and view, null results with a reason, resuming, records, table, report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.scene_features import extractor_of, scene_backbone

from soco_datasets.cli import main
from soco_datasets.downstream.base import DownstreamTask, TaskRun
from soco_datasets.downstream.downstream_run import DownstreamRun
from soco_datasets.downstream.fitting import Fit, fit_head
from soco_datasets.downstream.readers.known_readers import open_data
from soco_datasets.downstream.record import DownstreamResult
from soco_datasets.downstream.run_options import RunOptions
from soco_datasets.downstream.synthetic_data import embedded
from soco_datasets.downstream.table import downstream_table, published_r8, table_csv
from soco_datasets.downstream.task_registry import chosen_protocol, downstream_tasks, select_tasks
from soco_datasets.downstream.training import OptimizerConfig
from soco_datasets.errors import SocoError, UsageError
from soco_datasets.metrics.model_table import read_model_table
from soco_datasets.records.registry import read_record
from soco_datasets.synthetic.downstream import WRITERS

Synthetic = Callable[[str], Path]
PLUGIN = """
import torch
from soco_datasets.features.plugin import plugin

@plugin(stride=16, name="NAME", weights=__file__)
def features(images):
    parts = torch.nn.functional.avg_pool2d(images, 16)
    return torch.cat([parts, parts ** 2, parts.flip(1) * parts], dim=1)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[[str], str]:
    def write(name: str) -> str:
        path = tmp_path / f"{name}.py"
        path.write_text(PLUGIN.replace("NAME", name))
        return f"{path}:features"

    return write


def run(model: Any, names: str, data: dict[str, Path], out: Path, **options: Any) -> Any:
    from soco_datasets.features.spec import ExtractorSpec

    extractor = ExtractorSpec(model).load() if isinstance(model, str) else extractor_of(model)
    return DownstreamRun(extractor, select_tasks(names), data, RunOptions(out, {"": "tiny"}, **options)).run()


def test_two_tasks_on_the_same_images_share_their_forwards(synthetic: Synthetic, tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    both = scene_backbone(16, 6)
    options: Any = {"subset": 2, "checked": False}
    report = run(both, "nyu_depth,nyu_normals", {"nyu": synthetic("nyu")}, tmp_path, **options)
    assert both.forwards == 4  # 2 test images and 2 of training, for both tasks
    for record in report.records.values():
        assert (record.counts["decodes"], record.counts["forwards"]) == (4, 4)
        assert "subset 2, seed 0" in str(record.headline)
    alone = run(scene_backbone(16, 6), "nyu_normals", {"nyu": synthetic("nyu")}, tmp_path / "alone", **options)
    together = report.records["nyu_normals"]
    assert alone.records["nyu_normals"].metrics == together.metrics
    assert alone.records["nyu_normals"].training == together.training


def test_two_tasks_that_draw_the_same_views_share_their_forwards(
    synthetic: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("scipy")
    small = {"epochs": 2, "batch": 1, "hidden": 8, "bins": 8}
    for task in select_tasks("nyu_depth,nyu_normals"):
        monkeypatch.setattr(type(task), "protocols", {"tiny": {**task.protocols["reference"], **small}})
    options: Any = {"subset": 2, "checked": False}
    both, alone = scene_backbone(16, 6), scene_backbone(16, 6)
    report = run(both, "nyu_depth,nyu_normals", {"nyu": synthetic("nyu")}, tmp_path, **options)
    assert both.forwards == 2 + 2 * 2  # 2 test images, 2 of training in each of 2 epochs
    for name, record in report.records.items():
        assert (record.counts["decodes"], record.counts["forwards"], record.counts["steps"]) == (6, 6, 4)
        other = run(alone, name, {"nyu": synthetic("nyu")}, tmp_path / "alone", **options).records[name]
        assert (other.metrics, other.training) == (record.metrics, record.training)


@pytest.mark.slow
def test_results_do_not_depend_on_workers_and_batches(synthetic: Synthetic, tmp_path: Path) -> None:
    from soco_datasets.features.spec import ExtractorSpec

    names = "imagenet_knn,ade20k_linear,navi,tapvid_davis,imagenet3d_pose"
    data = {kind: synthetic(kind) for kind in ("imagenet", "ade20k", "navi", "davis", "imagenet3d")}
    found = []
    for workers, batch in ((0, 1), (3, 5)):
        extractor = ExtractorSpec("tiny_dinov2", batch_size=batch).load()
        options = RunOptions(tmp_path / str(workers), {"": "tiny"}, workers=workers, subset=8)
        records = DownstreamRun(extractor, select_tasks(names), data, options).run().records
        found.append({name: (record.metrics, record.training, record.counts) for name, record in records.items()})
    assert found[0] == found[1]


def test_shards_give_the_digits_of_one_process(
    synthetic: Synthetic, plugin: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle
    import tempfile

    left = tmp_path / "temporary"
    left.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left))
    from soco_datasets.downstream import extraction_shards as shards
    from soco_datasets.downstream.tasks import imagenet_knn
    from soco_datasets.features.spec import ExtractorSpec

    def mapper(function: Any, chunks: Any) -> Any:  # as a cluster's: everything passes through bytes
        for chunk in chunks:
            yield pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(function))(pickle.loads(pickle.dumps(chunk)))))

    monkeypatch.setattr(shards, "IMAGES_PER_SHARD", 7)
    monkeypatch.setattr(imagenet_knn, "_BANK_SHARD", 11)
    spec, names = ExtractorSpec(plugin("pooled")), "imagenet_knn,tapvid_davis"
    data = {"imagenet": synthetic("imagenet"), "davis": synthetic("davis")}
    reports = [
        DownstreamRun(spec.load(), select_tasks(names), data, RunOptions(tmp_path / str(place), {"": "tiny"})).run(
            cluster
        )
        for place, cluster in enumerate((None, (mapper, spec)))
    ]
    for name, record in reports[0].records.items():
        assert reports[1].records[name].metrics == record.metrics
        assert reports[1].records[name].counts == record.counts
    assert not list(left.glob("soco-*"))


def test_what_a_model_cannot_do_is_null_with_the_reason(
    synthetic: Synthetic, plugin: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", f"imagenet3d={synthetic('imagenet3d')}", "--data", f"imagenet={synthetic('imagenet')}"]
    command = [
        "downstream",
        "run",
        "--model",
        plugin("colors"),
        "--protocol",
        "tiny",
        *data,
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*command, "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "imagenet: 50 decodes, 50 forwards" in said.out
    assert "imagenet3d_pose: no result, colors (plugin) does not give four layers" in said.out
    assert "left out, since no data is given: ade20k_linear" in said.err
    assert not list((tmp_path / "out").rglob("*.json"))
    assert main(command) == 0
    record = read_record(tmp_path / "out" / "colors" / "imagenet3d_pose.tiny.json")
    assert isinstance(record, DownstreamResult)
    assert record.value is None
    assert "does not give four layers" in record.reason
    assert "no result" in capsys.readouterr().out


def test_finished_tasks_are_kept(synthetic: Synthetic, plugin: Callable[[str], str], tmp_path: Path) -> None:
    data = {"imagenet": synthetic("imagenet")}
    first = run(plugin("pooled"), "imagenet_knn", data, tmp_path)
    again = run(plugin("pooled"), "imagenet_knn", data, tmp_path, resume=True)
    assert again.kept == ["imagenet_knn"]
    assert again.records["imagenet_knn"].to_dict() == first.records["imagenet_knn"].to_dict()
    for other in ({"subset": 10}, {"seed": 1}):  # neither taken for the same run, nor replaced unasked
        with pytest.raises(UsageError, match=r"imagenet_knn.tiny.json holds the result of another run: (subset|seed)"):
            run(plugin("pooled"), "imagenet_knn", data, tmp_path, resume=True, **other)
    begun = first.paths["imagenet_knn"].parent / ".work" / "imagenet_knn.tiny" / "begun"
    begun.parent.mkdir(parents=True)
    begun.touch()
    with pytest.raises(UsageError, match="holds the result of another run"):
        run(plugin("pooled"), "imagenet_knn", data, tmp_path, subset=10)
    assert begun.is_file()  # a run that is refused removes nothing
    replaced = run(plugin("pooled"), "imagenet_knn", data, tmp_path, resume=True, subset=10, overwrite=True)
    assert replaced.kept == []
    assert replaced.records["imagenet_knn"].counts["scored"] == 10


def test_how_a_model_is_used_is_part_of_a_run(
    synthetic: Synthetic, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["downstream", "run", "--model", "tiny_dinov2", "--data", f"imagenet={synthetic('imagenet')}", "--resume"]
    command += ["--tasks", "imagenet_knn", "--subset", "6", "--protocol", "tiny", "--out", str(tmp_path)]
    assert main(command) == 0
    assert main(command) == 0
    assert "(kept)" in capsys.readouterr().out
    assert main([*command, "--statistics", "half"]) == 2
    assert "model.statistics.mean [0.485, 0.456, 0.406], not [0.5" in capsys.readouterr().err
    for given in (["--layer", "1"], ["--image-size", "112"]):
        assert main([*command, *given]) == 2
        assert "do nothing here" in capsys.readouterr().err


def test_a_begun_training_of_another_run_is_refused(synthetic: Synthetic, tmp_path: Path) -> None:
    """The features would be those of the new run, and the head that of the old one."""
    found = []
    for seed in (0, 1):
        task = TaskRun(
            extractor_of(scene_backbone(16, 6)), tmp_path, tmp_path, "task", 0, "cpu", {}, identity={"data": seed}
        )
        fit = Fit({"w": np.ones(2)}, lambda weights, rows: weights["w"].sum(), lambda epoch: [np.arange(1)],
                  OptimizerConfig(), lambda step: 0.1, 2)  # fmt: skip
        try:
            found.append(fit_head(fit, task, {}).summary["steps"])
        except UsageError as error:
            found.append(str(error))
    assert found[0] == 2
    assert "belongs to another training run" in found[1]


KILLS = {  # what is there when the process is killed
    "extraction": ("imagenet3d", ".features/**/vectors.npy"),
    "segmentation": ("ade20k", ".work/ade20k_linear.tiny/head.checkpoint.safetensors"),
    "pose": ("imagenet3d", ".work/imagenet3d_pose.tiny/head.checkpoint.safetensors"),
    "normals": ("nyu", ".work/nyu_normals.tiny/head.checkpoint.safetensors"),
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", KILLS)
def test_a_killed_run_resumes_to_the_same_record(stage: str, synthetic: Synthetic, tmp_path: Path) -> None:
    kind, pattern = KILLS[stage]
    if kind == "nyu":
        pytest.importorskip("scipy")
    command = [sys.executable, "-m", "soco_datasets.cli", "downstream", "run", "--model", "tiny_dinov2"]
    command += ["--protocol", "tiny", "--data", f"{kind}={synthetic(kind)}", "--device", "cpu", "--subset", "8"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--out", str(tmp_path / "whole")], check=True, env=environment)
    process = subprocess.Popen([*command, "--out", str(tmp_path / "killed")], env=environment)
    while not list((tmp_path / "killed").glob(f"tiny_dinov2/{pattern}")) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    wholes = sorted((tmp_path / "whole").rglob("*.json"))
    assert len(list((tmp_path / "killed").rglob("*.tiny.json"))) < len(wholes)
    subprocess.run([*command, "--out", str(tmp_path / "killed"), "--resume"], check=True, env=environment)
    for path in wholes:
        whole = json.loads(path.read_text())
        killed = json.loads((tmp_path / "killed" / path.relative_to(tmp_path / "whole")).read_text())
        assert killed["metrics"] == whole["metrics"]
        assert killed["training"] == whole["training"]  # with the hash of the head


def test_wrong_data_is_said_before_any_forward(synthetic: Synthetic, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(synthetic("ade20k"), tmp_path / "data")
    sorted((tmp_path / "data").rglob("*.png"))[0].unlink()
    backbone = scene_backbone(16, 6)
    with pytest.raises(SocoError, match="1 errors, found before any forward"):
        run(backbone, "ade20k_linear", {"ade20k": tmp_path / "data"}, tmp_path / "out")
    assert backbone.forwards == 0
    with pytest.raises(UsageError, match="No task has its data"):
        run(backbone, "navi", {"ade20k": tmp_path / "data"}, tmp_path / "out")


def test_table_report_and_csv(
    synthetic: Synthetic, plugin: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    data = {"imagenet": synthetic("imagenet"), "davis": synthetic("davis")}
    for name in ("one", "two"):
        run(plugin(name), "imagenet_knn,tapvid_davis", data, tmp_path / "out")
    capsys.readouterr()
    assert main(["downstream", "table", str(tmp_path / "out"), "--csv", str(tmp_path / "r8.csv")]) == 0
    shown = capsys.readouterr().out
    assert "published (r8)" in shown
    assert "DINov2" in shown
    assert "* one, kNN %: tiny" in shown
    table = read_model_table([tmp_path / "r8.csv"])
    assert table.models == ("one", "two")
    assert set(table.columns) == {"imagenet_knn_top1", "tapvid_davis_aj"}
    records = sorted((tmp_path / "out").rglob("*.json"))
    assert main(["report", *map(str, records), "--out", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("polyline") > 10
    assert "AJ is below delta_avg by construction" in page


def test_published_values_are_those_of_the_paper() -> None:
    table = published_r8()
    assert len(table) == 13
    assert table["DINov2"]["nyuv2_depth_rmse"] == 0.26
    keys = {task.column.key for task in downstream_tasks().values() if task.column} | {"arkit_ap3d"}
    assert set(table["MAE"]) == keys
    assert table_csv(downstream_table([])) == "model\n"


def test_two_runs_may_make_the_synthetic_data_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCO_CACHE", str(tmp_path))
    real = WRITERS["imagenet"]

    def overtaken(folder: Path, seed: int) -> Any:
        monkeypatch.setitem(WRITERS, "imagenet", real)
        embedded("imagenet")  # another process is done before this one
        return real(folder, seed)

    monkeypatch.setitem(WRITERS, "imagenet", overtaken)
    folder = embedded("imagenet")
    assert open_data("imagenet", folder).check() == []
    assert [path.name for path in folder.parent.iterdir()] == ["imagenet"]
    (folder / "synthetic.json").unlink()  # something else is in its place
    with pytest.raises(UsageError, match="is not empty"):
        embedded("imagenet")


def test_names_and_protocols(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="Did you mean 'nyu_depth'"):
        select_tasks("nyu_dept")
    task: DownstreamTask = downstream_tasks()["tapvid_davis"]
    assert chosen_protocol(task, "fixed") == "reference"  # a name that other tasks have
    with pytest.raises(UsageError, match="Unknown protocol"):
        chosen_protocol(task, "fxed")
    assert main(["downstream", "list"]) == 0
    assert "imagenet_knn" in capsys.readouterr().out
