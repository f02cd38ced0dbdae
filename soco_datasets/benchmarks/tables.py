"""A checked `Release` as the rows of each config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..data.checked_release import Release
from ..data.pair_table import PairTable
from ..data.release_types import PairRecord
from ..data.schema import TableSpec

Row = dict[str, Any]


def image_rows(release: Release, hashed: bool) -> Iterator[Row]:
    """Rows of `images`, reading the original bytes of one image at a time; `hashed`: with its sha256 in their place."""
    for record in release.images.values():
        stored = None if hashed else release.read_file(record.file)
        yield {
            "image_id": record.image_id,
            "image": record.sha256 if hashed else {"bytes": stored, "path": record.file.rpartition("/")[2]},
            "file_name": record.file.removeprefix("Images/"),
            "category": record.category,
            "supercategory": release.supercategory(record.category),
            "width": record.width,
            "height": record.height,
            "bbox": _list(record.bbox),
            "azimuth": record.azimuth,
            "elevation": record.elevation,
            "rotation": record.rotation,
            "exif_orientation": record.exif_orientation,
            "source": record.source,
        }


def keypoint_rows(release: Release) -> Iterator[Row]:
    """Rows of `keypoints`: one per image, also for images without any visible point."""
    for record in release.images.values():
        yield {
            "image_id": record.image_id,
            "category": record.category,
            "keypoint_ids": [point.keypoint_id for point in record.points],
            "keypoints": [point.name for point in record.points],
            "concepts": [point.concept for point in record.points],
            "points": [[point.x, point.y] for point in record.points],
        }


def pairs_of(release: Release, spec: TableSpec, split: str) -> PairTable | list[PairRecord]:
    """The pairs of one split of a pair config: the list "<pairs>_<split>", else the list "<pairs>"."""
    return release.pairs.get(f"{spec.pairs}_{split}") or release.pairs.get(spec.pairs, [])


def stored_configs(release: Release, configs: Mapping[str, TableSpec], questions: int) -> list[tuple[TableSpec, str]]:
    """(config, split) to write, in the order of `configs`. Those without a row are left out, as plain `datasets`
    cannot load them."""

    def is_stored(spec: TableSpec, split: str) -> bool:
        if spec.is_pairs:
            return bool(pairs_of(release, spec, split))
        return {"lvlm": bool(questions), "annotations": bool(release.side_files)}.get(spec.name, True)

    return [(spec, split) for spec in configs.values() for split in spec.splits if is_stored(spec, split)]


def _list(box: tuple[float, ...] | None) -> list[float] | None:
    return None if box is None else list(box)
