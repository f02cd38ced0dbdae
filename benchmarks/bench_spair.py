"""SPair-71k at full size: a synthetic copy of 1,800 images and 12,234 test pairs, built and evaluated.

    python benchmarks/bench_spair.py [--small]

Prints the time of the build, as seconds and as a ratio of decoding every picture once, and the forwards of an
evaluation, which must equal the number of distinct pictures (as many as images here). `--small` takes seconds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from support import VIT_TINY, machine, random_dinov2

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.spair71k import BENCHMARK
from soco_datasets.config import ScoringConfig
from soco_datasets.correspondence.several import BenchmarkRun, evaluate_several
from soco_datasets.data.folder import open_folder
from soco_datasets.features.expression import load_model_expression
from soco_datasets.features.extractor import DenseFeatureExtractor

CATEGORIES = tuple(f"category_{number:02d}" for number in range(18))
FULL, SMALL = (100, 12_234), (4, 90)  # pictures per category, test pairs
POINTS = 12


def write_spair(root: Path, per_category: int, pairs: int) -> None:
    """A folder in SPair-71k's layout, deterministic."""
    random = np.random.default_rng(0)
    annotated: dict[str, list[dict[str, Any]]] = {}
    for category in CATEGORIES:
        for folder in ("JPEGImages", "ImageAnnotation"):
            (root / folder / category).mkdir(parents=True)
        for number in range(per_category):
            fields = _picture(root, category, number, random)
            annotated.setdefault(category, []).append(fields)
            path = root / "ImageAnnotation" / category / f"{Path(fields['filename']).stem}.json"
            path.write_text(json.dumps(fields))
    for split in ("trn", "val", "test"):
        (root / "PairAnnotation" / split).mkdir(parents=True)
        for size in ("large", "small"):
            (root / "Layout" / size).mkdir(parents=True, exist_ok=True)
            (root / "Layout" / size / f"{split}.txt").write_text("")
    lists = [itertools.permutations(annotated[category], 2) for category in CATEGORIES]
    taken = itertools.islice((pair for row in zip(*lists, strict=True) for pair in row), pairs)
    for number, (source, target) in enumerate(taken):
        _pair(root / "PairAnnotation" / "test", number, source, target)


def _picture(root: Path, category: str, number: int, random: np.random.Generator) -> dict[str, Any]:
    width, height = 500, int(random.integers(333, 376))
    coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    name = f"2008_{CATEGORIES.index(category):02d}{number:04d}.jpg"
    Image.fromarray(coarse).resize((width, height)).save(root / "JPEGImages" / category / name, quality=90)
    shown = random.permutation(30)[: POINTS + 6]
    points = {str(n): [int(x), int(y)] for n, x, y in zip(shown, *_places(random, width, height), strict=True)}
    return {
        "filename": name, "image_width": width, "image_height": height, "image_depth": 3, "category": category,
        "pose": "Unspecified", "truncated": 0, "occluded": 0, "difficult": 0,
        "bndbox": [20, 20, width - 20, height - 20], "azimuth_id": 0,
        "kps": {str(n): points.get(str(n)) for n in range(30)},
    }  # fmt: skip


def _places(random: np.random.Generator, width: int, height: int) -> tuple[Any, Any]:
    return random.integers(20, width - 20, POINTS + 6), random.integers(20, height - 20, POINTS + 6)


def _pair(folder: Path, number: int, source: dict[str, Any], target: dict[str, Any]) -> None:
    ids = [n for n in map(str, range(30)) if source["kps"][n] and target["kps"][n]]
    stems = [Path(side["filename"]).stem for side in (source, target)]
    name = f"{number:06d}-{stems[0]}-{stems[1]}:{source['category']}"
    fields: dict[str, Any] = {
        "pair_id": number, "filename": name, "category": source["category"], "kps_ids": ids, "mirror": 0,
        "viewpoint_variation": number % 3, "scale_variation": number % 3, "truncation": number % 4,
        "occlusion": number % 4,
    }  # fmt: skip
    for side, image in (("src", source), ("trg", target)):
        fields |= {
            f"{side}_imname": image["filename"], f"{side}_pose": "Unspecified", f"{side}_bndbox": image["bndbox"],
            f"{side}_imsize": [image["image_width"], image["image_height"], 3],
            f"{side}_kps": [image["kps"][n] for n in ids],
        }  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(fields))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="72 images, 90 pairs")
    per_category, pairs = SMALL if parser.parse_args().small else FULL
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "SPair-71k")
        write_spair(root, per_category, pairs)
        print(machine())
        wall, cpu = time.perf_counter(), time.process_time()
        built = build_dataset(root, Path(place, "built"))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        folder = open_folder(built.path)
        start = time.perf_counter()
        for image_id in folder.images:
            folder.images.decode(image_id)
        decoding = time.perf_counter() - start
        rows = built.manifest["counts"]["rows"]["soc"]["test"]
        print(f"images, pairs   {len(folder.images):,}, {rows:,}")
        print(f"build           {wall:.1f} s ({cpu:.1f} s of one core), {wall / decoding:.1f}x decoding each once")
        model = load_model_expression(random_dinov2(Path(place, "model"), VIT_TINY), device="cpu")
        run = BenchmarkRun(folder, BENCHMARK.tasks, ScoringConfig())
        start = time.perf_counter()
        (evaluation,) = evaluate_several(DenseFeatureExtractor(model, 112), [run])
        counts = evaluation.result.counts
        print(f"evaluate        {time.perf_counter() - start:.1f} s at 112 px, {counts['keypoints']:,} queries")
        print(f"forwards        {counts['forwards']:,} of {counts['images']:,} images, {counts['decodes']:,} decodes")


if __name__ == "__main__":
    main()
