"""Layouts of one data set read the same; whole data has no findings; what is no data set is refused. See test_damage.py."""

from __future__ import annotations

import io
import pickle
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.released_imagenet3d import write_released_imagenet3d

from soco_datasets.cli import main
from soco_datasets.downstream.readers.base import DataOptions
from soco_datasets.downstream.readers.imagenet3d_reader import prepare_imagenet3d
from soco_datasets.downstream.readers.known_readers import open_data
from soco_datasets.downstream.readers.unpickling import load_arrays
from soco_datasets.errors import MissingExtraError, SocoError, UsageError

Synthetic = Callable[[str], Path]


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


@pytest.mark.parametrize("kind", ["imagenet", "ade20k", "navi", "davis", "imagenet3d", "omni3d", "nyu"])
def test_whole_data_has_no_findings(kind: str, synthetic: Synthetic, capsys: pytest.CaptureFixture[str]) -> None:
    if kind == "nyu":
        pytest.importorskip("scipy")
    assert main(["downstream", "check", kind, str(synthetic(kind))]) == 0
    said = capsys.readouterr().out
    assert "no errors" in said
    assert "warning" not in said


def test_check_ends_with_2_for_errors(synthetic: Synthetic, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(synthetic("ade20k"), data)
    sorted(data.rglob("annotations/training/*.png"))[0].unlink()
    assert main(["downstream", "check", "ade20k", str(data)]) == 2


def test_imagenet_in_parquet_tars_and_kaggle_is_the_same(synthetic: Synthetic, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folders = open_data("imagenet", synthetic("imagenet"))
    kaggle = tmp_path / "kaggle"
    images = kaggle / "ILSVRC" / "Data" / "CLS-LOC"
    shutil.copytree(synthetic("imagenet") / "train", images / "train")
    (images / "val").mkdir()
    lines = ["ImageId,PredictionString"]
    for split, theirs in (("train", "train"), ("val", "validation")):
        rows = []
        with tarfile.open(tmp_path / f"{split}-000.tar", "w") as tar:
            for number, (key, label, path) in enumerate(folders.items(split)):  # type: ignore[attr-defined]
                data = path.read_bytes()
                rows.append({"image": {"bytes": data, "path": None}, "label": label})
                for extension, part in (("jpg", data), ("cls", str(label).encode())):
                    member = tarfile.TarInfo(f"{number:05d}.{extension}")
                    member.size = len(part)
                    tar.addfile(member, io.BytesIO(part))
                if split == "val":
                    shutil.copy(path, images / "val" / f"ILSVRC2012_val_{number:08d}.JPEG")
                    lines.append(f"ILSVRC2012_val_{number:08d},{key.split('/')[1]} 1 2 3 4")
        (tmp_path / "parquet").mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "parquet" / f"{theirs}-00000.parquet", row_group_size=7)
    (kaggle / "LOC_val_solution.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "tars").mkdir()
    for split in ("train", "val"):
        shutil.move(tmp_path / f"{split}-000.tar", tmp_path / "tars")
    named = DataOptions(split_names=("train", "validation"))
    others = [
        open_data("imagenet", tmp_path / "parquet", named),
        open_data("imagenet", tmp_path / "tars"),
        open_data("imagenet", kaggle),
    ]
    assert [one.layout for one in others] == ["Parquet", "WebDataset", "Kaggle"]
    for other in others:
        for split in ("train", "val"):
            assert [one[1] for one in other.items(split)] == [one[1] for one in folders.items(split)]  # type: ignore[attr-defined]
            mine, theirs_set = folders.image_set(split), other.image_set(split)  # type: ignore[attr-defined]
            assert np.array_equal(np.asarray(mine.load(3)), np.asarray(theirs_set.load(3)))


def test_nyu_in_the_labeled_file_is_the_same(synthetic: Synthetic, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    pytest.importorskip("scipy")
    from soco_datasets.synthetic.downstream.nyu_release import write_nyu_matlab

    write_nyu_matlab(tmp_path, 0)
    pickled, labeled = open_data("nyu", synthetic("nyu")), open_data("nyu", tmp_path)
    assert labeled.layout == "MATLAB"
    for one, two in zip(pickled.sample("test", 1), labeled.sample("test", 1), strict=True):  # type: ignore[attr-defined]
        assert np.array_equal(one, two)


def test_corrupt_files_of_geonet_are_left_out(synthetic: Synthetic, tmp_path: Path) -> None:
    """Known by name, so that they are also left out of a part of the archive."""
    pytest.importorskip("scipy")
    (tmp_path / "nyu_geonet").mkdir()
    shutil.copytree(synthetic("nyu") / "nyuv2", tmp_path / "nyuv2")
    good = sorted((synthetic("nyu") / "nyu_geonet").glob("*.mat"))[0]
    shutil.copy(good, tmp_path / "nyu_geonet")
    for name in ("bedroom_0129_r-1315328302.785180-1089784518", "library_0006_r-1300708259.539496-3335480784"):
        (tmp_path / "nyu_geonet" / f"{name}.mat").write_bytes(b"corrupt")
    data = open_data("nyu", tmp_path)
    assert data.counts()["train"] == 1
    assert [one.severity for one in data.check()].count("error") == 0


def test_the_released_imagenet3d_is_processed(tmp_path: Path) -> None:
    write_released_imagenet3d(tmp_path / "raw")
    with pytest.raises(SocoError, match="soco downstream prepare imagenet3d"):
        open_data("imagenet3d", tmp_path / "raw")
    counts = prepare_imagenet3d(tmp_path / "raw", tmp_path / "out")
    assert counts == {"kept": 2, "bad status": 2, "no distance": 2, "unreadable": 4}
    data = open_data("imagenet3d", tmp_path / "out")
    assert data.counts() == {"train": 1, "val": 1, "classes": 1}
    square = np.asarray(data.image_set("train").load(0))  # type: ignore[attr-defined]
    assert square.shape == (512, 512, 3)
    assert square[256, 256].min() > 200
    assert square[256 + 80 :, :].max() < 60 or square[:, :100].max() < 60


def test_foreign_pickles_are_not_run(tmp_path: Path) -> None:
    for content in (Trap(str(tmp_path / "sprung")), [1, {"a": Trap(str(tmp_path / "sprung"))}]):
        with pytest.raises(SocoError, match="refused: it holds"):
            load_arrays(pickle.dumps(content))
    assert not (tmp_path / "sprung").exists()
    array = np.arange(6).reshape(2, 3)
    assert np.array_equal(load_arrays(pickle.dumps({"x": array}, protocol=2))["x"], array)


def test_unknown_kinds_and_places(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'ade20k'"):
        open_data("ade20", tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        open_data("davis", tmp_path / "nowhere")
    with pytest.raises(SocoError, match="SceneParsing"):
        open_data("ade20k", tmp_path)


def test_a_missing_package_is_not_taken_for_a_broken_file(
    synthetic: Synthetic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a run leaves its tasks null instead of ending."""
    reader = open_data("nyu", synthetic("nyu"), DataOptions())
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(MissingExtraError, match="scipy"):
        reader.check(deep=False)
