"""The drawn pairs of a built folder, and the card of the whole SOCO at the top of the repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from helpers.shared_builds import built_mini as make_built_mini
from huggingface_hub import DatasetCard
from PIL import Image, ImageColor

from soco_datasets.benchmarks import preview
from soco_datasets.benchmarks.base import BuildOptions
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.data.folder import open_folder
from soco_datasets.data.pair_marks import concept_colors, mark_pair
from soco_datasets.utils.shapes import Drawing, Photo, to_image

ROOT = Path(__file__).parents[2]


def test_plain_datasets_shows_drawn_pairs(tmp_path: Path) -> None:
    folder = open_folder(make_built_mini())
    rows = load_dataset(str(folder.path), "preview", split="test", cache_dir=str(tmp_path))
    assert len(rows) == folder.manifest["preview"]["rows"] <= preview.MOST_PAIRS
    assert set(rows["config"]) == {"soc", "cross_soc"}
    assert "preview" not in folder.configs  # nothing is evaluated on it
    for row in list(rows)[:3]:
        stored = folder.table(row["config"]).to_pylist()
        pair = next(pair for pair in stored if pair["pair_id"] == row["pair_id"])
        assert row["keypoints"] == pair["keypoints"]
        colors = concept_colors(pair["concepts"])
        for side in ("source", "target"):
            drawn = row[side]
            assert max(drawn.size) == 512
            scale = drawn.width / pair[f"{side}_size"][0]
            points = pair["source_points"] if side == "source" else [targets[0] for targets in pair["target_points"]]
            for (x, y), concept in zip(points, pair["concepts"], strict=True):
                color = ImageColor.getrgb(colors[concept])
                at = (min(drawn.width - 1, int(x * scale)), min(drawn.height - 1, int(y * scale)))
                near = np.asarray(drawn)[max(0, at[1] - 9) : at[1] + 10, max(0, at[0] - 9) : at[0] + 10].reshape(-1, 3)
                assert (np.abs(near.astype(int) - color).max(axis=1) < 60).any()


def test_the_preview_moves_no_hash_and_is_the_same_each_time(tmp_path: Path) -> None:
    whole = open_folder(make_built_mini())
    without = build_dataset("mini", tmp_path / "without", options=BuildOptions(preview=False))
    assert without.manifest["content_hash"] == whole.content_hash
    assert "preview" not in without.manifest
    assert not (without.path / preview.SAMPLE).exists()
    assert "preview" not in DatasetCard((without.path / "README.md").read_text()).data.to_dict()["configs"][0].values()
    shards = [preview.write_preview(open_folder(without.path), "parquet", pairs=5) for _ in range(2)]
    assert shards[0] == shards[1]
    assert shards[0] is not None
    assert shards[0].rows == 5


def test_pictures_stay_within_their_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "MOST_BYTES", 300_000)
    built = build_dataset("mini", tmp_path / "mini")
    assert built.manifest["preview"]["rows"] < 10
    assert built.manifest["preview"]["bytes"] < 320_000


@pytest.mark.parametrize("points", [[[(0.0, 0.0)]], [[(39.0, 29.0)], [(38.0, 29.0), (0.0, 29.0)]], []])
def test_marks_at_the_edge_are_drawn(points: list[list[tuple[float, float]]]) -> None:
    drawing = Drawing(40, 30)
    drawing.add(Photo(Image.new("RGB", (40, 30), (128, 128, 128)), (0, 0), drawing.size))
    row = {"concepts": ["wheel"] * len(points), "source_points": [(0, 0)] * len(points), "target_points": points}
    mark_pair(row, (Drawing(40, 30), 1.0), (drawing, 1.0))
    drawn = to_image(drawing)
    assert drawn.size == (40, 30)
    assert (len(set(drawn.get_flattened_data() if hasattr(drawn, "get_flattened_data") else drawn.getdata())) > 1) == (
        len(points) > 0
    )


def test_the_card_of_the_repository_is_valid_and_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "make_dataset_card.py"), "--check"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
    card = DatasetCard.load(ROOT / "dataset_card.md")
    fields = card.data.to_dict()
    assert fields["license"] == "cc-by-4.0"
    assert fields["annotations_creators"] == ["other"]
    assert fields["source_datasets"] == ["original"]
    assert fields["configs"][0]["config_name"] == "preview"
    assert {info["config_name"] for info in fields["dataset_info"]} == {c["config_name"] for c in fields["configs"]}
    assert "$" not in card.text
    assert "| dinov2_b14 | **78.90** | **60.43** | **54.98** |" in card.text
    for picture in ("docs/images/sample.jpg",):
        assert picture in card.text
        assert (ROOT / picture).is_file()
