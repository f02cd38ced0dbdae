"""Intervals and anatomy of a SOCO-sized predictions table: seconds, and the ratio to a plain loop over the resamples.

    python benchmarks/bench_bootstrap.py [--pairs 20000] [--resamples 1000] [--loop 5]

The target is 1,000 resamples of 20,000 pairs in under 2 s on one core. Run with OMP_NUM_THREADS=1 to see one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from soco_datasets.benchmarks.soco.categories import CATEGORIES
from soco_datasets.config import FeatureConfig, Protocol
from soco_datasets.data.schema import PAIRS
from soco_datasets.records.compare import compare_predictions
from soco_datasets.records.error_analysis import error_analysis
from soco_datasets.records.header import PredictionsOrigin
from soco_datasets.records.intervals import PairSample, bootstrap_intervals, category_scores, multiplicities
from soco_datasets.records.predictions import TaskPredictions, check_predictions, predictions_table
from soco_datasets.records.scores import score

T = TypeVar("T")
IMAGES, POINTS, CONCEPTS = 40, 12, 5  # images of a category, annotated points of an image, concepts they belong to


def soco_like(pairs: int, seed: int = 0) -> tuple[pa.Table, dict[str, Any]]:
    """Pairs within categories that ask 8 of 12 points each, and what is annotated."""
    generator = np.random.default_rng(seed)
    images: dict[str, Any] = {}
    for category in CATEGORIES:
        for number in range(IMAGES):
            images[f"{category}/{number}"] = {
                "keypoints": [f"{category}_point_{i}" for i in range(POINTS)],
                "concepts": [f"concept_{i % CONCEPTS}" for i in range(POINTS)],
                "points": np.round(generator.random((POINTS, 2)) * 500, 2).tolist(),
                "azimuth": None,
            }
    rows = []
    for number in range(pairs):
        category = list(CATEGORIES)[number % len(CATEGORIES)]
        source, target = (f"{category}/{i}" for i in generator.choice(IMAGES, 2, replace=False).tolist())
        asked = sorted(generator.choice(POINTS, 8, replace=False).tolist())
        names = [images[source]["keypoints"][i] for i in asked]
        rows.append(
            {
                "pair_id": f"{category}/{number}",
                "pair_group": category,
                "source_image_id": source,
                "target_image_id": target,
                "source_category": category,
                "target_category": category,
                "source_size": [500, 400],
                "target_size": [500, 400],
                "source_bbox": None,
                "target_bbox": [50.0, 50.0, 450.0, 350.0],
                "keypoints": names,
                "concepts": [images[source]["concepts"][i] for i in asked],
                "source_points": [images[source]["points"][i] for i in asked],
                "target_keypoints": [[name] for name in names],
                "target_points": [[images[target]["points"][i]] for i in asked],
            }
        )
    return pa.Table.from_pylist(rows, schema=PAIRS.arrow_schema), images


def predicted(pairs: pa.Table, images: dict[str, Any], name: str, spread: float) -> pa.Table:
    """A model that misses each target by a normal error of `spread` pixels."""
    flat = pairs["target_points"].combine_chunks().flatten().flatten().flatten().to_numpy(zero_copy_only=False)
    points = flat.reshape(-1, 2) + np.random.default_rng(1).normal(scale=spread, size=(len(flat) // 2, 2))
    return predictions_table(
        {"soc": TaskPredictions(pairs, points)},
        PredictionsOrigin(
            protocol=Protocol(features=FeatureConfig(size=798, grid=57)),
            model={"name": name},
            dataset={"id": "soco-like", "content_hash": "0"},
            supercategories={category.name: category.supercategory for category in CATEGORIES.values()},
            versions={},
            device="cpu",
            counts={},
            created="2026-01-31T12:00:00+00:00",
        ),
        images,
    )


def plain_loop(sample: PairSample, counts: np.ndarray) -> list[list[float]]:
    """The overall score at each threshold, one pair of one resample at a time: (B, A)."""
    overall = []
    for resample in range(counts.shape[1]):
        at_alpha = []
        for hit in sample.hits:
            categories = []
            for c in range(len(sample.categories)):
                above = below = 0.0
                for p in range(sample.bounds[c], sample.bounds[c + 1]):
                    weight = int(counts[sample.source[p], resample]) * int(counts[sample.target[p], resample])
                    above += weight * hit[p] / sample.queries[p]
                    below += weight
                if below:
                    categories.append(above / below)
            at_alpha.append(sum(categories) / len(categories))
        overall.append(at_alpha)
    return overall


def timed(what: str, work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    print(f"  {what:52}{seconds:9.3f} s")
    return result, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--loop", type=int, default=5, help="resamples of the plain loop")
    arguments = parser.parse_args()
    pairs, images = soco_like(arguments.pairs)
    table, other = (predicted(pairs, images, name, spread) for name, spread in (("a", 40.0), ("b", 42.0)))
    print(f"{arguments.pairs} pairs, {len(table)} queries, {arguments.resamples} resamples, 3 thresholds")
    timed("check the table", lambda: check_predictions(table))
    _, scoring = timed("score", lambda: score(table))
    _, anatomy = timed("anatomy", lambda: error_analysis(table))
    _, whole = timed("intervals, from the table", lambda: bootstrap_intervals(table, resamples=arguments.resamples))
    timed("compare two models", lambda: compare_predictions(table, other, resamples=arguments.resamples))
    sample = PairSample.of(table)
    counts, drawing = timed("draw the resamples", lambda: multiplicities(sample.strata, arguments.resamples, 0))
    seconds = {}
    for reduction in ("pair", "keypoint", "image"):
        found, seconds[reduction] = timed(
            f"score them, reduction {reduction}",
            lambda reduction=reduction: category_scores(sample, counts, [reduction]),
        )
        if reduction == "pair":
            fast = found["pair"][:, :, : arguments.loop].mean(axis=1).T
    slow, looping = timed(
        f"plain loop, {arguments.loop} resamples", lambda: plain_loop(sample, counts[:, : arguments.loop])
    )
    assert np.allclose(fast, slow)
    print(f"  intervals of 1,000 resamples: {whole * 1000 / arguments.resamples:.2f} s, target under 2 s")
    ratio = (looping / arguments.loop) / ((drawing + seconds["pair"]) / arguments.resamples)
    print(f"  plain loop / resampling, per resample: {ratio:.0f}x")
    print(f"  anatomy / score: {anatomy / scoring:.2f}")


if __name__ == "__main__":
    main()
