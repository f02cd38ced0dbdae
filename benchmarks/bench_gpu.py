"""Everything that needs a GPU, in one command; what the benchmarks print is kept in benchmarks/results/.

    python benchmarks/bench_gpu.py [--device cuda] [--dtypes bfloat16 float32] [--data FOLDER] [--small]

The evaluation at the size of SOCO (4,000 images, 40,000 pairs, ViT-B/14 at 798 px) against its bare forwards and the
per-pair evaluator, at each dtype and batch size, then matching against memory bandwidth, then the table of every stage,
expected and measured (`gpu_budget.py`). The synthetic release is built once; --data names one that was built before
(synthetic_release.py --build). Each file of results begins with device,
command and date. Targets: 60 s and 1.5 times the bare forwards in half precision, 50 % of the bandwidth.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from support import machine
from synthetic_release import built_synthetic

HERE = Path(__file__).resolve().parent


def run(script: str, *options: str) -> str:
    """What a benchmark prints, after its command; also on the terminal, since each takes minutes."""
    command = [script, *options]
    print("$ python benchmarks/" + " ".join(command), flush=True)
    done = subprocess.run([sys.executable, str(HERE / script), *options], capture_output=True, text=True)
    output = done.stdout + (f"FAILED ({done.returncode})\n{done.stderr[-2000:]}" if done.returncode else "")
    print(output, flush=True)
    return f"$ python benchmarks/{' '.join(command)}\n{output}"


def card_of(device: str) -> str:
    """The name by which `gpu_budget.py` knows the card."""
    name = machine(device).lower()
    return next((card for card in ("h200", "a100") if card in name), "h100")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--batch-sizes", nargs="+", default=["8", "32"])
    parser.add_argument("--data", type=Path, help="a built folder of 4,000 images, instead of building one")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--small", action="store_true", help="a few images: seconds")
    arguments = parser.parse_args()
    device, small = ["--device", arguments.device], ["--small"] if arguments.small else []
    now = datetime.now(UTC)
    parts = [f"{machine(arguments.device)}\n{now:%Y-%m-%d %H:%M} UTC, all on one machine in one run\n"]
    with tempfile.TemporaryDirectory() as temporary:
        given = small
        if not arguments.small:
            data = arguments.data or built_synthetic(Path(temporary, "data"))
            given = ["--full", "--data", str(data), "--subset", "25"]
        for dtype in arguments.dtypes:
            for size in arguments.batch_sizes:
                parts.append(run("bench_pipeline.py", *given, *device, "--dtype", dtype, "--batch-size", size))
        parts.append(run("bench_matching.py", *small, *device))
        where = small or ["--data", str(data)]
        parts.append(run("gpu_budget.py", *where, *device, "--card", card_of(arguments.device), "--measured"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    named = machine(arguments.device).split(", ")[-1] if arguments.device.startswith("cuda") else arguments.device
    name = "".join(letter if letter.isalnum() else "-" for letter in named)
    path = arguments.out / f"{now:%Y-%m-%d}-{name}.txt"
    path.write_text("\n".join(parts))
    print(path)
    if any("FAILED" in part for part in parts):
        sys.exit(1)


if __name__ == "__main__":
    main()
