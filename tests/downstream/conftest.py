"""Synthetic data of each kind, made once per session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors on one thread: several only wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """kind -> its folder; no test may change it."""
    from soco_datasets.downstream.synthetic_data import synthesize

    root = tmp_path_factory.mktemp("synthetic")
    return cache(lambda kind: synthesize(kind, root / kind)[kind])
