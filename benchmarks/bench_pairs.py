"""How fast the pairs of a SOCO-sized release are counted, listed, reached and drawn, beside a plain loop over pairs.

    python benchmarks/bench_pairs.py [--images-per-category 40] [--subset 400] [--small]

The images are synthetic: the categories and keypoint counts of SOCO, half to all of the keypoints visible. The ratio is
that of the time per pair of images looked at, plain loop over `PairIndex` (counted and listed), in this one run. All
work is on one core.
"""

from __future__ import annotations

import argparse
import resource
import time
import tracemalloc
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from soco_datasets.benchmarks.soco.categories import CATEGORIES
from soco_datasets.data.pairs import PairIndex, draw_pairs

T = TypeVar("T")


def soco_like(images_per_category: int, seed: int = 0) -> tuple[list[str], list[frozenset[str]]]:
    """Categories and visible names of a release shaped like SOCO: names shared within a supercategory, or a group of it
    for vehicles, tools and furniture, so that nearly all cross pairs are between animals."""
    generator = np.random.default_rng(seed)
    categories, names = [], []
    for category in CATEGORIES.values():
        pool = category.group if category.supercategory != "animals" else "animals"
        shared = [f"{pool or category.name}_{i}" for i in range(category.shared_keypoints)]
        own = [f"{category.name}_own_{i}" for i in range(category.keypoints - category.shared_keypoints)]
        every = np.array(shared + own)
        for _ in range(images_per_category):
            size = int(generator.integers(len(every) // 2, len(every) + 1))
            categories.append(category.name)
            names.append(frozenset(generator.choice(every, size, replace=False).tolist()))
    return categories, names


def plain_loop(categories: list[str], names: list[frozenset[str]], cross: bool, min_shared: int = 3) -> int:
    """The number of undirected pairs, one pair of images at a time."""
    return sum(
        (categories[i] != categories[j]) == cross and len(names[i] & names[j]) >= min_shared
        for j in range(len(names))
        for i in range(j)
    )


def timed(what: str, work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    print(f"  {what:52}{seconds:9.3f} s")
    return result, seconds


def soco_sized(images_per_category: int, subset: int) -> None:
    categories, names = soco_like(images_per_category)
    print(f"{len(names)} images, {len(set(categories))} categories, {len(frozenset().union(*names))} names")
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for cross in (False, True):
        print("pairs across categories" if cross else "pairs within categories")
        index, _ = timed("build the index", lambda cross=cross: PairIndex(categories, names, cross=cross))
        count, counting = timed("count all pairs", index.__len__)
        _, listing = timed("list all pairs", index.arrays)
        places = np.random.default_rng(1).integers(0, count, 1000).tolist()
        timed("1000 pairs by random access", lambda index=index, places=places: [index[k] for k in places])
        drawn, _ = timed("draw 20,000", lambda index=index: draw_pairs(index))
        print(f"  {count:,} pairs, {index.correspondences():,} common keypoints, {len(drawn):,} drawn")
        some = np.random.default_rng(2).permutation(len(names))[:subset]
        part = [categories[i] for i in some], [names[i] for i in some]
        found, seconds = timed(
            f"plain loop over {len(some)} images", lambda part=part, cross=cross: plain_loop(*part, cross)
        )
        assert found == len(PairIndex(*part, cross=cross))
        looked = len(names) * (len(names) - 1) / (len(some) * (len(some) - 1))
        print(f"  plain loop / (count + list), per pair of images: {seconds * looked / (counting + listing):.0f}x")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory beyond the input (both kinds, listed pairs included): {(peak - peak_before) / 1024:.0f} MiB")
    tracemalloc.start()
    index = PairIndex(categories, names, cross=True)
    index.arrays()
    print(f"of which allocated by Python and NumPy for one kind: {tracemalloc.get_traced_memory()[1] / 2**20:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images-per-category", type=int, default=40)
    parser.add_argument("--subset", type=int, default=400, help="images of the plain loop")
    parser.add_argument("--small", action="store_true", help="a few images")
    arguments = parser.parse_args()
    if arguments.small:
        soco_sized(4, 60)
    else:
        soco_sized(arguments.images_per_category, arguments.subset)


if __name__ == "__main__":
    main()
