"""Synthetic data of each kind, made once per session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("torch")


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """kind -> its folder; no test may change it."""
    from soco_datasets.downstream.synthetic_data import synthesize

    root = tmp_path_factory.mktemp("synthetic")
    return cache(lambda kind: synthesize(kind, root / kind)[kind])
