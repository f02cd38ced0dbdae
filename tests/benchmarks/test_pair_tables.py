"""Rows of many pairs at once against the queries of each pair alone, on anything that pair files can say."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.benchmarks.encode import PairEncoder
from soco_datasets.benchmarks.view_columns import ViewColumns
from soco_datasets.data.pair_table import PairTable
from soco_datasets.data.queries import ImagePoints, pair_queries
from soco_datasets.data.release_types import AnnotatedKeypoint, ConceptGroup, ImageView, PairRecord
from soco_datasets.data.schema import CONFIGS
from soco_datasets.data.shards import row_text

NAMES = ("wheel", "mirror", "door", "lamp", "roof")
CONCEPTS = ("round", "glass", None)
KINDS = {"soc": "soc", "cc": "cc", "soc_geo": "geo"}

some_names = st.lists(st.sampled_from(NAMES), max_size=6)
groups = st.builds(
    ConceptGroup, st.sampled_from(("round", "glass", "flat")), some_names.map(tuple), some_names.map(tuple)
)


@st.composite
def views(draw: st.DrawFn) -> ImageView:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    points = tuple(
        AnnotatedKeypoint(
            name,
            draw(st.integers(0, 99)) / 4,
            draw(st.floats(0, 100)),
            None,
            None,
            draw(st.sampled_from(CONCEPTS)),
            None,
            None,
            False,
        )
        for name in names
    )
    box = draw(st.sampled_from([None, (1.0, 2.0, 30.5, 40.0)]))
    return ImageView(f"car/{draw(st.integers(0, 3))}", box, True, points)


@st.composite
def pair_lists(draw: st.DrawFn) -> list[PairRecord]:
    shown = draw(st.lists(views(), min_size=1, max_size=4))
    records = []
    for number in range(draw(st.integers(0, 5))):
        source, target = draw(st.sampled_from(shown)), draw(st.sampled_from(shown))
        overlap = draw(st.none() | some_names.map(tuple))
        told = draw(st.none() | st.lists(groups, max_size=3).map(tuple))
        records.append(PairRecord(f"intra/car/{number}", "intra", "car", source, target, overlap, told, ""))
    return records


def points_of(view: ImageView) -> ImagePoints:
    names, concepts, places = ([(p.name, p.concept, (p.x, p.y))[i] for p in view.points] for i in range(3))
    return ImagePoints(tuple(names), tuple(concepts), tuple(places))  # type: ignore[arg-type]


@settings(max_examples=150)
@given(pair_lists(), st.sampled_from(sorted(KINDS)))
def test_rows_of_a_table_are_those_of_each_pair(records: list[PairRecord], config: str) -> None:
    table = PairTable.of(records)
    encoder = PairEncoder(
        CONFIGS[config], ViewColumns(table.views, {f"car/{number}": (100, 80) for number in range(4)})
    )
    encoded = encoder(table)
    rows: list[dict[str, Any]] = encoded.batch.to_pylist()
    for row, record in zip(rows, records, strict=True):
        listed = None if record.groups is None else [(g.concept, g.source, g.target) for g in record.groups]
        points = points_of(record.source), points_of(record.target)
        expected = pair_queries(KINDS[config], *points, record.overlap, listed).columns()  # type: ignore[arg-type]
        assert {name: row[name] for name in expected} == expected
    assert bytes(encoded.text) == b"".join(map(row_text, rows))
