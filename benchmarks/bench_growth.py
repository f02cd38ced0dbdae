"""How the time of an evaluation grows with the images and with the pairs, in one run.

    python benchmarks/bench_growth.py [--images 125 250 ... 4000] [--pairs-per-image 1 2 5] [--tiny] [--small]

One synthetic release: fewer images are its first categories with all their pairs, the most for each image; fewer pairs
are a part of each category's. Printed are the exponent of time in images, by least squares on the logarithms, by the
clock and of processor time (which other programs of the machine disturb less), how many times the bare forwards a run
takes, and the slope of time in pairs as a share of one forward, of a model of the shape of DINOv2-S/14, or with --tiny
of a hundredth of its work: what is left is the toolkit.
Targets: at most 1.05, and under 1 %. The default takes ten minutes on two cores that do nothing else.
The pairs are timed on feature maps from a store, filled before, so that the forwards' noise does not drown them. The
times are the fastest of --rounds (of the pairs, three times as many), the sizes taken in turn.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from support import VIT_S, VIT_TINY, bare_forwards, machine, random_dinov2
from synthetic_release import built_synthetic

from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.config import CachePolicy, RunConfig
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.data.folder import DatasetFolder
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor

TASKS = ("cc", "soc")  # one pair of images, both tasks; within categories, so that a few categories are a whole


class Timed(NamedTuple):
    """What an evaluation took, and of what."""

    seconds: float
    used: float  # of processor time
    images: int
    pairs: int


class Part(DatasetFolder):
    """A folder with the pairs of its first categories, every n-th of them."""

    categories: tuple[str, ...] = ()
    every = 1

    def table(self, config: str, split: str = "test", columns: Sequence[str] | None = None) -> pa.Table:
        table = super().table(config, split, columns)
        if config not in TASKS:
            return table
        kept = table.filter(pc.is_in(table["pair_group"], value_set=pa.array(self.categories)))
        return kept.take(pa.array(np.arange(0, kept.num_rows, self.every)))


def seconds(extractor: DenseFeatureExtractor, folder: DatasetFolder, store: Path | None = None) -> Timed:
    """One evaluation, with a shared store or none."""
    run = RunConfig(CachePolicy("auto" if store is None else "disk", directory=store))
    start, before = time.perf_counter(), time.process_time()
    counts = evaluate_backbone(extractor, folder, get_tasks(TASKS), run=run).result.counts
    took, used = time.perf_counter() - start, time.process_time() - before
    assert counts["forwards"] + counts.get("reused", 0) == counts["images"]
    return Timed(took, used, counts["images"], counts["pairs"] // len(TASKS))


def fastest(rounds: int, evaluate: Callable[[DatasetFolder], Timed], folders: Sequence[DatasetFolder]) -> list[Timed]:
    """The best time of each folder, all of them in each round."""
    return [
        min(found) for found in zip(*([evaluate(folder) for folder in folders] for _ in range(rounds)), strict=True)
    ]


def part(data: Path, categories: int, every: int) -> Part:
    """The folder at `data` with the pairs of its first categories, one in `every`."""
    folder = Part(data)
    folder.categories = tuple(sorted(set(folder.table("images")["category"].to_pylist()))[:categories])
    folder.every = max(1, every)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[125, 250, 500, 1000, 2000, 4000])
    parser.add_argument("--pairs-per-image", type=int, nargs="+", default=[1, 2, 5])
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tiny", action="store_true", help="a tiny model")
    parser.add_argument("--small", action="store_true", help="8 and 16 small images, a tiny model")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.images, arguments.pairs_per_image, arguments.image_size, arguments.rounds = [8, 16], [1, 2], 56, 1
    least, most, densest = min(arguments.images), max(arguments.images), max(arguments.pairs_per_image)
    middle = sorted(arguments.images)[(len(arguments.images) - 1) // 2]
    with tempfile.TemporaryDirectory() as temporary:
        made = {"images_per_category": least, "image_side": 64 if arguments.small else 300, "kinds": ("intra",)}
        data = built_synthetic(Path(temporary, "data"), categories=-(-most // least), pairs=most * densest, **made)
        shape = VIT_TINY if arguments.small or arguments.tiny else VIT_S
        backbone = load_backbone(random_dinov2(Path(temporary, "model"), shape), device="cpu")
        extractor = DenseFeatureExtractor(backbone, arguments.image_size)
        grown = [part(data, images // least, 1) for images in arguments.images]
        denser = [part(data, middle // least, densest // pairs) for pairs in arguments.pairs_per_image]
        kept = partial(seconds, extractor, store=Path(temporary, "store"))
        seconds(extractor, grown[0])  # warm: imports, page cache
        by_images = fastest(arguments.rounds, partial(seconds, extractor), grown)
        kept(denser[-1])  # fills the store with the maps of all its images
        by_pairs = fastest(3 * arguments.rounds, kept, denser)
        bare = min(64, most)
        before = time.process_time()
        forward = bare_forwards(extractor, bare) / bare
        forward_used = (time.process_time() - before) / (bare + min(extractor.batch_size, bare))  # one batch warms up
    print(f"{machine()}; {shape['hidden_size']} channels, {extractor.size} px")
    print(f"a forward {1000 * forward:.2f} ms an image")
    for took, used, images, pairs in by_images:
        ratios = f"{took / (images * forward):.2f} and {used / (images * forward_used):.2f} times its forwards"
        print(f"{images:6,} images{pairs:8,} pairs{took:9.2f} s, {used:.2f} s of processor time, {ratios}")
    for took, _, images, pairs in by_pairs:
        print(f"{images:6,} images{pairs:8,} pairs{took:9.2f} s from stored maps")
    clock, processor, sizes, _ = np.array(by_images).T
    taken, _, _, numbers = np.array(by_pairs).T
    exponent, of_processor = (np.polyfit(np.log(sizes), np.log(values), 1)[0] for values in (clock, processor))
    slope = np.polyfit(numbers, taken, 1)[0]
    print(f"growth exponent in images  {exponent:.3f}, {of_processor:.3f} of processor time")
    print(f"an extra pair              {1e6 * slope:.0f} us, {100 * slope / forward:.2f} % of a forward")


if __name__ == "__main__":
    main()
