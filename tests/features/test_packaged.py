"""The packaged model: small, loaded by name, and made by its script to the byte."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("transformers")
from helpers.file_modules import module_of

from soco_datasets.downstream.base import four_layers
from soco_datasets.errors import UsageError
from soco_datasets.features.backbones import PACKAGED, load_backbone

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "make_tiny_dinov2.py"


def test_it_is_small_and_loads_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    backbone = load_backbone("tiny_dinov2")
    assert (backbone.name, backbone.family, backbone.patch_size) == ("tiny_dinov2", "dinov2", 14)
    assert four_layers(backbone) == (0, 1, 2, 3)
    assert sum(path.stat().st_size for path in PACKAGED["tiny_dinov2"].iterdir()) < 300_000
    with pytest.raises(UsageError, match="Did you mean 'tiny_dinov2'"):
        load_backbone("tiny_dinov")


def test_its_script_makes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = module_of(SCRIPT)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(tmp_path)])
    script.main()
    for path in PACKAGED["tiny_dinov2"].iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
