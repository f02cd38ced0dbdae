"""The detector on frozen features: its parts against definitions, one epoch end to end, and (slow) what it learns."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from helpers.omni3d_scenes import scores_of

from soco_datasets.downstream.heads.proposals import (
    ANCHOR_SIZES,
    RATIOS,
    box_iou,
    decode_boxes,
    encode_boxes,
    level_anchors,
    nms,
)
from soco_datasets.downstream.heads.pyramid import STRIDES
from soco_datasets.synthetic.downstream.omni3d_release import write_omni3d

torch = pytest.importorskip("torch")
Synthetic = Callable[[str], Path]
SHARES = {  # at least with features that know the truth, below with constant ones
    "omni3d_detect": (0.9, 0.05),
    "omni3d_cuboids": (0.9, 0.35),
}


def boxes(count: int, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * 100
    return torch.cat([low, low + 1 + torch.rand(count, 2, generator=generator) * 60], dim=1)


def test_anchors_have_their_sizes_and_places() -> None:
    for level, size in ANCHOR_SIZES.items():
        anchors = level_anchors(level, 2, 3)
        assert anchors.shape == (2 * 3 * len(RATIOS), 4)
        sides = anchors[:, 2:] - anchors[:, :2]
        assert torch.allclose(sides.prod(dim=1), torch.full((18,), size**2))
        middle = (anchors[:, :2] + anchors[:, 2:]) / 2
        assert torch.allclose(middle[-1], torch.tensor([2.5, 1.5]) * STRIDES[level])


def test_deltas_invert() -> None:
    one, two = boxes(50), boxes(50, 1)
    assert torch.allclose(decode_boxes(encode_boxes(one, two), two), one, atol=1e-3)


def test_nms_keeps_what_greedy_search_keeps() -> None:
    found, scores = boxes(60), torch.rand(60, generator=torch.Generator().manual_seed(2)).round(decimals=1)
    overlap = box_iou(found, found)
    assert torch.allclose(overlap.diagonal(), torch.ones(60))
    expected: list[int] = []
    for row in sorted(range(60), key=lambda row: (-float(scores[row]), row)):
        if all(float(overlap[row, other]) <= 0.3 for other in expected):
            expected.append(row)
    assert nms(found, scores, 0.3, 100).tolist() == expected
    assert nms(found, scores, 0.3, 5).tolist() == expected[:5]


def ap3d(found: tuple[Any, float]) -> float:
    """Share of what the true cuboids get on the grid."""
    outcome, ceiling = found
    value = outcome.metrics["AP3D"]["value"] / ceiling
    print(f"AP3D {outcome.metrics['AP3D']['value']:.1f} of {ceiling:.1f}: {value:.3f}")
    return float(value)


@pytest.mark.parametrize("name", ["omni3d_detect", "omni3d_cuboids"])
def test_one_epoch_is_the_same_twice(name: str, synthetic: Synthetic, tmp_path: Path) -> None:
    (one, _), (two, _) = (scores_of(name, synthetic("omni3d"), tmp_path / str(k), epochs=1, subset=3) for k in range(2))
    assert one.metrics == two.metrics
    assert one.training["head"]["sha256"] == two.training["head"]["sha256"]
    assert one.metrics["AP3D"]["unit"] == "percent"


@pytest.mark.parametrize("name", ["omni3d_detect", "omni3d_cuboids"])
def test_boxes_without_a_cuboid_are_left_out_and_counted(name: str, synthetic: Synthetic, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(synthetic("omni3d"), data)
    for path in (data / "Omni3D").glob("*_train.json"):
        content = json.loads(path.read_text())
        wrong = [{"dimensions": [math.nan] * 3}, {"center_cam": [0, 0, -1]}, {"R_cam": [[math.inf] * 3] * 3}]
        counted = [one for one in content["annotations"] if one["visibility"] > 0.5 and one["truncation"] < 0.5]
        for annotation, change in zip(counted, wrong, strict=False):
            annotation.update(change)
        path.write_text(json.dumps(content))
    found, _ = scores_of(name, data, tmp_path / "out", epochs=1)
    whole, _ = scores_of(name, synthetic("omni3d"), tmp_path / "whole", epochs=1)
    why = "training boxes that do not count"
    assert found.left_out[why] == whole.left_out.get(why, 0) + 3
    assert found.training["skipped_steps"] == 0


KILLED = """
import sys, pathlib, torch
from helpers.omni3d_scenes import scores_of
torch.set_num_threads(1)
scores_of("omni3d_detect", pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), epochs=4, subset=5, known=True)
"""


@pytest.mark.slow
def test_a_killed_detector_ends_with_the_same_bits(synthetic: Synthetic, tmp_path: Path) -> None:
    folder, options = synthetic("omni3d"), {"epochs": 4, "subset": 5, "known": True}
    whole, _ = scores_of("omni3d_detect", folder, tmp_path / "whole", **options)  # type: ignore[arg-type]
    tests = str(Path(__file__).parents[1])
    paths = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", KILLED, str(folder), str(tmp_path / "killed")]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})
    while not (tmp_path / "killed" / "head.checkpoint.safetensors").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    resumed, _ = scores_of("omni3d_detect", folder, tmp_path / "killed", **options)  # type: ignore[arg-type]
    assert resumed.training == whole.training  # with the hash of the head
    assert resumed.metrics == whole.metrics


def test_cuboids_need_features(synthetic: Synthetic, tmp_path: Path) -> None:
    """A given 2D box and class do not tell the cuboid: features that know it win after a short training already."""
    true = ap3d(scores_of("omni3d_cuboids", synthetic("omni3d"), tmp_path / "true", epochs=8, known=True))
    constant = ap3d(scores_of("omni3d_cuboids", synthetic("omni3d"), tmp_path / "constant", epochs=8))
    assert true > 2 * constant


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """More rooms than the synthetic release has: from 150 things a head does not learn headings and sizes of others."""

    def make(seed: int) -> Path:
        folder = tmp_path_factory.mktemp("rooms")
        write_omni3d(folder, seed, {"train": 184, "val": 16, "test": 40})
        return folder

    return cache(make)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("name", "known", "seeds"), [
    *((name, known, (0, 0)) for name in SHARES for known in (True, False)),
    ("omni3d_detect", True, (0, 2)), ("omni3d_detect", True, (2, 3)),
])  # fmt: skip
def test_heads_learn_what_features_know(
    name: str, known: bool, seeds: tuple[int, int], rooms: Callable[[int], Path], tmp_path: Path
) -> None:
    """Shares of what the true cuboids get with their centers rounded to cells; figures in docs/howto/downstream.md.

    `seeds` are those of the rooms and of the training.
    """
    share = ap3d(scores_of(name, rooms(seeds[0]), tmp_path / "out", known=known, seed=seeds[1]))
    least, most = SHARES[name]
    assert share >= least if known else share < most
