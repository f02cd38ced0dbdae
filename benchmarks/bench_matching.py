"""Matching against the limits of the hardware: memory bandwidth, and the bare matrix product, measured in the same run.

    python benchmarks/bench_matching.py [--device cpu] [--grid 57] [--channels 768] [--queries 1 10 100] [--small]

Each of some target maps (C, h, w) answers its queries as in the evaluation loop: one product with all of them, then
the best cell of each; and, as it is done on a GPU, with the queries of 16 targets in one batched product. At least the
map must be read once from memory; the time of that, at the bandwidth of a large copy (bytes read plus bytes written),
is the memory limit. With many queries on few cores the product itself takes longer: how much is the second limit,
torch's own product of the same shapes.
"""

from __future__ import annotations

import argparse

import torch
from support import best_of, machine

from soco_datasets.correspondence.similarity import best_cells, similarities, similarities_of_many
from soco_datasets.correspondence.target_matcher import TARGETS_PER_BATCH


def copy_bandwidth(device: str, megabytes: int) -> float:
    """Bytes per second of a copy, what is read and what is written counted both."""
    source = torch.ones(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    _, seconds = best_of(5, lambda: target.copy_(source), device)
    return 2 * source.numel() * source.element_size() / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--grid", type=int, default=57, help="cells on a side (57: 798 px and patch 14)")
    parser.add_argument("--channels", type=int, default=768)
    parser.add_argument("--queries", type=int, nargs="+", default=[1, 10, 100], help="per target")
    parser.add_argument("--targets", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="small maps: a second")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.grid, arguments.channels, arguments.targets, arguments.rounds = 8, 32, 16, 1
    device, grid = arguments.device, arguments.grid
    bandwidth = copy_bandwidth(device, 4 if arguments.small else 512)
    print(f"{machine(device)}, {torch.get_num_threads()} torch threads")
    shape = f"{arguments.channels} x {grid} x {grid}"
    print(f"copy {bandwidth / 1e9:.1f} GB/s; {arguments.targets} maps of {shape} float32")
    maps = torch.rand(arguments.targets, arguments.channels, grid, grid, device=device)
    for count in arguments.queries:
        queries = torch.rand(count, arguments.channels, device=device)

        def matching(queries: torch.Tensor = queries) -> None:
            for target in maps:
                best_cells(similarities(queries, target))

        repeated = queries.repeat(TARGETS_PER_BATCH, 1)

        def grouped(queries: torch.Tensor = repeated, count: int = count) -> None:
            for some in maps.split(TARGETS_PER_BATCH):
                best_cells(similarities_of_many(queries[: count * len(some)], [count] * len(some), some))

        def products(queries: torch.Tensor = queries) -> None:
            for target in maps:
                queries @ target.flatten(1)

        _, took = best_of(arguments.rounds, matching, device)
        _, product = best_of(arguments.rounds, products, device)
        _, together = best_of(arguments.rounds, grouped, device)
        limit = maps.numel() * maps.element_size() / bandwidth
        for how, seconds in (("one by one", took), (f"{TARGETS_PER_BATCH} together", together)):
            print(
                f"{count:5} queries a target, {how}: {1000 * seconds / len(maps):7.3f} ms a target, "
                f"{100 * limit / seconds:5.1f} % of the memory limit, {seconds / product:.2f}x the bare product"
            )


if __name__ == "__main__":
    main()
