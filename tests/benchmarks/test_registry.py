"""A benchmark of another package: one file and one entry point, from files on disk to a report."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from helpers.small_release import jpeg

from soco_datasets import cli
from soco_datasets.benchmarks.base import benchmark_of, benchmarks, get_benchmark
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.tasks import TASKS
from soco_datasets.data.folder import open_folder
from soco_datasets.errors import UsageError

TOY = '''
"""Pictures toy_<n>.jpg with the same three points each; every ordered pair of neighbors is a pair."""
import contextlib
from pathlib import Path

from soco_datasets.benchmarks.base import Benchmark, Task
from soco_datasets.benchmarks.image_files import read_images
from soco_datasets.benchmarks.release_files import ReleaseFiles
from soco_datasets.data.checked_release import Release
from soco_datasets.data.release_types import AnnotatedKeypoint, ImageView, PairRecord
from soco_datasets.data.schema import CONFIGS, general_configs
from soco_datasets.data.taxonomy import KeypointEntry, Taxonomy

POINTS = {"nose": (10.0, 12.0), "tail": (50.0, 20.0), "paw": (30.0, 40.0)}


@contextlib.contextmanager
def read_toy(source, options, findings, mapper):
    files = ReleaseFiles("folder", Path(source).name)
    for path in sorted(Path(source).glob("toy_*.jpg")):
        files.add(f"Images/toy/{path.name}", path, findings)
    images = read_images(files, findings, mapper)
    for record in images.values():
        record.bbox = (5.0, 5.0, 60.0, 50.0)
        record.points = tuple(
            AnnotatedKeypoint(name, x, y, n, None, None, None, None, False)
            for n, (name, (x, y)) in enumerate(POINTS.items())
        )
    views = [ImageView(r.image_id, r.bbox, True, r.points) for r in images.values()]
    pairs = [
        PairRecord(f"toy/{n}", "soc", "toy", a, b, None, None, "") for n, (a, b) in enumerate(zip(views, views[1:]))
    ]
    names = [KeypointEntry.named("toy", name) for name in POINTS]
    yield Release({"kind": "folder", "id": files.id, "revision": None}, images, {"soc_test": pairs},
                  Taxonomy(tuple(names)), files.read)


BENCHMARK = Benchmark(
    name="toy",
    title="Toy",
    about="three points on noise.",
    aliases=("toys",),
    reader=read_toy,
    find_root=lambda path: path if any(path.glob("toy_*.jpg")) else None,
    looked_for="toy_<n>.jpg",
    tasks=(Task("toy_soc", "soc", "Toy SOC"),),
    default_tasks=("toy_soc",),
    configs=general_configs(CONFIGS["soc"].with_lists("soc", ("test",))),
)
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of pictures, with the toy package installed as pip would: a module and its .dist-info on sys.path."""
    site = tmp_path / "site"
    info = site / "toy_benchmark-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "toy_benchmark.py").write_text(TOY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-benchmark\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[soco_datasets.benchmarks]\ntoy = toy_benchmark:BENCHMARK\nbroken = toy_broken:BENCHMARK\n"
        "other = toy_benchmark:POINTS\n"
    )
    monkeypatch.syspath_prepend(str(site))
    benchmarks.cache_clear()
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        (pictures / f"toy_{number}.jpg").write_bytes(jpeg(80, 60, seed=number))
    yield pictures
    sys.modules.pop("toy_benchmark", None)
    benchmarks.cache_clear()


def test_a_benchmark_of_another_package(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    out, results = tmp_path / "built", tmp_path / "results"
    with caplog.at_level(logging.WARNING):
        assert cli.main(["build", str(toy), "--out", str(out)]) in (0, None)
    assert "toy_broken" in caplog.text
    assert "not a soco_datasets.Benchmark" in caplog.text
    assert "3 images, 1 categories, 9 keypoints" in capsys.readouterr().out
    folder = open_folder(out)
    assert (folder.benchmark, benchmark_of(folder).title) == ("toy", "Toy")
    assert folder.manifest["pair_lists"].keys() == {"soc/test"}
    assert folder.configs == ["images", "keypoints", "taxonomy", "soc"]
    rows = datasets.load_dataset("soco", "soc", data_dir=str(out), split="test")
    assert rows[0]["source_image"].size == (80, 60)
    assert datasets.load_dataset(str(out), "soc", split="test").num_rows == 2  # without this package's loader
    with pytest.raises(UsageError, match="cross_cc"):
        datasets.load_dataset("soco", "cross_cc", data_dir=str(out))

    assert cli.main(["info", str(out)]) in (0, None)
    assert "benchmark     Toy: three points on noise." in capsys.readouterr().out
    model = ["--model", "dense_sift", "--image-size", "64"]
    assert cli.main(["evaluate", *model, "--data", str(out), "--out", str(results)]) in (0, None)
    assert "Toy SOC" in capsys.readouterr().out
    assert cli.main(["report", *map(str, results.glob("dense_sift*.json")), "--out", str(tmp_path / "report")]) in (
        0,
        None,
    )
    assert "Toy SOC" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_names_and_layouts(toy: Path, tmp_path: Path) -> None:
    assert next(iter(benchmarks())) == "soco"
    assert get_benchmark("Toys").name == "toy"
    assert list(TASKS)[:2] == ["cc", "soc"]
    assert "toy_soc" in TASKS
    with pytest.raises(UsageError, match="toy"):
        get_benchmark("tox")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match=r"toy_<n>\.jpg"):
        build_dataset(empty, tmp_path / "out")
    (toy / "Images").mkdir()
    with pytest.raises(UsageError, match=r"as soco and as toy.*--benchmark"):
        build_dataset(toy, tmp_path / "out")
