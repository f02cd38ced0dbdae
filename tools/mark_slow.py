"""Write tests/slow_tests.txt, the tests that get the marker `slow`, from the durations that pytest printed.

    pytest -n 2 --durations=0 --durations-min=0.05 > durations.txt
    python tools/mark_slow.py durations.txt --over 1.0

A test is listed where all its parameters together take longer than `--over` seconds. Tests of one file that share a
slow fixture are better marked by `pytestmark` in that file.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path

LIST = Path(__file__).resolve().parents[1] / "tests" / "slow_tests.txt"
_LINE = re.compile(r"([\d.]+)s (?:call|setup|teardown)\s+(tests/[^\s\[]+)")


def main() -> None:
    """Write the list and print what is left for the fast run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--over", type=float, default=1.0, help="seconds (default 1)")
    arguments = parser.parse_args()
    seconds: Counter[str] = Counter()
    for line in arguments.report.read_text(encoding="utf-8", errors="replace").splitlines():
        if found := _LINE.match(line.strip()):
            seconds[found[2]] += float(found[1])
    slow = sorted(test for test, time in seconds.items() if time > arguments.over)
    LIST.write_text("".join(f"{test}\n" for test in slow), encoding="utf-8")
    left = sum(time for test, time in seconds.items() if time <= arguments.over)
    print(f"{len(slow)} slow tests; {left:.0f} s of listed time are left for the others")


if __name__ == "__main__":
    main()
