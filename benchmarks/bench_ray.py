"""An evaluation by the workers of a Ray cluster of this machine against one in a single process, in one run.

    python benchmarks/bench_ray.py [--images 200] [--workers 1 2] [--image-size 224] [--nodes 2] [--small]

Counted are images, forwards and decodes; compared are the seconds from the model being loaded to the record, in the one
process and by so many workers, after one evaluation to warm up. Starting the cluster and loading the model by every
worker is timed apart: it happens once, however large the data. Every worker has its share of the cores, the single
process `torch.get_num_threads()` of them. The records are checked to be the same but for counts and time.

With --nodes N, instead: as many workers of one core on one node, and on N nodes with networks of their own
(`ray_machines.py`), each the fastest of three evaluations. The ratio is what it costs that they are several.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from ray_machines import joined
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
    parser.add_argument("--nodes", type=int, help="compare one node with so many")
    parser.add_argument("--small", action="store_true", help="16 images of 56 pixels and a tiny model")
    parser.add_argument("--driver", nargs=3, metavar=("ADDRESS", "MODEL", "DATA"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.driver:
        drive(given)
        return
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
    if given.nodes:
        compare_nodes(model, folder, given)
        return
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


def compare_nodes(model: Path, folder: DatasetFolder, given: argparse.Namespace) -> None:
    """One node of N cores against N nodes of one core."""
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    found = []
    for cpus in ([given.nodes], [1] * given.nodes):
        options = ["--image-size", str(given.image_size), "--workers", str(given.nodes)]
        with joined(cpus, environment) as cluster:
            where = ["--driver", cluster.address, str(model), str(folder.path)]
            output = cluster.machines[0].run(sys.executable, __file__, *where, *options)
            isolated = cluster.isolated
        found.append(json.loads(output.splitlines()[-1]))
    one, several = found
    names = "networks and files of their own" if isolated else "processes of this machine"
    print(
        f"{len(folder.images)} images, {given.image_size} px, {given.nodes} workers of one core, {machine()}; {names}"
    )
    print(f"one node {one['seconds']:.2f} s, {given.nodes} nodes {several['seconds']:.2f} s")
    same = "yes" if one["predictions"] == several["predictions"] else "NO"
    ratio = several["seconds"] / one["seconds"]
    print(f"{given.nodes} nodes / one node  {ratio:.2f}x, predictions the same: {same}")


def drive(given: argparse.Namespace) -> None:
    """On a machine of a cluster: print the seconds and the predictions' sha256 as a line of JSON."""
    address, model, data = given.driver
    spec, folder = ExtractorSpec(model, given.image_size, options={"device": "cpu"}), DatasetFolder(Path(data))
    with RayExtractor(spec, address=address, workers=given.workers[0]) as extractor:
        rounds = [measured(extractor, folder) for _ in range(3)]
    fastest = min(seconds for _, seconds in rounds)
    print(json.dumps({"seconds": fastest, "predictions": rounds[0][0].predictions_sha256}))


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
