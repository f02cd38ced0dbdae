"""Fixtures: the tiny built folder, and a Python process of its own with an empty Hugging Face home."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.tiny_folder import write_folder

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("tiny folder") / "SOCO!")


@pytest.fixture(scope="session")
def parquet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("tiny") / "parquet", format="parquet")


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., str]:
    """`run_python(code, cwd=empty folder, **environment)` runs code in a fresh process, gives stdout, checks success."""

    def run(code: str, cwd: Path | None = None, **environment: str | Path) -> str:
        if cwd is None:
            cwd = tmp_path / "empty"
            cwd.mkdir(exist_ok=True)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SOCO_", "HF_"))}
        ours = {"HF_HOME": tmp_path / "hf", "HF_HUB_OFFLINE": "1", "PYTHONPATH": REPOSITORY, "OMP_NUM_THREADS": "1"}
        env = inherited | {name: str(value) for name, value in (ours | environment).items()}
        done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
