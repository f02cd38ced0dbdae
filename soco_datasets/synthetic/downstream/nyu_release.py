"""Synthetic NYUv2: rooms with depth and normals, as GeoNet training files and the framework's or the labeled file."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import missing_extra
from ..randomness import SeededDraw
from .scenes import furnished_room

_RENDERED, _REPEAT = (320, 240), 2  # pixels, and how often each is repeated
_MEANS = (122.175, 116.169, 103.508)
_TRAIN, _TEST = 8, 3


def write_nyu(folder: Path, seed: int) -> Mapping[str, int]:
    """Write nyu_geonet/*.mat and nyuv2/nyuv2_snorm_all.pkl; returns the expected counts."""
    _write_training(folder / "nyu_geonet", seed)
    samples = [_sample(seed, "test", number) for number in range(_TEST)]
    content = {
        "images": np.stack([pixels.transpose(2, 0, 1) for pixels, _, _ in samples]),
        "depths": np.stack([depth for _, depth, _ in samples]),
        "snorms": np.stack([normals.transpose(2, 0, 1) for _, _, normals in samples]),
        "scene_types": ["room"] * _TEST,
        "train_indices": np.array([], dtype=np.int64),
        "test_indices": np.arange(_TEST),
    }
    (folder / "nyuv2").mkdir(parents=True)
    with open(folder / "nyuv2" / "nyuv2_snorm_all.pkl", "wb") as file:
        pickle.dump(content, file)
    return {"train": _TRAIN, "test": _TEST}


def write_nyu_matlab(folder: Path, seed: int) -> Mapping[str, int]:
    """The same data with the labeled MATLAB 7.3 file, all_normals.pklz and test_SN40.json instead of the pickle."""
    try:
        import h5py
    except ImportError as error:
        raise missing_extra("The labeled MATLAB 7.3 file", "downstream", "h5py") from error
    _write_training(folder / "nyu_geonet", seed)
    samples = [_sample(seed, "test", number) for number in range(_TEST)]
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.stack([pixels.transpose(2, 1, 0) for pixels, _, _ in samples])
        file["rawDepths"] = np.stack([depth.T for _, depth, _ in samples])
        file["depths"] = file["rawDepths"][()]
    with gzip.open(folder / "all_normals.pklz", "wb") as packed:
        pickle.dump({"all_normals": np.stack([normals for _, _, normals in samples])}, packed)
    (folder / "test_SN40.json").write_text(json.dumps([f"{number + 1}_room.png" for number in range(_TEST)]))
    return {"train": _TRAIN, "test": _TEST}


def _write_training(folder: Path, seed: int) -> None:
    try:
        from scipy.io import savemat
    except ImportError as error:
        raise missing_extra("Writing GeoNet's training files", "downstream", "scipy") from error
    folder.mkdir(parents=True)
    for number in range(_TRAIN):
        pixels, depth, normals = _sample(seed, "train", number)
        means = np.array(_MEANS, dtype=np.float32)
        image = pixels.astype(np.float32) - 2 * means + np.float32(0.5)  # the reader cuts to bytes
        content = {"img": image, "depth": depth, "norm": normals}
        savemat(folder / f"room_{number:04d}-{number}.mat", content, do_compression=True)


def _sample(seed: int, split: str, number: int) -> tuple[Any, Any, Any]:
    """Pixels (480, 640, 3), depth (480, 640) with a missing patch, and normals (480, 640, 3)."""
    _, view = furnished_room(SeededDraw(seed, "downstream", "nyu", split, number), _RENDERED)
    depth = view.depth.astype(np.float32)
    depth[100 : 100 + 8 * (number % 3), 60:90] = 0  # as a sensor misses some
    arrays = (view.pixels, depth, view.normals.astype(np.float32))
    pixels, depth, normals = (np.repeat(np.repeat(one, _REPEAT, 0), _REPEAT, 1) for one in arrays)
    return pixels, depth, normals
