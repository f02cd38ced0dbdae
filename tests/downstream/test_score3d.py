"""AP3D of foreign predictions, and the cuboid probe on given 2D boxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soco_datasets.cli import main
from soco_datasets.downstream.score3d import score_predictions
from soco_datasets.downstream.table import downstream_table, find_records
from soco_datasets.errors import UsageError

Synthetic = Callable[[str], Path]


def truth_of(synthetic: Synthetic) -> Path:
    return synthetic("omni3d") / "Omni3D" / "ARKitScenes_test.json"


def perfect(path: Path) -> list[dict[str, Any]]:
    content = json.loads(path.read_text())
    rows = []
    for one in content["annotations"]:
        x1, y1, x2, y2 = one["bbox2D_trunc"]
        row = {name: one[name] for name in ("image_id", "category_id", "category_name")}
        box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "bbox3D": one["bbox3D_cam"], "depth": one["center_cam"][2]}
        rows.append({**row, **box, "score": 0.9})
    return rows


def write(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(rows))
    return path


def test_true_boxes_score_100(synthetic: Synthetic, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = truth_of(synthetic)
    found = score_predictions(write(tmp_path / "p.json", perfect(truth)), truth)
    assert found.ap3d["AP3D"] == found.ap2d["AP2D"] == 100.0
    assert found.ap3d["far"] is None  # nothing is that far away
    by_image: dict[int, list[Any]] = {}
    for row in perfect(truth):
        by_image.setdefault(row.pop("image_id"), []).append(row)
    nested = [{"image_id": image, "instances": rows} for image, rows in by_image.items()]
    assert score_predictions(write(tmp_path / "n.json", nested), truth).ap3d == found.ap3d
    command = [
        "downstream",
        "score3d",
        str(tmp_path / "p.json"),
        str(truth),
        "--model",
        "cube",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(command) == 0
    assert "AP3D     100.00" in capsys.readouterr().out
    assert main(command) == 0  # the very same again
    other = write(tmp_path / "other.json", {**json.loads(truth.read_text()), "info": {"name": "other"}})
    assert main([str(other) if part == str(truth) else part for part in command]) == 2
    assert "--overwrite" in capsys.readouterr().err
    (record,) = (tmp_path / "o").iterdir()
    assert main(["downstream", "table", str(record), "--csv", str(record)]) == 2
    assert "is not replaced" in capsys.readouterr().err
    table = downstream_table(find_records([tmp_path / "o"]))
    assert table.rows["cube"]["arkit_ap3d"] == 100.0
    assert table.marks["cube", "arkit_ap3d"] == "foreign predictions"


def test_contiguous_ids_and_moved_boxes(synthetic: Synthetic, tmp_path: Path) -> None:
    content = json.loads(truth_of(synthetic).read_text())
    for one in [*content["categories"], *content["annotations"]]:
        key = "category_id" if "category_id" in one else "id"
        one[key] = one[key] * 7 + 3
    truth = write(tmp_path / "truth.json", content)
    rows = perfect(truth)
    for row in rows:
        row["category_id"] = (row["category_id"] - 3) // 7
    assert score_predictions(write(tmp_path / "p.json", rows), truth, "contiguous").ap3d["AP3D"] == 100.0
    for row in rows:
        row["bbox3D"] = (np.array(row["bbox3D"]) + np.array([0, 0, 50.0])).tolist()
    assert score_predictions(write(tmp_path / "p.json", rows), truth, "contiguous").ap3d["AP3D"] == 0.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: row.update(category_id="2"), "row 0: category_id is '2', not a whole number"),
        (lambda row: row.update(category_id=99), "row 0: category_id 99 is unknown.*contiguous"),
        (lambda row: row.update(category_name="elf"), "row 0: .*ids of another kind"),
        (lambda row: row.update(score=None), "row 0: it needs a finite score"),
        (lambda row: row.update(score=True), "row 0: it needs a finite score"),
        (lambda row: row.update(bbox3D=[[0, 0, 0]]), "8 corners"),
        (lambda row: row.update(bbox3D=[["a", 0, 0]] * 8), "row 0: .*8 corners"),
        (lambda row: row.update(bbox=[1, 2, 3]), r"row 0: bbox is \[1, 2, 3\]"),
        (lambda row: row.update(image_id=[1]), r"row 0: image_id is \[1\]"),
        (lambda row: row.update(instances=[5]), r"row 0: instances is \[5\]"),
    ],
)
def test_bad_predictions_are_named(
    change: Callable[[dict[str, Any]], None], said: str, synthetic: Synthetic, tmp_path: Path
) -> None:
    rows = perfect(truth_of(synthetic))
    change(rows[0])
    with pytest.raises(UsageError, match=said):
        score_predictions(write(tmp_path / "p.json", rows), truth_of(synthetic))


def test_predictions_of_other_data_and_broken_boxes(synthetic: Synthetic, tmp_path: Path) -> None:
    rows = perfect(truth_of(synthetic))
    for row in rows:
        row["image_id"] += 10**6
    with pytest.raises(UsageError, match="another data set or split"):
        score_predictions(write(tmp_path / "p.json", rows), truth_of(synthetic))
    rows = perfect(truth_of(synthetic))
    rows[0]["bbox3D"] = [[0.0, 0.0, 1.0]] * 8
    found = score_predictions(write(tmp_path / "p.json", rows), truth_of(synthetic))
    assert found.left_out == {"that are not cuboids (they overlap nothing)": 1}


def test_boxes_in_millimeters_are_warned_of(synthetic: Synthetic, tmp_path: Path) -> None:
    rows = perfect(truth_of(synthetic))
    assert score_predictions(write(tmp_path / "m.json", rows), truth_of(synthetic)).warnings == []
    for row in rows:
        row["bbox3D"] = (1000 * np.array(row["bbox3D"])).tolist()
    (warning,) = score_predictions(write(tmp_path / "mm.json", rows), truth_of(synthetic)).warnings
    assert "bbox3D is in meters" in warning
