from __future__ import annotations

from pathlib import Path

import pytest
import shared_builds


@pytest.fixture(scope="session")
def built_mini() -> Path:
    return shared_builds.built_mini()
