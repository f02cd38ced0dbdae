"""Peak memory of an evaluation against its --memory-budget, one process a budget.

    python benchmarks/bench_memory.py [--images 160] [--image-size 448] [--budgets 16 64 128 384] [--small]

Budgets are in MiB. Counted is what the evaluation adds to the peak that a process reaches with the model loaded and one
image forwarded (a first evaluation of a few pairs pays the imports), by two measures: the peak of anonymous memory
(RssAnon, sampled every few milliseconds), which nothing can take back, and the peak of all resident memory (VmHWM, kept
by the kernel), which counts pages of a memory-mapped file as well; those the kernel drops whenever it needs the room.
Ratio = anonymous peak / budget; the target is 1.15. A budget that the toolkit refuses is said, with its reason.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from bench_pipeline import TASKS, FirstPairs
from support import VIT_S, VIT_TINY, bare_forwards, machine, memory_mib, random_dinov2
from synthetic_release import built_synthetic

from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.config import CachePolicy, RunConfig
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.data.folder import DatasetFolder
from soco_datasets.errors import UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor


class AnonymousPeak:
    """Samples RssAnon in a thread."""

    def __init__(self) -> None:
        self.peak = memory_mib("RssAnon")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.peak = max(self.peak, memory_mib("RssAnon"))

    def __enter__(self) -> AnonymousPeak:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()


def added(data: Path, model: Path, size: int, budget: int) -> tuple[float, float]:
    """MiB an evaluation adds (anonymous, resident); meant for a process of its own."""
    folder = DatasetFolder(data)
    extractor = DenseFeatureExtractor(load_backbone(model, device="cpu"), size, batch_size=8)
    few = FirstPairs(data)
    few.limit = 4
    evaluate_backbone(extractor, few, get_tasks(TASKS))
    peaks = []
    for work in (
        lambda: bare_forwards(extractor, 1),
        lambda: evaluate_backbone(
            extractor, folder, get_tasks(TASKS), run=RunConfig(CachePolicy(memory_budget=budget))
        ),
    ):
        Path("/proc/self/clear_refs").write_text("5")  # the kernel's peak is now what the process holds
        with AnonymousPeak() as sampled:
            work()
        peaks.append((sampled.peak, memory_mib("VmHWM")))
    before, after = peaks
    return after[0] - before[0], after[1] - before[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--image-size", type=int, default=448)
    parser.add_argument("--budgets", type=int, nargs="+", default=[16, 64, 128, 384], help="MiB")
    parser.add_argument("--small", action="store_true", help="16 images, a tiny model")
    parser.add_argument("--child", nargs=3, metavar=("DATA", "MODEL", "BYTES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.small:
        arguments.images, arguments.image_size, arguments.budgets = 16, 56, [32]
    if arguments.child:
        data, model, budget = arguments.child
        try:
            print(*added(Path(data), Path(model), arguments.image_size, int(budget)))
        except UsageError as error:
            sys.exit(str(error))
        return
    with tempfile.TemporaryDirectory() as temporary:
        shape = VIT_TINY if arguments.small else VIT_S
        model = random_dinov2(Path(temporary, "model"), shape)
        data = built_synthetic(
            Path(temporary, "data"), categories=4, images_per_category=arguments.images // 4, pairs=arguments.images * 5
        )
        maps = arguments.images * shape["hidden_size"] * (arguments.image_size // 14) ** 2 * 4
        print(machine())
        print(f"{arguments.images} images, all feature maps {maps / 2**20:.1f} MiB")
        print(f"{'budget MiB':>12}{'anonymous MiB':>15}{'resident MiB':>14}{'anonymous / budget':>20}")
        for budget in arguments.budgets:
            command = [sys.executable, __file__, "--image-size", str(arguments.image_size)]
            command += ["--child", str(data), str(model), str(budget * 2**20)]
            child = subprocess.run(command, capture_output=True, text=True)
            if child.returncode:
                print(f"{budget:12}  {child.stderr.splitlines()[-1]}")
                continue
            anonymous, resident = map(float, child.stdout.split())
            print(f"{budget:12}{anonymous:15.1f}{resident:14.1f}{anonymous / budget:20.2f}")


if __name__ == "__main__":
    main()
