"""The fixed pairs of SOCO where a release brings no pair files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...data.checked_release import Release
from ...data.pairs import PairIndex, draw_pairs
from ...data.release_types import ImageRecord, ImageView, PairRecord
from ..base import BuildOptions


def draw_missing_pairs(release: Release, options: BuildOptions) -> dict[str, str]:
    """Draw the fixed pairs of `intra` and `cross` where the release brings no file of them; returns where each came
    from. A list whose files are all unusable stays empty: drawn pairs would pass for the release's own."""
    total, min_shared, seed = options.test_pairs, options.min_shared, options.seed
    origins = {}
    for subset in ("intra", "cross"):
        if release.pairs[subset]:
            origins[subset] = "released"
            continue
        if subset in release.listed:
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
