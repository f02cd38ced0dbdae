"""A built dataset folder of a few images, written without the builder: EXIF-rotated, gray, CMYK, odd names."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from soco_datasets.data.queries import ImagePoints, pair_queries
from soco_datasets.data.questions.generation import AnnotatedImage, draw_questions, question_rows
from soco_datasets.data.schema import CONFIGS

ROTATED, GREY, CMYK = "car/car_1", "car/car_2", "car/car_3"
_SIZES = {ROTATED: (48, 32), GREY: (40, 40), CMYK: (32, 56)}
_COMMON = ["wheel_front_left", "wheel_rear_left", "mirror_left", "roof_center"]
_NAMES = {
    "car": [*_COMMON, "wheel_front_right", "trunk_center"],
    "bus": [*_COMMON, "wheel_front_right", "door_front"],
    "kettle electric": ["handle_top", "spout_tip", "lid_center"],
    "ピアノ": ["pedal_left", "pedal_right", "keyboard_center"],
}
_COUNTS = {"bus": 3, "car": 5, "kettle electric": 2, "ピアノ": 2}
IMAGE_IDS = [f"{category}/{category}_{i}" for category, n in _COUNTS.items() for i in range(1, n + 1)]


def jpeg(image_id: str) -> bytes:
    """A JPEG with a picture of its own, in the mode that its id stands for."""
    width, height = _SIZES.get(image_id, (44, 36))
    seed = int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:4], "big")
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    image = image.convert({GREY: "L", CMYK: "CMYK"}.get(image_id, "RGB"))
    options: dict[str, Any] = {}
    if image_id == ROTATED:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def upright(image_id: str) -> np.ndarray:
    """What the image must decode to: RGB pixels as stored, never rotated."""
    return np.asarray(Image.open(io.BytesIO(jpeg(image_id))).convert("RGB"))


def concept(name: str) -> str:
    return name.partition("_")[0]


def points_of(image_id: str) -> ImagePoints:
    """Visible keypoints: all of the category but one in some images."""
    category, _, stem = image_id.partition("/")
    number = int(stem.rpartition("_")[2])
    names = [name for i, name in enumerate(_NAMES[category]) if number % 2 or i != len(_NAMES[category]) - 1]
    if category in ("kettle electric", "ピアノ"):
        names = _NAMES[category]
    positions = tuple((1.5 + 2 * i + number, 30.25 - i) for i in range(len(names)))
    return ImagePoints(tuple(names), tuple(concept(name) for name in names), positions)


def rows_of(config: str, split: str) -> list[dict[str, Any]]:
    """The rows of a table as a build of this release would write them."""
    spec = CONFIGS[config]
    if config == "images":
        return [_image_row(image_id) for image_id in IMAGE_IDS]
    if config == "keypoints":
        return [_keypoint_row(image_id) for image_id in IMAGE_IDS]
    if config == "taxonomy":
        return [_taxonomy_row(c, i, name) for c, names in _NAMES.items() for i, name in enumerate(names)]
    if config == "descriptions":
        return [
            {"category": c, "keypoint": name, "text": f"{name} of a {c}", "origin": "generated"}
            for c, names in _NAMES.items()
            for name in names
        ]
    if config == "annotations":
        return [{"path": "Metadata/filename_mapping.json", "content": "{}"}]
    if config == "lvlm":
        return _question_rows(split)
    chosen = {
        "intra": [("car/car_1", "car/car_2"), ("car/car_3", "car/car_1"), ("bus/bus_1", "bus/bus_3")],
        "cross": [("bus/bus_2", "car/car_1"), ("car/car_3", "bus/bus_1")],
        "probe": [("car/car_4", "car/car_5")] if split == "train" else [("car/car_2", "car/car_4")],
    }[spec.pairs]
    return [_pair_row(spec.kind, f"{spec.pairs}/{n:05d}", s, t) for n, (s, t) in enumerate(chosen, 1)]


def _question_rows(setting: str) -> list[dict[str, Any]]:
    images = []
    for image_id in IMAGE_IDS:
        shown = points_of(image_id)
        places = dict(zip(shown.names, shown.points, strict=True))
        images.append(AnnotatedImage(image_id, image_id.partition("/")[0], _SIZES.get(image_id, (44, 36)), places))
    texts = {(c, name): f"{name} of a {c}" for c, names in _NAMES.items() for name in names}
    drawn = draw_questions(images, per_category=2)
    return list(question_rows(drawn.questions, setting, texts, {"car": "transportation", "bus": "transportation"}))


def _image_row(image_id: str) -> dict[str, Any]:
    category, _, stem = image_id.partition("/")
    width, height = _SIZES.get(image_id, (44, 36))
    return {
        "image_id": image_id,
        "image": {"bytes": jpeg(image_id), "path": f"{stem}.JPEG"},
        "file_name": f"{image_id}.JPEG",
        "category": category,
        "supercategory": "transportation" if category in ("car", "bus") else None,
        "width": width,
        "height": height,
        "bbox": None if image_id == GREY else [1.0, 2.0, width - 3.0, height - 1.5],
        "azimuth": 30.0,
        "exif_orientation": 6 if image_id == ROTATED else 1,
    }


def _keypoint_row(image_id: str) -> dict[str, Any]:
    shown = points_of(image_id)
    return {
        "image_id": image_id,
        "category": image_id.partition("/")[0],
        "keypoint_ids": list(range(len(shown.names))),
        "keypoints": list(shown.names),
        "concepts": list(shown.concepts),
        "points": [list(point) for point in shown.points],
    }


def _taxonomy_row(category: str, number: int, name: str) -> dict[str, Any]:
    return {"category": category, "keypoint_id": number, "keypoint": name, "concept": concept(name), "shared": True}


def _pair_row(kind: str, pair_id: str, source: str, target: str) -> dict[str, Any]:
    images = {image_id: _image_row(image_id) for image_id in (source, target)}
    return {
        "pair_id": pair_id,
        "pair_group": target.partition("/")[0],
        "source_image_id": source,
        "target_image_id": target,
        "source_category": source.partition("/")[0],
        "target_category": target.partition("/")[0],
        "source_size": [images[source]["width"], images[source]["height"]],
        "target_size": [images[target]["width"], images[target]["height"]],
        "source_bbox": images[source]["bbox"],
        "target_bbox": images[target]["bbox"],
        **pair_queries(kind, points_of(source), points_of(target)).columns(),
    }


def write_folder(root: Path, format: str = "arrow", leave_out: tuple[str, ...] = (), image_shards: int = 2) -> Path:
    """Write the folder, with the images in several shards, and return it."""
    shards = []
    for spec in CONFIGS.values():
        for split in spec.splits if spec.name not in leave_out else ():
            rows = rows_of(spec.name, split)
            parts = image_shards if spec.name == "images" else 1
            size = -(-len(rows) // parts)
            for number in range(parts):
                table = pa.Table.from_pylist(rows[number * size : (number + 1) * size], spec.features.arrow_schema)
                path = root / spec.name / f"{split}-{number:05d}-of-{parts:05d}.{format}"
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(table, path, compress=spec.name != "images")
                shards.append(_entry(root, spec.name, split, path, table.num_rows))
    write_manifest(root, shards)
    (root / "README.md").write_text(_card(shards), encoding="utf-8")
    return root


def write_manifest(root: Path, shards: list[dict[str, Any]], **changes: Any) -> None:
    manifest = {
        "format": "soco-dataset",
        "format_version": 1,
        "toolkit_version": "0.1.0",
        "source": {"kind": "folder", "id": "tiny", "revision": None},
        "content_hash": hashlib.sha256(b"tiny").hexdigest(),
        "lvlm": {"questions": 4, "passed_over": {}, "hash": "tiny"},
        "counts": {"images": len(IMAGE_IDS)},
        "shards": shards,
    } | changes
    (root / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _write(table: pa.Table, path: Path, compress: bool) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path, compression="zstd" if compress else "none", row_group_size=3)
        return
    options = pa.ipc.IpcWriteOptions(compression="zstd" if compress else None)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=4)


def _entry(root: Path, config: str, split: str, path: Path, rows: int) -> dict[str, Any]:
    data = path.read_bytes()
    return {
        "config": config,
        "split": split,
        "file": path.relative_to(root).as_posix(),
        "rows": rows,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _card(shards: list[dict[str, Any]]) -> str:
    lines = ["---", "configs:"]
    seen: dict[str, set[str]] = {}
    for shard in shards:
        seen.setdefault(shard["config"], set()).add(shard["split"])
    suffix = Path(shards[0]["file"]).suffix
    for config, splits in seen.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split in sorted(splits):
            lines += [f"  - split: {split}", f"    path: {config}/{split}-*{suffix}"]
    return "\n".join([*lines, "---", ""])
