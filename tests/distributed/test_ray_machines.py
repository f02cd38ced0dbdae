"""A Ray cluster of several nodes with network, host name and files of their own: the digits of one process, and faults."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
if importlib.util.find_spec("ray") is None:
    pytest.skip("ray is not installed (extra `ray`)", allow_module_level=True)

from helpers.shared_builds import built_mini

from soco_datasets.cli import main

pytestmark = [pytest.mark.ray, pytest.mark.slow]
REPOSITORY = Path(__file__).resolve().parents[2]
SIZE, IMAGES = 112, 96
_COMMAND = """
import sys
from soco_datasets.cli import main
from soco_datasets.distributed import plan_shards
plan_shards.MIN_IMAGES_PER_SHARD, plan_shards.SHARDS_PER_WORKER = 4, 1000
sys.exit(main(sys.argv[1:]))
"""
_GATED = f"""
import os, pathlib, time, torch
from soco_datasets.features.plugin import plugin

place, machine = pathlib.Path(__file__).parent, os.environ.get("MACHINE", "here")
done, gate = place / f"forwards-{{machine}}", place / f"gate-{{machine}}"

@plugin(stride=8)
def features(pixels):
    if pixels.shape[-1] == {SIZE} and pixels.mean() > 0:
        with done.open("a") as file:
            file.write(".")
        if gate.exists() and done.stat().st_size >= 6:  # in the second shard of this machine
            (place / f"reached-{{machine}}").touch()
            while gate.exists():
                time.sleep(0.05)
    return torch.nn.functional.avg_pool2d(pixels, 8) + 0.1
"""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as the machines have; a product's last bits depend on the number
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Three machines of one core; the third has not joined."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "benchmarks"))
        machines = importlib.import_module("ray_machines")
        environment = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        with machines.RayMachines([1, 1, 1], environment) as started:
            started.join(0)
            started.join(1)
            yield started


@pytest.fixture
def two(cluster: Any) -> Iterator[Any]:
    """The cluster, its second machine in order; that one starts again after what was done to it."""
    if not cluster.isolated:
        pytest.skip("machines of their own take root and namespaces")
    yield cluster
    cluster.machines[1].signal(signal.SIGCONT, "ray")
    cluster.machines[1].signal(signal.SIGKILL, "ray")
    cluster.join(1)


@pytest.fixture
def gated(tmp_path: Path) -> str:
    """A model that counts the forwards of each machine and waits where a gate is."""
    file = tmp_path / "gated.py"
    file.write_text(_GATED)
    return f"{file}:features"


def begin(cluster: Any, *words: str) -> subprocess.Popen[str]:
    where = ["--engine", "ray", "--address", cluster.address]
    running: subprocess.Popen[str] = cluster.machines[0].start(sys.executable, "-c", _COMMAND, *words, *where)
    return running


def finish(running: subprocess.Popen[str]) -> str:
    output, _ = running.communicate()
    assert running.returncode == 0, output
    return output


def evaluate(model: str, out: Path, data: str | Path = "mini") -> list[str]:
    options = ["--image-size", str(SIZE), "--device", "cpu", "--tasks", "soc,soc_soft,cross_cc"]
    return ["evaluate", "--model", model, "--data", f"{data}", "--out", f"{out}", *options]


def record(out: Path, pattern: str = "*.json") -> dict[str, Any]:
    (path,) = out.glob(pattern)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def assert_same(found: Path, expected: Path, pattern: str = "*.json") -> dict[str, Any]:
    """Equal but for counts and time; the counts of the first."""
    ours, theirs = record(found, pattern), record(expected, pattern)
    counts: dict[str, Any] = ours["counts"]
    assert ours | {"counts": {}, "created": ""} == theirs | {"counts": {}, "created": ""}
    return counts


def wait_for(condition: Callable[[], bool], running: subprocess.Popen[str]) -> None:
    while not condition():
        assert running.poll() is None, running.communicate()[0]
        time.sleep(0.05)


def forwards(place: Path, machine: Any) -> int:
    path = place / f"forwards-{machine.name}"
    return path.stat().st_size if path.exists() else 0


# --- the same numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["tiny_dinov2", "dense_sift"])
def test_two_machines_give_the_record_of_one_process(cluster: Any, model: str, tmp_path: Path) -> None:
    running = begin(cluster, *evaluate(model, tmp_path / "cluster"))
    assert main(evaluate(model, tmp_path / "here")) == 0
    finish(running)
    counts = assert_same(tmp_path / "cluster", tmp_path / "here")
    assert record(tmp_path / "cluster")["predictions_sha256"]
    assert (counts["forwards"], counts["redone"]) == (IMAGES, 0)


def test_the_linear_probe_is_trained_here_on_features_from_there(cluster: Any, tmp_path: Path) -> None:
    options = ["--image-size", str(SIZE), "--device", "cpu"]
    command = ["evaluate", "--model", "tiny_dinov2", "--protocol", "paper", "--data", "mini", *options, "--out"]
    running = begin(cluster, *command, str(tmp_path / "cluster"))
    assert main([*command, str(tmp_path / "here")]) == 0
    assert "linear probe" not in finish(running), "it was left out"
    ours, theirs = (record(tmp_path / name, "*.probe.json") for name in ("cluster", "here"))
    assert ours | {"created": ""} == theirs | {"created": ""}  # the sha256 of the trained layers too
    assert ours["counts"]["forwards"] == ours["counts"]["images"]


# --- faults -----------------------------------------------------------------------------------------------------------


def test_a_machine_whose_raylet_is_killed_costs_its_shares(two: Any, gated: str, tmp_path: Path) -> None:
    lost = two.machines[1]
    (tmp_path / f"gate-{lost.name}").touch()
    running = begin(two, *evaluate(gated, tmp_path / "cluster"))
    wait_for((tmp_path / f"reached-{lost.name}").exists, running)
    assert lost.signal(signal.SIGKILL, "raylet/raylet")
    output = finish(running)
    assert "died over images" in output
    (tmp_path / f"gate-{lost.name}").unlink()
    assert main(evaluate(gated, tmp_path / "here")) == 0
    counts = assert_same(tmp_path / "cluster", tmp_path / "here")
    assert counts["redone"] == 4, "the share whose maps were lost; the one it died over was never counted"
    assert counts["forwards"] == IMAGES + counts["redone"]


def test_a_machine_that_stops_for_a_while_does_less(two: Any, gated: str, tmp_path: Path) -> None:
    first, slow = two.machines[:2]
    gate = tmp_path / f"gate-{slow.name}"
    gate.touch()
    running = begin(two, *evaluate(gated, tmp_path / "cluster"))
    wait_for((tmp_path / f"reached-{slow.name}").exists, running)
    assert slow.signal(signal.SIGSTOP, "ray")
    gate.unlink()
    wait_for(lambda: forwards(tmp_path, first) == IMAGES - 8, running)  # all but the two shares of the other
    slow.signal(signal.SIGCONT, "ray")
    finish(running)
    assert main(evaluate(gated, tmp_path / "here")) == 0
    counts = assert_same(tmp_path / "cluster", tmp_path / "here")
    assert counts["forwards"] == IMAGES + counts["redone"]


def test_a_machine_that_joins_late_takes_part(two: Any, gated: str, tmp_path: Path) -> None:
    first, late = two.machines[0], two.machines[2]
    gate = tmp_path / f"gate-{first.name}"
    gate.touch()
    running = begin(two, *evaluate(gated, tmp_path / "cluster"))
    wait_for((tmp_path / f"reached-{first.name}").exists, running)
    (tmp_path / f"gate-{two.machines[1].name}").touch()
    wait_for((tmp_path / f"reached-{two.machines[1].name}").exists, running)  # something is left for the third
    two.join(2)
    try:
        wait_for(lambda: forwards(tmp_path, late) > 0, running)
        for path in tmp_path.glob("gate-*"):
            path.unlink()
        assert "the cluster has grown" in finish(running)
    finally:
        late.signal(signal.SIGKILL, "ray")
    assert main(evaluate(gated, tmp_path / "here")) == 0
    assert assert_same(tmp_path / "cluster", tmp_path / "here")["forwards"] == IMAGES


# --- machines that differ ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("difference", ["no data", "other data"])
def test_a_machine_that_sees_other_files_is_named(two: Any, difference: str, tmp_path: Path) -> None:
    other = two.machines[1]
    data, elsewhere = shutil.copytree(built_mini(), tmp_path / "data"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    if difference == "other data":
        shutil.copytree(data, elsewhere, dirs_exist_ok=True)
        manifest = json.loads((data / "manifest.json").read_text())
        text = (elsewhere / "manifest.json").read_text().replace(manifest["content_hash"], "0" * 64)
        (elsewhere / "manifest.json").write_text(text)
    other.run("mount", "--bind", str(elsewhere), str(data))
    try:
        running = begin(two, *evaluate("dense_sift", tmp_path / "out", data))
        output, _ = running.communicate()
    finally:
        other.run("umount", str(data))
    assert running.returncode == 1
    said = "cannot read the dataset folder" if difference == "no data" else "its content hash is 0000"
    assert said in output
    assert other.name in output
    assert "Traceback" not in output


@pytest.mark.parametrize("difference", ["none installed", "another version", "other files"])
def test_a_machine_with_another_package_is_named(two: Any, difference: str, tmp_path: Path) -> None:
    other, package = two.machines[1], tmp_path / "soco_datasets"
    if difference == "none installed":
        package.mkdir()
        (package / "__init__.py").touch()
    else:
        shutil.copytree(REPOSITORY / "soco_datasets", package, ignore=shutil.ignore_patterns("__pycache__"))
        file, line = package / "__init__.py", '__version__ = "'
        text = file.read_text()
        file.write_text(text.replace(line, f"{line}9.") if difference == "another version" else f"{text}\n")
    other.signal(signal.SIGKILL, "ray")
    two.join(1, {"PYTHONPATH": str(tmp_path)})
    running = begin(two, *evaluate("dense_sift", tmp_path / "out"))
    output, _ = running.communicate()
    assert running.returncode == 1
    assert other.address in output or other.name in output
    said = {
        "none installed": "cannot run soco_datasets: ModuleNotFoundError",
        "another version": "soco_datasets is '9.",
        "other files": "files of soco_datasets",
    }
    assert said[difference] in output.replace("\n", " ")
    if difference != "none installed":  # then Ray itself shows one, of the worker
        assert "Traceback" not in output


def test_a_cluster_whose_token_is_missing_says_so(two: Any, tmp_path: Path) -> None:
    without = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_TOKEN"}
    command = two.machines[0].command(sys.executable, "-c", _COMMAND, *evaluate("dense_sift", tmp_path))
    where = ["--engine", "ray", "--address", two.address]
    environment = {**without, "HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY), "RAY_AUTH_MODE": "disabled"}
    done = subprocess.run([*command, *where], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "needs the same RAY_AUTH_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_benchmark_prints_what_two_nodes_cost() -> None:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "bench_ray.py"), "--small", "--nodes", "2"]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"2 nodes / one node +[\d.]+x, predictions the same: yes", done.stdout)
