"""docs/howto/annotation.md from its first command to the PCK table, as it stands."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command_lines import every_help

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "howto" / "annotation.md").read_text(encoding="utf-8")


def run(script: str, folder: Path) -> str:
    soco = f'soco() {{ {shlex.quote(sys.executable)} -m soco_datasets.cli "$@"; }}\nset -e\n'
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SOCO_CACHE": str(folder / "cache")}
    done = subprocess.run(
        ["bash", "-c", soco + script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
def test_the_page_works_from_photographs_to_a_pck_table(tmp_path: Path) -> None:
    pytest.importorskip("kornia")
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.S)
    assert len(blocks) == 8
    printed = [run(block, tmp_path) for block in blocks]
    assert "chosen: 5" in printed[3]
    assert "5 images annotated by 3 simulated annotators" in printed[4]
    report = json.loads((tmp_path / "minibus" / "report" / "report.json").read_text())
    assert 0.003 < report["agreement"]["spread_median"] < 0.01  # what noise of 0.005 in each coordinate gives
    assert re.search(r"PCK@0\.1|pck", printed[6], re.I)
    data = json.loads((tmp_path / "merged-data" / "manifest.json").read_text())
    assert data["counts"]["categories"] == 13
    record = json.loads(next((tmp_path / "merged-results").rglob("*.json")).read_text())
    assert '"minibus"' in json.dumps(record["metrics"]["cross_soc"])
    assert record["counts"]["images"] == 101


def test_every_command_and_option_of_the_page_exists() -> None:
    known = set(re.findall(r"--[a-z-]+", "".join(every_help().values())))
    used = set(re.findall(r"--[a-z-]+", PAGE))
    assert used - known == set()
