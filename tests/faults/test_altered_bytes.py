"""Files with altered bytes are refused in one message, or read as what they hold: never a traceback."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from soco_datasets.cli import main
from soco_datasets.downstream.readers.base import DataOptions
from soco_datasets.downstream.readers.known_readers import open_data
from soco_datasets.downstream.readers.rows import ParquetRows
from soco_datasets.downstream.readers.unpickling import load_named_arrays, load_object_array
from soco_datasets.errors import SocoError
from soco_datasets.features.cache.vectors import GlobalVectorCache
from soco_datasets.reporting.downstream_pictures import sample_pictures

torch = pytest.importorskip("torch", reason="writes .pth files (extra models)")
TRIALS = 150


def samples(path: Path) -> Callable[[], Any]:
    image, labels = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.int64)
    with open(path, "wb") as file:
        np.savez_compressed(file, **{"x/image": image, "x/true": labels, "x/predicted": labels})
    return lambda: sample_pictures(path, "ade20k")


def object_array(path: Path) -> Callable[[], Any]:
    with open(path, "wb") as file:
        np.savez_compressed(file, annotations=np.array([{"a": 1, "b": [1, 2.0]}, {"c": "x"}], dtype=object))
    return lambda: load_object_array(path, "annotations")


def arrays(path: Path) -> Callable[[], Any]:
    path.write_bytes(pickle.dumps({"a": np.arange(5.0), "b": ["x", 3, None]}, protocol=4))
    return lambda: load_named_arrays(path, keys=["a"])


def checkpoint(path: Path) -> Callable[[], Any]:
    from soco_datasets.features.checkpoint_tensors import read_weights

    torch.save({"state_dict": {"a": torch.arange(6.0)}}, path)
    return lambda: read_weights(path)


def rows(path: Path) -> Callable[[], Any]:
    pq.write_table(pa.table({"image": [{"bytes": b"abc" * 50}] * 20, "label": range(20)}), path)

    def read() -> None:
        found = ParquetRows([path])
        for row in range(len(found)):
            found.image_bytes(row)
            found.value(row, "label")
        found.column("label")

    return read


def geonet(path: Path) -> Callable[[], Any]:
    io = pytest.importorskip("scipy.io", reason="writes .mat files (extra downstream)")
    folder = path.parent / "nyu"
    for name in ("nyu_geonet", "nyuv2"):
        (folder / name).mkdir(parents=True)
    path = folder / "nyu_geonet" / "a.mat"
    content = {"img": np.zeros((480, 640, 3)), "depth": np.ones((480, 640)), "norm": np.ones((480, 640, 3))}
    io.savemat(path, content, do_compression=True)
    names = {"depths": (0, 480, 640), "images": (0, 3, 480, 640), "snorms": (0, 3, 480, 640), "test_indices": (0,)}
    test = {name: np.zeros(shape, np.float32) for name, shape in names.items()}
    (folder / "nyuv2" / "nyuv2_snorm_all.pkl").write_bytes(pickle.dumps(test))
    return lambda: open_data("nyu", folder, DataOptions()).check()


FILES = {"samples": samples, "object array": object_array, "pickle": arrays, "checkpoint": checkpoint, "rows": rows}


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_altered_files_are_refused_or_read(make: Callable[[Path], Callable[[], Any]], tmp_path: Path) -> None:
    path, chance, messages = tmp_path / "file.bin", random.Random(0), list[str]()
    path = path.with_suffix(".pth") if make is checkpoint else path
    read = make(path)
    read()
    whole = path.read_bytes()
    for _ in range(TRIALS):
        altered = bytearray(whole)
        altered[chance.randrange(len(whole))] = chance.randrange(256)
        path.write_bytes(altered)
        try:
            read()
        except SocoError as error:
            messages.append(str(error))
    assert len(messages) > TRIALS // 10
    assert all(path.name in message for message in messages)


def test_an_altered_matlab_file_is_named(tmp_path: Path) -> None:
    check = geonet(tmp_path / "a")
    path = tmp_path / "nyu" / "nyu_geonet" / "a.mat"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    assert any("a.mat" in str(finding) and "not a training file" in str(finding) for finding in check())


def test_altered_vectors_are_made_again(tmp_path: Path) -> None:
    def opened() -> GlobalVectorCache:
        return GlobalVectorCache(tmp_path, {"key": 1}, (1, 5), [bytes([number]) * 32 for number in range(3)])

    with opened() as cache:
        for number in range(3):
            cache.put(number, torch.full((1, 5), float(number)))
        folder = cache.path
    for path in folder.glob("*.npy"):
        whole = path.read_bytes()
        for place in range(6, 128, 5):
            path.write_bytes(whole[:place] + b"(" + whole[place + 1 :])
            with opened() as cache:
                assert all((cache.array[number] == number).all() for number in range(3) if number in cache)
            path.write_bytes(whole)


def test_a_pickle_of_many_small_objects_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tapvid_davis.pkl").write_bytes(b"\x80\x04(" + b"]" * 6_000_000 + b"l.")
    with pytest.raises(SocoError, match=r"tapvid_davis\.pkl is not a whole pickle \(more than 5,000,000 steps"):
        open_data("davis", tmp_path, DataOptions())


def test_a_photograph_that_is_a_link_to_itself_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", "init", str(tmp_path / "project")]) == 0
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "a.jpg").symlink_to("a.jpg")
    arguments = [str(tmp_path / "photographs"), "--out", str(tmp_path / "project"), "--category", "minibus"]
    assert main(["annotate", "candidates", *arguments]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err
