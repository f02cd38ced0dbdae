"""EvaluationSetup and building on a real Ray cluster of this machine: the same numbers and bytes, also when workers die."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.pair_tables import run_config

from soco_datasets.config import RunConfig, ScoringConfig

if importlib.util.find_spec("ray") is None:
    pytest.skip("ray is not installed (extra `ray`)", allow_module_level=True)

from helpers.shared_data import DATA
from helpers.small_release import zip_release
from helpers.tiny_models import make

from soco_datasets.benchmarks import image_files
from soco_datasets.benchmarks.base import BuildOptions
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.image_files import check_images
from soco_datasets.benchmarks.soco import release
from soco_datasets.benchmarks.soco.source import open_release
from soco_datasets.benchmarks.task_pairs import task_pairs
from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.cli import main
from soco_datasets.correspondence.engines import open_engine
from soco_datasets.correspondence.evaluate import Evaluation, evaluate_backbone, protocol_of
from soco_datasets.correspondence.released_pairs import make_plan
from soco_datasets.correspondence.several import BenchmarkRun, evaluate_several
from soco_datasets.data.diagnostics import BuildReport
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.distributed import plan_shards as shards
from soco_datasets.distributed import pool
from soco_datasets.distributed.cluster import connected
from soco_datasets.distributed.mapper import ray_mapper
from soco_datasets.distributed.ray_engine import RayExtractor, threads_note
from soco_datasets.errors import DataNotFoundError, DatasetFolderError, MissingExtraError, SocoError, UsageError
from soco_datasets.features.spec import ExtractorSpec
from soco_datasets.records.evaluation import EvaluationResult
from soco_datasets.synthetic import write_mini_release

TASKS = get_tasks(["soc", "soc_soft", "soc_geo", "cross_cc"])
SIZE = 112
IMAGES = 96  # of the built-in set


@pytest.fixture(scope="module")
def mini_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in set as files, one pair spoilt: what a build finds has to be the same too."""
    path = tmp_path_factory.mktemp("release") / "mini"
    write_mini_release(path)
    next((path / "PairAnnotations").rglob("*.json")).write_text("no pair")
    return path


@pytest.fixture(scope="module")
def folder(mini_release: Path) -> DatasetFolder:
    return open_folder(
        build_dataset(str(mini_release), mini_release.with_name("built"), options=BuildOptions(skip_bad=True)).path
    )


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ExtractorSpec:
    model = make("dinov2", tmp_path_factory.mktemp("models") / "dinov2")
    return ExtractorSpec(str(model), SIZE, options={"device": "cpu"})


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """As many threads here and in the workers: on some processors a product's last bits depend on their number."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", str(number))
        torch.set_num_threads(number)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with threads(1):
        yield


@pytest.fixture(scope="module")
def usual(folder: DatasetFolder, spec: ExtractorSpec, one_thread: None) -> Evaluation:
    return evaluate_backbone(spec.load(), folder, TASKS)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with connected("local", 2):
        yield


@pytest.fixture(scope="class")
def remote(cluster: None, spec: ExtractorSpec) -> Iterator[RayExtractor]:
    with RayExtractor(spec, workers=2) as extractor:
        yield extractor


def assert_same(found: Evaluation, usual: Evaluation) -> None:
    rows, expected = (part.predictions.replace_schema_metadata(None) for part in (found, usual))
    assert rows.equals(expected)
    ours, theirs = (part.result.model_copy(update={"created": "", "counts": {}}) for part in (found, usual))
    assert ours == theirs


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


# --- the same numbers -------------------------------------------------------------------------------------------------


def test_it_is_said_where_the_numbers_of_threads_differ(
    cluster: None, spec: ExtractorSpec, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert threads_note(1) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # of the workers: this process has begun
    with RayExtractor(spec, workers=1):
        pass
    assert "each worker computes with 2 threads, a single process here with 1" in caplog.text


class TestTwoWorkers:
    """Of one extractor, which has all cores of the cluster as long as it lives."""

    @pytest.mark.parametrize("images", [32, 5, 1])
    @pytest.mark.parametrize("store", ["auto", "none", "disk"])
    def test_two_workers_give_the_record_of_one_process(
        self,
        remote: RayExtractor,
        folder: DatasetFolder,
        usual: Evaluation,
        store: str,
        images: int,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(shards, "MIN_IMAGES_PER_SHARD", images)
        monkeypatch.setattr(shards, "SHARDS_PER_WORKER", IMAGES)
        place = tmp_path if store == "disk" else None
        found = evaluate_backbone(remote, folder, TASKS, run=run_config(store, place=place))
        assert_same(found, usual)
        counts = found.result.counts
        assert counts["redone"] == 0
        if store == "none":
            assert counts["images"] < counts["forwards"] == counts["decodes"] <= 2 * counts["images"]
        else:
            assert counts["forwards"] == counts["decodes"] == counts["images"] == IMAGES
        if store == "disk":
            again = evaluate_backbone(remote, folder, TASKS, run=run_config(store, place=place))
            assert_same(again, usual)
            assert (again.result.counts["forwards"], again.result.counts["reused"]) == (0, IMAGES)

    def test_a_benchmark_with_images_in_the_middle_then_one_without(
        self, remote: RayExtractor, folder: DatasetFolder, usual: Evaluation, spec: ExtractorSpec, tmp_path: Path
    ) -> None:
        built = build_dataset(DATA / "benchmarks" / "miniatures" / "ap-10k", tmp_path / "ap10k")
        runs = [
            BenchmarkRun(open_folder(built.path), get_tasks(["soc", "cross_family"]), ScoringConfig()),
            BenchmarkRun(folder, TASKS, ScoringConfig()),
        ]
        centered, corner = evaluate_several(remote, runs)
        here = list(evaluate_several(spec.load(), runs))
        assert centered.result.protocol.features.padding == "white, centered"
        assert_same(centered, here[0])
        assert_same(corner, here[1])
        assert_same(corner, usual)

    def test_all_pairs_are_the_same_too(self, remote: RayExtractor, folder: DatasetFolder, spec: ExtractorSpec) -> None:
        tasks = get_tasks(["soc", "soc_geo"])
        ours, theirs = (
            evaluate_backbone(model, folder, tasks, run=RunConfig(block_points=500), split="all").result
            for model in (remote, spec.load())
        )
        assert ours.counts.pop("redone") == 0
        assert ours.model_copy(update={"created": ""}) == theirs.model_copy(update={"created": ""})

    def test_a_worker_lost_between_the_stages_costs_its_own_shares(
        self,
        remote: RayExtractor,
        folder: DatasetFolder,
        spec: ExtractorSpec,
        monkeypatch: pytest.MonkeyPatch,
        caplog: Any,
    ) -> None:
        monkeypatch.setattr(shards, "MIN_IMAGES_PER_SHARD", 8)
        model = remote.describe()
        protocol = protocol_of(model, ScoringConfig())
        plan = make_plan(TASKS, {task.name: task_pairs(folder, task) for task in TASKS}, folder, protocol)
        counts = {"decodes": 0, "forwards": 0}
        with open_engine(remote, folder, protocol, RunConfig(workers=1), counts) as engine:
            engine.sample(plan)
            assert counts == {"decodes": IMAGES, "forwards": IMAGES, "redone": 0}
            first = engine.match(plan)
            kill(remote.locations[0].process)
            again = engine.match(plan)  # as often as one likes, whatever happened
        for name, positions in first.positions.items():
            assert (again.positions[name] == positions).all(), name
            assert (again.similarity[name] == first.similarity[name]).all(), name
        assert 0 < counts["redone"] < IMAGES
        assert counts["redone"] % 8 == 0
        assert counts["decodes"] == counts["forwards"] == IMAGES + counts["redone"]
        assert "another worker repeats it" in caplog.text

    def test_a_bad_image_is_named_and_the_workers_live_on(
        self, remote: RayExtractor, folder: DatasetFolder, usual: Evaluation, tmp_path: Path
    ) -> None:
        path = shutil.copytree(folder.path, tmp_path / "damaged")
        name = folder.table("soc", "test")["source_image_id"][0].as_py()
        data = folder.images.jpeg_bytes(name)
        for shard in path.glob("images/**/*.arrow"):
            shard.write_bytes(shard.read_bytes().replace(data, bytes(len(data))))
        with pytest.raises(DatasetFolderError, match=f"image '{name}'"):
            evaluate_backbone(remote, open_folder(path), TASKS)
        assert_same(evaluate_backbone(remote, folder, TASKS), usual)

    def test_a_folder_that_a_machine_does_not_have_is_named(
        self, remote: RayExtractor, folder: DatasetFolder, tmp_path: Path
    ) -> None:
        path = shutil.copytree(folder.path, tmp_path / "here")
        mine = open_folder(path)
        manifest = path / "manifest.json"
        manifest.write_text(manifest.read_text().replace(mine.content_hash, "0" * 64))
        with pytest.raises(DatasetFolderError, match=f"{path} on .* differs: its content hash is 0000"):
            evaluate_backbone(remote, mine, TASKS)
        manifest.unlink()
        with pytest.raises(DatasetFolderError, match=rf"{os.uname().nodename}.* cannot read the dataset folder {path}"):
            evaluate_backbone(remote, mine, TASKS)


def test_one_worker_with_two_threads_and_no_memory_gives_the_same(
    cluster: None, spec: ExtractorSpec, folder: DatasetFolder
) -> None:
    with threads(2):
        usual = evaluate_backbone(spec.load(), folder, TASKS)
        with RayExtractor(spec, workers=1) as extractor:
            found = evaluate_backbone(extractor, folder, TASKS, run=run_config(memory=1, workers=0))
    assert_same(found, usual)
    assert found.result.counts["forwards"] == IMAGES


# --- workers that die -------------------------------------------------------------------------------------------------


_CRASHES = """
import os, pathlib, torch
from soco_datasets.features.plugin import plugin

deaths = pathlib.Path(__file__).parent

@plugin(stride=8)
def features(pixels):
    if pixels.shape[-1] == {size} and pixels.mean() > 0 and next(calls) == {call}:
        for death in deaths.glob("death*"):
            death.unlink()
            os.kill(os.getpid(), 9)
    return torch.nn.functional.avg_pool2d(pixels, 8) + 0.1

calls = iter(range(10**9))
"""


def crashing(place: Path, deaths: int, call: int = 7) -> ExtractorSpec:
    """A model whose process is killed in the middle of its work, a number of times, by whatever it is given to."""
    file = place / "crashing.py"
    file.write_text(_CRASHES.format(size=SIZE, call=call))
    for number in range(deaths):
        (place / f"death{number}").touch()
    return ExtractorSpec(f"{file}:features", SIZE, options={"device": "cpu"})


def test_a_worker_killed_at_work_costs_its_share_and_the_log_says_so(
    cluster: None, folder: DatasetFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(shards, "MIN_IMAGES_PER_SHARD", 4)  # the seventh forward is in a worker's second shard
    usual = evaluate_backbone(crashing(tmp_path, 0).load(), folder, TASKS)
    with RayExtractor(crashing(tmp_path, 1), workers=2) as extractor:
        found = evaluate_backbone(extractor, folder, TASKS)
    assert_same(found, usual)
    counts = found.result.counts
    assert counts["forwards"] == IMAGES + counts["redone"]
    assert counts["redone"] == 4, "the shard whose maps were lost; the one it died over was never counted"
    assert caplog.text.count("died over images") == 1


def test_an_answer_that_is_lost_with_its_machine_is_made_again(
    cluster: None, spec: ExtractorSpec, folder: DatasetFolder, usual: Evaluation, caplog: Any
) -> None:
    import ray
    from ray.exceptions import ObjectLostError

    get, lost = ray.get, []

    def losing(reference: Any, *arguments: Any, **options: Any) -> Any:
        found = get(reference, *arguments, **options)
        if isinstance(found, tuple) and not lost:  # the first share's descriptors
            lost.append(reference.hex())
            raise ObjectLostError(reference.hex(), None, "")
        return found

    with RayExtractor(spec, workers=2) as extractor, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray, "get", losing)
        found = evaluate_backbone(extractor, folder, TASKS)
    assert lost
    assert "died over images" in caplog.text
    assert_same(found, usual)


def test_a_share_that_kills_workers_again_and_again_is_given_up(
    cluster: None, folder: DatasetFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_MOST_DEATHS", 1)
    with (
        RayExtractor(crashing(tmp_path, 9, call=0), workers=1) as extractor,
        pytest.raises(SocoError, match=r"2 workers died over images 0 to 31, the last of them worker \d+ on .*memory"),
    ):
        evaluate_backbone(extractor, folder, TASKS)


# --- errors -----------------------------------------------------------------------------------------------------------


def test_what_no_cluster_can_do_is_refused(
    cluster: None, spec: ExtractorSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"object of this process.*module:function"):
        RayExtractor(ExtractorSpec(lambda pixels: pixels, SIZE))
    with pytest.raises(UsageError, match="3 workers need a core each"):
        RayExtractor(spec, workers=3)
    with pytest.raises(SocoError, match="nowhere"):
        RayExtractor(ExtractorSpec(str(tmp_path / "nowhere"), SIZE), workers=1)
    with monkeypatch.context() as patch:
        find = importlib.util.find_spec
        patch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else find(name))
        with pytest.raises(MissingExtraError, match=r"soco-datasets\[ray\]"), ray_mapper():
            pass
    for option in ("--address=auto", "--ray-workers=2"):
        assert main(["evaluate", "--model", "dense_sift", "--data", "mini", option]) == 2
    assert main(["build", "mini", "--engine", "rya"]) == 2


# --- the command line and building ------------------------------------------------------------------------------------


def tree_hash(place: Path) -> dict[str, str]:
    files = sorted(path for path in place.rglob("*") if path.is_file())
    return {path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_command_takes_a_cluster(
    cluster: None, folder: DatasetFolder, usual: Evaluation, spec: ExtractorSpec, tmp_path: Path
) -> None:
    options = ["--model", str(spec.model), "--image-size", str(SIZE), "--tasks", ",".join(task.name for task in TASKS)]
    place = ["--data", str(folder.path), "--out", str(tmp_path)]
    assert main(["evaluate", *options, *place, "--engine", "ray", "--ray-workers", "2", "--device", "cpu"]) == 0
    assert EvaluationResult.read(tmp_path / f"dinov2.size{SIZE}.json").metrics == usual.result.metrics


def test_a_build_by_two_workers_one_of_them_killed_is_the_same_to_the_byte(
    cluster: None, mini_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(release, "_CHUNK", 37)
    monkeypatch.setattr(image_files, "_CHUNK", 7)
    options: dict[str, Any] = {"max_shard_size": "100KB", "skip_bad": True}
    alone = build_dataset(str(mini_release), tmp_path / "alone", options=BuildOptions(**options))
    assert alone.manifest["findings"]["counts"]["error"]
    with ray_mapper(workers=2) as mapper:

        def killing(function: Callable[[Any], Any], chunks: Iterable[Any]) -> Iterator[Any]:
            for number, result in enumerate(mapper(function, chunks)):
                if number == 2 and killed:
                    kill(killed.pop())
                yield result

        killed = [next(mapper(eval, ["__import__('os').getpid()"]))]
        build_dataset(str(mini_release), tmp_path / "together", options=BuildOptions(**options), mapper=killing)
    assert not killed
    assert "died" in caplog.text
    assert tree_hash(tmp_path / "together") == tree_hash(tmp_path / "alone")


def test_the_build_command_takes_a_cluster_and_zips(cluster: None, mini_release: Path, tmp_path: Path) -> None:
    zip_release(mini_release, tmp_path / "zips")
    command = ["build", str(tmp_path / "zips"), "--skip-bad", "--out"]
    assert main([*command, str(tmp_path / "alone")]) == 0
    assert main([*command, str(tmp_path / "together"), "--engine", "ray", "--ray-workers", "1"]) == 0
    assert tree_hash(tmp_path / "together") == tree_hash(tmp_path / "alone")


def test_a_release_that_another_machine_cannot_see_is_said(mini_release: Path, tmp_path: Path) -> None:
    zip_release(mini_release, tmp_path / "zips")
    for place in (shutil.copytree(mini_release, tmp_path / "tree"), tmp_path / "zips"):
        with open_release(str(place), BuildReport()) as files:
            sent = pickle.dumps(files.part([name for name in files.names if name.startswith("Images/")]))
        assert len(check_images(pickle.loads(sent))) == IMAGES
        shutil.rmtree(place)
        with pytest.raises(DataNotFoundError, match=r"cannot see the release .* at the same path"):
            check_images(pickle.loads(sent))


def test_the_benchmark_prints_its_ratio() -> None:
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "bench_ray.py"
    command = [sys.executable, str(script), "--small", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert re.search(r"2 Ray workers +[\d.]+ +[\d.]+ +16 +16 +16 +0", done.stdout)
    assert re.search(r"one process / 2 workers +[\d.]+x, record the same: yes", done.stdout)


STOPPED = """
import os, signal
from soco_datasets.distributed.cluster import connected

def stop(number, frame):
    raise KeyboardInterrupt("told to stop")

signal.signal(signal.SIGTERM, stop)
try:
    with connected(workers=1):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
except KeyboardInterrupt as error:
    print(error)
"""


@pytest.mark.slow
def test_sigterm_stays_with_the_program() -> None:
    """Ray installs a handler that aborts the process, so that temporary files would stay."""
    ended = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "told to stop\n"), ended.stderr
