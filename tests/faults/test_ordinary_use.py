"""Caches that cannot be written, and names that would steer a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.shared_builds import built_mini
from helpers.small_release import edit, first_pair, make_release

from soco_datasets.cli import main


@pytest.mark.parametrize("command", ["view {data} --config soc --out v.png", "info {data}", "demo --out d"])
def test_a_cache_that_cannot_be_written_is_no_traceback(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    variables = {"HF_HOME": "file/hf", "SOCO_CACHE": "file/cache", "HF_HUB_OFFLINE": "1"}
    arguments = command.format(data=built_mini()).split()
    run = subprocess.run(
        [sys.executable, "-m", "soco_datasets.cli", *arguments],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **variables}, check=False,
    )  # fmt: skip
    assert "Traceback" not in run.stderr
    if command.startswith("demo"):
        assert run.returncode == 1
        assert "SOCO_CACHE" in run.stderr
    else:
        assert run.returncode == 0, run.stderr


def test_names_of_a_release_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release = make_release(tmp_path / "release")
    path = first_pair(release)
    path.rename(path.with_name("\x1b[2J.json"))
    edit(path.with_name("\x1b[2J.json"), lambda data: data.update(pair_id="\x1b]0;x\x07", src_imsize=[1, 2]))
    assert main(["build", str(release), "--out", str(tmp_path / "strict")]) == 1
    assert main(["build", str(release), "--out", str(tmp_path / "built"), "--skip-bad"]) == 0
    manifest = json.loads((tmp_path / "built" / "manifest.json").read_text())
    manifest["source"]["id"] = "\x1b[31mred"
    (tmp_path / "built" / "manifest.json").write_text(json.dumps(manifest))
    assert main(["info", str(tmp_path / "built"), "--findings"]) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert "\ufffd[2J.json" in printed.out + printed.err
