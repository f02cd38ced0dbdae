"""Synthetic data of each kind, made once for all processes of a test run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors on one thread: several only wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def synthetic() -> Callable[[str], Path]:
    """kind -> its folder; no test may change it."""
    from soco_datasets.downstream.synthetic_data import synthesize

    root = Path(os.environ["SOCO_TESTS_SHARED"], "downstream")
    root.mkdir(exist_ok=True)

    def make(kind: str) -> Path:
        with FileLock(root / f"{kind}.lock"):
            if not (root / kind / "synthetic.json").is_file():
                synthesize(kind, root / kind)
        return root / kind

    return cache(make)
