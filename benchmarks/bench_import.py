"""What `import soco_datasets` costs beyond `import datasets`, and `soco evaluate` beyond its own imports.

    python benchmarks/bench_import.py [--runs 7]

The first is taken by the clock. The second is processor time in user mode, of all threads, which other programs of the
machine disturb little: from the shell to the first forward of a tiny DINOv2 on the built mini set, less what importing
torch, the model's class of transformers, and datasets takes. Runs of both sides take turns; medians.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HEAVY = ("torch", "transformers", "evaluate", "matplotlib", "kornia")
IMPORTS = """
import os
import torch, datasets
from transformers import Dinov2Model
print(os.times().user)
"""
EVALUATION = """
import os, sys

def stop(module, given):
    print(os.times().user, flush=True)
    os._exit(0)

import torch
torch.nn.modules.module.register_module_forward_pre_hook(stop)
from soco_datasets.cli import main
sys.exit(main(sys.argv[1:]) or "no forward was done")
"""


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def used(code: str, *arguments: str) -> float:
    """Seconds that a program prints last."""
    command = [sys.executable, "-c", code, *arguments]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def starts(runs: int) -> tuple[float, float]:
    """User seconds of the three imports, and of an evaluation to its first forward."""
    from support import VIT_TINY, random_dinov2

    from soco_datasets.benchmarks.build import build_dataset

    with tempfile.TemporaryDirectory() as temporary:
        model = random_dinov2(Path(temporary, "model"), VIT_TINY)
        data = build_dataset("mini", Path(temporary, "mini")).path
        options = ["--model", str(model), "--data", str(data), "--out", str(Path(temporary, "out"))]
        used(EVALUATION, "evaluate", *options)  # fill the page cache
        imports, evaluations = [], []
        for _ in range(runs):
            imports.append(used(IMPORTS))
            evaluations.append(used(EVALUATION, "evaluate", *options))
    return statistics.median(imports), statistics.median(evaluations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    base: list[float] = []
    ours: list[float] = []
    seconds("import soco_datasets")  # fill the page cache
    for _ in range(runs):
        base.append(seconds("import datasets"))
        ours.append(seconds("import soco_datasets, datasets"))
    loaded = f"import sys, soco_datasets; print([m for m in {HEAVY!r} if m in sys.modules])"
    heavy = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True).stdout.strip()
    plain, both = statistics.median(base), statistics.median(ours)
    print(f"import datasets                 {plain:.2f} s (median of {runs})")
    print(f"import soco_datasets, datasets  {both:.2f} s")
    print(f"beyond datasets                 {both - plain:+.2f} s, ratio {both / plain:.2f}")
    print(f"heavy modules loaded            {heavy}")
    imports, evaluation = starts(runs)
    print(f"torch, a model's class, datasets {imports:.2f} s of processor time in user mode")
    print(f"soco evaluate to first forward   {evaluation:.2f} s, {evaluation - imports:+.2f} s beyond those imports")


if __name__ == "__main__":
    main()
