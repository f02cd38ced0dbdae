"""How fast the pairs of a SOCO-sized release are counted, listed, reached and drawn, beside a plain loop over pairs.

    python benchmarks/bench_pairs.py [--images-per-category 40] [--subset 400] [--small]
    python benchmarks/bench_pairs.py --large

The images are synthetic: the categories and keypoint counts of SOCO, half to all of the keypoints visible. The ratio is
that of the time per pair of images looked at, plain loop over `PairIndex` (counted and listed), in this one run. All
work is on one core.

`--large` counts and draws from a taxonomy of 2,000 categories with 200,000 images, 100 categories of a group sharing 24
names. A tenth and a half of the images tell the growth; a count that compares all images with all, on the tenth, the
ratio. Memory is the highest that Python and NumPy allocated, the names themselves aside.
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


def large_taxonomy(images: int, categories: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """Groups of 100 categories that share 24 names; six more of its own for each; three quarters of them visible."""
    visible = np.random.default_rng(seed).random((images, 30)) < 0.75
    of, names = [], []
    for i in range(images):
        category = i % categories
        of.append(f"c{category:05d}")
        every = [f"g{category // 100}_{k}" for k in range(24)] + [f"c{category}_{k}" for k in range(6)]
        names.append([every[k] for k in np.flatnonzero(visible[i]).tolist()])
    return of, names


def count_all_images(categories: list[str], names: list[list[str]], min_shared: int = 3) -> int:
    """Directed pairs across categories, from the names of each image as bits against those of all others."""
    number = {name: k for k, name in enumerate(sorted({name for shown in names for name in shown}))}
    bits = np.zeros((-(-len(number) // 64), len(names)), dtype=np.uint64)
    for image, shown in enumerate(names):
        for k in map(number.__getitem__, shown):
            bits[k // 64, image] |= np.uint64(1 << k % 64)
    of = np.unique(categories, return_inverse=True)[1]
    total = 0
    for image in range(len(names)):
        words = np.flatnonzero(bits[:, image])
        common = np.bitwise_count(bits[words, image, None] & bits[words]).sum(axis=0, dtype=np.int32)
        total += np.count_nonzero((common >= min_shared) & (of != of[image]))
    return total


def large(images: int, categories: int) -> None:
    of, names = large_taxonomy(images, categories)
    print(f"{images:,} images, {categories:,} categories, {len(frozenset().union(*names)):,} names")
    seconds = {}
    for part in (images // 10, images // 2, images):
        print(f"directed pairs across categories, {part:,} images")
        index, building = timed("build the index", lambda part=part: PairIndex(of[:part], names[:part], cross=True))
        index = index.with_direction(directed=True)
        count, counting = timed("count all pairs", index.__len__)
        timed("draw 20,000", lambda index=index: draw_pairs(index))
        print(f"  {count:,} pairs")
        seconds[part] = building + counting
        if part == images // 10:
            found, slow = timed("all images with all", lambda part=part: count_all_images(of[:part], names[:part]))
            assert found == count
            print(f"  all with all / (build + count): {slow / seconds[part]:.0f}x")
    growth = np.log(seconds[images] / seconds[images // 10]) / np.log(10)
    print(f"growth exponent of build + count from {images // 10:,} images: {growth:.2f}")
    tracemalloc.start()
    draw_pairs(PairIndex(of, names, cross=True), total=2000)
    print(f"peak memory of build, count and draw: {tracemalloc.get_traced_memory()[1] / 2**20:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images-per-category", type=int, default=40)
    parser.add_argument("--subset", type=int, default=400, help="images of the plain loop")
    parser.add_argument("--large", action="store_true", help="200,000 images of 2,000 categories instead")
    parser.add_argument("--small", action="store_true", help="both parts, a few images each")
    arguments = parser.parse_args()
    if arguments.small:
        soco_sized(4, 60)
        large(2000, 200)
    elif arguments.large:
        large(200_000, 2000)
    else:
        soco_sized(arguments.images_per_category, arguments.subset)


if __name__ == "__main__":
    main()
