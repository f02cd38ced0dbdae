"""A tiny release on disk, in the official layout, for tests that spoil one thing at a time."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CONCEPTS = {
    "vehicle_wheel_front_left_center": "wheel_center",
    "vehicle_wheel_rear_left_center": "wheel_center",
    "vehicle_mirror_left": "mirror",
    "car_doorhandle_front_left": "door_handle",
}
NAMES = list(CONCEPTS)


def jpeg(width: int, height: int, seed: int = 0, mode: str = "RGB", orientation: int | None = None) -> bytes:
    """A JPEG of smooth noise."""
    noise = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=90, exif=exif)
    return buffer.getvalue()


def keypoint(name: str, x: float, y: float) -> dict[str, Any]:
    concept = CONCEPTS[name]
    return {
        "id": NAMES.index(name),
        "name": name,
        "pos": [x, y],
        "concept_id": 100 + sorted(set(CONCEPTS.values())).index(concept),
        "concept_name": concept,
        "kind": "functional",
        "shared": True,
    }


def view(number: int, category: str, names: list[str] = NAMES) -> dict[str, Any]:
    width, height = (80, 60) if number % 2 else (60, 80)
    points = [keypoint(n, 10 + 9 * i + number + len(category), 12 + 7 * i + number) for i, n in enumerate(names)]
    return {
        "category": category,
        "image": f"{category}_{number}.JPEG",
        "imsize": [width, height],
        "bndbox": [5, 6, 55, 50],
        "keypoints": points,
    }


def pair(number: int, source: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {"pair_id": number, "category": target["category"], "pair_group": target["category"]}
    for side, shown in (("src", source), ("trg", target)):
        data.update({f"{side}_{key}": value for key, value in shown.items()})
    names = [{p["name"]: p["concept_name"] for p in shown["keypoints"]} for shown in (source, target)]
    data["semantic_overlap"] = [name for name in names[0] if name in names[1]]
    data["concept_matches"] = [
        {
            "concept_name": concept,
            "src_keypoints": [n for n, c in names[0].items() if c == concept],
            "trg_keypoints": [n for n, c in names[1].items() if c == concept],
        }
        for concept in dict.fromkeys(names[0].values())
        if concept in names[1].values()
    ]
    return data


def write_json(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")


def make_release(root: Path, images_per_category: int = 3) -> Path:
    """Categories car and bus, every ordered pair of a category, one cross pair each way, side files."""
    views: dict[str, list[dict[str, Any]]] = {}
    for category in ("bus", "car"):
        names = NAMES if category == "car" else NAMES[:3]
        views[category] = [view(n, category, names) for n in range(1, images_per_category + 1)]
        for number, shown in enumerate(views[category], start=1):
            path = root / "Images" / category / shown["image"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(*shown["imsize"], seed=number))
            write_json(root / "KeypointAnnotations" / category / f"{category}_{number}.json", shown)
        write_pairs(root, "intra", [(a, b) for a in views[category] for b in views[category] if a is not b])
        write_pairs(root, "trainsplits/train", [(views[category][0], views[category][1])])
        write_pairs(root, "trainsplits/test", [(views[category][1], views[category][2])])
    write_pairs(root, "cross", [(views["bus"][0], views["car"][0]), (views["car"][1], views["bus"][1])])
    write_json(root / "Metadata" / "keypoint_taxonomy.json", {"concepts": [], "instances": []})
    mapping = {c: {f"elsewhere/{v['image']}": v["image"] for v in shown} for c, shown in views.items()}
    write_json(root / "Metadata" / "filename_mapping.json", mapping)
    return root


def write_pairs(root: Path, subset: str, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    for number, (source, target) in enumerate(pairs, start=1):
        stems = f"{source['image'].split('.')[0]}-{target['image'].split('.')[0]}"
        path = root / "PairAnnotations" / subset / target["category"] / f"{number:05d}-{stems}.json"
        write_json(path, pair(number, source, target))


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Change one JSON file in place."""
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    write_json(path, data)
    return path


def zip_release(tree: Path, out: Path) -> Path:
    """The same release as the three archives with Metadata beside them."""
    out.mkdir(parents=True)
    for folder in ("Images", "KeypointAnnotations", "PairAnnotations"):
        with zipfile.ZipFile(out / f"{folder}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted((tree / folder).rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(tree).as_posix())
    for path in (tree / "Metadata").iterdir():
        (out / "Metadata").mkdir(exist_ok=True)
        (out / "Metadata" / path.name).write_bytes(path.read_bytes())
    return out


def first_pair(root: Path, subset: str = "intra", category: str = "car") -> Path:
    return sorted((root / "PairAnnotations" / subset / category).iterdir())[0]
