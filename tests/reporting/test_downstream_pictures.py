"""Pictures of sample predictions: what is drawn where, from samples whose truth is known."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soco_datasets.errors import SocoError
from soco_datasets.reporting.downstream_pictures import sample_pictures

GRAY = np.full((64, 64, 3), 128, np.uint8)


def drawn(folder: Path, task: str, **arrays: Any) -> str:
    np.savez(folder / "samples.npz", **{f"a <b>/{name}": value for name, value in arrays.items()})
    page = sample_pictures(folder / "samples.npz", task)
    assert "a &lt;b&gt;" in page
    assert "<b>" not in page
    return page


def lines(page: str) -> list[tuple[float, ...]]:
    found = re.findall(r'<line x1="([-\d.]+)" y1="([-\d.]+)" x2="([-\d.]+)" y2="([-\d.]+)"', page)
    return [tuple(map(float, one)) for one in found]


def test_poses_are_axes_and_an_angle(tmp_path: Path) -> None:
    above = np.array([0.0, np.pi / 2, 0.0])  # seen from above: x to the right, y up, z towards the viewer
    turned = np.array([np.pi / 2, np.pi / 2, 0.0])
    page = drawn(tmp_path, "imagenet3d_pose", pixels=GRAY, true=above, predicted=turned)
    ends = {(round(x2 - x1), round(y2 - y1)) for x1, y1, x2, y2 in lines(page)}
    assert {(23, 0), (0, -23), (0, 0)} <= ends
    assert "90 degrees apart" in page
    assert page.count("stroke-dasharray") == 3


def test_matches_are_lines_in_their_colors(tmp_path: Path) -> None:
    found = np.array([[0, 0, 1.0], [0.1, 0, 1.0]])
    page = drawn(
        tmp_path, "navi", first=GRAY, second=GRAY, cloud=np.concatenate([found, -found]), found=found,
        moved=found + np.array([[0, 0.019, 0], [0, 0.021, 0]]), cells=np.array([[[0, 0], [127, 127]], [[64, 0], [0, 64]]]),
    )  # fmt: skip
    assert "50 % of the 2 shown within 2 cm" in page
    assert lines(page)[0] == (0.2, 0.2, 127.8, 63.8)  # from the corner of the first view to that of the second
    assert page.count('stroke="#00b27a"') == page.count('stroke="#ff6a00"') == 2  # flat and in space


def test_tracks_lie_over_a_frame(tmp_path: Path) -> None:
    true = np.array([[[10.0, 20.0], [11.0, 20.0], [12.0, 20.0]]])
    page = drawn(
        tmp_path, "tapvid_davis", pixels=GRAY, true=true, predicted=true + 5, occluded=np.array([[False, True, False]])
    )
    assert 'points="10.0,20.0 12.0,20.0"' in page
    assert 'points="15.0,25.0 17.0,25.0"' in page
    assert "<image " in page


@pytest.mark.parametrize("task", ["ade20k_linear", "nyu_depth", "nyu_normals"])
def test_maps_are_beside_the_image(task: str, tmp_path: Path) -> None:
    value = np.ones((3, 8, 8)) if task == "nyu_normals" else np.ones((8, 8), np.uint8)
    page = drawn(tmp_path, task, pixels=GRAY, true=value, predicted=value)
    assert re.findall(r'<img alt="(\w+)"', page) == ["image", "true", "predicted"]


def test_no_samples_and_broken_ones(tmp_path: Path) -> None:
    assert sample_pictures(tmp_path / "none.npz", "navi") == ""
    (tmp_path / "broken.npz").write_bytes(b"PK")
    with pytest.raises(SocoError, match=r"broken\.npz cannot be read"):
        sample_pictures(tmp_path / "broken.npz", "navi")
