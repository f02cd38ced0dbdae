"""Tests whose parameters name a photograph of `real_sample` skip where the photographs are not; options of fuzzers."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from helpers.shared_data import REAL_SAMPLE, needs_photographs

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs of a shell, and by their children


def _names_photographs(value: object) -> bool:
    return isinstance(value, str | Path) and (str(value) == "real" or REAL_SAMPLE.name in str(value))


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of tests/fuzz."""
    group = parser.getgroup("fuzz")
    group.addoption("--fuzz-seconds", type=float, default=0, help="run each fuzzer so long (default: a few trials)")
    group.addoption("--fuzz-seed", type=int, default=None, help="run the one trial of this seed")
    group.addoption("--fuzz-journal", default=".fuzz", help="folder of the journals that a long run resumes from")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the photographs, which are not committed (license)."""
    if REAL_SAMPLE.is_dir():
        return
    for item in items:
        parameters = getattr(item, "callspec", None)
        if parameters is not None and any(map(_names_photographs, parameters.params.values())):
            item.add_marker(needs_photographs)
