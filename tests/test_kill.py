"""`soco build` and `soco evaluate --store disk` killed outright at any moment, then run again: the same bytes and numbers.

The moments are seeded fractions of the time that a whole run takes. Commands run in forks of one process that has
imported everything, so that a kill falls into the work and not into `import torch`.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from helpers.small_release import make_release
from helpers.tiny_models import make

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.data.folder import DatasetFolder
from soco_datasets.records.evaluation import EvaluationResult
from soco_datasets.records.predictions import read_predictions

KILLS = 6
RUNNER = """
import importlib, json, os, pkgutil, signal, sys, time
import soco_datasets.commands as commands
for name in [*sys.argv[1].split(","), *(f"{commands.__name__}.{m.name}" for m in pkgutil.iter_modules(commands.__path__))]:
    importlib.import_module(name)
from soco_datasets.cli import main
for line in sys.stdin:
    command, seconds = json.loads(line)
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
        try:
            code = main(command)
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([code, time.monotonic() - begin]), flush=True)
"""


class Runner:
    """Runs commands in a process that has imported some modules."""

    def __init__(self, *modules: str) -> None:
        command = [sys.executable, "-c", RUNNER, ",".join(modules)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, command: list[str], kill_after: float | None = None) -> tuple[int, float]:
        """(exit code, seconds)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([command, kill_after]) + "\n")
        self._process.stdin.flush()
        code, seconds = json.loads(self._process.stdout.readline())
        return code, seconds

    def whole(self, command: list[str]) -> float:
        """Run a command to its end; gives the seconds that takes."""
        code, seconds = self.run(command)
        assert code == 0
        return seconds

    def killed(self, command: list[str], seconds: float) -> bool:
        """Kill a command after so long; whether it was still running."""
        code, _ = self.run(command, kill_after=seconds)
        assert code in (0, -signal.SIGKILL)
        return code != 0

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def moments(seed: int) -> list[float]:
    """Fractions of the time of a whole run; the first, which is timed, is the slowest."""
    generator = random.Random(seed)
    return [generator.uniform(0.02, 0.8) for _ in range(KILLS)]


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_build(tmp_path: Path) -> None:
    release = make_release(tmp_path / "release", images_per_category=6)

    def command(out: Path) -> list[str]:
        return ["build", str(release), "--out", str(out), "--overwrite", "--format", "arrow"]

    wanted, out = tmp_path / "wanted", tmp_path / "work" / "out"
    with Runner("soco_datasets.benchmarks.build", "soco_datasets.data.questions.generation") as runner:
        seconds = runner.whole(command(wanted))
        landed = 0
        for moment in moments(seed=1):
            landed += runner.killed(command(out), moment * seconds)
            if out.exists():
                DatasetFolder(out).verify()  # whole, or not there
        assert landed > 0
        runner.whole(command(out))
    assert files(out) == files(wanted)
    assert [path.name for path in out.parent.iterdir()] == ["out"], "what killed builds left beside it is gone"


@pytest.fixture
def evaluated(tmp_path: Path) -> list[str]:
    """The command but for its store and its results."""
    release = make_release(tmp_path / "release", images_per_category=8)
    folder = build_dataset(str(release), tmp_path / "built").path
    model = make("vit", tmp_path / "model")
    options = ["--image-size", "112", "--tasks", "soc,cc,soc_soft", "--store", "disk"]
    return ["evaluate", "--model", str(model), "--data", str(folder), *options]


def read(out: Path) -> tuple[dict[str, Any], pa.Table]:
    """The record but for its time, and the rows of the predictions."""
    record = json.loads(next(out.glob("*.json")).read_text())
    del record["created"]
    return record, read_predictions(next(out.glob("*.parquet"))).replace_schema_metadata(None)


def test_an_evaluation(evaluated: list[str], tmp_path: Path) -> None:
    def command(store: str, out: str) -> list[str]:
        return [*evaluated, "--store-dir", str(tmp_path / store), "--out", str(tmp_path / out)]

    modules = ["soco_datasets.correspondence.evaluate", "transformers.models.vit.modeling_vit", "torch"]
    with Runner(*modules) as runner:
        seconds = runner.whole(command("wanted-store", "wanted"))
        landed = 0
        for number, moment in enumerate(moments(seed=2)):
            landed += runner.killed(command("store", f"out-{number}"), moment * seconds)
            for path in tmp_path.glob(f"out-{number}/*.json"):
                EvaluationResult.read(path)  # whole, or not there
        assert landed > 0
        runner.whole(command("store", "out"))
        runner.whole(command("store", "again"))
    (wanted, rows), (found, found_rows), (again, _) = (read(tmp_path / name) for name in ("wanted", "out", "again"))
    work = {name: record.pop("counts") for name, record in (("wanted", wanted), ("out", found), ("again", again))}
    assert found == wanted == again
    assert found_rows.equals(rows)
    images = work["wanted"]["images"]
    assert work["out"]["forwards"] + work["out"]["reused"] == images
    assert (work["again"]["forwards"], work["again"]["reused"]) == (0, images)
