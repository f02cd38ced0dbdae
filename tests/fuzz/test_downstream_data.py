"""Altered downstream data in every layout: refused by name, or read and run to the end; nothing is executed."""

from __future__ import annotations

import copy
import gzip
import json
import pickle
import shutil
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from helpers import damages as do
from helpers.data_damages import alter
from helpers.fuzzing import Campaign
from helpers.parquet_layouts import files_of
from helpers.released_imagenet3d import write_released_imagenet3d
from helpers.scene_features import extractor_of, scene_backbone

pytest.importorskip("torch", reason="runs a model (extra models)")
h5py = pytest.importorskip("h5py", reason="writes MATLAB 7.3 files (extra downstream)")
pytest.importorskip("scipy", reason="writes .mat files (extra downstream)")
from soco_datasets.downstream.downstream_run import DownstreamRun
from soco_datasets.downstream.readers.base import DataOptions
from soco_datasets.downstream.readers.imagenet3d_reader import prepare_imagenet3d
from soco_datasets.downstream.readers.known_readers import READERS, open_data
from soco_datasets.downstream.run_options import RunOptions
from soco_datasets.downstream.score3d import score_predictions
from soco_datasets.downstream.synthetic_data import synthesize
from soco_datasets.downstream.task_registry import downstream_tasks
from soco_datasets.errors import SocoError

Layouts = dict[str, tuple[str, Path, DataOptions]]  # name -> kind, folder, options


def labeled_nyu(geonet: Path, root: Path) -> None:
    """The MATLAB 7.3 file, the gzip-compressed normals and the split, of two flat images."""
    shutil.copytree(geonet, root / "nyu_geonet")
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        file.create_dataset("images", data=np.full((2, 3, 640, 480), 90, np.uint8), compression=1)
        file.create_dataset("rawDepths", data=np.full((2, 640, 480), 2, np.float32), compression=1)
    normals = np.zeros((2, 480, 640, 3), np.float32)
    normals[..., 2] = 1
    with gzip.open(root / "all_normals.pklz", "wb", compresslevel=1) as packed:
        pickle.dump({"all_normals": normals}, packed)
    (root / "test_SN40.json").write_text(json.dumps(["1_room.png", "2_room.png"]))


def tars(imagenet: Path, root: Path) -> None:
    import io
    import tarfile

    for split in ("train", "val"):
        with tarfile.open(root / f"{split}-0.tar", "w") as tar:
            for number, path in enumerate(sorted((imagenet / split).rglob("*.JPEG"))[:3]):
                for name, content in ((f"{number}.jpg", path.read_bytes()), (f"{number}.cls", b"0")):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))


def kaggle_and_devkit(imagenet: Path, kaggle: Path, devkit: Path) -> None:
    """Kaggle's layout, and the flat validation folder with the devkit."""
    from scipy.io import savemat

    wnids = sorted(one.name for one in (imagenet / "train").iterdir())
    shutil.copytree(imagenet / "train", kaggle / "ILSVRC" / "Data" / "CLS-LOC" / "train")
    shutil.copytree(imagenet / "train", devkit / "train")
    for flat in (kaggle / "ILSVRC" / "Data" / "CLS-LOC" / "val", devkit / "val"):
        flat.mkdir()
        for number, path in enumerate(sorted((imagenet / "val").rglob("*.JPEG"))[:3], start=1):
            shutil.copy(path, flat / f"ILSVRC2012_val_{number:08d}.JPEG")
    lines = [f"ILSVRC2012_val_{number:08d},{wnids[0]} 1 2 3 4" for number in (1, 2, 3)]
    (kaggle / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *lines]))
    synsets = np.array([(k, w) for k, w in enumerate(wnids, start=1)], dtype=[("ILSVRC2012_ID", "i4"), ("WNID", "O")])
    savemat(devkit / "meta.mat", {"synsets": synsets})
    (devkit / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n1\n")


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Layouts:
    """A few items of each data set in each of its layouts."""
    base, found = tmp_path_factory.mktemp("layouts"), Layouts()
    for kind in READERS:
        folder = base / kind
        synthesize(kind, folder)
        do.prune(kind, folder)
        found[kind] = (kind, folder, DataOptions())
    for kind in ("imagenet", "ade20k", "davis"):
        for path, content in files_of(kind, base / kind).items():
            target = base / f"{kind}-parquet" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        found[f"{kind}-parquet"] = (kind, base / f"{kind}-parquet", DataOptions(split_names=("train", "validation")))
    for name in ("nyu-labeled", "imagenet-tars"):
        (base / name).mkdir()
    labeled_nyu(base / "nyu" / "nyu_geonet", base / "nyu-labeled")
    found["nyu-labeled"] = ("nyu", base / "nyu-labeled", DataOptions())
    tars(base / "imagenet", base / "imagenet-tars")
    kaggle_and_devkit(base / "imagenet", base / "imagenet-kaggle", base / "imagenet-devkit")
    found |= {name: ("imagenet", base / name, DataOptions()) for name in ("imagenet-kaggle", "imagenet-devkit")}
    found["imagenet-tars"] = ("imagenet", base / "imagenet-tars", DataOptions())
    return found


def quick_tasks(kind: str) -> list[Any]:
    """The tasks on a kind of data, trained for one epoch."""
    tasks = [copy.copy(one) for one in downstream_tasks().values() if one.data == kind]
    for task in tasks:
        tiny = {**task.protocols.get("tiny", task.protocols[task.default])}
        task.protocols = {**task.protocols, "tiny": tiny | ({"epochs": 1} if "epochs" in tiny else {})}
    return tasks


def run_all(kind: str, data: Path, out: Path, options: DataOptions, *, to_the_end: bool) -> str:
    """What becomes of a run: refused before any forward, refused later, or run with or without warnings."""
    backbone = scene_backbone(16, 6, "constant")
    choices = RunOptions(out, {"": "tiny"}, split_names=options.split_names)
    try:
        run = DownstreamRun(extractor_of(backbone), quick_tasks(kind), {kind: data}, choices)
    except SocoError:
        return "refused"
    try:
        if to_the_end:
            run.run()
    except SocoError:
        return "refused while running"
    return "warned" if run.warnings else "accepted"


def test_downstream_data(tmp_path: Path, request: pytest.FixtureRequest, layouts: Layouts) -> None:
    names = [name for name in layouts for _ in range(1 if name.startswith("nyu") else 2)]

    def trial(random: Random, place: Path) -> str:
        kind, folder, options = layouts[random.choice(names)]
        data = shutil.copytree(folder, place / "data")
        for _ in range(random.choice((1, 1, 2))):
            alter(random, data)
        try:
            reader = open_data(kind, data, options)
            findings = [str(one) for one in reader.check()]
            described = json.dumps(reader.describe(), allow_nan=False)
            assert all(findings)
            assert described
        except SocoError:
            pass  # a run must say it too, or leave it out
        outcome = run_all(kind, data, place / "out", options, to_the_end=random.random() < 0.3)
        assert not list(place.rglob("sprung"))
        return outcome

    outcomes = Campaign("downstream data", request.config, 24).run(trial, tmp_path)
    assert outcomes["refused"]
    assert outcomes["accepted"] + outcomes["warned"]


def test_predictions_of_boxes(tmp_path: Path, request: pytest.FixtureRequest, layouts: Layouts) -> None:
    content = json.loads((layouts["omni3d"][1] / "Omni3D" / "ARKitScenes_test.json").read_text())
    rows = [
        {"image_id": one["image_id"], "category_id": one["category_id"], "bbox3D": one["bbox3D_cam"],
         "bbox": [1.0, 2.0, 30.0, 40.0], "score": 0.5, "depth": 2.0}
        for one in content["annotations"]
    ]  # fmt: skip

    def trial(random: Random, place: Path) -> str:
        data = place / "data"
        data.mkdir()
        (data / "truth.json").write_text(json.dumps(content))
        (data / "found.json").write_text(json.dumps(rows))
        alter(random, data)
        try:
            found = score_predictions(
                data / "found.json", data / "truth.json", random.choice(("dataset", "contiguous"))
            )
        except SocoError:
            return "refused"
        value = found.ap3d["AP3D"]
        assert value is None or 0 <= value <= 100
        return "scored"

    assert Campaign("box predictions", request.config, 60).run(trial, tmp_path)


def test_released_imagenet3d(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    write_released_imagenet3d(tmp_path / "released")

    def trial(random: Random, place: Path) -> str:
        shutil.copytree(tmp_path / "released", place / "data")
        alter(random, place / "data")
        try:
            prepare_imagenet3d(place / "data", place / "out")
            outcome = "prepared"
        except SocoError:
            outcome = "refused"
        assert not list(place.rglob("sprung"))
        return outcome

    (tmp_path / "trials").mkdir()
    assert Campaign("released imagenet3d", request.config, 40).run(trial, tmp_path / "trials")
