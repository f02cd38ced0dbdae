"""Candidates: measures equal expected/filters.json, every rejection has its reason, hostile files do no harm."""

from __future__ import annotations

import csv
import io
import json
import math
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation.helpers import BOX, NAMES, picture, write_project
from helpers import shared_data
from PIL import Image

from soco_datasets.annotation.candidate import Candidate
from soco_datasets.annotation.candidate_filters import (
    FilterOptions,
    KnownImages,
    excluded_images,
    judge_candidates,
    read_source,
    spread_over_azimuth,
)
from soco_datasets.annotation.candidate_table import add_candidates, known_images
from soco_datasets.annotation.database import ImageRow
from soco_datasets.annotation.opened import open_project
from soco_datasets.annotation.photo_files import safe_stem
from soco_datasets.annotation.safe_pickle import UnsafeFileError, read_pickled_annotations
from soco_datasets.annotation.source_animal3d import read_animal3d
from soco_datasets.annotation.source_imagenet3d import read_imagenet3d
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.errors import DataNotFoundError, UsageError

BENCHMARKS = shared_data.SHARED / "benchmarks"
MINIATURES = BENCHMARKS / "miniatures"
needs_benchmarks = pytest.mark.skipif(not MINIATURES.is_dir(), reason=f"no benchmark miniatures at {BENCHMARKS}")


def expected(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((BENCHMARKS / "expected" / "filters.json").read_text())[name]
    return found


@needs_benchmarks
def test_imagenet3d_measures_equal_the_expected_ones() -> None:
    per_object = (
        "valid_pose",
        "status",
        "dense",
        "area_fraction",
        "longest_side_fraction",
        "azimuth",
        "elevation",
        "theta",
    )
    found = {
        c.name: {
            "width": c.width,
            "height": c.height,
            "objects": len(c.objects),
            "single_object": c.single_object,
            **{key: [getattr(o, key) for o in c.objects] for key in per_object},
        }
        for c in read_imagenet3d(MINIATURES / "ImageNet3D")
    }
    assert found == expected("ImageNet3D")


@needs_benchmarks
def test_animal3d_measures_equal_the_expected_ones() -> None:
    wanted = expected("Animal3D")
    found = {c.name: c for c in read_animal3d(MINIATURES / "Animal3D")}
    assert found.keys() == wanted.keys()
    for name, candidate in found.items():
        main = candidate.objects[0]
        values = (main.valid_pose, len(candidate.points), main.area_fraction, main.longest_side_fraction, main.azimuth)
        keys = ("valid_pose", "visible_points", "area_fraction", "longest_side_fraction")
        assert values == (*(wanted[name][key] for key in keys), None)
        assert np.allclose(main.rotation, wanted[name]["global_rotation"], atol=1e-8)


@needs_benchmarks
def test_the_hostile_file_is_a_row_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "ImageNet3D"
    shutil.copytree(MINIATURES / "ImageNet3D", source)
    hostile = source / "hostile" / "n00000000_1.npz"
    shutil.copy(hostile, source / "annotations" / "bed" / "n00000000_1.npz")
    (source / "annotations" / "bed" / "n1_broken.npz").write_bytes(b"PK\x03\x04 nothing")
    (source / "images" / "bed" / "n02818832_420.JPEG").write_bytes(b"\xff\xd8 cut short")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    judged = {one.candidate.name: one.reason for one in judge_candidates(read_source(source), FilterOptions())}
    assert sorted(tmp_path.rglob("*")) == before
    assert "mkdir" in judged["bed/n00000000_1"]
    assert judged["bed/n00000000_1"].startswith("unreadable: n00000000_1.npz: hostile")
    assert judged["bed/n1_broken"].startswith("unreadable")
    kinds = {name: reason.partition(":")[0] for name, reason in judged.items()}
    assert kinds == {
        "bed/n00000000_1": "unreadable", "bed/n1_broken": "unreadable", "bed/n02818832_420": "unreadable",
        "bed/n02818832_10847": "pose", "bed/n02818832_16206": "pose", "bed/n02818832_27465": "",
        "bed/n02818832_4891": "objects", "bed/n02818832_8384": "area",
        "school_bus/n04146614_23509": "objects", "school_bus/n04146614_25989": "area",
        "school_bus/n04146614_28458": "pose", "school_bus/n04146614_28506": "pose",
        "school_bus/n04146614_3588": "objects", "school_bus/n04146614_9213": "",
    }  # fmt: skip
    options = FilterOptions(min_area=0, min_side=0, max_objects=2, require_pose=False)
    assert sum(not one.reason for one in judge_candidates(read_imagenet3d(MINIATURES / "ImageNet3D"), options)) == 12


@pytest.mark.parametrize("call", ["builtins.eval", "os.system", "numpy.load", "numpy.core.multiarray.fromstring"])
def test_only_plain_constructors_are_unpickled(tmp_path: Path, call: str) -> None:
    module, _, name = call.rpartition(".")
    body = f"c{module}\n{name}\n(S'1'\ntR.".encode()
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("annotations.npy", buffer.getvalue() + body)
    with pytest.raises(UnsafeFileError, match=name):
        read_pickled_annotations(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as archive:
        archive.writestr("annotations.npy", buffer.getvalue() + pickle.dumps(3))
    with pytest.raises(UnsafeFileError, match="no list of objects"):
        read_pickled_annotations(tmp_path / "y.npz")


def test_a_plain_folder_with_duplicates_broken_files_and_rotation(tmp_path: Path) -> None:
    photos = tmp_path / "photos" / "cup"
    for number in range(3):
        picture(photos / f"{number}.jpg", number)
    shutil.copy(photos / "0.jpg", photos / "same.jpg")
    with Image.open(photos / "1.jpg") as image:
        image.resize((400, 300)).save(photos / "smaller copy.png")
    (photos / "not.jpg").write_bytes(b"GIF89a")
    (photos / "=cmd|calc.jpg").write_bytes(b"")
    picture(photos / "turned.jpg", 8, exif=6)
    (photos / "link.jpg").symlink_to("/etc/passwd")
    picture(tmp_path / "photos" / "saucer" / "1.jpg", 50)
    write_project(tmp_path / "p")
    picture(tmp_path / "others" / "2.jpg", 2)
    with open_project(tmp_path / "p") as bench:
        judged = judge_candidates(
            read_source(tmp_path / "photos"),
            FilterOptions(),
            bench.project.by_name,
            excluded_images([tmp_path / "others"]),
            known_images(bench),
        )
        counts = add_candidates(bench, tmp_path / "photos", judged, FilterOptions(), "CC0")
        kinds = {one.candidate.name: one.reason.partition(":")[0] for one in judged}
        assert kinds == {
            "cup/0.jpg": "", "cup/1.jpg": "", "cup/2.jpg": "excluded", "cup/=cmd|calc.jpg": "unreadable",
            "cup/link.jpg": "unreadable", "cup/not.jpg": "unreadable", "cup/same.jpg": "duplicate",
            "cup/smaller copy.png": "duplicate", "cup/turned.jpg": "", "saucer/1.jpg": "category",
        }  # fmt: skip
        assert counts["chosen"] == 3
        with bench.database.reading() as session:
            rows = {row.origin: row for row in session.query(ImageRow)}
        assert (rows["cup/turned.jpg"].width, rows["cup/turned.jpg"].height) == (150, 200)  # upright
        assert rows["cup/0.jpg"].license == "CC0"
        assert (tmp_path / "p" / rows["cup/0.jpg"].file).read_bytes() == (photos / "0.jpg").read_bytes()
        again = judge_candidates(read_source(tmp_path / "photos"), FilterOptions(), ["cup"], None, known_images(bench))
        add_candidates(bench, tmp_path / "photos", again, FilterOptions())
    with open(tmp_path / "p" / "candidates.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert sum(row["decision"] == "chosen" for row in table) == 4  # the excluded one is free the second time
    assert all(row["reason"] or row["decision"] == "chosen" for row in table)
    assert len(table) == 10
    runs = json.loads((tmp_path / "p" / "candidates.json").read_text())
    assert [run["options"]["min_area"] for run in runs] == [0.05, 0.05]


def test_images_of_a_built_folder_are_excluded(tmp_path: Path) -> None:
    build_dataset("mini", tmp_path / "data")
    known = excluded_images([tmp_path / "data"])
    assert len(known.exact) == 96
    from soco_datasets.synthetic.mini_release import write_mini_release

    write_mini_release(tmp_path / "mini")
    judged = judge_candidates(read_source(tmp_path / "mini" / "Images"), FilterOptions(), excluded=known)
    assert {one.reason.partition(":")[0] for one in judged} == {"excluded"}
    with pytest.raises(DataNotFoundError):
        excluded_images([tmp_path / "none"])


def test_the_quota_is_spread_over_azimuth() -> None:
    azimuths = [math.radians(a) for a in (0, 5, 10, 90, 95, 180, 185, 270, 359)]
    chosen = spread_over_azimuth(azimuths, 4)
    angles = sorted(math.degrees(azimuths[i]) for i in chosen)
    gaps = [b - a for a, b in zip(angles, [*angles[1:], angles[0] + 360], strict=True)]
    assert len(chosen) == 4
    assert min(gaps) > 70
    assert spread_over_azimuth([None, None, 1.0], 2) == [0, 2]


def test_a_coco_file(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        picture(tmp_path / "images" / f"{number}.jpg", number)
    box = [BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1]]
    data = {
        "licenses": [{"id": 4, "name": "CC BY 2.0"}],
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 200, "height": 150, "license": 4} for n in (1, 2, 3)]
        + [{"id": 9, "file_name": "../../secret.jpg", "width": 1, "height": 1}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": box},
            {"id": 2, "image_id": 2, "category_id": 7, "bbox": box},
            {"id": 3, "image_id": 2, "category_id": 7, "bbox": box, "iscrowd": 1},
            {"id": 4, "image_id": 3, "category_id": 7, "bbox": [0, 0, 5, 5]},
            {"id": 5, "image_id": 9, "category_id": 7, "bbox": box},
        ],
        "categories": [{"id": 7, "name": "cup", "keypoints": NAMES}],
    }
    (tmp_path / "cups.json").write_text(json.dumps(data))
    judged = judge_candidates(read_source(tmp_path / "cups.json"), FilterOptions())
    assert [one.reason.partition(":")[0] for one in judged] == ["", "objects", "area", "unreadable"]
    assert judged[0].candidate.license == "CC BY 2.0"
    assert judged[0].candidate.objects[0].box == BOX
    for raw in ('{"images": 3}', "[" * 5000, "\xff", "{"):
        (tmp_path / "cups.json").write_bytes(raw.encode("latin-1"))
        with pytest.raises(ValueError, match=r"cups\.json"):
            list(read_source(tmp_path / "cups.json"))


def test_wrong_options_and_names() -> None:
    for wrong in ({"min_area": 2}, {"min_side": -1}, {"max_objects": 0}, {"hash_distance": 65}):
        with pytest.raises(UsageError, match="--"):
            FilterOptions(**wrong)  # type: ignore[arg-type]
    for name in ("../../x.jpg", "..\\..\\x.jpg", "/etc/passwd", "\u202egpj.exe", "a" * 300 + ".jpg", ""):
        assert safe_stem(name).replace("_", "").replace("-", "").isalnum()
        assert len(safe_stem(name)) <= 80


def test_a_size_that_differs_from_the_annotation_is_refused(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg", 1)
    wrong = Candidate("cup", "a", path, 150, 200, has_points=True)
    assert (
        "its annotation says 150 x 200" in judge_candidates([wrong], FilterOptions(), excluded=KnownImages())[0].reason
    )
