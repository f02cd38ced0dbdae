"""Sample predictions of downstream tasks as pictures: label maps, depth, normals, tracks. PIL and NumPy only."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import SocoError

_WIDTH = 240  # pixels of a picture on the page
_MOST = 4  # samples per task
_RASTER = 256


def sample_pictures(path: Path, task: str) -> str:
    """Pictures of the samples beside a record, as HTML; "" where there are none.

    Raises:
        SocoError: the samples cannot be read.
    """
    if not path.is_file():
        return ""
    try:
        with np.load(path, allow_pickle=False) as file:
            samples = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise SocoError(f"{path} cannot be read ({error}). Run the task again.") from error
    names = list(dict.fromkeys(name.rpartition("/")[0] for name in samples if "/" in name))[:_MOST]
    figures = []
    for name in names:
        own = {key.rpartition("/")[2]: value for key, value in samples.items() if key.rpartition("/")[0] == name}
        drawn = _tracks(own) if task == "tapvid_davis" else _rasters(own, task)
        figures.append(f"<figure>{drawn}<figcaption>{html.escape(name)}: true, predicted</figcaption></figure>")
    return "".join(figures)


def _rasters(own: Mapping[str, NDArray[Any]], task: str) -> str:
    paint = {"nyu_depth": _paint_depth, "nyu_normals": _paint_normals}.get(task, _paint_labels)
    return "".join(_image(paint(own[name]), f"{task} {name}") for name in ("true", "predicted") if name in own)


def _image(pixels: NDArray[np.uint8], text: str) -> str:
    picture = Image.fromarray(pixels)
    height = max(1, round(picture.height * _WIDTH / picture.width))
    buffer = io.BytesIO()
    picture.resize((_WIDTH, height), Image.Resampling.NEAREST).save(buffer, format="PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(text)}" width="{_WIDTH}" height="{height}" src="data:image/png;base64,{data}">'


def _paint_labels(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """A fixed color per label; label 0 is black."""
    colors = np.random.default_rng(0).integers(40, 230, (256, 3)).astype(np.uint8)
    colors[0] = 0
    return colors[np.asarray(labels, dtype=np.uint8)]


def _paint_depth(depth: NDArray[Any]) -> NDArray[np.uint8]:
    """Near is light, 10 m and missing are black."""
    share = np.where(depth > 0, 1 - np.clip(depth / 10, 0, 1), 0)
    return np.repeat((255 * share).astype(np.uint8)[..., None], 3, axis=2)


def _paint_normals(normals: NDArray[Any]) -> NDArray[np.uint8]:
    lengths = np.maximum(np.linalg.norm(normals, axis=0, keepdims=True), 1e-9)
    return (127.5 * (1 + normals / lengths)).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)


def _tracks(own: Mapping[str, NDArray[Any]]) -> str:
    """Tracks on the raster: the true way, the predicted one, and how far apart they end."""
    lines = [f'<rect width="{_RASTER}" height="{_RASTER}" fill="none" stroke="currentColor" stroke-opacity=".3"/>']
    for found, true, hidden in zip(own["predicted"], own["true"], own["occluded"], strict=True):
        seen = np.flatnonzero(~hidden)
        for points, style in ((true[seen], ""), (found[seen], ' stroke-dasharray="3 2"')):
            way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            lines.append(f'<polyline points="{way}" fill="none" stroke="currentColor"{style}/>')
    text = f'viewBox="0 0 {_RASTER} {_RASTER}" width="{_WIDTH}" height="{_WIDTH}" role="img"'
    return f'<svg {text} aria-label="tracks: true solid, predicted dashed">{"".join(lines)}</svg>'
