"""Wall time of the downstream tasks on synthetic data by forwards and scoring, and the memory of segmentation logits.

    python benchmarks/bench_downstream.py [--model dense_sift] [--tasks all] [--small]

The first part runs the tasks under their protocol `tiny` and prints what share of the time each task spends in
extraction (reading and forwards, shared by the tasks of a data set) and in training and scoring. The second compares
the peak of memory of logits on the patch grid with that of features upsampled first.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from support import machine

_PEAK = """
import resource, torch
from soco_datasets.downstream.heads import linear
torch.set_num_threads(1)
maps = torch.randn({images}, 768, 32, 32)
weights = {{"weight": torch.randn(151, 768), "bias": torch.zeros(151)}}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with torch.no_grad():
    linear.{function}(weights, maps, (100, 100))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def peak(function: str, images: int) -> float:
    """MB that a function adds to the peak of a fresh process."""
    code = _PEAK.format(function=function, images=images)
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dense_sift")
    parser.add_argument("--tasks", default="all")
    parser.add_argument("--small", action="store_true", help="kNN and tracking only, 8 images of logits")
    arguments = parser.parse_args()
    from soco_datasets.downstream.downstream_run import DownstreamRun, RunOptions
    from soco_datasets.downstream.synthetic_data import SYNTH
    from soco_datasets.downstream.task_registry import select_tasks
    from soco_datasets.features.spec import ExtractorSpec

    tasks = select_tasks("imagenet_knn,tapvid_davis" if arguments.small else arguments.tasks)
    extractor = ExtractorSpec(arguments.model).load()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        options = RunOptions(Path(folder), {"": "tiny"})
        report = DownstreamRun(extractor, tasks, {task.data: SYNTH for task in tasks}, options).run()
    total = sum(report.seconds.values())
    for what, seconds in report.seconds.items():
        print(f"{what:28} {seconds:8.2f} s  {100 * seconds / total:5.1f} %")
    print(f"{'all':28} {total:8.2f} s, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
    images = 8 if arguments.small else 64
    ours, theirs = (peak(name, images) for name in ("segmentation_logits", "segmentation_logits_features_first"))
    print(f"segmentation logits of {images} images: {ours:,.0f} MB on the patch grid, {theirs:,.0f} MB features first")


if __name__ == "__main__":
    main()
