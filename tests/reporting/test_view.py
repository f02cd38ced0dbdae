"""`soco view`: what is annotated, what is asked and what a model matched, as one picture."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from helpers.shared_builds import built_mini
from helpers.small_release import make_release
from PIL import Image

import soco_datasets  # noqa: F401  # makes load_dataset("soco") work
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main
from soco_datasets.reporting.annotated import _COLOURS, annotated_image, annotated_pair


@pytest.fixture(scope="module")
def data() -> Path:
    return built_mini()


def view(data: Path, out: Path, *options: str) -> Image.Image:
    assert main(["view", str(data), *options, "--out", str(out)]) == 0
    with Image.open(out) as picture:
        picture.load()
        return picture.convert("RGB")


def panel_point(image: Image.Image, size: tuple[int, int], left: int, point: list[float]) -> tuple[int, ...]:
    scale = 420 / max(size)
    return image.getpixel((round(left + point[0] * scale), round(22 + point[1] * scale)))


def test_a_pair_has_its_queries_on_the_left_and_their_targets_on_the_right(data: Path) -> None:
    row = datasets.load_dataset("soco", "soc", split="test", data_dir=str(data))[0]
    panel = annotated_pair(row)
    sizes = [row[f"{side}_image"].size for side in ("source", "target")]
    left = round(sizes[0][0] * 420 / max(sizes[0])) + 14
    concepts = list(dict.fromkeys(row["concepts"]))
    seen = 0
    for concept, point, targets in zip(row["concepts"], row["source_points"], row["target_points"], strict=True):
        colour = _COLOURS[concepts.index(concept) % len(_COLOURS)]
        seen += panel_point(panel, sizes[0], 0, point) == colour
        seen += panel_point(panel, sizes[1], left, targets[0]) == colour
    assert seen >= 1.6 * len(row["concepts"])  # a few lie under the number of another


def test_an_image_without_keypoints_or_box_is_drawn_too(data: Path) -> None:
    row = dict(datasets.load_dataset("soco", "images", split="test", data_dir=str(data))[0])
    row |= {"bbox": None, "azimuth": None}
    assert annotated_image(row, None).size >= (1, 420)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--config", "images", "--category", "bus", "--number", "2"),
        ("--config", "cc", "--split", "all", "--number", "2"),
        ("--config", "cross_soc_geo", "--rows", "3,0"),
        ("--config", "soc_probe", "--split", "train", "--number", "1"),
        ("--config", "lvlm", "--split", "desc", "--number", "1"),
        ("--config", "lvlm", "--number", "2"),
    ],
)
def test_every_kind_of_row_is_drawn(data: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    picture = view(data, tmp_path / "view.png", *options)
    assert min(picture.size) > 300
    assert len(picture.getcolors(2**24) or []) > 1000


def test_pairs_by_name_and_matches_of_a_model(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model", "dense_sift", "--image-size", "96", "--tasks", "soc,cc", "--out", str(tmp_path)]
    assert main(["evaluate", "--data", str(data), *options]) == 0
    predictions = tmp_path / "dense_sift.predictions.parquet"
    pair = datasets.load_dataset("soco", "soc", split="test", data_dir=str(data))["pair_id"][4]
    plain = view(data, tmp_path / "plain.png", "--pair", pair)
    matched = view(data, tmp_path / "matched.png", "--pair", pair, "--predictions", str(predictions), "--task", "cc")
    assert plain.tobytes() != matched.tobytes()
    assert view(data, tmp_path / "car.png", "--category", "car", "--predictions", str(predictions)).width > 300
    other = build_dataset(str(make_release(tmp_path / "release")), tmp_path / "other").path
    capsys.readouterr()
    assert main(["view", str(other), "--predictions", str(predictions), "--out", str(tmp_path / "no.png")]) == 2
    assert "content hash" in capsys.readouterr().err
    assert not (tmp_path / "no.png").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--config", "taxonomy"), "Unknown config to view"),
        (("--split", "tset"), "Did you mean 'test'"),
        (("--category", "buss"), "Did you mean 'bus'"),
        (("--pair", "intra/bus/nothing"), "Unknown pair"),
        (("--rows", "0,x"), "row numbers"),
        (("--rows", "100000"), "there is no 100000"),
        (("--number", "0"), "must be positive"),
        (("--split", "all", "--category", "bus"), "give --rows"),
        (("--config", "images", "--pair", "a"), "has no pairs"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert main(["view", str(data), *options, "--out", str(tmp_path / "view.png")]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [("--config", "soc"), ("--config", "soc", "--split", "all"), ("--config", "lvlm")])
def test_the_cache_is_not_needed(data: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    import os
    import subprocess
    import sys

    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "hf")
    environment = {**os.environ, "HF_HOME": nowhere, "HF_DATASETS_CACHE": nowhere, "SOCO_CACHE": nowhere}
    command = [sys.executable, "-m", "soco_datasets.cli", "view", str(data), *options, "--number", "1"]
    run = subprocess.run([*command, "--out", str(tmp_path / "v.png")], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "v.png").stat().st_size > 1000
    code = f"import soco_datasets as s; s.load_dataset('soc', data_dir={str(data)!r})"
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "SocoError" in run.stderr
    assert "HF_HOME" in run.stderr
