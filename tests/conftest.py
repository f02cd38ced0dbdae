"""Markers by measured time, tests that need the photographs of `real_sample`, options of fuzzers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from helpers.shared_data import REAL_SAMPLE, needs_photographs
from hypothesis import settings

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs of a shell, and by their children
os.environ.pop("COLUMNS", None)  # readline sets it for the children of pytest; tests of narrow terminals set their own
settings.register_profile("soco", deadline=None)  # no test asserts how long it takes
settings.load_profile("soco")

_SLOW = Path(__file__).with_name("slow_tests.txt")
_MARKERS = {  # of all tests below a path
    "tests/distributed/test_ray.py": ("ray", "slow"),
    "tests/distributed/test_ray_machines.py": ("ray", "slow", "long"),
    "tests/lvlm/test_issue_points.py": ("slow", "long"),
    "tests/annotation/test_round_trip.py": ("slow",),
    "tests/hub/": ("hub",),
    "tests/lvlm/": ("lvlm",),
}


def _names_photographs(value: object) -> bool:
    return isinstance(value, str | Path) and (str(value) == "real" or REAL_SAMPLE.name in str(value))


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of tests/fuzz, and `--long`."""
    parser.addoption("--long", action="store_true", help="run the tests that take minutes each (.ci/full long)")
    group = parser.getgroup("fuzz")
    group.addoption("--fuzz-seconds", type=float, default=0, help="run each fuzzer so long (default: a few trials)")
    group.addoption("--fuzz-seed", type=int, default=None, help="run the one trial of this seed")
    group.addoption("--fuzz-journal", default=".fuzz", help="folder of the journals that a long run resumes from")


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what takes long (tools/mark_slow.py), and skip what needs the photographs, which are not committed."""
    too_long = pytest.mark.skip(reason="takes minutes; run with --long")
    slow = set(_SLOW.read_text(encoding="utf-8").split())
    for item in items:
        if item.nodeid.partition("[")[0] in slow:
            item.add_marker(pytest.mark.slow)
        for path, markers in _MARKERS.items():
            for marker in markers if item.nodeid.startswith(path) else ():
                item.add_marker(marker)
        if item.get_closest_marker("long") is not None and not config.getoption("--long"):
            item.add_marker(too_long)
        parameters = getattr(item, "callspec", None)
        named = parameters is not None and any(map(_names_photographs, parameters.params.values()))
        if named and not REAL_SAMPLE.is_dir():
            item.add_marker(needs_photographs)
