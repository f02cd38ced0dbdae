"""An evaluation by the workers of a Ray cluster of this machine against one in a single process, in one run.

    python benchmarks/bench_ray.py [--images 200] [--workers 1 2] [--image-size 224] [--device cpu] [--small]

Counted are images, forwards and decodes; compared are the seconds from the model being loaded to the record, in the one
process and by so many workers, after one evaluation to warm up. Starting the cluster and loading the model by every
worker is timed apart: it happens once, however large the data. Every worker has its share of the cores, the single
process `torch.get_num_threads()` of them. The records are checked to be the same but for counts and time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from support import VIT_SMALL, VIT_TINY, machine, random_dinov2
from synthetic_release import built_synthetic

from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.correspondence.engines import Extractor
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.data.folder import DatasetFolder
from soco_datasets.distributed.ray_engine import RayExtractor
from soco_datasets.features.spec import ExtractorSpec
from soco_datasets.records.evaluation import EvaluationResult

TASKS = ("soc", "soc_soft", "cc")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--small", action="store_true", help="16 images of 56 pixels and a tiny model")
    given = parser.parse_args()
    if given.small:
        given.images, given.image_size = 16, 56
    with tempfile.TemporaryDirectory() as temporary:
        run(Path(temporary), given)


def run(place: Path, given: argparse.Namespace) -> None:
    """Measure and print."""
    import torch

    categories = min(20, given.images // 4)
    size = {"categories": categories, "images_per_category": given.images // categories, "pairs": 2 * given.images}
    folder = DatasetFolder(built_synthetic(place / "data", **size))
    model = random_dinov2(place / "model", VIT_TINY if given.small else VIT_SMALL)
    spec = ExtractorSpec(str(model), given.image_size, options={"device": given.device})
    print(f"{len(folder.images)} images, {given.image_size} px, {machine(given.device)}")
    print(f"{'':22}{'seconds':>9}{'start':>8}{'images':>8}{'forwards':>10}{'decodes':>9}{'redone':>8}")
    start = time.perf_counter()
    extractor = spec.load()
    loaded = time.perf_counter() - start
    alone, seconds = measured(extractor, folder)
    show(f"one process, {torch.get_num_threads()} threads", seconds, loaded, alone)
    for workers in given.workers:
        start = time.perf_counter()
        with RayExtractor(spec, workers=workers) as remote:
            started = time.perf_counter() - start
            found, spent = measured(remote, folder)
        show(f"{workers} Ray worker{'s' * (workers > 1)}", spent, started, found)
        same = without_counts(found) == without_counts(alone)
        print(f"  one process / {workers} workers  {seconds / spent:.2f}x, record the same: {'yes' if same else 'NO'}")


def measured(extractor: Extractor, folder: DatasetFolder) -> tuple[EvaluationResult, float]:
    """(record, seconds) of an evaluation after one that warms up, when all workers have joined."""
    evaluate_backbone(extractor, folder, get_tasks(TASKS))
    start = time.perf_counter()
    result = evaluate_backbone(extractor, folder, get_tasks(TASKS)).result
    return result, time.perf_counter() - start


def without_counts(record: EvaluationResult) -> EvaluationResult:
    """What must be the same whoever does the work."""
    return record.model_copy(update={"counts": {}, "created": ""})


def show(what: str, seconds: float, start: float, record: EvaluationResult) -> None:
    """A line of the table."""
    counts = record.counts
    numbers = [counts[name] for name in ("images", "forwards", "decodes")]
    print(
        f"{what:22}{seconds:>9.2f}{start:>8.2f}{numbers[0]:>8}{numbers[1]:>10}{numbers[2]:>9}"
        f"{counts.get('redone', 0):>8}"
    )


if __name__ == "__main__":
    main()
