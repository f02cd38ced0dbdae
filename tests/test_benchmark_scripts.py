"""Every benchmark runs in its small mode and prints what its table is made of; the evaluator it compares with is right."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.shared_builds import built_mini
from helpers.shared_data import ORACLE, needs_photographs

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
PRINTED = {
    "bench_pipeline": (
        r"16 images, 56 pairs",
        r"per pair +112 +112",  # two forwards and decodes for each pair
        r"this toolkit +16 +16",  # one for each image
        r"PCK the same +yes",
        r"per pair / toolkit +[\d.]+x",
        r"toolkit / bare forwards +[\d.]+x",
    ),
    "bench_matching": (r"copy [\d.]+ GB/s", r"[\d.]+ % of the memory limit, [\d.]+x the bare product"),
    "gpu_budget": (
        r"16 cores decode\nH100 SXM: 989 TFLOP/s bf16, 3.35 TB/s, 64 GB/s link; 45% of its FLOP/s",
        r"forward, keep +ViT-B/14, bf16 +0.5 +15.1 +0.03\n",  # 16 images of 945 GFLOP, nothing measured
        r"all, the loop side by side +[\d.]+\nexpected [\d.]+ s of 30 s; after the last forward [\d.]+ s",
    ),
    "bench_pck": (r"plain loop / ours +\d+x", r"the same scores"),
    "bench_verify": (r"findings: 0", r"consistency / recomputing +[\d.]+x"),
    "bench_loading": (r"row access / files +[\d.]+x", r"16 decodes", r"labels, soc\[i\].* 0 decodes"),
    "bench_memory": (r"anonymous / budget\n +[\d.]+ +-?[\d.]+ +-?[\d.]+ +-?[\d.]+",),
    "bench_iou3d": (r"plain loop / ours \d+x", r"growth exponent from", r"the same volumes"),
    "bench_knn": (r"scikit-learn / ours [\d.]+x", r"growth exponent in the bank -?[\d.]+"),
    "bench_downstream": (
        r"all +[\d.]+ s .*forwards|all +[\d.]+ s",
        r"tapvid_davis +[\d.]+ s +[\d.]+ %",
        r"MB on the patch grid, [\d,]+ MB features first",
    ),
    "bench_spair": (
        r"images, pairs +72, 90",
        r"build +[\d.]+ s .* [\d.]+x decoding each once",
        r"forwards +72 of 72 images, 72 decodes",
    ),
    "bench_pairs": (r"plain loop / \(count \+ list\), per pair of images: \d+x",),
    "bench_all_pairs": (
        r"36 images, 36 forwards, 36 decodes",
        r"all pairs +[\d.]+ s: [\d,]+ pairs/s",
        r"peak memory +[\d.]+ MiB over the start, maps [\d.]+ MiB",
        r"by rows / all pairs, extrapolated [\d.]+x",
    ),
    "bench_growth": (r"growth exponent in images +-?[\d.]+", r"an extra pair +-?\d+ us, -?[\d.]+ % of a forward"),
}


def run_small(name: str, *options: str) -> str:
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--small", *options]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def benchmark_module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports modules of the folder, which scripts in it find beside themselves."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.mark.parametrize("name", PRINTED)
def test_a_benchmark_runs_small_and_prints_its_ratios(name: str) -> None:
    output = run_small(name)
    for pattern in PRINTED[name]:
        assert re.search(pattern, output), f"{pattern} not in\n{output}"


def test_a_forward_takes_no_more_memory_than_the_plain_model(tmp_path: Path, benchmark_module: Any) -> None:
    """What tensors hold at the peak, as the benchmark counts it; hidden states of all layers would be twice as much."""
    bench = benchmark_module("bench_forward_memory")
    bench.save("vit", 6, tmp_path)
    ours, plain, all_states = (
        bench.added(variant, "vit", 128, 1, 6, tmp_path)[0] for variant in ("ours", "plain", "hidden states")
    )
    assert 0 < ours <= 1.1 * plain
    assert all_states > 1.1 * plain


def test_the_gpu_benchmark_keeps_what_it_prints(tmp_path: Path) -> None:
    output = run_small(
        "bench_gpu", "--device", "cpu", "--dtypes", "float32", "--batch-sizes", "2", "--out", str(tmp_path / "results")
    )
    (kept,) = (tmp_path / "results").glob("*-cpu.txt")
    text = kept.read_text()
    for pattern in (r"bench_pipeline.py --small --device cpu .*--batch-size 2", *PRINTED["bench_pipeline"]):
        assert re.search(pattern, text), f"{pattern} not in\n{text}"
        assert re.search(pattern, output)
    assert "% of the memory limit" in text
    assert re.search(r"decode, pad, resize +.*[\d.]+ +[\d.]+\n", text), "seconds expected and measured"


def test_the_same_options_give_the_same_release_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        run_small("synthetic_release", str(tmp_path / name), "--seed", seed)
    a, b, c = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in sorted((tmp_path / name).rglob("*.*"))}
        for name in ("a", "b", "c")
    )
    assert a == b
    assert a != c
    assert {path.parts[1] for path in a if path.parts[0] == "PairAnnotations"} == {"intra", "cross", "trainsplits"}


def test_the_synthetic_release_builds_without_a_finding(tmp_path: Path, benchmark_module: Any) -> None:
    from soco_datasets.benchmarks.base import BuildOptions
    from soco_datasets.benchmarks.build import build_dataset

    synthetic = benchmark_module("synthetic_release")
    synthetic.write_synthetic_release(
        tmp_path / "release", categories=4, images_per_category=6, pairs=20, image_side=64
    )
    result = build_dataset(str(tmp_path / "release"), tmp_path / "built", options=BuildOptions(strict=True))
    rows = result.manifest["counts"]["rows"]
    assert rows["images"]["test"] == 24
    assert rows["soc"]["test"] == rows["cc"]["test"] == rows["cross_soc"]["test"] == 20
    assert {item.rule for item in result.findings} <= {"unpaired_image"}, list(result.findings)


@pytest.mark.parametrize("source", ["mini", pytest.param(str(ORACLE / "SOCOv1"), marks=needs_photographs)])
def test_the_per_pair_evaluator_gives_the_same_pck(source: str, tmp_path: Path, benchmark_module: Any) -> None:
    from soco_datasets.benchmarks.build import build_dataset
    from soco_datasets.benchmarks.tasks import get_tasks
    from soco_datasets.correspondence.evaluate import evaluate_backbone
    from soco_datasets.features.backbones import load_backbone
    from soco_datasets.features.extractor import DenseFeatureExtractor

    support, pipeline = benchmark_module("support"), benchmark_module("bench_pipeline")
    folder = pipeline.FirstPairs(built_mini() if source == "mini" else build_dataset(source, tmp_path / "data").path)
    folder.limit = 60  # of each config
    model = support.random_dinov2(tmp_path / "model", support.VIT_TINY)
    extractor = DenseFeatureExtractor(load_backbone(model, device="cpu"), 112)
    ours = evaluate_backbone(extractor, folder, get_tasks(pipeline.TASKS)).result
    plain = benchmark_module("per_pair_evaluator").evaluate_per_pair(extractor, folder)
    pipeline.check_equal(ours, plain)
    assert plain.counts == {"pairs": 120, "decodes": 240, "forwards": 240}
    assert ours.counts["forwards"] == ours.counts["decodes"] == ours.counts["images"]
    assert len(plain.pck) == 12
    assert len(set(plain.pck.values())) > 6  # not all zero


def test_the_readme_lists_every_benchmark() -> None:
    text = (BENCHMARKS / "README.md").read_text()
    for path in BENCHMARKS.glob("bench_*.py"):
        assert path.name in text
