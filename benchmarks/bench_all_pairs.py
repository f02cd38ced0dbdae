"""All pairs, evaluated without holding the pairs: time, memory, and what rows of all pairs would cost.

    python benchmarks/bench_all_pairs.py [--images-per-category 40] [--image-size 112] [--rows 4000] [--small]

A release of SOCO's size and names (`synthetic_release.py`, small pictures) and a tiny backbone, so that the pairs are
what is measured: the split `all` of CC and SOC, within and across categories. Prints pairs and queries a second, the
time against the bare forwards, and the peak memory against that of the feature maps. Then a sample of the same pairs is
evaluated by way of their rows (`AllPairs` rows to a table, `evaluate_backbone`, with the features there already, so
without a forward), and its time and the size of its predictions are extrapolated to all pairs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from support import VIT_TINY, bare_forwards, machine, memory_mib, random_dinov2

from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.config import CachePolicy, RunConfig
from soco_datasets.correspondence.evaluate import Evaluation, evaluate_backbone
from soco_datasets.data.all_pairs import AllPairs
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.data.schema import CONFIGS
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor

TASKS = get_tasks(["cc", "soc", "cross_cc", "cross_soc"])


class RowsOfAll(DatasetFolder):
    """A folder whose pair configs have, as their rows, some of the pairs of the split `all`."""

    limit = 0  # rows of each config, spread evenly

    def table(self, config: str, split: str = "test", columns: Sequence[str] | None = None) -> pa.Table:
        if not CONFIGS[config].is_pairs:
            return super().table(config, split, columns)
        return self._rows(config)

    @lru_cache  # noqa: B019 - one folder a run
    def _rows(self, config: str) -> pa.Table:
        pairs, features = AllPairs(self, config, 3), CONFIGS[config].features
        numbers = np.unique(np.linspace(0, len(pairs) - 1, self.limit).astype(int)).tolist()
        rows = [{column: pairs.value(number, column) for column in features} for number in numbers]
        return pa.Table.from_pylist(rows, schema=features.arrow_schema)


def by_rows(extractor: DenseFeatureExtractor, path: Path, limit: int, store: Path) -> tuple[Evaluation, float]:
    """(evaluation, seconds) of a sample of the pairs, the rows made within the time, the features before it."""
    folder = RowsOfAll(path)
    folder.limit = limit
    evaluate_backbone(extractor, folder, TASKS, run=RunConfig(CachePolicy(directory=store)))
    folder = RowsOfAll(path)
    folder.limit = limit
    start = time.perf_counter()
    return evaluate_backbone(
        extractor, folder, TASKS, run=RunConfig(CachePolicy(directory=store))
    ), time.perf_counter() - start


def reset_peak() -> float:
    """Begin VmHWM anew and return what is resident now, MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory_mib("VmRSS")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--categories", type=int, default=100)
    parser.add_argument("--images-per-category", type=int, default=40)
    parser.add_argument("--image-size", type=int, default=112, help="network size, pixels")
    parser.add_argument("--rows", type=int, default=4000, help="pairs of each config in the sample that goes by rows")
    parser.add_argument("--data", type=Path, help="a built folder, instead of a synthetic one")
    parser.add_argument("--small", action="store_true", help="a few images: seconds")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.categories, arguments.images_per_category, arguments.image_size, arguments.rows = 6, 6, 56, 40
    with tempfile.TemporaryDirectory() as temporary:
        data = arguments.data or Path(temporary, "data")
        if arguments.data is None:  # in a process of its own, for the sake of the memory of this one
            script = Path(__file__).with_name("synthetic_release.py")
            options = ["--categories", arguments.categories, "--images-per-category", arguments.images_per_category]
            command = [sys.executable, script, data, "--build", "--pairs", 100, "--image-side", 96, *options]
            subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        model = random_dinov2(Path(temporary, "model"), VIT_TINY)
        extractor = DenseFeatureExtractor(load_backbone(model, device="cpu"), arguments.image_size)
        compare(extractor, data, arguments.rows, Path(temporary, "store"))


def compare(extractor: DenseFeatureExtractor, data: Path, limit: int, store: Path) -> None:
    """Evaluate all pairs and a sample by rows, and print both."""
    folder = open_folder(data)
    images = len(folder.images)
    forwards = bare_forwards(extractor, images)  # warm from here on
    before = reset_peak()
    start = time.perf_counter()
    result = evaluate_backbone(extractor, folder, TASKS, split="all").result
    seconds = time.perf_counter() - start
    peak = memory_mib("VmHWM") - before
    counts, scored = result.counts, {task: found["pair"]["0.1"]["overall"] for task, found in result.metrics.items()}
    maps = counts["images"] * extractor.channels * extractor.grid**2 * 4 / 2**20
    print(f"{machine()}; {extractor.channels} channels, grid {extractor.grid}")
    print(f"{images:,} images, {counts['forwards']:,} forwards, {counts['decodes']:,} decodes")
    for task, part in scored.items():
        print(f"  {task:10} {part['pairs'] + part['pairs_without_query']:>10,} pairs {part['keypoints']:>12,} queries")
    pairs, queries = counts["pairs"], counts["keypoints"]
    print(f"all pairs        {seconds:8.1f} s: {pairs / seconds:,.0f} pairs/s, {queries / seconds:,.0f} queries/s")
    print(f"all pairs / bare forwards ({forwards:.1f} s)   {seconds / forwards:.2f}x")
    print(f"peak memory      {peak:8.1f} MiB over the start, maps {maps:.1f} MiB: {peak / maps:.2f}x")
    evaluation, took = by_rows(extractor, data, limit, store)
    assert evaluation.predictions is not None
    table, sample = evaluation.predictions, evaluation.result.counts["pairs"]
    print(f"by rows          {took:8.1f} s for {sample:,} of them without a forward, {table.nbytes / 2**20:.1f} MiB")
    whole = took * pairs / sample
    print(f"by rows / all pairs, extrapolated {whole / seconds:.1f}x the time ({whole:,.0f} s)")
    print(f"predictions of all pairs would take {table.nbytes * queries / len(table) / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
