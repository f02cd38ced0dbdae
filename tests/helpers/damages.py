"""Damages of data sets, each a function of the root folder: the twelve of the specification, per layout, and wrong units."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Damage = Callable[[Path], None]
CMYK = lambda image: image.convert("CMYK")  # noqa: E731
SAME = lambda image: image  # noqa: E731
TURN = lambda image: image.transpose(Image.Transpose.ROTATE_90)  # noqa: E731
WRONG = lambda image: image.resize((50, 30))  # noqa: E731


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


def first(root: Path, pattern: str) -> Path:
    return sorted(root.rglob(pattern))[0]


def remove(pattern: str) -> Damage:
    return lambda root: first(root, pattern).unlink()


def to_folder(pattern: str) -> Damage:
    def damage(root: Path) -> None:
        path = first(root, pattern)
        path.unlink()
        path.mkdir()

    return damage


def truncate(pattern: str) -> Damage:
    def damage(root: Path) -> None:
        path = first(root, pattern)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def nest(pattern: str) -> Damage:
    def damage(root: Path) -> None:
        first(root, pattern).write_text("[" * 200_000)

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


def write_json(pattern: str, content: Any) -> Damage:
    def damage(root: Path) -> None:
        first(root, pattern).write_text(json.dumps(content))

    return damage


def edit_pickle(change: Callable[[Any], Any]) -> Damage:
    def damage(root: Path) -> None:
        path = first(root, "*.pkl")
        content = pickle.loads(path.read_bytes())
        changed = change(content)
        path.write_bytes(pickle.dumps(content if changed is None else changed))

    return damage


def overlong_frame(root: Path) -> None:
    """The length of a frame of the pickle, protocol 4, becomes more than any file has."""
    path = first(root, "*.pkl")
    content = pickle.dumps(pickle.loads(path.read_bytes()), protocol=4)
    path.write_bytes(content[:10] + b"\xff" + content[11:])


def stretch_png(path: Path, side: int) -> None:
    """A PNG whose header says `side` x `side` pixels, which are not there."""
    size = side.to_bytes(4, "big")
    header = b"IHDR" + size + size + bytes([8, 0, 0, 0, 0])
    parts = (header, b"IDAT" + zlib.compress(b""), b"IEND")
    chunks = [len(part[4:]).to_bytes(4, "big") + part + zlib.crc32(part).to_bytes(4, "big") for part in parts]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


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


def encoded(**saving: Any) -> Damage:
    """The frames of the first video as JPEG bytes, saved with some options."""

    def bytes_of(pixels: Any) -> bytes:
        buffer, mode = io.BytesIO(), saving.get("mode", "RGB")
        options = {name: value for name, value in saving.items() if name != "mode"}
        Image.fromarray(pixels).convert(mode).save(buffer, format="JPEG", **options)
        return buffer.getvalue()

    return video("video", lambda frames: [bytes_of(one) for one in frames])


def add_video(content: Any) -> None:
    """One video twice."""
    content["zz-copy"] = content[sorted(content)[0]]


def crop_arrays(content: dict[str, Any]) -> None:
    """A picture that is too small, with depth and normals to match."""
    for name in content:
        content[name] = content[name][:100, :100]


def bright_png() -> bytes:
    """A mask of labels that do not exist."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((240, 320), 200, np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def new_class(root: Path) -> None:
    """A class of poses that has no training object."""
    for kind, name in (("images", "car"), ("annotations", "car"), ("lists", "car")):
        shutil.copytree(root / "val" / kind / name, root / "val" / kind / "zeppelin")


def first_box(**changes: Any) -> Damage:
    """The first annotation of the test set with other values."""
    return edit_json("*_test.json", lambda content: content["annotations"][0].update(changes))


def doubled_image(content: Any) -> None:
    """An image of the JSON twice."""
    content["images"].append(content["images"][0])


def edit_rows(pattern: str, change: Callable[[list[dict[str, Any]]], Any]) -> Damage:
    """The rows of a Parquet file, changed in place or replaced."""

    def damage(root: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = first(root, pattern)
        rows = pq.read_table(path).to_pylist()
        changed = change(rows)
        pq.write_table(pa.Table.from_pylist(rows if changed is None else changed), path, row_group_size=2)

    return damage


def prune(kind: str, root: Path) -> None:
    """Leave a few items of a synthetic data set, and expect so many."""
    from soco_datasets.downstream.readers.known_readers import open_data

    for folder in [one for one in root.rglob("*") if one.is_dir() and one.name != "Omni3D"]:
        for path in sorted(one for one in folder.iterdir() if one.suffix.lower() in _PRUNED.get(kind, ()))[2:]:
            path.unlink()
    for path in root.rglob("mesh01.txt"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    for path in root.rglob("annotations.json"):
        path.write_text(json.dumps(json.loads(path.read_text())[:2]))
    for path in root.rglob("ARKitScenes_*.json"):
        content = json.loads(path.read_text())
        content["images"] = content["images"][:2]
        ids = {one["id"] for one in content["images"]}
        content["annotations"] = [one for one in content["annotations"] if one["image_id"] in ids]
        path.write_text(json.dumps(content))
    about = json.loads((root / "synthetic.json").read_text())
    about["expected"] = {name: open_data(kind, root).counts()[name] for name in about["expected"]}
    (root / "synthetic.json").write_text(json.dumps(about))


_PRUNED = {
    "nyu": (".mat",),
    "navi": (".jpg", ".png"),
    **dict.fromkeys(("imagenet", "ade20k", "imagenet3d"), (".jpeg", ".jpg", ".png", ".npz")),
}
