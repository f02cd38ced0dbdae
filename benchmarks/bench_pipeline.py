"""The evaluation loop against a straightforward per-pair evaluator and against the bare forwards, in one run.

    python benchmarks/bench_pipeline.py [--images 100] [--pairs-per-image 10] [--image-size 224] [--small]
    python benchmarks/bench_pipeline.py --full --device cuda --dtype bfloat16

Prints forwards, decodes and wall time of both evaluators on the same pairs, checks that their PCK is the same to the
last digit (float32), and how long the evaluation takes against the forwards alone. The target on a CPU is 10 times the
per-pair evaluator at 10 pairs per image; on a GPU, with --full, 60 s and 1.5 times the bare forwards.

--full is the size of SOCO: 4,000 images, 40,000 pairs, a ViT-B/14 at 798 pixels, from the built folder to the record.
The per-pair evaluator then sees only --subset pairs and its time is extrapolated. Everything is warm: imports and a
first forward are not counted. Building the synthetic release first takes some minutes; --data names a folder built
before (by synthetic_release.py --build).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from per_pair_evaluator import SCENES, PerPair, evaluate_per_pair
from support import VIT_B, VIT_SMALL, VIT_TINY, bare_forwards, machine, random_dinov2, synchronize
from synthetic_release import built_synthetic

from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.config import RunConfig
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.data.folder import DatasetFolder
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.records.evaluation import EvaluationResult

TASKS = [task for tasks in SCENES.values() for task in tasks]


class FirstPairs(DatasetFolder):
    """A folder with only the first pairs of each config."""

    limit = 0

    def table(self, config: str, split: str = "test", columns: Sequence[str] | None = None) -> pa.Table:
        table = super().table(config, split, columns)
        return table.slice(0, self.limit) if config in TASKS else table


def check_equal(ours: EvaluationResult, plain: PerPair) -> None:
    """The PCK of both at every task and threshold; equal to 1e-12, since one takes means with fsum and one with NumPy.

    Raises:
        SystemExit: they differ.
    """
    for (task, alpha), expected in plain.pck.items():
        found = ours.metrics[task]["pair"][str(alpha)]["overall"]["pck"]
        if abs(found - expected) > 1e-12:
            raise SystemExit(f"{task} at {alpha}: {found} here, {expected} by the per-pair evaluator")


def clocks(device: str) -> NDArray[np.float64]:
    """[clock, processor time] in seconds; the second tells more where the machine does other work as well."""
    synchronize(device)
    return np.array([time.perf_counter(), time.process_time()])


def arguments_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--pairs-per-image", type=int, default=10)
    parser.add_argument("--image-size", type=int, default=224, help="network size, pixels")
    parser.add_argument("--image-side", type=int, default=500, help="longer side of the stored images, pixels")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--data", type=Path, help="a built folder, instead of a synthetic one")
    parser.add_argument("--subset", type=int, default=50, help="pairs of each kind the plain evaluator sees (--full)")
    parser.add_argument("--full", action="store_true", help="4,000 images, 40,000 pairs, ViT-B/14 at 798 pixels")
    parser.add_argument("--small", action="store_true", help="a few images: seconds")
    arguments = parser.parse_args()
    if arguments.full:
        arguments.images, arguments.pairs_per_image, arguments.image_size = 4000, 10, 798
    if arguments.small:
        arguments.images, arguments.pairs_per_image, arguments.image_size, arguments.image_side = 16, 4, 56, 96
    return arguments


def main() -> None:
    arguments = arguments_of()
    with tempfile.TemporaryDirectory() as temporary:
        categories = 100 if arguments.full else 4
        data = arguments.data or built_synthetic(
            Path(temporary, "data"),
            categories=categories,
            images_per_category=arguments.images // categories,
            pairs=arguments.images * arguments.pairs_per_image // 2,
            image_side=arguments.image_side,
        )
        shape = VIT_B if arguments.full else VIT_TINY if arguments.small else VIT_SMALL
        model = random_dinov2(Path(temporary, "model"), shape)
        backbone = load_backbone(model, device=arguments.device, dtype=arguments.dtype)
        extractor = DenseFeatureExtractor(backbone, arguments.image_size, arguments.batch_size)
        print(f"{machine(arguments.device)}; {shape['hidden_size']} channels, {extractor.size} px, {arguments.dtype}")
        compare(extractor, DatasetFolder(data), arguments)


def compare(extractor: DenseFeatureExtractor, folder: DatasetFolder, arguments: argparse.Namespace) -> None:
    """Run both evaluators and print what they cost."""
    warm = FirstPairs(folder.path)
    warm.limit = 1
    evaluate_backbone(
        extractor, warm, get_tasks(TASKS), run=RunConfig(workers=arguments.workers)
    )  # imports, first forward
    start = clocks(arguments.device)
    bare_forwards(extractor, len(folder.images))
    forwards = clocks(arguments.device) - start
    start = clocks(arguments.device)
    ours = evaluate_backbone(extractor, folder, get_tasks(TASKS), run=RunConfig(workers=arguments.workers)).result
    took = clocks(arguments.device) - start
    some, scale = folder, 1.0
    if arguments.full:
        some = FirstPairs(folder.path)
        some.limit = arguments.subset
        scale = folder.rows("soc", "test") / min(arguments.subset, folder.rows("soc", "test"))
    start = clocks(arguments.device)
    plain = evaluate_per_pair(extractor, some)
    loop = (clocks(arguments.device) - start) * scale
    counts, times = ours.counts, round(scale)
    pairs = plain.counts["pairs"] * times
    print(f"{len(folder.images):,} images, {pairs:,} pairs, each evaluated for CC and SOC")
    print(f"{'':20}{'forwards':>10}{'decodes':>10}{'seconds':>10}{'processor':>11}{'ms per pair':>13}")
    loops = plain.counts["forwards"] * times, plain.counts["decodes"] * times
    for name, (forward, decode), seconds in (
        ("per pair" if scale == 1 else f"per pair (x{times})", loops, loop),
        ("this toolkit", (counts["forwards"], counts["decodes"]), took),
        ("bare forwards", (len(folder.images), 0), forwards),
    ):
        wall, processor = seconds
        print(f"{name:20}{forward:10,}{decode:10,}{wall:10.2f}{processor:11.2f}{1000 * wall / pairs:13.2f}")
    if not arguments.full:
        same = arguments.dtype == "float32" and arguments.device == "cpu"
        if same:
            check_equal(ours, plain)
        answer = "yes, all tasks and thresholds" if same else "not compared (not float32 on CPU)"
        print(f"PCK the same            {answer}")
    print(f"per pair / toolkit      {loop[0] / took[0]:.1f}x by the clock, {loop[1] / took[1]:.1f}x of processor time")
    ratio = f"{took[0] / forwards[0]:.2f}x by the clock, {took[1] / forwards[1]:.2f}x of processor time"
    print(f"toolkit / bare forwards {ratio}")


if __name__ == "__main__":
    main()
