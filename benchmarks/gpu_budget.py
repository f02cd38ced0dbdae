"""What an evaluation of SOCO takes on a card, stage by stage: bytes, FLOP and seconds expected, and measured beside.

    python benchmarks/gpu_budget.py [--card h100] [--cores 16] [--utilization 0.45] [--data FOLDER] [--small]
    python benchmarks/gpu_budget.py --device cuda    # the seconds of a whole run beside those expected

4,000 images at 798 px, 40,000 pairs, ViT-B/14 in bfloat16. The host's part is measured here, in processor seconds of
one core: decoding, padding and resizing an image, loading a model, and with a model of 8 x 8 cells and 32 channels, but
every pair and point, the plan, matching, predictions, intervals, scores and writing. The card's part is arithmetic: its
published rates, of which --utilization is reached in products and 80 % in copies. Decoding, transfer and forwards run
side by side, so of these the longest counts. --data names a built folder (synthetic_release.py --build), else one with
small images is made; images for decoding are always 500 px.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from support import VIT_B, VIT_TINY, machine, random_dinov2, synchronize
from synthetic_release import built_synthetic

from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.config import RunConfig, ScoringConfig
from soco_datasets.correspondence.engines import open_engine
from soco_datasets.correspondence.evaluate import dataset_provenance, protocol_of, split_pairs, supercategories_of
from soco_datasets.correspondence.plan import predicted_points
from soco_datasets.data.folder import DatasetFolder
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.transforms import soco_transform
from soco_datasets.records.evaluation import library_versions, write_evaluation

T = TypeVar("T")
TASKS = get_tasks(["soc", "cc", "cross_soc", "cross_cc"])
COPIED = 0.8  # share of a published bandwidth that a large copy reaches
_CONTEXT = 2.0  # seconds to open a card, assumed
_LAUNCH = 40e-6  # seconds of the host for the kernels of one matched target, assumed


@dataclass(frozen=True)
class Card:
    """Published rates: dense bfloat16 and float32 FLOP/s, bytes/s of its memory and of its link to the host."""

    name: str
    half: float
    single: float
    memory: float
    link: float


CARDS = {
    "h100": Card("H100 SXM", 989e12, 67e12, 3.35e12, 64e9),
    "h200": Card("H200 SXM", 989e12, 67e12, 4.8e12, 64e9),
    "a100": Card("A100 SXM 80 GB", 312e12, 19.5e12, 2.04e12, 32e9),
}


@dataclass(frozen=True)
class Stage:
    """A line of the table: bytes moved, FLOP, seconds, and the measured part it belongs to; "loop" is side by side."""

    name: str
    work: str
    moved: float
    flop: float
    seconds: float
    part: str


def timed(into: dict[str, float], name: str, work: Callable[[], T], device: str = "cpu") -> T:
    """The result of some work whose seconds are added: of processor time on a CPU, by the clock on a card."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    synchronize(device)
    start = clock()
    result = work()
    synchronize(device)
    into[name] = into.get(name, 0.0) + clock() - start
    return result


def image_seconds(size: int, images: int) -> tuple[float, float]:
    """Processor seconds of (decoding, padding and resizing) a JPEG of 500 x 375 pixels to a square of `size`."""
    import io

    random = np.random.default_rng(0)
    ramp = np.linspace(40, 200, 500)[None, :, None] + random.normal(0, 13, (375, 500, 3))
    buffer, found = io.BytesIO(), dict[str, float]()
    Image.fromarray(ramp.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    transform = soco_transform(size, "corner")
    for _ in range(images):
        picture = timed(found, "decode", lambda: Image.open(io.BytesIO(buffer.getvalue())).convert("RGB"))
        timed(found, "resize", partial(transform.apply, picture))
    return found["decode"] / images, found["resize"] / images


def start_seconds(model: Path, device: str = "cpu") -> float:
    """From a shell to a loaded model: processor seconds on a CPU, by the clock on a card."""
    code = "from soco_datasets.features.spec import ExtractorSpec; ExtractorSpec({!r}, 798, options={!r}).load()"
    used, start = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code.format(str(model), {"device": device})], check=True)
    after = getrusage(RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return processor if device == "cpu" else time.perf_counter() - start


def run_stages(
    extractor: DenseFeatureExtractor, folder: DatasetFolder, out: Path
) -> tuple[dict[str, float], dict[str, int]]:
    """(seconds of each stage, counts) of an evaluation, by the calls that `evaluate_backbone` makes."""
    found: dict[str, float] = {}
    device, run, scoring = extractor.backbone.device, RunConfig(), ScoringConfig()
    model, counts = extractor.describe(), {"decodes": 0, "forwards": 0}
    protocol = protocol_of(model, scoring)
    timed(found, "plan", folder.check_intact, device)
    pairs = timed(found, "plan", lambda: split_pairs(folder, TASKS, protocol, run, "test"), device)
    with open_engine(extractor, folder, protocol, run, counts) as engine:
        timed(found, "loop", lambda: engine.sample(pairs.plan), device)
        scores = pairs.scores()
        for block in pairs.blocks():
            matched = timed(found, "matching", partial(engine.match, block.plan), device)
            points = partial(predicted_points, block.plan, matched, protocol)
            answers = timed(found, "predictions", points, device)
            scores.update(block, answers)
    provenance = {
        "model": model,
        "dataset": dataset_provenance(folder, TASKS),
        "protocol": protocol,
        "supercategories": supercategories_of(folder),
        "versions": library_versions(),
        "device": device,
        "counts": {"images": len(pairs.plan.images), "pairs": pairs.pairs, "keypoints": pairs.queries, **counts},
        "created": "2000-01-01T00:00:00+00:00",
    }
    result, table = timed(found, "scores", lambda: scores.compute(provenance), device)
    timed(found, "writing", lambda: write_evaluation(out, table, result, overwrite=True), device)
    return found, result.counts


def forward_flop(size: int, shape: dict[str, Any], patch: int = 14) -> float:
    """FLOP of a ViT for one image: the products of every layer, and of its attention."""
    tokens, width = (size // patch) ** 2 + 1, shape["hidden_size"]
    layer = 24 * tokens * width**2 + 4 * tokens**2 * width
    return float(shape["num_hidden_layers"] * layer + 2 * tokens * width * 3 * patch**2)


def expected(found: dict[str, float], counts: dict[str, int], card: Card, given: argparse.Namespace) -> list[Stage]:
    """Every stage with what it moves, computes and takes; `found` are seconds of the host's part."""
    images, queries = counts["images"], counts["keypoints"]
    cells, width = (given.image_size // 14) ** 2, VIT_B["hidden_size"]
    pixels, maps = 3.0 * given.image_size**2 * images, 4.0 * cells * width * images
    forward, product = images * forward_flop(given.image_size, VIT_B), 2.0 * queries * cells * width
    scored, memory, reached = 12.0 * queries * cells, card.memory * COPIED, given.utilization  # written, read twice
    prepared = found["decode"] + found["resize"]
    by_card = product / (card.single * reached) + (maps + scored) / memory
    matched = found["matching"] + images * _LAUNCH
    return [
        Stage("start", "imports, model, the card", 0, 0, found["start"] + _CONTEXT, "start"),
        Stage("plan", f"{queries:,} points", 0, 0, found["plan"], "plan"),
        Stage("decode, pad, resize", f"{1000 * prepared:.1f} ms", pixels, 0, images * prepared / given.cores, "loop"),
        Stage("transfer", "uint8, pinned", pixels, 0, pixels / (card.link * COPIED), "loop"),
        Stage("forward, keep", "ViT-B/14, bf16", 3 * maps, forward, forward / (card.half * reached), "loop"),
        Stage("matching on the card", "float32", maps + scored, product, by_card, "matching"),
        Stage("matching, its host part", f"{images:,} targets", 0, 0, matched, "matching"),
        Stage("predictions", "positions", 0, 0, found["predictions"], "predictions"),
        Stage("scores", "with intervals, anatomy", 0, 0, found["scores"], "scores"),
        Stage("writing", "record, predictions", 0, 0, found["writing"], "writing"),
    ]


def show(stages: list[Stage], measured: dict[str, float]) -> None:
    """The table and its sum: of the loop, the longest stage counts."""
    print(f"{'stage':25}{'work':26}{'GB':>8}{'TFLOP':>9}{'expected s':>12}{'measured s':>12}")
    told: set[str] = set()
    for stage in stages:
        seconds = "" if stage.part in told or stage.part not in measured else f"{measured[stage.part]:.2f}"
        told.add(stage.part)
        numbers = [f"{value:.1f}" if value else "-" for value in (stage.moved / 1e9, stage.flop / 1e12)]
        line = f"{stage.name:25}{stage.work:26}{numbers[0]:>8}{numbers[1]:>9}{stage.seconds:12.2f}{seconds:>12}"
        print(line.rstrip())
    loop = max(stage.seconds for stage in stages if stage.part == "loop")
    total = sum(stage.seconds for stage in stages if stage.part != "loop") + loop
    clock = f"{sum(measured.values()):.2f}" if measured else ""
    print(f"{'all, the loop side by side':68}{total:12.2f}{clock:>12}".rstrip())
    print(f"expected {total:.1f} s of 30 s; after the last forward {after_forwards(stages):.1f} s")


def after_forwards(stages: list[Stage]) -> float:
    """Seconds between the last forward and the written files."""
    return sum(stage.seconds for stage in stages if stage.part not in ("start", "plan", "loop"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--card", default="h100", choices=CARDS)
    parser.add_argument("--cores", type=int, default=16, help="that decode")
    parser.add_argument("--utilization", type=float, default=0.45, help="share of the card's FLOP/s that is reached")
    parser.add_argument("--image-size", type=int, default=798)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--measured", action="store_true", help="run it whole on a CPU too, as on a card")
    parser.add_argument("--data", type=Path, help="a built folder, instead of a synthetic one")
    parser.add_argument("--small", action="store_true", help="a few images: seconds")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run(Path(temporary), given)


def run(place: Path, given: argparse.Namespace) -> None:
    """Measure and print."""
    size = {"categories": 4, "images_per_category": 4, "pairs": 32} if given.small else {}
    data = given.data or built_synthetic(place / "data", image_side=96, **size)
    tiny = random_dinov2(place / "tiny", VIT_TINY)
    large = tiny if given.small else random_dinov2(place / "large", VIT_B)
    found, counts = run_stages(model_of(tiny, 112, "cpu", "float32"), DatasetFolder(data), place / "out")
    found["decode"], found["resize"] = image_seconds(given.image_size, 3 if given.small else 40)
    found["start"] = start_seconds(large)
    measured: dict[str, float] = {}
    if given.device != "cpu" or given.measured:
        side = 56 if given.small else given.image_size
        dtype = "float32" if given.device == "cpu" else "bfloat16"
        model = model_of(large, side, given.device, dtype)
        run_stages(model, DatasetFolder(data), place / "warm") if given.small else model.extract(
            [Image.new("RGB", (8, 8))]
        )
        measured, _ = run_stages(model, DatasetFolder(data), place / "measured")
        measured["start"] = start_seconds(large, given.device)
    card = CARDS[given.card]
    print(f"{machine(given.device)}; processor seconds of one core, {given.cores} cores decode")
    print(
        f"{card.name}: {card.half / 1e12:g} TFLOP/s bf16, {card.memory / 1e12:g} TB/s, {card.link / 1e9:g} GB/s link;",
        end=" ",
    )
    print(f"{given.utilization:.0%} of its FLOP/s, {COPIED:.0%} of its bandwidths")
    show(expected(found, counts, card, given), measured)


def model_of(folder: Path, size: int, device: str, dtype: str) -> DenseFeatureExtractor:
    """A model at an image size."""
    return DenseFeatureExtractor(load_backbone(folder, device=device, dtype=dtype), size)


if __name__ == "__main__":
    main()
