"""What many tests read and takes seconds to make: made once for all processes of a test run (the root conftest says where)."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from filelock import FileLock

from soco_datasets.benchmarks.base import BuildOptions
from soco_datasets.benchmarks.build import build_dataset


@cache
def built_mini() -> Path:
    """`soco build mini`, its images in two shards. Not to be changed: copy it."""
    shared = Path(os.environ["SOCO_TESTS_SHARED"])
    out = shared / "mini"
    with FileLock(shared / "mini.lock"):
        if not out.exists():
            build_dataset("mini", out, options=BuildOptions(max_shard_size="1MB"))
    return out
