"""A shared store serves every dataset that has an image, and never gives the map of another."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.pair_tables import run_config
from helpers.small_release import jpeg, make_release
from helpers.tiny_models import make

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.correspondence.evaluate import Evaluation, evaluate_backbone
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.errors import DatasetFolderError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("vit", tmp_path_factory.mktemp("model"))


def built(root: Path, images_per_category: int) -> DatasetFolder:
    """Image number n of every category is the same file."""
    release = make_release(root / f"release{images_per_category}", images_per_category)
    return open_folder(build_dataset(str(release), root / f"built{images_per_category}").path)


def evaluate(model: Path, folder: DatasetFolder, **options: Any) -> Evaluation:
    extractor = DenseFeatureExtractor(load_backbone(model), image_size=56)
    return evaluate_backbone(extractor, folder, get_tasks(["soc", "cc"]), run=run_config(**options))


def costs(evaluation: Evaluation) -> tuple[int, int]:
    counts = evaluation.result.counts
    assert counts["forwards"] + counts["reused"] == counts["images"]
    return counts["forwards"], counts["reused"]


def assert_same(found: Evaluation, usual: Evaluation) -> None:
    rows, expected = (part.predictions.replace_schema_metadata(None) for part in (found, usual))
    assert rows.equals(expected)
    assert found.result.metrics == usual.result.metrics


@pytest.mark.parametrize("workers", [0, 2])
def test_another_dataset_costs_the_images_it_does_not_share(model: Path, tmp_path: Path, workers: int) -> None:
    small, large = built(tmp_path, 3), built(tmp_path, 4)
    assert small.content_hash != large.content_hash
    store: dict[str, Any] = {"store": "disk", "place": tmp_path / "store", "workers": workers}
    forwards, _ = costs(evaluate(model, small, **store))
    assert forwards in (3, 6), "the same photograph under two names is forwarded once, or twice in one batch"
    found = evaluate(model, large, **store)
    assert costs(found)[0] in (1, 2)
    assert_same(found, evaluate(model, large))
    assert costs(evaluate(model, small, **store)) == (0, 6)
    assert len(list((tmp_path / "store").iterdir())) == 1


def test_an_image_changed_behind_the_manifest_is_never_scored(model: Path, tmp_path: Path) -> None:
    folder = built(tmp_path, 3)
    store: dict[str, Any] = {"store": "disk", "place": tmp_path / "store", "workers": 0}
    before = evaluate(model, folder, **store)
    path = shutil.copytree(folder.path, tmp_path / "changed")
    old = folder.images.jpeg_bytes("bus/bus_2")
    new = next(data for seed in range(99) if len(data := jpeg(80, 60, seed=100 + seed)) <= len(old))
    new += bytes(len(old) - len(new))  # what follows the end of a JPEG is not looked at
    for shard in path.glob("images/**/*.arrow"):
        shard.write_bytes(shard.read_bytes().replace(old, new))
    changed = open_folder(path)
    assert changed.content_hash == folder.content_hash, "nothing but the bytes tells"
    with pytest.raises(DatasetFolderError, match=r"bus_2.* is not the one that was built"):
        evaluate(model, changed, **store)
    assert_same(evaluate(model, folder, **store), before)
