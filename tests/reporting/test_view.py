"""`soco view`: what is annotated, what is asked and what a model matched, as one picture."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import datasets
import pytest
from helpers.shared_builds import built_mini
from helpers.small_release import make_release
from PIL import Image

import soco_datasets  # noqa: F401  # makes load_dataset("soco") work
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main
from soco_datasets.reporting.annotated import annotated_image, annotated_pair
from soco_datasets.reporting.drawing import FORMATS, outcome_mark
from soco_datasets.reporting.style import MISS_COLOR, OUTCOME_COLORS, OUTCOME_SHAPES
from soco_datasets.utils.colors import CONCEPT_COLORS, MARK_INK
from soco_datasets.utils.shapes import Label, Photo, Stroke


@pytest.fixture(scope="module")
def data() -> Path:
    return built_mini()


def view(data: Path, out: Path, *options: str) -> Image.Image:
    assert main(["view", str(data), *options, "--out", str(out)]) == 0
    with Image.open(out) as picture:
        picture.load()
        return picture.convert("RGB")


def test_a_pair_has_its_queries_on_the_left_and_their_targets_on_the_right(data: Path) -> None:
    row = datasets.load_dataset("soco", "soc", split="test", data_dir=str(data))[0]
    panel = annotated_pair(row)
    photos = [item for item in panel.items if isinstance(item, Photo)]
    discs = {(shape.fill, *map(round, shape.points[0])) for shape in panel.items if isinstance(shape, Stroke)}
    concepts = list(dict.fromkeys(row["concepts"]))
    for concept, point, targets in zip(row["concepts"], row["source_points"], row["target_points"], strict=True):
        color = CONCEPT_COLORS[concepts.index(concept) % len(CONCEPT_COLORS)]
        for photo, (x, y) in zip(photos, (point, targets[0]), strict=True):
            scale = photo.size[0] / photo.image.width
            assert (color, round(photo.at[0] + x * scale), round(photo.at[1] + y * scale)) in discs
    assert [f"{n}  {name}" in " ".join(panel.texts()) for n, name in enumerate(row["keypoints"], 1)]


def test_an_image_without_keypoints_or_box_is_drawn_too(data: Path) -> None:
    row = dict(datasets.load_dataset("soco", "images", split="test", data_dir=str(data))[0])
    row |= {"bbox": None, "azimuth": None}
    assert annotated_image(row, None).height > 380


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
    predictions = tmp_path / "dense_sift.size96.predictions.parquet"
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


@pytest.mark.parametrize("form", FORMATS)
def test_the_format_is_that_of_the_name(data: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"view.{form}"
    assert main(["view", str(data), "--number", "2", "--out", str(out)]) == 0
    content = out.read_bytes()
    starts = {"png": b"\x89PNG", "jpg": b"\xff\xd8", "jpeg": b"\xff\xd8", "svg": b"<svg", "pdf": b"%PDF"}
    assert content.startswith(starts[form])
    if form == "svg":
        root = ElementTree.fromstring(content)
        names = [element.tag.rpartition("}")[2] for element in root.iter()]
        assert names.count("image") == 4
        assert {"text", "circle", "polygon"} <= set(names)
    if form == "pdf":
        assert b"/FontFile2" in content  # embedded TrueType
        assert b"/Type3" not in content
        assert content.count(b"/Subtype /Image") >= 4


def test_a_match_is_drawn_in_the_shape_of_its_outcome() -> None:
    for outcome, shape in OUTCOME_SHAPES.items():
        mark = outcome_mark(outcome, (5.0, 5.0), 7)
        assert mark[0].fill == OUTCOME_COLORS[outcome]
        assert mark[0].kind == ("circle" if shape in ("disc", "ring") else "polygon")
        assert [item.text for item in mark if isinstance(item, Label)] == ["7"]
    kinds = {(item.kind, item.points) for name in OUTCOME_SHAPES for item in outcome_mark(name, (0.0, 0.0))[:1]}
    assert len(kinds) == 4  # disc and ring differ by what is inside
    for color in (*OUTCOME_COLORS.values(), *CONCEPT_COLORS, MISS_COLOR):
        assert contrast(color, MARK_INK) > 4.5


def contrast(one: str, other: str) -> float:
    """WCAG 2, section 1.4.3."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


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
        (("--out", "view.gif"), "Cannot write view.gif: pictures are written as .png"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert main(["view", str(data), "--out", str(tmp_path / "view.png"), *options]) == 2
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
