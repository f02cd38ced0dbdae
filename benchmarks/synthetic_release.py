"""A release as large as SOCO, made up: 4,000 images, 100 categories, 40,000 pair files, 20,000 more for the probe.

    python benchmarks/synthetic_release.py OUT [--build] [--categories 100] [--images-per-category 40] [--pairs 20000]
        [--image-side 500] [--seed 0] [--small]

Categories, the number of keypoints of each and which are shared are SOCO's (see `bench_pairs.soco_like`). The images
are gradients at two scales under the noise of a sensor, JPEG of quality 90, half a byte a pixel as photographs are. The
points lie anywhere, so scores mean nothing, but every count and every file is of the right size. Half as many pairs as
of each kind are for the probe's training, as many for its test. The same options give the same bytes. With --build OUT
is a built folder, else the release in the official layout. Nothing of it is ever committed. The other benchmarks make
the part they need with `built_synthetic`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from bench_pairs import soco_like
from numpy.typing import NDArray
from PIL import Image

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.soco.categories import CATEGORIES
from soco_datasets.data.pairs import PairIndex, draw_pairs

Record = dict[str, Any]
_ASPECTS = (1.0, 0.75, 0.66, 0.8)  # short side over long side, landscape and portrait in turn
_POINTS_IN_A_CONCEPT = 3
_NOISE = 13.0  # standard deviation of the sensor's noise, of 255
_FOLDERS = {"probe_train": "trainsplits/train", "probe_test": "trainsplits/test"}  # below PairAnnotations
KINDS = ("intra", "cross", *_FOLDERS)


def write_synthetic_release(
    out: Path,
    *,
    categories: int = 100,
    images_per_category: int = 40,
    pairs: int = 20_000,
    image_side: int = 500,
    seed: int = 0,
    kinds: tuple[str, ...] = KINDS,
) -> None:
    """Write the release in the official layout.

    Args:
        out: folder to make.
        categories: how many of SOCO's 100, the first in alphabetical order.
        images_per_category: images of each.
        pairs: pair files within and across categories, half as many of the probe's two; fewer where there are not so
            many pairs.
        image_side: longer side of an image, pixels.
        seed: any integer.
        kinds: which of `KINDS` there are.
    """
    kept = frozenset(list(CATEGORIES)[:categories])
    every = zip(*soco_like(images_per_category, seed), strict=True)
    of, names = (list(part) for part in zip(*((c, n) for c, n in every if c in kept), strict=True))
    keypoints = _keypoints(of, names)
    views = [_view(row, of, names, keypoints, image_side, seed, images_per_category) for row in range(len(of))]
    noise = np.random.default_rng([seed, 2]).normal(0, _NOISE, (2 * image_side, 2 * image_side, 3)).astype(np.float32)

    def write_image(row: int) -> None:
        view = views[row]
        path = out / "Images" / view["category"] / view["image"]
        _write(path, _jpeg(view["imsize"], [seed, row], noise))
        _write(out / "KeypointAnnotations" / view["category"] / f"{path.stem}.json", json.dumps(view).encode())

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy and Pillow work outside the GIL
        list(pool.map(write_image, range(len(views))))
    parts = [_Fragments(view) for view in views]
    for number_of_kind, kind in enumerate(kinds):
        index = PairIndex(of, names, cross=kind == "cross")
        wanted, own_seed = (pairs // 2, seed + number_of_kind) if kind in _FOLDERS else (pairs, seed)
        for number, (source, target) in enumerate(draw_pairs(index, wanted, own_seed), start=1):
            stems = f"{parts[source].stem}-{parts[target].stem}"
            path = out / "PairAnnotations" / _FOLDERS.get(kind, kind) / of[target] / f"{number:05d}-{stems}.json"
            _write(path, _pair(number, parts[source], parts[target]).encode())
    _write(out / "Metadata" / "keypoint_taxonomy.json", json.dumps(_metadata(of, names, keypoints)).encode())


def built_synthetic(place: Path, **options: Any) -> Path:
    """A built folder of the release that `options` ask for (see `write_synthetic_release`), in `place`; made once."""
    if not (place / "manifest.json").is_file():
        with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
            release = Path(temporary, "release")
            write_synthetic_release(release, **options)
            build_dataset(str(release), place)
    return place


class _Fragments:
    """An image's part of a pair file as JSON text, made once: an image is in 20 pair files."""

    def __init__(self, view: Record) -> None:
        self.category, self.stem = view["category"], view["image"].partition(".")[0]
        fields = ("category", "image", "imsize", "bndbox", "keypoints")
        self.sides = {
            side: ",".join(f'"{side}_{field}":{json.dumps(view[field])}' for field in fields) for side in ("src", "trg")
        }
        self.concepts: dict[str, list[str]] = {}
        for point in view["keypoints"]:
            self.concepts.setdefault(point["concept_name"], []).append(point["name"])
        self.names = [point["name"] for point in view["keypoints"]]


def _pair(number: int, source: _Fragments, target: _Fragments) -> str:
    """The text of a pair file."""
    shown = set(target.names)
    matches = [
        {"concept_name": concept, "src_keypoints": names, "trg_keypoints": target.concepts[concept]}
        for concept, names in source.concepts.items()
        if concept in target.concepts
    ]
    head = {"pair_id": number, "category": target.category, "pair_group": target.category}
    tail = {"semantic_overlap": [name for name in source.names if name in shown], "concept_matches": matches}
    return f"{json.dumps(head)[:-1]},{source.sides['src']},{target.sides['trg']},{json.dumps(tail)[1:]}"


def _keypoints(of: list[str], names: list[frozenset[str]]) -> dict[str, Record]:
    """Name -> what its annotations say, the place left out."""
    holders = Counter(name for _, name in {(c, n) for c, shown in zip(of, names, strict=True) for n in shown})
    concepts: dict[str, int] = {}
    found = {}
    for number, name in enumerate(sorted(holders)):
        stem, _, index = name.rpartition("_")
        concept = f"{stem}_part_{int(index) // _POINTS_IN_A_CONCEPT}"
        found[name] = {
            "id": number,
            "name": name,
            "concept_id": concepts.setdefault(concept, len(concepts)),
            "concept_name": concept,
            "kind": "structural",
            "shared": holders[name] > 1,
        }
    return found


def _metadata(of: list[str], names: list[frozenset[str]], keypoints: dict[str, Record]) -> Record:
    """The content of the taxonomy file: the concepts, and every keypoint of every category."""
    shown: dict[str, set[str]] = {}
    for category, some in zip(of, names, strict=True):
        shown.setdefault(category, set()).update(some)
    concepts = {point["concept_id"]: point["concept_name"] for point in keypoints.values()}
    return {
        "concepts": [{"id": number, "name": name} for number, name in sorted(concepts.items())],
        "instances": [
            {"category": category, "keypoints": [keypoints[name] for name in sorted(some)]}
            for category, some in shown.items()
        ],
    }


def _view(
    row: int,
    of: list[str],
    names: list[frozenset[str]],
    keypoints: dict[str, Record],
    side: int,
    seed: int,
    images_per_category: int,
) -> Record:
    """The annotation of one image."""
    generator = np.random.default_rng([seed, row, 1])
    short = max(1, round(side * _ASPECTS[row % len(_ASPECTS)]))
    width, height = (side, short) if row % 2 else (short, side)
    shown = sorted(names[row], key=lambda name: keypoints[name]["id"])
    points = np.round(generator.random((len(shown), 2)) * (width - 1, height - 1), 2).tolist()
    left, top = (int(edge * 0.1) for edge in (width, height))
    return {
        "category": of[row],
        "image": f"{of[row]}_{row % images_per_category + 1}.JPEG",
        "imsize": [width, height],
        "bndbox": [left, top, width - left, height - top],
        "keypoints": [{**keypoints[name], "pos": pos} for name, pos in zip(shown, points, strict=True)],
    }


def _jpeg(size: list[int], seed: list[int], noise: NDArray[np.float32]) -> bytes:
    """Gradients at two scales under a part of the noise: as many bytes, and as long to decode, as a photograph."""
    generator = np.random.default_rng(seed)
    width, height = size
    picture = np.zeros((height, width, 3), dtype=np.float32)
    for share, cell in ((0.6, 48), (0.4, 12)):
        coarse = generator.integers(0, 256, (max(2, height // cell), max(2, width // cell), 3), dtype=np.uint8)
        picture += share * np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    top = int(generator.integers(0, noise.shape[0] - height))
    left = int(generator.integers(0, noise.shape[1] - width))
    picture += noise[top : top + height, left : left + width]
    buffer = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--build", action="store_true", help="make a built folder of it")
    parser.add_argument("--categories", type=int, default=100)
    parser.add_argument("--images-per-category", type=int, default=40)
    parser.add_argument("--pairs", type=int, default=20_000, help="within, and across categories")
    parser.add_argument("--image-side", type=int, default=500, help="longer side of an image, pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="4 categories, 4 images of each, 8 pairs: a second")
    arguments = parser.parse_args()
    options = {name: vars(arguments)[name] for name in ("categories", "images_per_category", "pairs", "image_side")}
    if arguments.small:
        options = {"categories": 4, "images_per_category": 4, "pairs": 8, "image_side": 64}
    if arguments.out.exists() and any(arguments.out.iterdir()):
        parser.error(f"{arguments.out} is not empty")
    start = time.perf_counter()
    make = built_synthetic if arguments.build else write_synthetic_release
    make(arguments.out, **options, seed=arguments.seed)
    took = time.perf_counter() - start
    files = [path for path in arguments.out.rglob("*") if path.is_file()]
    images = options["categories"] * options["images_per_category"]
    size = sum(path.stat().st_size for path in files)
    print(f"{images:,} images, up to {options['pairs']:,} pairs of each kind: {len(files):,} files, {size:,} bytes")
    print(f"{took:.1f} s, {1000 * took / images:.1f} ms per image")


if __name__ == "__main__":
    main()
