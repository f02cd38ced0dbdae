"""The numbers of the questions for vision-language models: draw, size in the folder, opening a row, scoring, TSV.

    python benchmarks/bench_lvlm.py [--images-per-category 40] [--rows 60]

The images are synthetic: the categories and numbers of keypoints of SOCO, half to all of the keypoints visible, and one
noisy JPEG of 500x375 for all of them. Beside opening a row stands decoding its two JPEGs, in this one run.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from soco_datasets.benchmarks.soco.categories import CATEGORIES
from soco_datasets.data.images import open_rgb
from soco_datasets.data.questions.generation import SETTINGS, AnnotatedImage, draw_questions, question_rows
from soco_datasets.data.questions.markers import draw_tagged
from soco_datasets.data.questions.pictures import image_tags
from soco_datasets.data.schema import CONFIGS
from soco_datasets.data.shards import write_shards
from soco_datasets.lvlm.baselines import RANDOM, guess
from soco_datasets.lvlm.circular_scores import Answer, score_answers

T = TypeVar("T")
SIZE = (500, 375)


def soco_like(images_per_category: int) -> list[AnnotatedImage]:
    """Images of the 100 categories with half to all of their keypoints visible."""
    generator = np.random.default_rng(0)
    images = []
    for category in CATEGORIES.values():
        names = [f"{category.name}_keypoint_of_the_front_left_part_{i}" for i in range(category.keypoints)]
        for number in range(images_per_category):
            count = int(generator.integers(len(names) // 2, len(names) + 1))
            shown = generator.permutation(len(names))[:count]
            points = {names[i]: tuple(np.round(generator.random(2) * SIZE, 2).tolist()) for i in shown}
            image_id = f"{category.name}/{category.name}_{number}"
            images.append(AnnotatedImage(image_id, category.name, SIZE, points))
    return images


def timed(what: str, work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    print(f"  {what:60}{seconds:9.3f} s")
    return result, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images-per-category", type=int, default=40)
    parser.add_argument("--rows", type=int, default=60, help="rows to open")
    arguments = parser.parse_args()
    images = soco_like(arguments.images_per_category)
    print(f"{len(images)} images")
    drawn, _ = timed("draw the questions (target: 2,000 in under 2 s)", lambda: draw_questions(images))
    print(f"  {len(drawn.questions):,} questions; passed over: {json.dumps(drawn.passed_over)}")
    texts = {
        (image.category, name): f"Center point of the front left part {name.rpartition('_')[2]} of a {image.category}"
        for image in images
        for name in image.points
    }
    parents = {name: category.supercategory for name, category in CATEGORIES.items()}
    rows, _ = timed(
        "write their rows, three settings of four orderings",
        lambda: [row for setting in SETTINGS for row in question_rows(drawn.questions, setting, texts, parents)],
    )
    folder_size(rows)
    open_rows(rows, arguments.rows)
    letters = guess(rows, RANDOM)
    answers = {key: Answer(f"Answer: {letter}") for key, letter in letters.items()}
    timed("score them with both parsers and 1,000 resamples", lambda: score_answers(rows, answers))


def folder_size(rows: list[dict]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        size = 0
        for setting in SETTINGS:
            own = [row for row in rows if row["setting"] == setting]
            shards = write_shards(Path(folder), CONFIGS["lvlm"], setting, own, "arrow", 10**9)
            size += sum(shard.bytes for shard in shards)
    print(f"  {len(rows):,} rows add {size / 1e6:.2f} MB to the folder (target: under 5 MB)")


def open_rows(rows: list[dict], count: int) -> None:
    """Both pictures of a row: JPEG decoded and drawn on."""
    noise = np.random.default_rng(1).integers(0, 256, (SIZE[1] // 3, SIZE[0] // 3, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=92)
    data = buffer.getvalue()
    tags = [image_tags(row, ("arrow", "red")) for row in rows[:: len(rows) // 3 // count][:count]]
    start = time.perf_counter()
    for _ in tags:
        for _ in range(2):
            open_rgb(data, "bench").load()
    decoding = (time.perf_counter() - start) / count
    start = time.perf_counter()
    digest = hashlib.sha256()
    for tag in tags:
        for part in tag.values():
            digest.update(draw_tagged(open_rgb(data, "bench"), part[1:]).tobytes())
    opening = (time.perf_counter() - start) / count
    what = f"opening a row at {SIZE[0]}x{SIZE[1]}, red arrow (target: under 50 ms)"
    print(f"  {what}: {1000 * opening:.1f} ms, of which decoding {1000 * decoding:.1f} ms")
    print(f"  pixels drawn: sha256 {digest.hexdigest()[:12]}")


if __name__ == "__main__":
    main()
