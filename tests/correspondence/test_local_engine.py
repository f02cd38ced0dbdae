"""The same numbers whatever the batch, the threads, the passes and the store; and what happens when something fails."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.pair_tables import run_config
from helpers.restamp import restamp
from helpers.shared_data import ORACLE, REAL_SAMPLE, needs_photographs
from PIL import Image

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.cli import main
from soco_datasets.config import CachePolicy
from soco_datasets.correspondence import local_engine as pipeline
from soco_datasets.correspondence import target_matcher as matcher
from soco_datasets.correspondence.evaluate import Evaluation, evaluate_backbone
from soco_datasets.correspondence.target_matcher import TargetMatcher
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.errors import BackboneError, DatasetFolderError, SocoError, UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.cache import memory as store
from soco_datasets.features.cache.disk import MAPS
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.loader import FeatureLoader, decoded_ahead
from soco_datasets.features.plugin import load_plugin, plugin
from soco_datasets.records.evaluation import EvaluationResult

pytestmark = needs_photographs


MODEL = ORACLE / "models" / "dinov2_tiny_p14"
TASKS = get_tasks(["soc", "soc_soft", "soc_geo", "cross_cc"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    return open_folder(build_dataset(str(REAL_SAMPLE), tmp_path_factory.mktemp("data") / "real").path)


def extractor(batch_size: int = 8) -> DenseFeatureExtractor:
    return DenseFeatureExtractor(load_backbone(MODEL), image_size=285, batch_size=batch_size)


def evaluate(folder: DatasetFolder, batch_size: int = 8, **options: Any) -> Evaluation:
    return evaluate_backbone(extractor(batch_size), folder, TASKS, run=run_config(**options))


@pytest.fixture(scope="module")
def usual(folder: DatasetFolder) -> Evaluation:
    return evaluate(folder)


def assert_same(found: Evaluation, usual: Evaluation) -> None:
    rows, expected = (part.predictions.replace_schema_metadata(None) for part in (found, usual))
    assert rows.equals(expected)
    assert found.result.metrics == usual.result.metrics


# --- the same numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch_size", "options"),
    [
        (1, {"workers": 0, "store": "memory"}),
        (8, {"workers": 4, "store": "none"}),
        (1, {"workers": 4, "store": "none"}),
    ],
    ids=lambda value: str(value),
)
def test_bit_equal_whatever_the_way(
    folder: DatasetFolder, usual: Evaluation, batch_size: int, options: dict[str, Any]
) -> None:
    assert_same(evaluate(folder, batch_size, **options), usual)


def test_bit_equal_from_a_temporary_file(
    folder: DatasetFolder, usual: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "available_memory", lambda: 0)
    assert_same(evaluate(folder, workers=0), usual)


def test_bit_equal_in_small_blocks_of_queries(
    folder: DatasetFolder, usual: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to the last bit of the similarity, since the products have another shape, but every choice is the same."""
    monkeypatch.setattr(matcher, "QUERY_BLOCK", 3)
    found = evaluate(folder)
    for task, metrics in usual.result.metrics.items():
        for reduction, by_alpha in metrics.items():
            if reduction in ("pair", "keypoint"):
                for alpha, part in by_alpha.items():
                    wanted = part["overall"]["pck"]
                    assert found.result.metrics[task][reduction][alpha]["overall"]["pck"] == pytest.approx(wanted)


def test_images_that_share_a_forward_agree_within_rounding(folder: DatasetFolder, usual: Evaluation) -> None:
    """What a GPU does: matrix products of another shape round otherwise."""
    shared = DenseFeatureExtractor(load_backbone(MODEL), image_size=285, batch_size=8, together=True)
    assert_close(evaluate_backbone(shared, folder, TASKS), usual)


def assert_close(found: Evaluation, usual: Evaluation) -> None:
    similar = [np.array(part.predictions["similarity"]) for part in (found, usual)]
    np.testing.assert_allclose(similar[0], similar[1], rtol=0, atol=1e-5)
    places = [np.array(part.predictions["prediction"].to_pylist()) for part in (found, usual)]
    assert (np.abs(places[0] - places[1]).max(axis=1) < 0.1).mean() > 0.99  # but for ties


def test_two_passes_cost_two_forwards_an_image_at_most(folder: DatasetFolder, usual: Evaluation) -> None:
    counts = evaluate(folder, store="none").result.counts
    images = counts["images"]
    assert images == usual.result.counts["forwards"] == usual.result.counts["decodes"]
    assert images < counts["forwards"] == counts["decodes"] <= 2 * images


def test_no_room_anywhere_means_two_passes(
    folder: DatasetFolder, usual: Evaluation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = shutil.disk_usage("/")._replace(free=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    monkeypatch.setattr(store, "available_memory", lambda: 0)
    found = evaluate(folder)
    assert_same(found, usual)
    assert found.result.counts["forwards"] > found.result.counts["images"]
    assert "two passes" in caplog.text


# --- the shared store -------------------------------------------------------------------------------------------------


def test_a_store_is_filled_once_resumed_and_mended(
    folder: DatasetFolder,
    usual: Evaluation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    images = usual.result.counts["images"]

    def run() -> tuple[int, int]:
        found = evaluate(folder, store="disk", place=tmp_path)
        assert_same(found, usual)
        counts = found.result.counts
        assert counts["decodes"] == counts["forwards"] == images - counts["reused"]
        return counts["forwards"], counts["reused"]

    forward, calls = DenseFeatureExtractor.extract_pixels, iter(range(images))

    def stops(self: DenseFeatureExtractor, *arguments: Any, **options: Any) -> torch.Tensor:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return forward(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(DenseFeatureExtractor, "extract_pixels", stops)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert run() == (images - 5, 5)
    assert run() == (0, images)
    maps = next(tmp_path.glob(f"*/{MAPS}"))
    with open(maps, "r+b") as file:
        file.seek(maps.stat().st_size // 3)
        file.write(b"damage")
    assert run() == (1, images - 1)
    assert "damaged" in caplog.text
    assert run() == (0, images)


def test_choices_that_make_no_sense(folder: DatasetFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="Did you mean 'memory'"):
        CachePolicy("memmory")
    with pytest.raises(UsageError, match="requires kind disk or auto"):
        CachePolicy("none", directory=tmp_path)
    monkeypatch.setattr(pipeline, "available_memory", lambda: 1000)
    with pytest.raises(UsageError, match=r"feature maps take .* more than the 0.0 MB that the .*CachePolicy auto"):
        evaluate(folder, store="memory")
    (tmp_path / "file").write_text("")
    with pytest.raises(SocoError, match="a part of the path is a file"):
        evaluate(folder, store="disk", place=tmp_path / "file")


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def damaged(folder: DatasetFolder, tmp_path: Path) -> tuple[DatasetFolder, str]:
    """The folder with one image of the test pairs spoilt in place, and its id."""
    path = shutil.copytree(folder.path, tmp_path / "damaged")
    name = folder.table("soc", "test")["source_image_id"][0].as_py()
    data = folder.images.jpeg_bytes(name)
    for shard in path.glob("images/**/*.arrow"):
        shard.write_bytes(shard.read_bytes().replace(data, bytes(len(data))))
    return open_folder(restamp(path)), name


@pytest.mark.parametrize("workers", [0, 3])
def test_a_bad_image_is_named(damaged: tuple[DatasetFolder, str], workers: int) -> None:
    with pytest.raises(DatasetFolderError, match=f"image '{damaged[1]}' does not decode"):
        evaluate(damaged[0], workers=workers)


def test_a_bad_image_can_be_left_out(
    damaged: tuple[DatasetFolder, str], usual: Evaluation, caplog: pytest.LogCaptureFixture
) -> None:
    folder, bad = damaged
    found = evaluate(folder, skip_bad=True)
    assert bad in caplog.text
    tables = [folder.table(task.config, "test").to_pylist() for task in TASKS]
    lost = sum(bad in (row["source_image_id"], row["target_image_id"]) for table in tables for row in table)
    counts, before = found.result.counts, usual.result.counts
    assert lost > 0
    assert (counts["bad_images"], counts["skipped_pairs"]) == (1, lost)
    assert (counts["images"], counts["pairs"]) == (before["images"] - 1, before["pairs"] - lost)
    wanted = [
        row for row in usual.predictions.to_pylist() if bad not in (row["source_image_id"], row["target_image_id"])
    ]
    assert found.predictions.to_pylist() == wanted
    assert EvaluationResult.from_json(found.result.to_json()) == found.result


def test_nothing_bad_is_counted_as_nothing(folder: DatasetFolder, usual: Evaluation) -> None:
    found = evaluate(folder, skip_bad=True)
    assert_same(found, usual)
    assert (found.result.counts["bad_images"], found.result.counts["skipped_pairs"]) == (0, 0)


def hungry(most: int) -> tuple[DenseFeatureExtractor, list[int]]:
    """An extractor whose model runs out of memory above so many images, and the sizes of the forwards it did."""
    done: list[int] = []

    @plugin(stride=8, statistics="half")
    def means(pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        done.append(len(pixels))
        return torch.nn.functional.avg_pool2d(pixels, 8)

    return DenseFeatureExtractor(load_plugin(means), 32, batch_size=8, together=True), done


def test_out_of_memory_halves_the_batch_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    images = [Image.effect_noise((32, 32), 50).convert("RGB") for _ in range(11)]
    expected, done = hungry(100)
    wanted = expected.extract(images)
    greedy, done = hungry(3)
    done.clear()
    with caplog.at_level(logging.WARNING):
        found = greedy.extract(images)
    torch.testing.assert_close(found, wanted)
    assert greedy.forward_size == 2
    assert done == [2, 2, 2, 2, 2, 1]
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "out of memory with 8 images in one forward: going on with 4",
        "out of memory with 4 images in one forward: going on with 2",
    ]


def test_out_of_memory_in_an_evaluation(folder: DatasetFolder) -> None:
    wanted, _ = hungry(100)
    found, done = hungry(2)
    done.clear()
    plain, halved = (evaluate_backbone(model, folder, get_tasks(["soc"])) for model in (wanted, found))
    assert halved.result.metrics == plain.result.metrics
    assert halved.result.counts == plain.result.counts
    assert set(done) <= {1, 2}


def test_out_of_memory_for_a_single_image_says_what_helps() -> None:
    model, _ = hungry(1)
    model.backbone.forward = _always_full  # type: ignore[method-assign]
    with pytest.raises(BackboneError, match=r"even for one image.*image_size"):
        model.extract([Image.new("RGB", (9, 9))] * 4)


def _always_full(pixels: torch.Tensor) -> torch.Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_an_image_is_decoded_ahead_and_an_error_comes_at_its_place() -> None:
    def load(image: int) -> int:
        if image == 6:
            raise ValueError("bad")
        return 10 * image

    def collect(into: list[tuple[int, int]], workers: int) -> None:
        for pair in decoded_ahead(iter(range(9)), load, workers, lambda: 2):
            into.append(pair)

    for workers in (0, 1, 4):
        seen: list[tuple[int, int]] = []
        with pytest.raises(ValueError, match="bad"):
            collect(seen, workers)
        assert seen == [(image, 10 * image) for image in range(6)]
        assert list(decoded_ahead([], load, workers, lambda: 2)) == []


@pytest.mark.parametrize(("together", "order"), [(True, ["f0", "f1", "a0", "f2", "a1", "a2"]), (False, None)])
def test_where_batches_share_a_forward_the_next_begins_before_the_last_is_waited_for(
    folder: DatasetFolder, together: bool, order: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor, happened, names = hungry(100)[0], [], sorted(folder.images)[:8]
    extractor = DenseFeatureExtractor(extractor.backbone, 32, batch_size=3, together=together)
    forward, check = DenseFeatureExtractor._forward, DenseFeatureExtractor.check_finite

    def forwards(self: DenseFeatureExtractor, pixels: Any, ids: Any) -> torch.Tensor:
        happened.append(f"f{names.index(ids[0]) // 3}")
        return forward(self, pixels, ids)

    def checks(self: DenseFeatureExtractor, maps: torch.Tensor, ids: Any) -> None:
        happened.append(f"a{names.index(ids[0]) // 3}")
        check(self, maps, ids)

    monkeypatch.setattr(DenseFeatureExtractor, "_forward", forwards)
    monkeypatch.setattr(DenseFeatureExtractor, "check_finite", checks)
    counts = {"decodes": 0, "forwards": 0}
    found = list(FeatureLoader(extractor, folder.images, names, 2, counts)(list(range(8))))
    assert [image for image, _ in found] == list(range(8))
    assert counts == {"decodes": 8, "forwards": 8}
    assert happened == (order or [f"{what}{image // 3}" for image in range(8) for what in "fa"])


def test_targets_that_share_a_product_get_the_same_matches(folder: DatasetFolder, usual: Evaluation) -> None:
    """As on a GPU, whose maps lie side by side; the product of several rounds otherwise than that of one."""
    sizes = []
    whole = TargetMatcher.match

    def match(self: TargetMatcher, images: range, maps: torch.Tensor) -> None:
        sizes.append(len(images))
        whole(self, images, maps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "targets_together", lambda store: 4)
        patch.setattr(TargetMatcher, "match", match)
        found = evaluate(folder, store="memory")
    assert max(sizes) == 4
    assert sum(sizes) == len(set(usual.predictions["target_image_id"].to_pylist()))
    assert_close(found, usual)


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command(damaged: tuple[DatasetFolder, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["evaluate", "--data", str(damaged[0].path), "--model", str(MODEL), "--image-size", "285", "--tasks", "soc"]
    options = ["--skip-bad", "--store-dir", str(tmp_path / "store"), "--batch-size", "auto", "--dtype", "fp32"]
    assert main([*base, *options, "--out", str(tmp_path / "out")]) == 0
    assert "of 1 images that do not decode" in capsys.readouterr().out
    counts = EvaluationResult.read(tmp_path / "out/dinov2_tiny_p14.size285.json").counts
    assert (counts["bad_images"], counts["reused"], counts["forwards"]) == (1, 0, counts["images"])
    for wrong, said in (
        (["--batch-size", "many"], "from 1 or auto"),
        (["--dtype", "tf32", "--device", "cpu"], "NVIDIA GPU"),
        (["--store", "gpu"], "Unknown store"),
    ):
        assert main([*base, *wrong, "--out", str(tmp_path / "wrong")]) == 2
        assert said in capsys.readouterr().err
