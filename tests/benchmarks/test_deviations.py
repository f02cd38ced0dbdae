"""Each wrong choice of deviations.json, made on purpose, gives the score that stands there: none of them goes unseen.

A choice of how to score is made in the predictions, one of what to read in the files, one that is an option by it.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from helpers.shared_data import DATA, ORACLE

from soco_datasets.benchmarks.base import BuildOptions, benchmark_of
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.config import ScoringConfig
from soco_datasets.correspondence.evaluate import Evaluation, evaluate_backbone
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.features.expression import load_model_expression
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.records.scores import score_checked

pytest.importorskip("torch")
MINIATURES = DATA / "benchmarks" / "miniatures"
WRONG = json.loads((DATA / "benchmarks" / "expected" / "deviations.json").read_text())
SETS = {
    "SPair-71k": "SPair-71k test", "ap-10k": "ap-10k test", "PF-dataset-PASCAL": "PF-PASCAL test",
    "PF-dataset": "PF-WILLOW test", "MISC210K": "MISC210K test, at least 3",
}  # fmt: skip
Row = dict[str, Any]
Boxes = Callable[[Row, Mapping[str, Any]], list[float]]


@pytest.fixture(scope="module")
def extractor() -> DenseFeatureExtractor:
    model = load_model_expression(ORACLE / "models" / "dinov2_tiny_p14", device="cpu")
    return DenseFeatureExtractor(model, 285)


@pytest.fixture(scope="module")
def evaluated(
    extractor: DenseFeatureExtractor, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[DatasetFolder, Evaluation]]:
    """Miniature -> its folder and its evaluation, with no wrong choice."""
    found = {}
    for name in SETS:
        folder = open_folder(build_dataset(MINIATURES / name, tmp_path_factory.mktemp("built") / "out").path)
        found[name] = folder, evaluate(extractor, folder)
    return found


def evaluate(extractor: DenseFeatureExtractor, folder: DatasetFolder, **scoring: Any) -> Evaluation:
    config = ScoringConfig(alphas=(0.1,), reductions=("keypoint", "keypoint_all"), **scoring)
    return evaluate_backbone(extractor, folder, [benchmark_of(folder).task("soc")], scoring=config)


def percent(evaluation: Evaluation, reduction: str = "keypoint") -> float:
    return float(100 * evaluation.result.metrics["soc"][reduction]["0.1"]["overall"]["pck"])


# Boxes that a wrong choice divides by, from a row of the predictions and its pair; a box without area hits nothing.


def square(side: float) -> list[float]:
    return [0.0, 0.0, max(side, 1e-9), max(side, 1e-9)]


def extent(points: Any) -> float:
    return float(np.ptp(np.array(points), axis=0).max())


def as_corners(row: Row, pair: Mapping[str, Any]) -> list[float]:
    left, top, right, bottom = row["target_bbox"]
    return square(max(right - 2 * left, bottom - 2 * top))


def shorter_side(row: Row, pair: Mapping[str, Any]) -> list[float]:
    left, top, right, bottom = row["target_bbox"]
    return square(min(right - left, bottom - top))


BOXES: dict[tuple[str, str], Boxes] = {
    ("SPair-71k", "box of the source"): lambda row, pair: pair["source_bbox"],
    ("SPair-71k", "box read as x, y, w, h"): lambda row, pair: square(max(row["target_bbox"][2:])),
    ("SPair-71k", "shorter side of the box"): shorter_side,
    ("ap-10k", "box read as l, t, r, b"): as_corners,
    ("MISC210K", "box read as l, t, r, b"): as_corners,
    ("PF-dataset-PASCAL", "extent of the target points"): lambda row, pair: square(
        extent([points[0] for points in pair["target_points"]])
    ),
    ("PF-dataset", "extent of the source points"): lambda row, pair: square(extent(pair["source_points"])),
    ("PF-dataset", "extent with the padding value -1 included"): lambda row, pair: square(
        extent([[-1.0, -1.0], *(points[0] for points in pair["target_points"])])
    ),
}


@pytest.mark.parametrize(("name", "choice"), BOXES)
def test_wrong_boxes(name: str, choice: str, evaluated: dict[str, tuple[DatasetFolder, Evaluation]]) -> None:
    folder, evaluation = evaluated[name]
    pairs = {pair["pair_id"]: pair for pair in folder.table("soc", "test").to_pylist()}
    boxes = [BOXES[name, choice](row, pairs[row["pair_id"]]) for row in evaluation.predictions.to_pylist()]
    assert rescored(evaluation, "target_bbox", boxes) == pytest.approx(WRONG[SETS[name]][choice], abs=1e-4)


def rescored(evaluation: Evaluation, column: str, values: list[Any]) -> float:
    """PCK in percent after a column of the predictions was replaced."""
    table = evaluation.predictions
    assert table is not None
    place = table.schema.get_field_index(column)
    changed = table.set_column(place, table.schema.field(column), pa.array(values, table.schema.field(column).type))
    return float(100 * score_checked(changed)["soc"]["keypoint"]["0.1"]["overall"]["pck"])


def test_wrong_places(evaluated: dict[str, tuple[DatasetFolder, Evaluation]], extractor: DenseFeatureExtractor) -> None:
    spair, evaluation = evaluated["SPair-71k"]
    ap10k, of_ap10k = evaluated["ap-10k"]
    half = 0.5 / extractor.grid
    centers = [
        [value + half * max(row["target_size"]) for value in row["prediction"]]
        for row in evaluation.predictions.to_pylist()
    ]
    found = {
        ("SPair-71k", "prediction at the centre of the cell"): rescored(evaluation, "prediction", centers),
        ("SPair-71k", "points not truncated"): percent(evaluate(extractor, spair, truncated=False)),
        ("SPair-71k", "centred padding"): percent(evaluate(extractor.anchored("center"), spair, truncated=False)),
        ("ap-10k", "corner padding, truncated"): percent(evaluate(extractor.anchored("corner"), ap10k, truncated=True)),
        ("ap-10k", "species not separated"): percent(of_ap10k, "keypoint_all"),
    }
    for name in ("SPair-71k", "PF-dataset-PASCAL", "PF-dataset"):
        by_image = percent(evaluate(extractor, evaluated[name][0], normalizer="image"))
        found[name, "normalised by the image"] = by_image
    expected = {(name, choice): WRONG[SETS[name]][choice] for name, choice in found}
    assert found == pytest.approx(expected, abs=1e-4)


# Files changed so that a right reader reads what a wrong one would.


def flags_count(*flags: int) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        for path in (*root.glob("ImageAnnotation/*/*/*.json"), *root.glob("annotations/*.json")):
            fields = json.loads(path.read_text())
            for annotation in fields.get("annotations", [fields]):
                triples = annotation["keypoints"]
                triples[2::3] = [2 if flag in flags else flag for flag in triples[2::3]]
            path.write_text(json.dumps(fields))

    return edit


def first_instances(root: Path) -> None:
    (path,) = root.glob("annotations/*.json")
    fields = json.loads(path.read_text())
    first = {(one["image_id"], one["category_id"]): one for one in reversed(fields["annotations"])}
    fields["annotations"] = [{**one, "iscrowd": 0} for one in fields["annotations"] if one in list(first.values())]
    path.write_text(json.dumps(fields))


def nan_is_zero(root: Path) -> None:
    from scipy import io

    for path in root.glob("Annotations/*/*.mat"):
        content = io.loadmat(path)
        io.savemat(path, {"kps": np.nan_to_num(content["kps"]), "bbox": content["bbox"]})


def last_annotation_of_a_name(root: Path) -> None:
    last = {path.name: path.read_text() for path in sorted(root.glob("ImageAnnotation/*/*.json"))}
    for path in root.glob("ImageAnnotation/*/*.json"):
        path.write_text(json.dumps({**json.loads(last[path.name]), "category": path.parent.name}))


FILES: dict[tuple[str, str], Callable[[Path], None]] = {
    ("SPair-71k", "annotation found by picture name only"): last_annotation_of_a_name,
    ("ap-10k", "v = 1 counted as visible"): flags_count(1),
    ("ap-10k", "missing points kept at 0, 0"): flags_count(0, 1),
    ("PF-dataset-PASCAL", "NaN rows kept as 0, 0"): nan_is_zero,
    ("MISC210K", "v = 1 counted as visible"): flags_count(1),
    ("MISC210K", "multi-instance pictures kept, first instance"): first_instances,
}


@pytest.mark.parametrize(("name", "choice"), FILES)
def test_wrong_readings(name: str, choice: str, extractor: DenseFeatureExtractor, tmp_path: Path) -> None:
    source = tmp_path / name
    shutil.copytree(MINIATURES / name, source)
    FILES[name, choice](source)
    folder = open_folder(build_dataset(source, tmp_path / "out").path)
    assert percent(evaluate(extractor, folder)) == pytest.approx(WRONG[SETS[name]][choice], abs=1e-4)


def test_points_of_the_pair_files(extractor: DenseFeatureExtractor, tmp_path: Path) -> None:
    options = BuildOptions(points="pair")
    folder = open_folder(build_dataset(MINIATURES / "SPair-71k", tmp_path / "out", options=options).path)
    wrong = WRONG["SPair-71k test"]["points of the pair file"]
    assert percent(evaluate(extractor, folder)) == pytest.approx(wrong, abs=1e-4)


def test_turned_pictures(
    extractor: DenseFeatureExtractor,
    evaluated: dict[str, tuple[DatasetFolder, Evaluation]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from PIL import Image

    folder = open_folder(evaluated["ap-10k"][0].path)
    table = folder.table("images", "test")
    turned = dict(zip(table["image_id"].to_pylist(), table["exif_orientation"].to_pylist(), strict=True))
    assert set(turned.values()) == {1, 6}
    images = folder.images
    decode = images.decode

    def rotated(image_id: str) -> Image.Image:
        image = decode(image_id)
        return image.transpose(Image.Transpose.ROTATE_270) if turned[image_id] == 6 else image

    monkeypatch.setattr(images, "decode", rotated)
    wrong = WRONG["ap-10k test"]["EXIF rotation applied"]
    assert percent(evaluate(extractor, folder)) == pytest.approx(wrong, abs=1e-4)


def test_columns_in_another_order(
    extractor: DenseFeatureExtractor, evaluated: dict[str, tuple[DatasetFolder, Evaluation]], tmp_path: Path
) -> None:
    """PF-WILLOW's columns read as x1, y1, x2, y2 instead of all x, then all y."""
    from scipy import io

    source = tmp_path / "PF-dataset"
    shutil.copytree(MINIATURES / "PF-dataset", source)
    for path in source.glob("*/*.mat"):
        flat = io.loadmat(path)["pts_coord"].ravel()
        io.savemat(path, {"pts_coord": np.array([flat[0::2], flat[1::2]])})
    for path in source.glob("*.csv"):
        head, *rows = list(csv.reader(path.read_text().splitlines()))
        sides = [(row[:2], row[2:22], row[22:]) for row in rows]
        mixed = [[*names, *a[0::2], *a[1::2], *b[0::2], *b[1::2]] for names, a, b in sides]
        path.write_text("\n".join(",".join(row) for row in (head, *mixed)) + "\n")
    folder = open_folder(build_dataset(source, tmp_path / "out").path)
    wrong = WRONG["PF-WILLOW test"]["columns read as x1, y1, x2, y2"]
    assert percent(evaluate(extractor, folder)) == pytest.approx(wrong, abs=1)  # another rule for its box
    assert percent(evaluated["PF-dataset"][1]) > 10 * wrong


def test_every_wrong_choice_is_made_here() -> None:
    made = {(SETS[name], choice) for name, choice in (*BOXES, *FILES)}
    elsewhere = {
        ("SPair-71k test", "points of the pair file"), ("SPair-71k test", "prediction at the centre of the cell"),
        ("SPair-71k test", "points not truncated"), ("SPair-71k test", "centred padding"),
        ("ap-10k test", "corner padding, truncated"), ("ap-10k test", "species not separated"),
        ("ap-10k test", "EXIF rotation applied"), ("PF-WILLOW test", "columns read as x1, y1, x2, y2"),
        *((case, "normalised by the image") for case in ("SPair-71k test", "PF-PASCAL test", "PF-WILLOW test")),
    }  # fmt: skip
    listed = {(case, choice) for case, choices in WRONG.items() for choice in choices if choice != "none"}
    assert made | elsewhere == listed
