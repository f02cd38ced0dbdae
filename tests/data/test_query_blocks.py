"""Queries of many pairs at once against those of each pair alone, on anything that images can show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from helpers.shared_builds import built_mini
from helpers.shared_data import ORACLE, REAL_SAMPLE
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.data.all_pairs import AllPairs
from soco_datasets.data.folder import open_folder
from soco_datasets.data.queries import ImagePoints, pair_queries
from soco_datasets.data.query_blocks import BlockQueries, PointTable, RaggedPoints
from soco_datasets.data.schema import CONFIGS, KEYPOINTS
from soco_datasets.errors import UsageError

KINDS = ("soc", "cc", "geo")


def table_of(images: list[ImagePoints]) -> PointTable:
    rows: list[dict[str, Any]] = [
        {
            "image_id": f"car/{number}",
            "category": "car",
            "keypoint_ids": list(range(len(image.names))),
            "keypoints": list(image.names),
            "concepts": list(image.concepts),
            "points": [list(point) for point in image.points],
        }
        for number, image in enumerate(images)
    ]
    return PointTable(pa.Table.from_pylist(rows, schema=KEYPOINTS.arrow_schema))


def told(table: PointTable, names: list[str], queries: BlockQueries, pair: int) -> dict[str, Any]:
    """The queries of one pair of a block as columns of a pair config, but for the concepts."""
    places = table.points.tolist()
    rows = np.flatnonzero(queries.pair == pair)

    def listed(lists: RaggedPoints) -> list[list[int]]:
        return [lists.values[lists.offsets[row] : lists.offsets[row + 1]].tolist() for row in rows]

    asked = queries.source[rows].tolist()
    found = {
        "keypoints": [names[point] for point in asked],
        "source_points": [places[point] for point in asked],
        "target_keypoints": [[names[point] for point in some] for some in listed(queries.targets)],
        "target_points": [[places[point] for point in some] for some in listed(queries.targets)],
    }
    if queries.candidates is not None:
        found["candidate_keypoints"] = [[names[point] for point in some] for some in listed(queries.candidates)]
        found["candidate_points"] = [[places[point] for point in some] for some in listed(queries.candidates)]
    return found


NAME = st.sampled_from(["wheel_left", "wheel_right", "lamp", "roof", "名", ""])
CONCEPT = st.sampled_from([None, "wheel", "lamp", ""])
IMAGE = st.lists(st.tuples(NAME, CONCEPT), max_size=7)  # a name may come twice, with another concept each time


@settings(max_examples=150)
@given(st.lists(IMAGE, min_size=1, max_size=5))
def test_a_block_has_the_queries_of_every_pair_in_their_order(shown: list[list[tuple[str, str | None]]]) -> None:
    images = [
        ImagePoints(
            tuple(name for name, _ in image),
            tuple(concept for _, concept in image),
            tuple((float(number), float(place)) for place in range(len(image))),
        )
        for number, image in enumerate(shown)
    ]
    table, names = table_of(images), [name for image in images for name in image.names]
    pairs = [(s, t) for t in range(len(images)) for s in range(len(images))]
    for kind in KINDS:
        block = table.queries(kind, *np.transpose(pairs))
        assert (np.diff(block.pair) >= 0).all()
        for number, (source, target) in enumerate(pairs):
            wanted = pair_queries(kind, images[source], images[target]).columns()
            del wanted["concepts"]  # that of the query's own point, as its number says
            assert told(table, names, block, number) == wanted


@pytest.mark.parametrize("release", ["mini", str(ORACLE / "SOCOv1"), str(REAL_SAMPLE)])
def test_a_block_has_the_rows_of_the_split_all(release: str, tmp_path: Path) -> None:
    folder = open_folder(built_mini() if release == "mini" else build_dataset(release, tmp_path / "built").path)
    table = PointTable.of(folder)
    names = [name for image in table.names for name in image]
    compared = 0
    for config in folder.configs:
        spec = CONFIGS[config]
        if not spec.has_all or spec.kind is None:
            continue
        rows = AllPairs(folder, config, 3)
        index = table.pair_index(cross=spec.pairs == "cross")
        sources, targets = index.arrays()
        assert len(rows) == len(sources)
        numbers = np.random.default_rng(0).permutation(len(rows))[:300]
        block = table.queries(spec.kind, sources[numbers], targets[numbers])
        for place, number in enumerate(numbers.tolist()):
            assert rows.value(number, "source_image_id") == table.image_ids[sources[number]]
            assert rows.value(number, "target_image_id") == table.image_ids[targets[number]]
            for column, wanted in told(table, names, block, place).items():
                assert rows.value(number, column) == wanted
            compared += 1
    assert compared > 100


def test_candidates_can_be_asked_for_in_number() -> None:
    wheels = ImagePoints(("a", "b", "roof"), ("wheel", "wheel", "roof"), ((0, 0), (1, 1), (2, 2)))
    queries = table_of([wheels, wheels]).queries("geo", [0, 1], [1, 0])
    kept = queries.with_candidates(2)
    assert len(queries) == 6
    assert kept.pair.tolist() == [0, 0, 1, 1]
    assert kept.source.tolist() == [0, 1, 3, 4]
    assert kept.candidates is not None
    assert kept.candidates.counts.tolist() == [2, 2, 2, 2]


def test_no_pairs_and_no_points() -> None:
    empty = table_of([ImagePoints((), (), ())])
    for kind in KINDS:
        assert len(empty.queries(kind, [], [])) == 0
        assert len(empty.queries(kind, [0], [0])) == 0


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(UsageError, match="sco"):
        table_of([]).queries("sco", [], [])  # type: ignore[arg-type]
