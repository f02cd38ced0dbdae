"""Pointing: reading coordinates, their frames, calibration, and PCK on the questions' pairs."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.scripted_server import Scripted, images_of, serve, text_of
from helpers.small_release import make_release
from PIL import Image

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main
from soco_datasets.data.folder import open_folder
from soco_datasets.errors import UsageError
from soco_datasets.lvlm.point_answers import declared_frame, parse_point, point_in_pixels, smart_size
from soco_datasets.lvlm.point_calibration import SIZES, calibrate, dot_picture, dot_place
from soco_datasets.lvlm.pointing import PointAnswers, point_pairs, point_questions, score_points
from soco_datasets.records.evaluation import EvaluationResult
from soco_datasets.records.predictions import read_predictions


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pointing")
    build_dataset(make_release(root / "release"), root / "built")
    return root / "built"


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ('<point x="61.5" y="40.2" alt="the ear">the ear</point>', (61.5, 40.2)),
        ('<points x1="10.0" y1="20.5" x2="30" y2="40" alt="ears">ears</points>', (30.0, 40.0)),
        ('```json\n[{"point_2d": [512, 300], "label": "ear"}]\n```', (512.0, 300.0)),
        ('{"bbox_2d": [100, 200, 120, 240]}', (110.0, 220.0)),
        ('{"x": 12, "y": 34.5}', (12.0, 34.5)),
        ("{'point': (0.25, 0.75)}", (0.25, 0.75)),
        ("(512, 300)", (512.0, 300.0)),
        ("[[512, 300]]", (512.0, 300.0)),
        ("<|box_start|>(512,300)<|box_end|>", (512.0, 300.0)),
        ("512, 300", (512.0, 300.0)),
        ("x = 10 and y = 20", (10.0, 20.0)),
        ("The marked point is at (1, 2); the corresponding one is at (3, 4).", (3.0, 4.0)),
        ("<think>(1, 2)?</think>\n(3, 4)", (3.0, 4.0)),
        ("Point B", None), ("I cannot see the images.", None), ("", None), (None, None), ("(1, 2, 3)", None),
    ],
)  # fmt: skip
def test_points_in_answers(text: object, point: tuple[float, float] | None) -> None:
    assert parse_point(text) == point


def test_frames_give_pixels_of_the_stored_image() -> None:
    stored, sent = (1000, 500), (500, 250)
    for frame, written in (
        ("pixels", (50, 25)), ("thousandths", (100, 100)), ("percent", (10, 10)), ("unit", (0.1, 0.1)),
        ("resized", (50 * smart_size(sent)[0] / 500, 25 * smart_size(sent)[1] / 250)),
    ):  # fmt: skip
        text = f"({written[0]}, {written[1]})"
        assert point_in_pixels(text, frame, sent, stored) == pytest.approx((100, 50))
    with pytest.raises(UsageError, match="coordinate frame"):
        point_in_pixels("(1, 2)", "inches", sent, stored)
    assert declared_frame("models/tiny", "qwen2_5_vl") == "resized"


@pytest.mark.parametrize("frame", ["pixels", "thousandths", "percent", "unit"])
def test_calibration_finds_the_frame(frame: str) -> None:
    def said(place: int) -> str:
        (x, y), (width, height) = dot_place(place), SIZES[place % len(SIZES)]
        assert dot_picture(place).getpixel((round(x), round(y))) == (220, 20, 30)
        whole = {"thousandths": 1000, "percent": 100, "unit": 1}
        return f"({x}, {y})" if frame == "pixels" else f"({x / width * whole[frame]}, {y / height * whole[frame]})"

    found = calibrate([said(place) for place in range(16)], frame, lambda size: size)
    assert (found["best"], found["agrees"], found["hits"][frame], found["unread"]) == (frame, True, 16, 0)
    other = calibrate(
        [said(place) for place in range(16)], "unit" if frame == "percent" else "percent", lambda size: size
    )
    assert (other["best"], other["agrees"]) == (frame, False)
    blind = calibrate([None, "no", "(1, 1)"], frame, lambda size: size)
    assert (blind["agrees"], blind["unread"]) == (False, 2)


def test_exact_points_score_one_and_answers_without_a_point_are_misses(data: Path) -> None:
    folder = open_folder(data)
    asked = point_questions(folder, "vis_desc", "pixels")
    pairs = point_pairs(folder).to_pylist()
    texts = {pair["pair_id"]: str(tuple(pair["target_points"][0][0])) for pair in pairs}
    exact = score_points(folder, [PointAnswers(asked, texts, "pixels")], {"name": "m"}, {})
    for alpha in ("0.1", "0.02"):
        assert exact.result.metrics["point_vis_desc"]["pair"][alpha]["overall"]["pck"] == 1.0
    texts[pairs[0]["pair_id"]] = "somewhere"
    worse = score_points(folder, [PointAnswers(asked, texts, "pixels")], {"name": "m"}, {}).result
    assert worse.counts["parse_failures"] == 1
    assert worse.metrics["point_vis_desc"]["keypoint"]["0.1"]["overall"]["pck"] < 1.0
    assert "Point A" not in asked.prompt(0)


def test_a_backbone_is_evaluated_on_the_same_queries(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from helpers.tiny_models import make

    model = make("dinov2", tmp_path / "tiny")
    common = ["lvlm", "point-baseline", "--model", str(model), "--data", str(data), "--image-size", "56"]
    assert main([*common, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    (path,) = (tmp_path / "out").glob("*.parquet")
    before = path.read_bytes()
    assert main([*common, "--out", str(tmp_path / "out"), "--device", "cpu", "--setting", "vis,desc"]) == 2
    assert path.read_bytes() == before  # of other tasks: not replaced
    table = read_predictions(path)
    assert set(table["task"].to_pylist()) == {"point_vis"}
    assert sorted(table["pair_id"].to_pylist()) == sorted(point_pairs(open_folder(data))["pair_id"].to_pylist())


@pytest.mark.lvlm
def test_the_command_calibrates_asks_and_scores(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A scripted endpoint that answers in thousandths, whatever pixels it is asked for: its dots are found."""
    pytest.importorskip("inspect_ai", reason="runs of questions need inspect-ai (extra lvlm)")
    folder = open_folder(data)
    known = {question["description"]: question for question in point_questions(folder, "vis_desc", "pixels").rows}
    pairs = {pair["pair_id"]: pair for pair in point_pairs(folder).to_pylist()}
    assert known

    def script(number: int, body: dict[str, Any]) -> Scripted:
        picture = Image.open(io.BytesIO(base64.b64decode(images_of(body)[-1].partition(",")[2])))
        pixels = np.asarray(picture.convert("RGB"), dtype=int)
        if "red dot" in text_of(body):
            rows, columns = np.nonzero((pixels[..., 0] > 180) & (pixels[..., 1] < 80))
            return Scripted(f"({columns.mean() / picture.width * 1000:.1f}, {rows.mean() / picture.height * 1000:.1f})")
        return Scripted("(500, 500)" if number % 2 else "I see no point.")

    with serve(script) as server:
        common = ["lvlm", "point", "--model", "m", "--base-url", server.url, "--data", str(data), "--max-retries", "0"]
        assert (
            main([*common, "--out", str(tmp_path), "--setting", "vis,desc", "--limit", "2", "--image-format", "png"])
            == 0
        )
        asked = len(server.requests)
        assert (
            main([*common, "--out", str(tmp_path), "--setting", "vis,desc", "--limit", "2", "--image-format", "png"])
            == 0
        )
        assert len(server.requests) == asked == 16 + 2 * 2
        assert main([*common, "--out", str(tmp_path / "other"), "--frame", "pixels", "--limit", "1"]) == 1
    assert "Give --frame thousandths" in capsys.readouterr().err
    (path,) = (tmp_path / "pointing" / "m").glob("m*.json")
    record = EvaluationResult.read(path)
    assert set(record.metrics) == {"point_vis", "point_desc"}
    assert record.model["frame"] == "thousandths"
    assert record.model["calibration"]["best"] == "thousandths"
    assert record.counts["keypoints"] == 4
    assert 0 < record.counts["parse_failures"] < 4
    table = read_predictions(next((tmp_path / "pointing" / "m").glob("*.parquet")))
    for row in table.to_pylist():
        width, height = pairs[row["pair_id"]]["target_size"]
        assert row["prediction"] in ([width / 2, height / 2], [-10 * width, -10 * height])
    assert json.loads((tmp_path / "pointing" / "m" / "calibration.json").read_text())["dots"] == 16
