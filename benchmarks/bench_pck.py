"""PCK of 320,000 predictions at three thresholds and two reductions, beside a plain loop over a part of them.

    python benchmarks/bench_pck.py [--queries 320000] [--pairs 40000] [--subset 5000] [--small]

Counted are errors, hits and averages over pairs, categories and everything, from arrays in memory. The loop takes one
query and one threshold at a time; the ratio is per query. The target is 0.1 s.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support import best_of, machine

from soco_datasets.benchmarks.soco.categories import CATEGORIES
from soco_datasets.metrics.aggregation import PairGroups, aggregate
from soco_datasets.metrics.pck import keypoint_errors

Scores = dict[str, dict[str, float]]  # reduction -> threshold -> overall score
ALPHAS, REDUCTIONS = (0.1, 0.05, 0.02), ("pair", "keypoint")


def plain_loop(errors: NDArray[np.float32], pair: NDArray[np.int64], category: list[str]) -> Scores:
    """The same scores, one query at a time, given the (N,) distances."""
    scores: Scores = {reduction: {} for reduction in REDUCTIONS}
    for alpha in ALPHAS:
        by_pair: dict[int, list[float]] = defaultdict(list)
        pooled: dict[str, list[float]] = defaultdict(list)
        for error, owner in zip(errors, pair, strict=True):
            by_pair[owner].append(float(error < np.float32(alpha)))
            pooled[category[owner]].append(float(error < np.float32(alpha)))
        means: dict[str, list[float]] = defaultdict(list)
        for owner, values in by_pair.items():
            means[category[owner]].append(sum(values) / len(values))
        for reduction, groups in (("pair", means), ("keypoint", pooled)):
            scores[reduction][str(alpha)] = sum(sum(v) / len(v) for v in groups.values()) / len(groups)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=320_000)
    parser.add_argument("--pairs", type=int, default=40_000)
    parser.add_argument("--subset", type=int, default=5_000, help="queries of the plain loop")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="1,000 queries of 100 pairs")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.queries, arguments.pairs, arguments.subset, arguments.rounds = 1000, 100, 200, 1
    generator = np.random.default_rng(0)
    count, names = arguments.queries, list(CATEGORIES)
    pair = np.sort(generator.integers(0, arguments.pairs, count))
    category = [names[i % len(names)] for i in range(arguments.pairs)]
    targets = generator.random((count, 2)) * 500
    predictions = targets + generator.normal(0, 30, (count, 2))
    offsets, side, box = np.arange(count + 1), np.full(count, 500), np.full(count, 400.0)

    def errors_of(part: slice) -> NDArray[np.float32]:
        size = part.stop
        return keypoint_errors(predictions[part], targets[part], offsets[: size + 1], side[part], box[part], size=798)

    def ours() -> dict[str, dict[str, Any]]:
        return aggregate(errors_of(slice(count)), pair, PairGroups(category), alphas=ALPHAS, reductions=REDUCTIONS)

    _, errors_alone = best_of(arguments.rounds, lambda: errors_of(slice(count)))
    _, took = best_of(arguments.rounds, ours)
    part = slice(min(arguments.subset, count))
    some = pair[part]
    kept = category[: int(some[-1]) + 1]
    found = aggregate(errors_of(part), some, PairGroups(kept), alphas=ALPHAS, reductions=REDUCTIONS)

    def loop() -> Scores:
        distances = []
        for number in range(part.stop):
            x, y = predictions[number] / side[number]
            target = np.trunc(np.float32(np.trunc(targets[number]) * 798) / np.float32(side[number])) / np.float32(798)
            distance = np.hypot(np.float32(x) - target[0], np.float32(y) - target[1])
            distances.append(np.float32(distance) / np.float32(box[number] / side[number]))
        return plain_loop(np.array(distances), some, category)

    expected, looped = best_of(1, loop)
    for reduction, by_alpha in expected.items():
        for alpha, score in by_alpha.items():
            assert abs(found[reduction][alpha]["overall"]["pck"] - score) < 1e-9, (reduction, alpha)
    print(machine())
    print(f"{count:,} predictions, {arguments.pairs:,} pairs, {len(ALPHAS)} thresholds, {len(REDUCTIONS)} reductions")
    print(f"errors                 {errors_alone:.4f} s")
    print(f"errors and all scores  {took:.4f} s, {1e6 * took / count:.3f} us per prediction")
    each = 1e6 * looped / part.stop
    print(f"plain loop             {each:.1f} us per prediction over {part.stop:,}, the same scores")
    print(f"plain loop / ours      {looped / part.stop / (took / count):.0f}x")


if __name__ == "__main__":
    main()
