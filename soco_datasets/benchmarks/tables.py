"""A checked `Release` as the rows of each config."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..data.pairs import PairIndex, draw_pairs
from ..data.queries import pair_queries
from ..data.release_types import (
    ImageRecord,
    ImageView,
    PairRecord,
    Release,
)
from ..data.schema import CONFIGS, TableSpec
from .soco.source import ReleaseFiles

Row = dict[str, Any]


def image_rows(release: Release, files: ReleaseFiles) -> Iterator[Row]:
    """Rows of `images`, reading the original bytes of one image at a time."""
    for record in release.images.values():
        yield {
            "image_id": record.image_id,
            "image": {"bytes": files.read(record.file), "path": record.file.rpartition("/")[2]},
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


def pair_row(spec: TableSpec, pair: PairRecord, sizes: Mapping[str, tuple[int, int]]) -> Row:
    """One row of a pair config; `sizes` are (width, height) of each image."""
    assert spec.kind is not None, spec.name
    groups = None if pair.groups is None else [(group.concept, group.source, group.target) for group in pair.groups]
    queries = pair_queries(
        spec.kind, pair.source.image_points(), pair.target.image_points(), overlap=pair.overlap, groups=groups
    )
    return {
        "pair_id": pair.pair_id,
        "pair_group": pair.group,
        "source_image_id": pair.source.image_id,
        "target_image_id": pair.target.image_id,
        "source_category": pair.source.category,
        "target_category": pair.target.category,
        "source_size": list(sizes[pair.source.image_id]),
        "target_size": list(sizes[pair.target.image_id]),
        "source_bbox": _list(pair.source.bbox),
        "target_bbox": _list(pair.target.bbox),
        **queries.columns(),
    }


def pairs_of(release: Release, spec: TableSpec, split: str) -> list[PairRecord]:
    """The pairs of one split of a pair config."""
    return release.pairs[f"probe_{split}" if spec.pairs == "probe" else spec.pairs]


def draw_missing_pairs(release: Release, total: int, min_shared: int, seed: int) -> dict[str, str]:
    """Draw the fixed pairs of `intra` and `cross` where the release brings none; say where each came from."""
    origins = {}
    for subset in ("intra", "cross"):
        if release.pairs[subset]:
            origins[subset] = "released"
            continue
        records = list(release.images.values())
        index = PairIndex(
            [record.category for record in records],
            [[point.name for point in record.points] for record in records],
            cross=subset == "cross",
            min_shared=min_shared,
            directed=subset == "cross",
        )
        drawn = draw_pairs(index, total=total, seed=seed)
        release.pairs[subset] = list(_drawn_records(subset, drawn, records))
        origins[subset] = f"drawn (seed {seed}, at least {min_shared} shared keypoints)"
    return origins


def _drawn_records(subset: str, drawn: Iterable[tuple[int, int]], records: list[ImageRecord]) -> Iterator[PairRecord]:
    numbers: dict[str, int] = {}
    for source, target in drawn:
        views = [ImageView(records[i].image_id, records[i].bbox, True, records[i].points) for i in (source, target)]
        group = views[1].category
        numbers[group] = numbers.get(group, 0) + 1
        stems = "-".join(view.image_id.partition("/")[2] for view in views)
        pair_id = f"{subset}/{group}/{numbers[group]:05d}-{stems}"
        yield PairRecord(pair_id, subset, group, views[0], views[1], None, None, "")


def stored_configs(release: Release, questions: int) -> list[tuple[TableSpec, str]]:
    """(config, split) to write, in schema order. Those without a row are left out: plain `datasets` loads none."""

    def is_stored(spec: TableSpec, split: str) -> bool:
        if spec.is_pairs:
            return bool(pairs_of(release, spec, split))
        return {"lvlm": bool(questions), "annotations": bool(release.side_files)}.get(spec.name, True)

    return [(spec, split) for spec in CONFIGS.values() for split in spec.splits if is_stored(spec, split)]


def _list(box: tuple[float, ...] | None) -> list[float] | None:
    return None if box is None else list(box)
