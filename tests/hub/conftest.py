"""The built mini set, made once for all processes of a test run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock

from soco_datasets.data.build import build_dataset


@pytest.fixture(scope="session")
def built_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`soco build mini`, its images in two shards."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    out = shared / "built-mini"
    with FileLock(shared / "built-mini.lock"):
        if not out.exists():
            build_dataset("mini", out, max_shard_size="1MB")
    return out
