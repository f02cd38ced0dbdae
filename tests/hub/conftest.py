from __future__ import annotations

from pathlib import Path

import pytest
from helpers.shared_builds import built_mini as make_built_mini


@pytest.fixture(scope="session")
def built_mini() -> Path:
    return make_built_mini()
