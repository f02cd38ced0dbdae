"""Building a dataset folder against reading and decoding its files once, by as many processes, in one run.

    python benchmarks/bench_build.py [RELEASE] [--workers N] [--rounds 1] [--small]

RELEASE is a folder in the official layout, such as `synthetic_release.py` makes; by default the mini set. Reading and
decoding is what no checked build can avoid: every file below it is read, pictures are decoded by Pillow, JSON is parsed
by the standard library. Printed are the seconds of both by the clock and of processor time (of all processes), the
ratios of the fastest rounds, and the peak memory of a further build: the proportional set size of its process and
workers, twenty times a second. Looking at it takes a seventh of a core, so the builds that are timed are not watched.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support import machine, read_and_decode

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.data.schema import CONFIGS
from soco_datasets.synthetic import MINI_ARCHIVE
from soco_datasets.utils.chunks import chunks_of
from soco_datasets.utils.workers import process_mapper, usable_cores

_CHUNK = 200  # files


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """(result, seconds by the clock, seconds of processor time of this process and its children)."""

    def used() -> float:
        own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in own)

    before, start = used(), time.perf_counter()
    result = work()
    return result, time.perf_counter() - start, used() - before


def baseline(release: Path, workers: int) -> tuple[int, float, float]:
    """(bytes, seconds, processor seconds) of reading and decoding every file."""
    paths = sorted(path for path in release.rglob("*") if path.is_file())
    paths.sort(key=lambda path: path.suffix.lower() == ".json")  # as a build does: pictures first

    def work() -> int:
        with process_mapper(workers) as mapper:
            return sum(mapper(read_and_decode, chunks_of(paths, _CHUNK)))

    return timed(work)


def build(release: Path, out: Path, workers: int) -> None:
    """Build in this process and print what it took as JSON."""

    def work() -> Any:
        if workers == usable_cores():  # the default, which ends its workers once all is read
            return build_dataset(str(release), out)
        with process_mapper(workers) as mapper:
            return build_dataset(str(release), out, mapper=mapper)

    result, seconds, used = timed(work)
    print(json.dumps({"seconds": seconds, "used": used, "counts": result.manifest["counts"]}))


def tree(process: int) -> Iterator[int]:
    """A process and those it started."""
    yield process
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from tree(int(child))


def memory_of(process: int) -> int:
    """Bytes of memory of a process and those it started, what they share counted once."""
    total = 0
    try:
        for number in tree(process):
            lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, IndexError):  # one has ended
        pass
    return total * 1024


def measured_build(release: Path, out: Path, workers: int, watched: bool = False) -> dict[str, Any]:
    """What `build` prints, in a process of its own, and its peak memory where it is watched."""
    command = [sys.executable, __file__, str(release), "--workers", str(workers), "--only-build", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.05):
            peak = max(peak, memory_of(process.pid))

    watcher = threading.Thread(target=watch)
    if watched:
        watcher.start()
    text, _ = process.communicate()
    ended.set()
    if watched:
        watcher.join()
    if process.returncode:
        sys.exit(f"the build ended with exit code {process.returncode}")
    found: dict[str, Any] = json.loads(text)
    return {**found, "memory": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path, nargs="?", help="folder in the official layout (default: the mini set)")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="processes of either")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="the mini set, one worker")
    parser.add_argument("--only-build", type=Path, metavar="OUT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_build:
        build(arguments.release, arguments.only_build, arguments.workers)
        return
    workers = 1 if arguments.small else arguments.workers
    with tempfile.TemporaryDirectory() as temporary:
        release = None if arguments.small else arguments.release
        if release is None:
            release = Path(temporary, "mini")
            with zipfile.ZipFile(MINI_ARCHIVE) as archive:
                archive.extractall(release)
        bases, builds = [], []
        for number in range(arguments.rounds):
            bases.append(baseline(release, workers))
            builds.append(measured_build(release, Path(temporary, f"out{number}"), workers))
        memory = measured_build(release, Path(temporary, "watched"), workers, watched=True)["memory"]
        files = [path for path in Path(temporary, "out0").rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
    counts = builds[0]["counts"]
    pairs = sum(sum(splits.values()) for name, splits in counts["rows"].items() if CONFIGS[name].is_pairs)
    clock, used = (min(base[i] for base in bases) for i in (1, 2))
    built, built_used = (min(one[what] for one in builds) for what in ("seconds", "used"))
    print(f"{machine()}; {workers} processes, fastest of {arguments.rounds}")
    print(f"images, pair rows      {counts['images']:,}, {pairs:,}; {bases[0][0]:,} bytes of files")
    print(f"reading and decoding   {clock:.2f} s, {used:.2f} s of processor time")
    print(f"build                  {built:.2f} s, {built_used:.2f} s of processor time")
    print(f"ratio                  {built / clock:.2f}, {built_used / used:.2f} of processor time")
    print(f"peak memory            {memory / 1e6:.0f} MB")
    print(f"folder                 {size:,} bytes, {size / counts['image_bytes']:.3f} times its pictures")


if __name__ == "__main__":
    main()
