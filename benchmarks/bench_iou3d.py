"""Exact IoU3D of pairs of boxes against a plain loop over a part of them; target: 1 million pairs in 60 s on one core.

    OMP_NUM_THREADS=1 python benchmarks/bench_iou3d.py [--pairs 1000000] [--subset 300] [--small]

At least a fifth of the pairs overlap. The loop takes one pair at a time: the half-spaces of both boxes, an interior
point by linear programming, the convex hull of their intersection (SciPy); its volumes must be the same. Growth is
measured from a tenth of the pairs to all of them.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support import best_of, machine

from soco_datasets.metrics.boxes3d import cuboid_corners, intersection_volumes, iou3d

TARGET = 60.0  # seconds for a million pairs


def random_boxes(count: int, seed: int) -> NDArray[np.float64]:
    """(N, 8, 3) corners of boxes of 0.5 to 2 m with centers spread by 1.1 m, turned at random."""
    generator = np.random.default_rng(seed)
    w, x, y, z = np.moveaxis(generator.normal(size=(count, 4)), 1, 0) / 1.0
    length = np.sqrt(w * w + x * x + y * y + z * z)
    w, x, y, z = (part / length for part in (w, x, y, z))
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    rotations = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    return cuboid_corners(generator.normal(0, 1.1, (count, 3)), generator.uniform(0.5, 2, (count, 3)), rotations)


def plain_volume(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Volume of the intersection of two boxes, by half-spaces and hulls."""
    from scipy.optimize import linprog
    from scipy.spatial import ConvexHull, HalfspaceIntersection

    planes = np.concatenate([ConvexHull(one).equations, ConvexHull(two).equations])
    found: Any = linprog(
        [0, 0, 0, -1], A_ub=np.c_[planes[:, :3], np.ones(len(planes))], b_ub=-planes[:, 3], bounds=[(None, None)] * 4
    )
    if not found.success or found.x[3] < 1e-9:
        return 0.0
    return float(ConvexHull(HalfspaceIntersection(planes, found.x[:3]).intersections).volume)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--subset", type=int, default=300, help="pairs of the plain loop")
    parser.add_argument("--small", action="store_true", help="2,000 pairs")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.pairs, arguments.subset = 2000, 20
    count = arguments.pairs
    one, two = random_boxes(count, 0), random_boxes(count, 1)
    overlaps, took = best_of(1, lambda: iou3d(one, two))
    part = count // 10
    _, took_part = best_of(3, lambda: iou3d(one[:part], two[:part]))
    few = slice(arguments.subset)
    expected, looped = best_of(1, lambda: [plain_volume(a, b) for a, b in zip(one[few], two[few], strict=True)])
    assert np.abs(intersection_volumes(one[few], two[few]) - expected).max() < 1e-9
    overlapping = int((overlaps > 0).sum())
    assert overlapping >= count / 5, overlapping
    print(machine())
    print(f"{count:,} pairs, {overlapping:,} overlap: {took:.2f} s, {1e6 * took / count:.1f} us per pair")
    print(
        f"target for this many pairs {TARGET * count / 1e6:.2f} s; ours / target {took / (TARGET * count / 1e6):.2f}x"
    )
    print(f"growth exponent from {part:,} pairs: {math.log10(took / took_part):.2f}")
    each = looped / arguments.subset
    print(f"plain loop {1e6 * each:.0f} us per pair over {arguments.subset}, the same volumes")
    print(f"plain loop / ours {each / (took / count):.0f}x")


if __name__ == "__main__":
    main()
