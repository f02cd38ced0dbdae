"""Sample predictions of downstream tasks as pictures: label maps, depth, normals, tracks, poses, matches in 3D."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import SocoError
from ..metrics.navi import THRESHOLDS
from ..metrics.pose import rotation_errors, rotations_from_angles
from ..metrics.tracking import RASTER
from ..utils.compressed import check_zip

_WIDTH = 220  # pixels of a picture on the page
_MOST = 4  # samples per task
_FIGURE, _ROW = "margin:0;width:min-content;max-width:100%", "display:flex;gap:6px;overflow-x:auto"
_ALL = "display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start"
_RIGHT, _WRONG = "#00b27a", "#ff6a00"  # seen on photographs in light and dark
_AXES = ("#e6194b", "#2ecc40", "#1f9bff")  # the object's x, y and z
_RIGHT_DISTANCE = THRESHOLDS[1]  # meters, of the headline
Sample = Mapping[str, NDArray[Any]]


def sample_pictures(path: Path, task: str) -> str:
    """Pictures of the samples beside a record, as HTML; "" where there are none.

    Raises:
        SocoError: the samples cannot be read.
    """
    if not path.is_file():
        return ""
    try:
        check_zip(path)
        with np.load(path, allow_pickle=False) as file:
            samples = {name: file[name] for name in file.files}
    except Exception as error:  # damaged archives raise almost anything
        raise SocoError(f"{path} cannot be read ({error}). Run the task again.") from error
    draw, caption = _DRAWN.get(task, (_labels, "image, true, predicted"))
    names = list(dict.fromkeys(name.rpartition("/")[0] for name in samples if "/" in name))[:_MOST]
    figures = []
    for name in names:
        own = {key.rpartition("/")[2]: value for key, value in samples.items() if key.rpartition("/")[0] == name}
        drawn, more = draw(own)
        text = html.escape(f"{name}: {caption}{more}")
        figures.append(
            f'<figure style="{_FIGURE}"><div style="{_ROW}">{drawn}</div><figcaption>{text}</figcaption></figure>'
        )
    return f'<div style="{_ALL}">{"".join(figures)}</div>' if figures else ""


def _labels(own: Sample) -> tuple[str, str]:
    return _rasters(own, _paint_labels), ""


def _depth(own: Sample) -> tuple[str, str]:
    return _rasters(own, _paint_depth), ""


def _normals(own: Sample) -> tuple[str, str]:
    return _rasters(own, _paint_normals), ""


def _rasters(own: Sample, paint: Callable[[NDArray[Any]], NDArray[np.uint8]]) -> str:
    parts = [_image(own["pixels"], "image")] if "pixels" in own else []
    return "".join([*parts, *(_image(paint(own[name]), name) for name in ("true", "predicted") if name in own)])


def _tracks(own: Sample) -> tuple[str, str]:
    """Tracks over the middle frame of a video."""
    lines = []
    for found, true, hidden in zip(own["predicted"], own["true"], own["occluded"], strict=True):
        seen = np.flatnonzero(~hidden)
        for points, color, style in ((true[seen], _RIGHT, ""), (found[seen], _WRONG, ' stroke-dasharray="4 2"')):
            way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            lines.append(f'<polyline points="{way}" fill="none" stroke="{color}" stroke-width="1.5"{style}/>')
        if len(seen):
            x, y = true[seen[0]]
            lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{_RIGHT}"/>')
    pixels = own.get("pixels", np.full((RASTER, RASTER, 3), 128, np.uint8))
    return _over([pixels], lines, RASTER, "tracks: true solid, predicted dashed"), ""


def _pose(own: Sample) -> tuple[str, str]:
    """The object's axes at the true angles and at the predicted ones, without perspective."""
    side = own["pixels"].shape[1]
    lines = []
    for name, style in (("true", ""), ("predicted", ' stroke-dasharray="5 4"')):
        rotation = rotations_from_angles(own[name])
        for axis in np.argsort(rotation[2]):  # the one that points to the viewer is drawn last
            x, y = side / 2 + 0.36 * side * rotation[0, axis], side / 2 - 0.36 * side * rotation[1, axis]
            ends = f'x1="{side / 2:g}" y1="{side / 2:g}" x2="{x:.1f}" y2="{y:.1f}"'
            lines.append(f'<line {ends} stroke="{_AXES[axis]}" stroke-width="3" stroke-linecap="round"{style}/>')
    error = float(np.degrees(rotation_errors(own["predicted"], own["true"])))
    return _over([own["pixels"]], lines, side, "axes of the object"), f"; {error:.0f} degrees apart"


def _matches(own: Sample) -> tuple[str, str]:
    """Matches between two views, and where their points are in space."""
    side, raster = own["first"].shape[1], 128
    errors = np.linalg.norm(own["moved"] - own["found"], axis=1)
    lines = []
    for (one, two), error in zip((own["cells"] + 0.5) * side / raster, errors, strict=True):
        ends = f'x1="{one[1]:.1f}" y1="{one[0]:.1f}" x2="{two[1] + side:.1f}" y2="{two[0]:.1f}"'
        color = _RIGHT if error < _RIGHT_DISTANCE else _WRONG
        lines.append(f'<line {ends} stroke="{color}" stroke-width="1" stroke-opacity=".75"/>')
    flat = _over([own["first"], own["second"]], lines, side, "matches between two views")
    share = float((errors < _RIGHT_DISTANCE).mean()) if len(errors) else 0.0
    return flat + _in_space(own, errors), f"; {100 * share:.0f} % of the {len(errors)} shown within 2 cm"


def _in_space(own: Sample, errors: NDArray[Any]) -> str:
    """The points of the second view from its side and above, and each match as a line from where it should be."""
    down, around = np.radians(25), np.radians(50)
    turn = np.array([[np.cos(around), 0, np.sin(around)], [0, 1, 0], [-np.sin(around), 0, np.cos(around)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(down), -np.sin(down)], [0, np.sin(down), np.cos(down)]])
    middle = np.median(own["cloud"], axis=0)
    cloud, moved, found = (((own[name] - middle) @ (tilt @ turn).T)[:, :2] for name in ("cloud", "moved", "found"))
    reach = 1.15 * float(np.abs(cloud).max()) or 1.0
    dots = [f'<circle cx="{x:.4f}" cy="{y:.4f}" r="{reach / 150:.5f}" fill="#999"/>' for x, y in cloud]
    for one, two, error in zip(moved, found, errors, strict=True):
        color = _RIGHT if error < _RIGHT_DISTANCE else _WRONG
        ends = f'x1="{one[0]:.4f}" y1="{one[1]:.4f}" x2="{two[0]:.4f}" y2="{two[1]:.4f}"'
        dots.append(f'<line {ends} stroke="{color}" stroke-width="{reach / 90:.5f}"/>')
        dots.append(f'<circle cx="{two[0]:.4f}" cy="{two[1]:.4f}" r="{reach / 60:.5f}" fill="{color}"/>')
    box = f'viewBox="{-reach:.4f} {-reach:.4f} {2 * reach:.4f} {2 * reach:.4f}"'
    return (
        f'<svg {box} width="{_WIDTH}" height="{_WIDTH}" role="img" aria-label="matches in space">{"".join(dots)}</svg>'
    )


_DRAWN: dict[str, tuple[Callable[[Sample], tuple[str, str]], str]] = {
    "nyu_depth": (_depth, "image, true and predicted depth (near is light, 10 m and missing black)"),
    "nyu_normals": (_normals, "image, true and predicted normals"),
    "tapvid_davis": (_tracks, "true tracks (solid) and predicted ones (dashed) on the middle frame"),
    "imagenet3d_pose": (_pose, "axes x (red), y (green), z (blue) at the true angles (solid) and predicted (dashed)"),
    "navi": (_matches, "matches within 2 cm (green) and others (orange), flat and in space"),
}


def _data_address(pixels: NDArray[np.uint8], width: int, quality: int | None = None) -> tuple[str, int]:
    """(address, height) of pixels at a width; PNG, or JPEG where a quality is given."""
    picture = Image.fromarray(pixels)
    height = max(1, round(picture.height * width / picture.width))
    buffer = io.BytesIO()
    if quality is None:
        picture.resize((width, height), Image.Resampling.NEAREST).save(buffer, format="PNG", optimize=True)
    else:
        picture.resize((width, height), Image.Resampling.LANCZOS).save(buffer, format="JPEG", quality=quality)
    kind = "png" if quality is None else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}", height


def _image(pixels: NDArray[np.uint8], text: str) -> str:
    address, height = _data_address(pixels, _WIDTH, 85 if text == "image" else None)
    return f'<img alt="{html.escape(text)}" width="{_WIDTH}" height="{height}" src="{address}">'


def _over(pictures: Sequence[NDArray[np.uint8]], lines: Sequence[str], side: int, text: str) -> str:
    """Square pictures beside each other with lines in their pixels over them."""
    parts = []
    for number, pixels in enumerate(pictures):
        place = f'x="{number * side}" width="{side}" height="{side}"'
        parts.append(f'<image {place} href="{_data_address(pixels, _WIDTH, 85)[0]}"/>')
    box = f'viewBox="0 0 {side * len(pictures)} {side}" width="{_WIDTH * len(pictures)}" height="{_WIDTH}"'
    return f'<svg {box} role="img" aria-label="{html.escape(text)}">{"".join([*parts, *lines])}</svg>'


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
