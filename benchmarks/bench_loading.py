"""`load_dataset` row access beside reading the JPEG files directly, and what reading labels decodes (nothing).

    python benchmarks/bench_loading.py [--images 400] [--image-side 500] [--small]

Rows are read in one random order from a synthetic release: decoded images of the config `images` against `PIL.open` of
the same files on disk, and the labels of `soc` row by row and as a column. Decodes are counted inside Pillow.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin
from support import machine
from synthetic_release import write_synthetic_release

import soco_datasets  # noqa: F401  # makes load_dataset("soco") known
from soco_datasets.benchmarks.build import build_dataset


@contextmanager
def counted_decodes() -> Iterator[list[int]]:
    """Counts the JPEGs whose pixels Pillow decodes meanwhile."""
    count, original = [0], JpegImagePlugin.JpegImageFile.load_prepare

    def load_prepare(self: Any) -> None:
        count[0] += 1
        original(self)

    kind: Any = JpegImagePlugin.JpegImageFile
    kind.load_prepare = load_prepare
    try:
        yield count
    finally:
        kind.load_prepare = original


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--image-side", type=int, default=500, help="longer side of the images, pixels")
    parser.add_argument("--small", action="store_true", help="16 small images")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.images, arguments.image_side = 16, 64
    from datasets import load_dataset

    with tempfile.TemporaryDirectory() as temporary:
        release, built = Path(temporary, "release"), Path(temporary, "built")
        write_synthetic_release(
            release,
            categories=4,
            images_per_category=arguments.images // 4,
            pairs=arguments.images * 5,
            image_side=arguments.image_side,
        )
        build_dataset(str(release), built)
        images = load_dataset("soco", "images", data_dir=str(built), split="test")
        files = [release / "Images" / f"{image_id}.JPEG" for image_id in images["image_id"]]
        order = np.random.default_rng(0).permutation(len(files)).tolist()
        rounds = []
        for _ in range(2):  # the first fills the page cache for both
            start = time.perf_counter()
            for row in order:
                Image.open(files[row]).convert("RGB")
            direct = time.perf_counter() - start
            start = time.perf_counter()
            with counted_decodes() as rows_decoded:
                for row in order:
                    images[row]["image"].load()
            rounds.append((direct, time.perf_counter() - start))
        direct, rows = (min(times) for times in zip(*rounds, strict=True))
        pairs = load_dataset("soco", "soc", data_dir=str(built), split="test")
        start = time.perf_counter()
        with counted_decodes() as label_decodes:
            for row in range(len(pairs)):
                pairs[row]["keypoints"]
        by_row = time.perf_counter() - start
        start = time.perf_counter()
        with counted_decodes() as column_decodes:
            pairs["keypoints"][:]
        column = time.perf_counter() - start
    print(machine())
    print(f"{len(files):,} images of {arguments.image_side} px, {len(pairs):,} pairs")
    print(f"JPEG files directly      {1000 * direct / len(files):.3f} ms an image")
    print(f"images[i], decoded       {1000 * rows / len(files):.3f} ms an image, {rows_decoded[0]} decodes")
    print(f"row access / files       {rows / direct:.2f}x")
    print(f"labels, soc[i]           {1e3 * by_row / len(pairs):.3f} ms a row, {label_decodes[0]} decodes")
    print(f"labels, a whole column   {1e6 * column / len(pairs):.1f} us a row, {column_decodes[0]} decodes")


if __name__ == "__main__":
    main()
