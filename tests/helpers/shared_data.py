"""Where test data is: the oracle is committed; the photographs of `real_sample` are not (license) and their tests skip."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[1] / "data"
SHARED = Path(os.environ.get("SOCO_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
ORACLE = DATA / "oracle"
REAL_SAMPLE = SHARED / "real_sample"
REAL_EXPECTED = SHARED / "real_sample_expected"

needs_photographs = pytest.mark.skipif(
    not REAL_SAMPLE.is_dir(),
    reason=f"no photographs at {REAL_SAMPLE} (set SOCO_SHARED_DATA to the folder that holds real_sample/)",
)
