"""Damaged data sets: every reader and every kind of damage, said with file and row before any forward.

The table holds the twelve damages of the specification for each data set, or says why one cannot occur there; then wrong
units, and damages of other layouts. Errors stop a run while it is set up; what is only odd is a warning of the run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import damages as do
from helpers.parquet_layouts import files_of
from helpers.scene_features import extractor_of, scene_backbone

from soco_datasets.downstream.downstream_run import DownstreamRun
from soco_datasets.downstream.readers.base import DataOptions
from soco_datasets.downstream.readers.known_readers import READERS, open_data
from soco_datasets.downstream.run_options import RunOptions
from soco_datasets.downstream.task_registry import downstream_tasks
from soco_datasets.errors import SocoError

Synthetic = Callable[[str], Path]
Case = tuple[do.Damage, str, str]  # what is done, what is said, and where
TWELVE = (
    "missing file", "extra file", "wrong shape", "mask above 150", "empty depth", "NaN depth", "EXIF-turned image",
    "CMYK", "truncated image", "swapped sides", "unknown class", "foreign object",
)  # fmt: skip
TRAIN, ADE, ADE_MASK = "train/n02099601/*.JPEG", "images/training/*.jpg", "annotations/training/*.png"
POSED = "train/images/car/*.JPEG"
TURNED = do.turned_exif()
NO_IMAGE = "its images are arrays"
CASES: dict[str, dict[str, Case | str]] = {
    "imagenet": {
        "missing file": (do.remove(TRAIN), "9 train, expected 10", "data"),
        "folder named like a file": (do.to_folder(TRAIN), "cannot be decoded", "n02099601_1.JPEG"),
        "extra file": (do.copy_as(TRAIN, "more.JPEG"), "11 train, expected 10", "data"),
        "wrong shape": "images have any size",
        "mask above 150": "it has no masks",
        "empty depth": "it has no depth",
        "NaN depth": "it has no depth",
        "EXIF-turned image": (do.repaint(TRAIN, do.SAME, **TURNED), "EXIF orientation", "n02099601_1.JPEG"),
        "CMYK": (do.repaint(TRAIN, do.CMYK), "color mode CMYK", "n02099601_1.JPEG"),
        "truncated image": (do.truncate(TRAIN), "cannot be decoded", "n02099601_1.JPEG"),
        "swapped sides": "images have any size",
        "unknown class": (do.add_class, "no known class", "val/n99999999/n02099601_1.JPEG"),
        "foreign object": "nothing is unpickled",
    },
    "ade20k": {
        "missing file": (do.remove(ADE_MASK), "image without its mask", "ADE_train_00000001.jpg"),
        "extra file": (do.copy_as(ADE_MASK, "ADE_train_99.png"), "mask without its image", "ADE_train_99.png"),
        "wrong shape": (do.repaint(ADE_MASK, do.WRONG), "is 50x30, the image 320x240", "ADE_train_00000001.png"),
        "mask above 150": (do.repaint(ADE_MASK, do.high_mask), "the mask holds 200", "ADE_train_00000001.png"),
        "empty depth": "it has no depth",
        "NaN depth": "it has no depth",
        "EXIF-turned image": (do.repaint(ADE, do.SAME, **TURNED), "EXIF orientation", "ADE_train_00000001.jpg"),
        "CMYK": (do.repaint(ADE, do.CMYK), "color mode CMYK", "ADE_train_00000001.jpg"),
        "truncated image": (do.truncate(ADE), "cannot be decoded", "ADE_train_00000001.jpg"),
        "swapped sides": (do.repaint(ADE_MASK, do.TURN), "swapped sides", "ADE_train_00000001.png"),
        "unknown class": "it is a mask above 150",
        "foreign object": "nothing is unpickled",
        "RGB mask": (do.repaint(ADE_MASK, lambda one: one.convert("RGB")), "full ADE20K", "ADE_train_00000001.png"),
        "truncated mask": (do.truncate(ADE_MASK), "cannot be decoded", "ADE_train_00000001.png"),
    },
    "navi": {
        "missing file": (do.remove("images/*.jpg"), "the image is missing", "wild_set/images/000.jpg"),
        "extra file": (do.copy_as("images/*.jpg", "999.jpg"), "an image without an annotation", "images/999.jpg"),
        "wrong shape": (do.repaint("images/*.jpg", do.WRONG), "is 50x30", "images/000.jpg"),
        "mask above 150": "its masks are not read",
        "empty depth": (do.repaint("depth/*.png", do.flat_codes), "the depth is empty", "depth/000.png"),
        "NaN depth": "its depth is whole numbers",
        "EXIF-turned image": (do.repaint("images/*.jpg", do.SAME, **TURNED), "swapped sides", "images/000.jpg"),
        "CMYK": (do.repaint("images/*.jpg", do.CMYK), "color mode CMYK", "images/000.jpg"),
        "truncated image": (do.truncate("images/*.jpg"), "cannot be decoded", "images/000.jpg"),
        "swapped sides": (do.repaint("images/*.jpg", do.TURN), "swapped sides", "images/000.jpg"),
        "unknown class": "it has no classes",
        "foreign object": "nothing is unpickled",
        "wrong units": (do.repaint("depth/*.png", do.other_units), "wrong units", "depth/000.png"),
        "missing depth": (do.remove("depth/*.png"), "cannot be decoded", "depth/000.png"),
        "depth of another shape": (do.repaint("depth/*.png", do.WRONG), "the depth is 50x30", "depth/000.png"),
        "no camera": (
            do.edit_json("annotations.json", lambda one: one[0]["camera"].update(q=[0, 0, 0, 0])),
            "no usable camera", "annotations.json entry 0",
        ),
        "NaN camera": (
            do.edit_json("annotations.json", lambda one: one[1]["camera"].update(t=[float("nan")] * 3)),
            "no usable camera", "annotations.json entry 1",
        ),
        "no JSON": (do.truncate("annotations.json"), "cannot be read", "annotations.json"),
        "no list": (do.write_json("annotations.json", 3), "it holds no list of images", "annotations.json"),
    },
    "davis": {
        "missing file": (do.remove("*.pkl"), "holds neither tapvid_davis.pkl nor Parquet", "data"),
        "extra file": (do.edit_pickle(do.add_video), "4 videos, expected 3", "data"),
        "wrong shape": (do.video("points", lambda one: one[:, :3]), "do not fit", "tapvid_davis.pkl chair-turn"),
        "mask above 150": "it has no masks",
        "empty depth": "it has no depth",
        "NaN depth": "it has no depth",
        "EXIF-turned image": (do.encoded(**TURNED), "EXIF orientation", "tapvid_davis.pkl chair-turn frame 0"),
        "CMYK": (do.encoded(mode="CMYK"), "color mode CMYK", "tapvid_davis.pkl chair-turn frame 0"),
        "truncated image": (
            do.video("video", lambda one: [b"\xff\xd8\xff" for _ in one]),
            "cannot be decoded", "tapvid_davis.pkl chair-turn frame 0",
        ),
        "swapped sides": (
            do.video("video", lambda one: one[:, :, :100]), "may be swapped", "tapvid_davis.pkl chair-turn"
        ),
        "unknown class": "it has no classes",
        "foreign object": (do.trap_pickle, "refused", "tapvid_davis.pkl"),
        "truncated pickle": (do.truncate("*.pkl"), "not a whole pickle", "tapvid_davis.pkl"),
        "altered length": (do.overlong_frame, "not a whole pickle", "tapvid_davis.pkl"),
        "missing key": (do.edit_pickle(do.drop_points), "cannot be read", "tapvid_davis.pkl chair-turn"),
        "no name": (do.edit_pickle(lambda one: one.update({None: 3})), "has the key None", "tapvid_davis.pkl"),
        "no video": (
            do.edit_pickle(lambda one: one.update({"chair-turn": np.zeros(3)})),
            "cannot be read", "tapvid_davis.pkl chair-turn",
        ),
        "wrong units": (do.video("points", lambda one: one * 256), "pixels instead of shares", "chair-turn"),
        "NaN points": (do.video("points", lambda one: one * np.nan), "not finite", "tapvid_davis.pkl chair-turn"),
        "float frames": (
            do.video("video", lambda one: one.astype(float)), "expected (T, H, W, 3) bytes", "chair-turn"
        ),
    },
    "imagenet3d": {
        "missing file": (do.remove(POSED), "the image is missing", "car0000_00.JPEG"),
        "extra file": (do.copy_as("train/annotations/car/*.npz", "zzz.npz"), "not in the list", "car/zzz.npz"),
        "wrong shape": (do.repaint(POSED, do.WRONG), "expected a square", "car0000_00.JPEG"),
        "mask above 150": "it has no masks",
        "empty depth": "it has no depth",
        "NaN depth": "it has no depth",
        "EXIF-turned image": (do.repaint(POSED, do.SAME, **TURNED), "EXIF orientation", "car0000_00.JPEG"),
        "CMYK": (do.repaint(POSED, do.CMYK), "color mode CMYK", "car0000_00.JPEG"),
        "truncated image": (do.truncate(POSED), "cannot be decoded", "car0000_00.JPEG"),
        "swapped sides": "its images are squares",
        "unknown class": (do.new_class, "a class without training objects", "val/zeppelin"),
        "foreign object": (do.trap_angles, "no angles can be read", "car0000_00.npz"),
        "wrong units": (do.set_angles(180.0), "degrees instead of radians", "train car/car0000_00"),
        "NaN angles": (do.set_angles(float("nan")), "not finite", "car0000_00.npz"),
        "missing annotation": (do.remove("train/annotations/car/*.npz"), "has no annotation", "mesh01.txt"),
    },
    "omni3d": {
        "missing file": (do.remove("*.jpg"), "the image is missing", "test/00049.jpg"),
        "extra file": (do.edit_json("*_test.json", do.doubled_image), "1 images have the id of another", "_test.json"),
        "wrong shape": (do.repaint("*.jpg", do.WRONG), "is 50x30, the JSON says 320x240", "test/00049.jpg"),
        "mask above 150": "it has no masks",
        "empty depth": (do.first_box(dimensions=[0, 1, 1]), "the box is ignored", "_test.json annotation 0"),
        "NaN depth": (do.first_box(center_cam=[0, 0, float("nan")]), "not finite", "_test.json annotation 0"),
        "EXIF-turned image": (do.repaint("*.jpg", do.SAME, **TURNED), "EXIF orientation", "test/00049.jpg"),
        "CMYK": (do.repaint("*.jpg", do.CMYK), "color mode CMYK", "test/00049.jpg"),
        "truncated image": (do.truncate("*.jpg"), "cannot be decoded", "test/00049.jpg"),
        "swapped sides": (do.repaint("*.jpg", do.TURN), "swapped sides", "test/00049.jpg"),
        "unknown class": (do.first_box(category_name="elf"), "unknown class 'elf'", "_test.json annotation 0"),
        "foreign object": "nothing is unpickled",
        "sizes in millimeters": (do.first_box(dimensions=[900] * 3), "wrong units", "_test.json annotation 0"),
        "centers in millimeters": (do.first_box(center_cam=[0, 0, 3000]), "wrong units", "_test.json annotation 0"),
        "behind": (do.first_box(center_cam=[0, 0, -2]), "behind the camera", "_test.json annotation 0"),
        "no rotation": (do.first_box(R_cam=[[90, 0, 0]] * 3), "R_cam is not a rotation", "_test.json annotation 0"),
        "category id": (do.first_box(category_id=1000), "category_id 1000 is not that of", "_test.json annotation 0"),
        "text for a number": (do.first_box(category_id="3"), "category_id is '3', not a whole", "_test.json annotation 0"),
        "no center": (do.first_box(center_cam=None), "center_cam is None, not 3 numbers", "_test.json annotation 0"),
        "short rotation": (do.first_box(R_cam=[1, 2]), "R_cam is [1, 2], not 3 x 3 numbers", "_test.json annotation 0"),
        "NaN size": (do.first_box(dimensions=[float("nan")] * 3), "are not finite", "_test.json annotation 0"),
        "2D box": (do.first_box(bbox2D_trunc=[9, 9, 3, 3]), "is no [x1, y1, x2, y2]", "_test.json annotation 0"),
        "foreign image": (do.first_box(image_id=10**6), "its image is unknown", "_test.json annotation 0"),
        "no JSON": (do.truncate("*_test.json"), "is not JSON", "_test.json"),
        "deep JSON": (do.nest("*_test.json"), "nested far too deeply", "_test.json"),
    },
    "nyu": {
        "missing file": (do.remove("*.mat"), "1 train, expected 2", "data"),
        "extra file": (do.copy_as("*.mat", "zzz.mat"), "3 train, expected 2", "data"),
        "wrong shape": (do.edit_mat(do.crop_arrays), "expected 480 x 640", "room_0000-0.mat"),
        "mask above 150": "it has no masks",
        "empty depth": (do.edit_mat(do.empty_depth), "the depth is empty", "room_0000-0.mat"),
        "NaN depth": (do.edit_mat(do.nan_depth), "holds NaN", "room_0000-0.mat"),
        "EXIF-turned image": NO_IMAGE,
        "CMYK": NO_IMAGE,
        "truncated image": (do.truncate("*.mat"), "not a training file", "room_0000-0.mat"),
        "swapped sides": (do.edit_mat(do.swap_sides), "swapped", "room_0000-0.mat"),
        "unknown class": "it has no classes",
        "foreign object": (do.trap_pickle, "refused", "nyuv2_snorm_all.pkl"),
        "millimeters": (do.edit_mat(do.millimeters), "millimeters", "room_0000-0.mat"),
        "text": (do.edit_mat(lambda one: one.update(norm="x")), "do not hold numbers", "room_0000-0.mat"),
        "indices": (
            do.edit_pickle(lambda one: one.update(test_indices=np.array([-1]))),
            "are not positions among", "nyuv2_snorm_all.pkl",
        ),
        "list": (do.edit_pickle(lambda one: [1]), "holds list, expected a dict", "nyuv2_snorm_all.pkl"),
        "no normals": (do.edit_mat(do.drop_normals), "not a training file", "room_0000-0.mat"),
        "test in millimeters": (
            do.edit_pickle(lambda one: one.update(depths=1000 * one["depths"])),
            "millimeters", "nyuv2_snorm_all.pkl image 0",
        ),
        "NaN test depth": (
            do.edit_pickle(lambda one: one["depths"].__setitem__((1, 7), np.nan)),
            "holds NaN", "nyuv2_snorm_all.pkl image 1",
        ),
        "flipped normals": (
            do.edit_pickle(lambda one: one.update(snorms=-one["snorms"])), "the sign is flipped", "test"
        ),
        "swapped test": (
            do.edit_pickle(lambda one: one.update(depths=np.swapaxes(one["depths"], 1, 2))),
            "swapped", "nyuv2_snorm_all.pkl",
        ),
        "truncated pickle": (do.truncate("*.pkl"), "not a whole pickle", "nyuv2_snorm_all.pkl"),
    },
}  # fmt: skip
PARQUET: dict[str, dict[str, Case]] = {
    "imagenet": {
        "truncated": (do.truncate("train*.parquet"), "not a whole Parquet file", "train-00000-of-00001.parquet"),
        "no column": (
            do.edit_rows("train*", lambda rows: [{"image": one["image"]} for one in rows]),
            "no column 'label'", "train-00000-of-00001.parquet",
        ),
        "no image": (
            do.edit_rows("train*", lambda rows: rows[2].update(image=None)),
            "no bytes in its column 'image'", "train-00000-of-00001.parquet row 2",
        ),
        "no label": (
            do.edit_rows("train*", lambda rows: rows[3].update(label=None)),
            "no known class", "train-00000-of-00001.parquet row 3",
        ),
        "class of the other split only": (
            do.edit_rows("validation*", lambda rows: rows[4].update(label=999)),
            "class 999 has no training image", "validation-00000-of-00001.parquet row 4",
        ),
    },
    "ade20k": {
        "mask above 150": (
            do.edit_rows("train*", lambda rows: rows[1].update(annotation={"bytes": do.bright_png(), "path": None})),
            "the mask holds 200", "train-00000-of-00001.parquet row 1",
        ),
        "truncated image": (
            do.edit_rows("train*", lambda rows: rows[1]["image"].update(bytes=rows[1]["image"]["bytes"][:99])),
            "cannot be decoded", "train-00000-of-00001.parquet row 1",
        ),
        "no column": (
            do.edit_rows("validation*", lambda rows: [{"image": one["image"]} for one in rows]),
            "no column 'annotation'", "validation-00000-of-00001.parquet",
        ),
    },
    "davis": {
        "wrong shape": (
            do.edit_rows("validation*", lambda rows: rows[1].update(points=rows[1]["points"][:3])),
            "do not fit", "validation-00000-of-00001.parquet row 1",
        ),
        "no column": (
            do.edit_rows("validation*", lambda rows: [{"frames": one["frames"]} for one in rows]),
            "no column 'points', 'occluded'", "validation-00000-of-00001.parquet",
        ),
    },
}  # fmt: skip


def said_before_any_forward(kind: str, data: Path, out: Path, names: tuple[str, str] | None = None) -> list[str]:
    """The errors that stop a run, or its warnings, one a line."""
    backbone = scene_backbone(16, 6)
    task = next(one for one in downstream_tasks().values() if one.data == kind)
    try:
        run = DownstreamRun(
            extractor_of(backbone), [task], {kind: data}, RunOptions(out, {"": "tiny"}, split_names=names)
        )
        found = run.warnings
    except SocoError as error:
        found = str(error).splitlines()
    assert backbone.forwards == 0
    return found


def assert_said(found: list[str], said: str, where: str) -> None:
    assert any(said in line and where in line for line in found), f"{said!r} of {where!r} is not in:\n" + "\n".join(
        found
    )


@pytest.fixture(scope="module")
def pruned(synthetic: Synthetic, tmp_path_factory: pytest.TempPathFactory) -> Synthetic:
    """kind -> a few items of its synthetic data."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            if kind == "nyu":
                pytest.importorskip("scipy")
            made[kind] = shutil.copytree(synthetic(kind), tmp_path_factory.mktemp("pruned") / kind)
            do.prune(kind, made[kind])
        return made[kind]

    return make


def test_every_reader_has_every_damage_or_a_reason() -> None:
    assert set(CASES) == set(READERS)
    assert all(set(TWELVE) <= set(cases) for cases in CASES.values())


BY_NAME = [
    (kind, name, case) for kind, cases in CASES.items() for name, case in cases.items() if not isinstance(case, str)
]


@pytest.mark.parametrize(("kind", "name", "case"), BY_NAME, ids=[f"{kind}-{name}" for kind, name, _ in BY_NAME])
def test_damage_is_said_before_any_forward(kind: str, name: str, case: Case, pruned: Synthetic, tmp_path: Path) -> None:
    damage, said, where = case
    data = shutil.copytree(pruned(kind), tmp_path / "data")
    damage(data)
    assert_said(said_before_any_forward(kind, data, tmp_path / "out"), said, where)
    assert not (data / "sprung").exists()


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"version": 1}', '{"version": 1, "expected": {"train": NaN}}', '{"version": "1", "expected": {}}'],
)
def test_a_damaged_synthetic_json_is_said(text: str, pruned: Synthetic, tmp_path: Path) -> None:
    data = shutil.copytree(pruned("davis"), tmp_path / "data")
    (data / "synthetic.json").write_text(text)
    assert_said(said_before_any_forward("davis", data, tmp_path / "out"), "is not what `soco", "synthetic.json")


@pytest.mark.parametrize("kind", CASES)
def test_what_is_not_damaged_has_no_findings(kind: str, pruned: Synthetic, tmp_path: Path) -> None:
    assert said_before_any_forward(kind, pruned(kind), tmp_path) == []


ROWS = [(kind, name, case) for kind, cases in PARQUET.items() for name, case in cases.items()]


@pytest.mark.parametrize(("kind", "name", "case"), ROWS, ids=[f"{kind}-{name}" for kind, name, _ in ROWS])
def test_damage_in_parquet_is_said(kind: str, name: str, case: Case, pruned: Synthetic, tmp_path: Path) -> None:
    damage, said, where = case
    for path, content in files_of(kind, pruned(kind)).items():
        (tmp_path / "rows" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "rows" / path).write_bytes(content)
    damage(tmp_path / "rows")
    found = said_before_any_forward(kind, tmp_path / "rows", tmp_path / "out", ("train", "validation"))
    assert_said(found, said, where)


@pytest.mark.parametrize("side", [8_001, 20_000])
def test_images_of_too_many_pixels_are_said(pruned: Synthetic, tmp_path: Path, side: int) -> None:
    data = shutil.copytree(pruned("ade20k"), tmp_path / "data")
    for pattern in (ADE, ADE_MASK):
        do.stretch_png(do.first(data, pattern), side)
    found = said_before_any_forward("ade20k", data, tmp_path / "out")
    assert_said(found, "pixels", "ADE_train_00000001.jpg")
    assert_said(found, "pixels", "ADE_train_00000001.png")


def test_damage_in_tars_is_said(synthetic: Synthetic, tmp_path: Path) -> None:
    import io
    import tarfile

    def write(name: str, members: dict[str, bytes]) -> None:
        with tarfile.open(tmp_path / name, "w") as tar:
            for member, content in members.items():
                entry = tarfile.TarInfo(member)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))

    jpeg = sorted((synthetic("imagenet") / "val").rglob("*.JPEG"))[0].read_bytes()
    good = {"00.jpg": jpeg, "00.cls": b"0"}
    for bad, said, where in (
        ({"01.jpg": jpeg[:500], "01.cls": b"0"}, "cannot be decoded", "train-0.tar/01"),
        ({"01.cls": b"0"}, "has no image", "train-0.tar/01"),
        ({"01.jpg": jpeg, "01.cls": b"cat"}, "is not a class number", "train-0.tar/01"),
        ({"01.jpg": jpeg}, "no known class", "train-0.tar/01"),
    ):
        write("val-0.tar", good)
        write("train-0.tar", {**good, **bad})
        assert_said(said_before_any_forward("imagenet", tmp_path, tmp_path / "out"), said, where)
    (tmp_path / "train-0.tar").write_bytes((tmp_path / "train-0.tar").read_bytes()[:700])
    assert_said(said_before_any_forward("imagenet", tmp_path, tmp_path / "out"), "not a whole tar", "train-0.tar")


@pytest.mark.parametrize(
    ("name", "said", "where"),
    [
        ("truncated", "not a whole MATLAB 7.3", "nyu_depth_v2_labeled.mat"),
        ("foreign object", "refused", "all_normals.pklz"),
        ("no split", "lacks test_SN40.json", "data"),
        ("endless link", "not a whole MATLAB 7.3", "nyu_depth_v2_labeled.mat"),
        ("group", "images or rawDepths hold no numbers", "nyu_depth_v2_labeled.mat"),
        ("list", "holds list, expected a dict", "all_normals.pklz"),
    ],
)
def test_damage_in_the_labeled_nyu_file_is_said(name: str, said: str, where: str, tmp_path: Path) -> None:
    import gzip
    import pickle

    h5py = pytest.importorskip("h5py")
    pytest.importorskip("scipy")
    data = tmp_path / "data"
    (data / "nyu_geonet").mkdir(parents=True)
    with h5py.File(data / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.zeros((1, 3, 640, 480), np.uint8)
        if name == "endless link":
            file["rawDepths"] = h5py.SoftLink("/rawDepths")
        elif name == "group":
            file.create_group("rawDepths")
        else:
            file["rawDepths"] = np.zeros((1, 640, 480), np.float32)
    normals: dict[str, Any] = {"all_normals": np.zeros((1, 480, 640, 3), np.float32)}
    if name == "foreign object":
        normals["trap"] = do.Trap(str(data / "sprung"))
    with gzip.open(data / "all_normals.pklz", "wb") as packed:
        pickle.dump([1] if name == "list" else normals, packed)
    if name != "no split":
        (data / "test_SN40.json").write_text('["1_room.png"]')
    if name == "truncated":
        do.truncate("nyu_depth_v2_labeled.mat")(data)
    with pytest.raises(SocoError) as caught:
        open_data("nyu", data, DataOptions())
    assert_said([str(caught.value)], said, where)
    assert not (data / "sprung").exists()
