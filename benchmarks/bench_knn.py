"""Exact k nearest neighbors against scikit-learn's exact search on the same block, and the growth with the bank.

    OMP_NUM_THREADS=1 python benchmarks/bench_knn.py [--bank 100000] [--queries 2048] [--small]

Both search the same normalized float32 vectors for the k highest cosine similarities; scikit-learn's
`NearestNeighbors(algorithm="brute")` by Euclidean distance, which orders unit vectors the same way. Neighbors must
agree but where similarities are equal to float32. The growth exponent is measured over the sizes of the bank.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from support import best_of, machine

from soco_datasets.metrics.knn import nearest_neighbors


def clustered(count: int, width: int, seed: int) -> NDArray[np.float32]:
    """(N, D) unit vectors around 1,000 centers, as features of a model would be."""
    centers = np.random.default_rng(0).normal(size=(1000, width))
    generator = np.random.default_rng([1, seed])
    vectors = centers[generator.integers(0, 1000, count)] + generator.normal(0, 1.5, (count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=2048)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--k", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="2,000 vectors of width 64, 128 queries, k = 20")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.bank, arguments.queries, arguments.width, arguments.k, arguments.rounds = 2000, 128, 64, 20, 1
    from sklearn.neighbors import NearestNeighbors

    k, width = arguments.k, arguments.width
    queries = clustered(arguments.queries, width, 1)
    bank = clustered(arguments.bank, width, 2)
    ours, took = best_of(arguments.rounds, lambda: nearest_neighbors(queries, bank, k))
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(bank)
    theirs, took_theirs = best_of(arguments.rounds, lambda: search.kneighbors(queries, return_distance=False))
    differ = ours.positions != theirs
    exact = np.einsum("qkd,qd->qk", bank[theirs[:16]].astype(np.float64), queries[:16].astype(np.float64))
    assert np.abs(exact - ours.similarities[:16]).max() < 1e-6
    assert differ.mean() < 0.01, differ.mean()
    product, took_product = best_of(arguments.rounds, lambda: bare_product(queries, bank))
    assert len(product) == len(queries)
    sizes = [arguments.bank // 4, arguments.bank // 2, arguments.bank]
    times = [
        best_of(arguments.rounds, lambda size=size: nearest_neighbors(queries, bank[:size], k))[1] for size in sizes
    ]
    growth = np.polyfit(np.log(sizes), np.log(times), 1)[0]
    print(machine())
    print(f"{len(queries):,} queries, bank of {len(bank):,} x {width}, k = {k}")
    print(f"ours          {took:.2f} s, {1e9 * took / len(queries) / len(bank):.1f} ns per pair")
    print(f"scikit-learn  {took_theirs:.2f} s, {100 * differ.mean():.3f} % of the neighbors in another order")
    print(f"scikit-learn / ours {took_theirs / took:.2f}x")
    print(f"ours / bare float32 product {took / took_product:.2f}x")
    print(f"growth exponent in the bank {growth:.2f} from {sizes[0]:,}")
    hours = took / (len(queries) * len(bank)) * 50_000 * 1_281_167 / 3600
    print(f"50,000 queries in 1,281,167 vectors at this rate: {hours:.2f} h")


def bare_product(queries: NDArray[np.float32], bank: NDArray[np.float32]) -> list[float]:
    """The same products and their largest values alone, in blocks of the same size."""
    best = np.full(len(queries), -np.inf, dtype=np.float32)
    for start in range(0, len(bank), 8192):
        for first in range(0, len(queries), 1024):
            part = queries[first : first + 1024] @ bank[start : start + 8192].T
            best[first : first + 1024] = np.maximum(best[first : first + 1024], part.max(axis=1))
    return best.tolist()


if __name__ == "__main__":
    main()
