"""What it costs that every image read is held against the sha256 it was built with, as a share of a whole evaluation.

    python benchmarks/bench_image_check.py [--data mini] [--image-size 224] [--repeat 3]

Runs the evaluation with the check and with a digest that takes no time, in turns, and prints both CPU times, their
ratio, and the time spent in the check itself. The target is below 2 % of the run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from support import machine

from soco_datasets.benchmarks.resolve import resolve_data
from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.config import CachePolicy, RunConfig
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.data import images
from soco_datasets.data.folder import open_folder
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor


class Timed:
    """A function that adds up how long its calls took."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds, self.calls = function, 0.0, 0

    def __call__(self, *arguments: Any) -> Any:
        start = time.thread_time()
        found = self.function(*arguments)
        self.seconds += time.thread_time() - start
        self.calls += 1
        return found


class Equal(str):
    """A digest that equals every other one."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="mini")
    parser.add_argument("--model", default="dense_sift")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    path = resolve_data(options.data)
    checked = Timed(images.image_digest)

    def run(digest: Callable[..., Any]) -> float:
        extractor = DenseFeatureExtractor(load_backbone(options.model), options.image_size)
        start = time.process_time()
        with mock.patch.object(images, "image_digest", digest):
            evaluate_backbone(
                extractor, open_folder(path), get_tasks(["soc"]), run=RunConfig(cache=CachePolicy("memory"))
            )
        return time.process_time() - start

    run(images.image_digest)  # imports and caches
    times: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(options.repeat):
        times["with"].append(run(checked))
        times["without"].append(run(lambda data: Equal()))
    best = {name: min(seconds) for name, seconds in times.items()}
    own = checked.seconds / options.repeat
    print(machine())
    print(f"evaluation with the check     {best['with']:7.2f} s of CPU, {checked.calls // options.repeat} images read")
    print(f"evaluation without            {best['without']:7.2f} s")
    print(f"ratio                         {best['with'] / best['without']:7.3f}")
    print(
        f"in the check itself           {1000 * own:7.1f} ms, {100 * own / best['with']:.2f} % of the run (target 2 %)"
    )


if __name__ == "__main__":
    main()
