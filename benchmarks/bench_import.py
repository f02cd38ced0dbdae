"""What `import soco_datasets` costs beyond `import datasets`: fresh interpreters in turn, medians and their ratio.

python benchmarks/bench_import.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 7
HEAVY = ("torch", "transformers", "evaluate", "matplotlib", "kornia")


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    base: list[float] = []
    ours: list[float] = []
    seconds("import soco_datasets")  # fill the page cache
    for _ in range(RUNS):
        base.append(seconds("import datasets"))
        ours.append(seconds("import soco_datasets, datasets"))
    loaded = f"import sys, soco_datasets; print([m for m in {HEAVY!r} if m in sys.modules])"
    heavy = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True).stdout.strip()
    plain, both = statistics.median(base), statistics.median(ours)
    print(f"import datasets                 {plain:.2f} s (median of {RUNS})")
    print(f"import soco_datasets, datasets  {both:.2f} s")
    print(f"beyond datasets                 {both - plain:+.2f} s, ratio {both / plain:.2f}")
    print(f"heavy modules loaded            {heavy}")


if __name__ == "__main__":
    main()
