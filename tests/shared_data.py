"""Where the shared test data lies. It is never committed; tests that need it skip, saying so, when it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SOCO_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
ORACLE = SHARED / "oracle"
REAL_SAMPLE = SHARED / "real_sample"
REAL_EXPECTED = SHARED / "real_sample_expected"

needs_shared = pytest.mark.skipif(
    not ORACLE.is_dir(),
    reason=f"no shared test data at {SHARED} (set SOCO_SHARED_DATA to the folder that holds oracle/)",
)
