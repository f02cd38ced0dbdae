"""Writes the drawn images and their annotations in the layout of the official release."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import UsageError
from ..utils.paths import local_path
from .annotations import Annotation, MiniTaxonomy
from .catalogue import DRAWN_CATEGORIES, DrawnCategory
from .pairing import (
    ImagePair,
    cross_pairs,
    intra_pairs,
    pair_record,
    probe_pairs,
)
from .randomness import SeededDraw
from .render import RenderedView, draw_view

# Raise this whenever the same seed gives other files than before.
MINI_VERSION = 1

SIZES: tuple[tuple[int, int], ...] = (
    (320, 240),
    (240, 320),
    (256, 192),
    (192, 256),
    (224, 224),
    (300, 200),
    (288, 216),
    (256, 256),
)
PAIRS_PER_CATEGORY = 16
PROBE_PAIRS_PER_CATEGORY = 8
JPEG_QUALITY = 85


def write_mini_release(out_dir: Path, seed: int = 0) -> None:
    """Write the whole mini release below `out_dir`; the same seed gives the same bytes.

    12 categories of 8 images each; Images, KeypointAnnotations, PairAnnotations/{intra,cross,trainsplits} and Metadata
    as in the official release. The keypoint files have the extra fields `azimuth` and `elevation` in degrees (azimuth 0
    = seen from the front, 90 = from the object's left) and `rotation` = 0.

    Args:
        out_dir: a folder that is empty or does not exist.
        seed: any integer.

    Raises:
        UsageError: `out_dir` is a file or has something in it.
    """
    out_dir = local_path(out_dir)
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise UsageError(f"{out_dir} is not an empty folder; the mini release is written to a new or empty one.")
    taxonomy = MiniTaxonomy()
    images: dict[str, list[Annotation]] = {}
    for category in DRAWN_CATEGORIES:
        images[category.name] = []
        for number, view in enumerate(draw_category(category, seed), start=1):
            annotation = taxonomy.annotate(category.name, number, view)
            images[category.name].append(annotation)
            folder = Path("Images", category.name, annotation.file_name)
            _write(out_dir / folder, _jpeg(view.pixels))
            _write_json(
                out_dir / "KeypointAnnotations" / category.name / f"{annotation.stem}.json", annotation.record()
            )
    _write_pairs(out_dir / "PairAnnotations", images, seed)
    _write_json(out_dir / "Metadata" / "keypoint_taxonomy.json", taxonomy.record())
    _write_json(out_dir / "Metadata" / "filename_mapping.json", _file_names(images, seed))


def draw_category(category: DrawnCategory, seed: int) -> list[RenderedView]:
    """Eight different instances, each seen from another eighth of the full circle, in random order."""
    draw = SeededDraw(seed, category.name)
    start, count = draw.uniform(0.0, 360.0), len(SIZES)
    azimuths = draw.shuffled([start + (eighth + draw.uniform()) * 360.0 / count for eighth in range(count)])
    views = []
    for number, (size, azimuth) in enumerate(zip(draw.shuffled(SIZES), azimuths, strict=True), start=1):
        model = category.make(SeededDraw(seed, category.name, number, "model"))
        view_draw = SeededDraw(seed, category.name, number, "view")
        elevation = view_draw.uniform(*category.elevation)
        views.append(draw_view(model, category.place, size, azimuth, elevation, view_draw))
    return views


def _write_pairs(folder: Path, images: dict[str, list[Annotation]], seed: int) -> None:
    everything = [image for of_category in images.values() for image in of_category]
    for category, own in images.items():
        draw = SeededDraw(seed, category, "pairs")
        _write_pair_files(folder / "intra" / category, intra_pairs(own, PAIRS_PER_CATEGORY, draw), 1)
        cross = cross_pairs(everything, category, PAIRS_PER_CATEGORY, draw)
        _write_pair_files(folder / "cross" / category, cross, 1)
        train, test = probe_pairs(own, PROBE_PAIRS_PER_CATEGORY, draw)
        _write_pair_files(folder / "trainsplits" / "train" / category, train, 1)
        _write_pair_files(folder / "trainsplits" / "test" / category, test, 1 + len(train))


def _write_pair_files(folder: Path, pairs: Iterable[ImagePair], first_number: int) -> None:
    for number, (source, target) in enumerate(pairs, start=first_number):
        path = folder / f"{number:05d}-{source.stem}-{target.stem}.json"
        _write_json(path, pair_record(number, source, target))


def _file_names(images: dict[str, list[Annotation]], seed: int) -> dict[str, dict[str, str]]:
    """Category -> {where the image comes from: its file name}."""
    return {
        category: {f"soco-mini/v{MINI_VERSION}/seed-{seed}/{image.stem}": image.file_name for image in own}
        for category, own in images.items()
    }


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    _write(path, (text + "\n").encode("utf-8"))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
