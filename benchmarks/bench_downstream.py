"""Wall time of the downstream tasks on synthetic data by reading, forwards, training and the rest; memory of logits.

    python benchmarks/bench_downstream.py [--model tiny_dinov2] [--tasks all] [--small]

The first part runs the tasks under their protocol `tiny`, one data set after the other, and prints the seconds and the
share of all that each spends in reading (decoding, resizing, waiting for both, storing features), in forwards, in
training heads (validation between epochs included) and in scoring. Tasks on one data set share reading and forwards.
The second compares the peak of memory of segmentation logits on the patch grid with that of features upsampled to
100 x 100 first.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from support import machine

_PEAK = """
import pathlib, re, torch
from soco_datasets.downstream.heads import linear

def kilobytes(name):
    return int(re.search(name + r":\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])

torch.set_num_threads(1)
maps = torch.randn({images}, 768, 32, 32)
weights = {{"weight": torch.randn(151, 768), "bias": torch.zeros(151)}}
linear.segmentation_logits(weights, maps[:1], (100, 100))
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
before = kilobytes("VmRSS")
with torch.no_grad():
    linear.{function}(weights, maps, (100, 100))
print(kilobytes("VmHWM") - before)
"""


def peak(function: str, images: int) -> float:
    """MB that a function adds to the peak of a fresh process."""
    code = _PEAK.format(function=function, images=images)
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout) / 1024


class Clock:
    """Seconds within calls of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function, self.seconds = function, 0.0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return self._function(*arguments, **options)
        finally:
            self.seconds += time.perf_counter() - started


def measure(extractor: Any, tasks: Sequence[Any]) -> dict[str, dict[str, float]]:
    """Row -> seconds by kind of work: a row for each data set, then one for each of its tasks."""
    from soco_datasets.downstream.downstream_run import DownstreamRun
    from soco_datasets.downstream.run_options import RunOptions
    from soco_datasets.downstream.synthetic_data import SYNTH, embedded

    rows: dict[str, dict[str, float]] = {}
    for kind in dict.fromkeys(task.data for task in tasks):
        own = [task for task in tasks if task.data == kind]
        embedded(kind)  # made before the clock starts
        clock = extractor.extract_plan = Clock(type(extractor).extract_plan.__get__(extractor))
        with tempfile.TemporaryDirectory() as folder:
            seconds = DownstreamRun(extractor, own, {kind: SYNTH}, RunOptions(Path(folder), {"": "tiny"})).run().seconds
        extract = seconds.get(f"extract {kind}", 0.0)
        rows[f"{kind} (data)"] = {"reading": extract - clock.seconds, "forwards": clock.seconds}
        for task in own:
            training, scoring = (seconds.get(f"{what} {task.name}", 0.0) for what in ("train", "score"))
            rows[f"  {task.name}"] = {"training": training, "scoring": scoring}
    return rows


def print_rows(rows: Mapping[str, Mapping[str, float]]) -> None:
    """Seconds and shares of the whole."""
    kinds = ("reading", "forwards", "training", "scoring")
    total = sum(sum(row.values()) for row in rows.values())
    rows = {**rows, "all": {kind: sum(row.get(kind, 0.0) for row in rows.values()) for kind in kinds}}
    print(f"{'':22}" + "".join(f"{kind:>20}" for kind in kinds))
    for name, row in rows.items():
        cells = [f"{row[kind]:9.2f} s {100 * row[kind] / total:5.1f} %" if kind in row else "" for kind in kinds]
        print(f"{name:22}" + "".join(f"{cell:>20}" for cell in cells))


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny_dinov2")
    parser.add_argument("--tasks", default="all")
    parser.add_argument("--small", action="store_true", help="kNN and tracking only, 8 images of logits")
    arguments = parser.parse_args()
    from soco_datasets.downstream.task_registry import select_tasks
    from soco_datasets.features.spec import ExtractorSpec

    tasks = select_tasks("imagenet_knn,tapvid_davis" if arguments.small else arguments.tasks)
    print(machine())
    print_rows(measure(ExtractorSpec(arguments.model).load(), tasks))
    print(f"peak of memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
    images = 8 if arguments.small else 64
    ours, theirs = (peak(name, images) for name in ("segmentation_logits", "segmentation_logits_features_first"))
    print(f"segmentation logits of {images} images: {ours:,.0f} MB on the patch grid, {theirs:,.0f} MB features first")


if __name__ == "__main__":
    main()
