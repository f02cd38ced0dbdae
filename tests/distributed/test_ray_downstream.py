"""Downstream tasks on a real Ray cluster of this machine: the digits of one process, by shards and side by side."""

from __future__ import annotations

import importlib.util
import json
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
if importlib.util.find_spec("ray") is None:
    pytest.skip("ray is not installed (extra `ray`)", allow_module_level=True)

from helpers.shared_builds import built_mini

from soco_datasets.distributed.cluster import connected
from soco_datasets.distributed.mapper import ray_mapper
from soco_datasets.downstream import extraction_shards as shards
from soco_datasets.downstream.downstream_run import DownstreamRun
from soco_datasets.downstream.run_options import RunOptions
from soco_datasets.downstream.side_by_side import RunUnit, downstream_units, run_unit, run_units
from soco_datasets.downstream.synthetic_data import synthesize
from soco_datasets.downstream.task_registry import select_tasks
from soco_datasets.downstream.tasks import imagenet_knn
from soco_datasets.features.spec import ExtractorSpec

pytestmark = [pytest.mark.ray, pytest.mark.slow]
NAMES = "imagenet_knn,tapvid_davis,ade20k_linear,imagenet3d_pose"
SPEC = ExtractorSpec("tiny_dinov2", 112, options={"device": "cpu"})


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:  # a product's last bits depend on the number of threads
        patch.setenv("OMP_NUM_THREADS", "1")
        torch.set_num_threads(1)
        with connected("local", 2):
            yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("synthetic")
    return {kind: synthesize(kind, root / kind)[kind] for kind in ("imagenet", "davis", "ade20k", "imagenet3d")}


@pytest.fixture(scope="module")
def alone(cluster: None, data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of this process."""
    out = tmp_path_factory.mktemp("alone")
    DownstreamRun(SPEC.load(), select_tasks(NAMES), data, options(out)).run()
    return out


def options(out: Path) -> RunOptions:
    return RunOptions(out, {"": "tiny"}, subset=12)


def assert_same(found: Path, expected: Path) -> None:
    paths = sorted(path.relative_to(expected) for path in expected.rglob("*.json"))
    assert len(paths) == 4
    for path in paths:
        ours, theirs = (json.loads((root / path).read_text()) for root in (found, expected))
        assert {**ours, "created": ""} == {**theirs, "created": ""}, path


def test_extraction_and_search_by_two_workers(
    alone: Path, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "IMAGES_PER_SHARD", 5)
    monkeypatch.setattr(imagenet_knn, "_BANK_SHARD", 5)
    with ray_mapper(workers=2) as mapper:
        DownstreamRun(SPEC.load(), select_tasks(NAMES), data, options(tmp_path)).run((mapper, SPEC))
    assert_same(tmp_path, alone)


def test_data_sets_side_by_side_by_two_workers(alone: Path, data: dict[str, Path], tmp_path: Path) -> None:
    units = downstream_units(SPEC, select_tasks(NAMES), data, options(tmp_path))
    assert [unit.what for unit in pickle.loads(pickle.dumps(units))] == ["imagenet", "ade20k", "davis", "imagenet3d"]
    units.append(RunUnit(SPEC, "soco", str(built_mini()), (), options(tmp_path / "study")))
    with ray_mapper(workers=2) as mapper:
        reports = [report for _, report in run_units(units, mapper)]
    assert [(report.model, report.error) for report in reports] == [("tiny_dinov2", "")] * 5
    here = run_unit(replace(units[-1], options=options(tmp_path / "here")))
    ours, theirs = (json.loads(report.paths[0].read_text()) for report in (reports[-1], here))
    assert {**ours, "created": ""} == {**theirs, "created": ""}
    shutil.rmtree(tmp_path / "study")
    shutil.rmtree(tmp_path / "here")
    assert_same(tmp_path, alone)
