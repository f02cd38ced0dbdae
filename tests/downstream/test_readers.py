"""Layouts of one data set read the same; whole data has no findings; what is no data set is refused. See test_damage.py."""

from __future__ import annotations

import io
<<<<<<< HEAD
import json
import math
=======
>>>>>>> main
import pickle
import shutil
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
from soco_datasets.errors import SocoError, UsageError

Synthetic = Callable[[str], Path]


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


<<<<<<< HEAD
def first(root: Path, pattern: str) -> Path:
    return sorted(root.rglob(pattern))[0]


def remove(pattern: str) -> Damage:
    return lambda root: first(root, pattern).unlink()


def truncate(pattern: str) -> Damage:
    def damage(root: Path) -> None:
        path = first(root, pattern)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def repaint(pattern: str, change: Callable[[Image.Image], Image.Image], **saving: Any) -> Damage:
    def damage(root: Path) -> None:
        path = first(root, pattern)
        with Image.open(path) as image:
            image.load()
            changed = change(image)
        changed.save(path, format="JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG", **saving)

    return damage


def turned_exif() -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"exif": exif.tobytes()}


def edit_json(pattern: str, change: Callable[[Any], None]) -> Damage:
    def damage(root: Path) -> None:
        path = first(root, pattern)
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return damage


def edit_pickle(change: Callable[[Any], Any]) -> Damage:
    def damage(root: Path) -> None:
        path = first(root, "*.pkl")
        content = pickle.loads(path.read_bytes())
        changed = change(content)
        path.write_bytes(pickle.dumps(content if changed is None else changed))

    return damage


def trap_pickle(root: Path) -> None:
    path = first(root, "*.pkl")
    content = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps({**content, "trap": Trap(str(root / "sprung"))}))


def trap_angles(root: Path) -> None:
    np.savez(first(root, "*.npz"), azimuth=np.array([Trap(str(root / "sprung"))], dtype=object), elevation=0, theta=0)


def set_angles(value: float) -> Damage:
    return lambda root: np.savez(first(root, "*.npz"), azimuth=value, elevation=0.0, theta=0.0)


def edit_mat(change: Callable[[dict[str, Any]], None]) -> Damage:
    def damage(root: Path) -> None:
        from scipy.io import loadmat, savemat

        path = first(root, "*.mat")
        content = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
        change(content)
        savemat(path, content)

    return damage


def video(name: str, change: Callable[[Any], Any]) -> Damage:
    def edit(content: Any) -> None:
        key = sorted(content)[0]
        content[key][name] = change(content[key][name])

    return edit_pickle(edit)


def add_class(root: Path) -> None:
    shutil.copytree(root / "val" / "n02099601", root / "val" / "n99999999")


def copy_as(pattern: str, name: str) -> Damage:
    return lambda root: shutil.copy(first(root, pattern), first(root, pattern).with_name(name)) and None


CMYK = lambda image: image.convert("CMYK")  # noqa: E731
SAME = lambda image: image  # noqa: E731
TURN = lambda image: image.transpose(Image.Transpose.ROTATE_90)  # noqa: E731
WRONG = lambda image: image.resize((50, 30))  # noqa: E731
TRAIN_JPEG, ADE_JPEG = "train/n02099601/*.JPEG", "images/training/*.jpg"


def empty_depth(content: dict[str, Any]) -> None:
    content["depth"][:] = 0


def millimeters(content: dict[str, Any]) -> None:
    content["depth"] *= 1000


def nan_depth(content: dict[str, Any]) -> None:
    content["depth"][200:210, 200:210] = np.nan


def swap_sides(content: dict[str, Any]) -> None:
    for name in content:
        content[name] = np.swapaxes(content[name], 0, 1)


def drop_normals(content: dict[str, Any]) -> None:
    del content["norm"]


def drop_points(content: Any) -> None:
    del content[sorted(content)[0]]["points"]


def flat_codes(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.zeros_like(np.asarray(image)))


def other_units(image: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(image) // 50).astype(np.uint16))


def high_mask(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.full_like(np.asarray(image), 200))


DAMAGES: list[tuple[str, str, Damage, str]] = [
    ("imagenet", "missing file", remove(TRAIN_JPEG), "29 train, expected 30"),
    ("imagenet", "extra file", copy_as(TRAIN_JPEG, "more.JPEG"), "31 train, expected 30"),
    ("imagenet", "truncated", truncate(TRAIN_JPEG), "cannot be decoded"),
    ("imagenet", "EXIF", repaint(TRAIN_JPEG, SAME, **turned_exif()), "EXIF orientation"),
    ("imagenet", "CMYK", repaint(TRAIN_JPEG, CMYK), "color mode CMYK"),
    ("imagenet", "unknown class", add_class, "no known class"),
    ("ade20k", "missing file", remove("annotations/training/*.png"), "image without its mask"),
    ("ade20k", "extra file", copy_as("annotations/training/*.png", "ADE_train_99.png"), "mask without its image"),
    ("ade20k", "wrong shape", repaint("annotations/training/*.png", WRONG), "the mask is 50x30, the image 320x240"),
    ("ade20k", "swapped sides", repaint("annotations/training/*.png", TURN), "swapped sides"),
    ("ade20k", "mask above 150", repaint("annotations/training/*.png", high_mask), "the mask holds 200"),
    ("ade20k", "RGB mask", repaint("annotations/training/*.png", lambda one: one.convert("RGB")), "full ADE20K"),
    ("ade20k", "truncated", truncate(ADE_JPEG), "cannot be decoded"),
    ("ade20k", "EXIF", repaint(ADE_JPEG, SAME, **turned_exif()), "EXIF orientation"),
    ("ade20k", "CMYK", repaint(ADE_JPEG, CMYK), "color mode CMYK"),
    ("navi", "missing file", remove("images/*.jpg"), "the image is missing"),
    ("navi", "extra file", copy_as("images/*.jpg", "999.jpg"), "an image without an annotation"),
    ("navi", "wrong shape", repaint("images/*.jpg", WRONG), "is 50x30|another shape"),
    ("navi", "swapped sides", repaint("images/*.jpg", TURN), "swapped sides"),
    ("navi", "EXIF turned", repaint("images/*.jpg", SAME, **turned_exif()), "swapped sides"),
    ("navi", "empty depth", repaint("depth/*.png", flat_codes), "the depth is empty"),
    ("navi", "wrong units", repaint("depth/*.png", other_units), "wrong units"),
    ("navi", "truncated", truncate("images/*.jpg"), "cannot be decoded"),
    ("navi", "CMYK", repaint("images/*.jpg", CMYK), "color mode CMYK"),
    ("navi", "no camera", edit_json("annotations.json", lambda one: one[0]["camera"].update(q=[0, 0, 0, 0])), "camera"),
    ("davis", "missing key", edit_pickle(drop_points), "cannot be read"),
    ("davis", "wrong shape", video("points", lambda one: one[:, :3]), "do not fit"),
    ("davis", "pixels", video("points", lambda one: one * 256), "pixels instead of shares"),
    ("davis", "NaN", video("points", lambda one: one * np.nan), "not finite"),
    ("davis", "upright", video("video", lambda one: one[:, :, :100]), "may be swapped"),
    ("davis", "float frames", video("video", lambda one: one.astype(float)), "expected \\(T, H, W, 3\\) bytes"),
    ("davis", "truncated frame", video("video", lambda one: [b"\xff\xd8\xff" for _ in one]), "cannot be decoded"),
    ("davis", "foreign object", trap_pickle, "refused"),
    ("davis", "truncated", truncate("*.pkl"), "not a whole pickle"),
    ("imagenet3d", "missing file", remove("train/images/car/*.JPEG"), "the image is missing"),
    ("imagenet3d", "extra file", copy_as("train/annotations/car/*.npz", "zzz.npz"), "not in the list"),
    ("imagenet3d", "degrees", set_angles(180.0), "degrees instead of radians"),
    ("imagenet3d", "NaN", set_angles(float("nan")), "not finite"),
    ("imagenet3d", "foreign object", trap_angles, "no angles can be read"),
    ("imagenet3d", "wrong shape", repaint("train/images/car/*.JPEG", WRONG), "expected a square"),
    ("imagenet3d", "truncated", truncate("train/images/car/*.JPEG"), "cannot be decoded"),
    ("imagenet3d", "CMYK", repaint("train/images/car/*.JPEG", CMYK), "color mode CMYK"),
    ("omni3d", "missing file", remove("*.jpg"), "the image is missing"),
    ("omni3d", "swapped sides", repaint("*.jpg", TURN), "swapped sides"),
    ("omni3d", "truncated", truncate("*.jpg"), "cannot be decoded"),
    ("omni3d", "zero size", edit_json("*_test.json", lambda one: one["annotations"][0].update(dimensions=[0, 1, 1])),
     "the box is ignored"),
    ("omni3d", "millimeters", edit_json("*_test.json", lambda one: one["annotations"][0].update(dimensions=[900] * 3)),
     "wrong units"),
    ("omni3d", "behind", edit_json("*_test.json", lambda one: one["annotations"][0].update(center_cam=[0, 0, -2])),
     "behind the camera"),
    ("omni3d", "unknown class", edit_json("*_test.json", lambda one: one["annotations"][0].update(category_name="elf")),
     "unknown class 'elf'"),
    ("omni3d", "category id", edit_json("*_test.json", lambda one: one["annotations"][0].update(category_id="3")),
     "ARKitScenes_test.json annotation 0: category_id '3' is not that of"),
    ("omni3d", "NaN size", edit_json("*_test.json", lambda one: one["annotations"][0].update(dimensions=[math.nan] * 3)),
     "are not finite"),
    ("omni3d", "2D box", edit_json("*_test.json", lambda one: one["annotations"][0].update(bbox2D_trunc=[9, 9, 3, 3])),
     "is no [x1, y1, x2, y2]"),
    ("omni3d", "foreign image", edit_json("*_test.json", lambda one: one["annotations"][0].update(image_id=10**6)),
     "its image is unknown"),
    ("omni3d", "not JSON", truncate("*_test.json"), "is not JSON"),
    ("nyu", "missing file", remove("*.mat"), "1 train, expected 8"),
    ("nyu", "empty depth", edit_mat(empty_depth), "the depth is empty"),
    ("nyu", "millimeters", edit_mat(millimeters), "millimeters"),
    ("nyu", "NaN depth", edit_mat(nan_depth), "holds NaN"),
    ("nyu", "swapped sides", edit_mat(swap_sides), "swapped"),
    ("nyu", "no normals", edit_mat(drop_normals), "not a training file"),
    ("nyu", "truncated", truncate("*.mat"), "not a training file"),
    ("nyu", "foreign object", trap_pickle, "refused"),
    ("nyu", "flipped normals", edit_pickle(lambda one: one.update(snorms=-one["snorms"])), "the sign is flipped"),
    ("nyu", "swapped test", edit_pickle(lambda one: one.update(depths=np.swapaxes(one["depths"], 1, 2))), "swapped"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "damage", "said"), DAMAGES, ids=[f"{one[0]}-{one[1]}" for one in DAMAGES])
def test_damage_is_said(kind: str, name: str, damage: Damage, said: str, synthetic: Synthetic, tmp_path: Path) -> None:
=======
@pytest.mark.parametrize("kind", ["imagenet", "ade20k", "navi", "davis", "imagenet3d", "omni3d", "nyu"])
def test_whole_data_has_no_findings(kind: str, synthetic: Synthetic, capsys: pytest.CaptureFixture[str]) -> None:
>>>>>>> main
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


def test_the_released_imagenet3d_is_processed(tmp_path: Path) -> None:
    write_released_imagenet3d(tmp_path / "raw")
    with pytest.raises(SocoError, match="soco downstream prepare imagenet3d"):
        open_data("imagenet3d", tmp_path / "raw")
    counts = prepare_imagenet3d(tmp_path / "raw", tmp_path / "out")
    assert counts == {"kept": 2, "bad status": 2, "no distance": 2, "unreadable": 0}
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
