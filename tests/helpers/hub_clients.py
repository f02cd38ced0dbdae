"""Running the real clients and the command line against a loopback Hub, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from .loopback_hub import LoopbackHub


def run_python(
    hub: LoopbackHub, folder: Path, script: str, token: str | None = None, *, check: bool = True, home: str = "hf-home"
) -> subprocess.CompletedProcess[str]:
    """Run a script (`json` is imported) with its Hugging Face home below `folder`; raises with its output if it fails."""
    return _run(hub, folder, ["-c", "import json\n" + textwrap.dedent(script)], token, check, home)


def run_soco(
    hub: LoopbackHub,
    folder: Path,
    *arguments: str | Path,
    token: str | None = None,
    check: bool = True,
    home: str = "hf-home",
) -> subprocess.CompletedProcess[str]:
    """Run the command line `soco ...`."""
    return _run(hub, folder, ["-m", "soco_datasets.cli", *map(str, arguments)], token, check, home)


def _run(
    hub: LoopbackHub, folder: Path, arguments: list[str], token: str | None, check: bool, home: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "SOCO_", "HUGGING"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**kept, **hub.environment(folder / home, token), "SOCO_CACHE": str(folder / home / "soco")},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done
