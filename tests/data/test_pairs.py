"""Which pairs exist, the draw, and the queries of a pair, against slow brute force and the reference's own numbers."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.shared_data import ORACLE, REAL_EXPECTED, REAL_SAMPLE
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.data import pairs
from soco_datasets.data.pairs import PairIndex, draw_pairs
from soco_datasets.data.queries import ImagePoints, pair_queries
from soco_datasets.data.schema import PAIRS, PAIRS_GEO
from soco_datasets.errors import UsageError

# ---- queries --------------------------------------------------------------------------------------------------------

SOURCE = ImagePoints(("a1", "a2", "b1", "plate"), ("a", "a", "b", None), ((0, 1), (2, 3), (4, 5), (6, 7)))
TARGET = ImagePoints(("plate", "b2", "a2", "a3"), (None, "b", "a", "a"), ((10, 11), (12, 13), (14, 15), (16, 17)))


def test_soc_derives_the_common_names_in_source_order() -> None:
    queries = pair_queries("soc", SOURCE, TARGET)
    assert queries.columns() == {
        "keypoints": ["a2", "plate"],
        "concepts": ["a", None],
        "source_points": [[2, 3], [6, 7]],
        "target_keypoints": [["a2"], ["plate"]],
        "target_points": [[[14, 15]], [[10, 11]]],
    }


def test_cc_derives_groups_from_the_concepts() -> None:
    queries = pair_queries("cc", SOURCE, TARGET)
    assert queries.keypoints == ["a1", "a2", "b1"]
    assert queries.concepts == ["a", "a", "b"]
    assert queries.target_keypoints == [["a2", "a3"], ["a2", "a3"], ["b2"]]
    assert queries.target_points == [[[14, 15], [16, 17]], [[14, 15], [16, 17]], [[12, 13]]]


def test_geo_keeps_the_soc_queries_that_are_among_their_candidates() -> None:
    queries = pair_queries("geo", SOURCE, TARGET)
    assert queries.keypoints == ["a2"]  # plate has no concept, hence no candidates
    assert queries.target_keypoints == [["a2"]]
    assert queries.candidate_keypoints == [["a2", "a3"]]
    assert queries.candidate_points == [[[14, 15], [16, 17]]]
    elsewhere = [("a", ["a2"], ["a3"])]
    assert len(pair_queries("geo", SOURCE, TARGET, groups=elsewhere)) == 0


def test_explicit_lists_win_over_derived_ones() -> None:
    assert pair_queries("soc", SOURCE, TARGET, overlap=[]).keypoints == []
    assert pair_queries("cc", SOURCE, TARGET, groups=[]).keypoints == []
    groups = [("b", ["b1"], ["b2"]), ("any", ["plate", "a1"], ["plate", "a3"])]
    queries = pair_queries("cc", SOURCE, TARGET, groups=groups)
    assert queries.keypoints == ["b1", "plate", "a1"]
    assert queries.concepts == ["b", "any", "a"]  # the point's own concept, else the group's
    assert queries.target_keypoints == [["b2"], ["plate", "a3"], ["plate", "a3"]]


def test_overlapping_groups_are_united_in_target_order() -> None:
    groups = [("a", ["a1"], ["a3"]), ("a", ["a2", "a1"], ["a2", "a3", "a2"])]
    queries = pair_queries("cc", SOURCE, TARGET, groups=groups)
    assert queries.keypoints == ["a1", "a2"]
    assert queries.target_keypoints == [["a2", "a3"], ["a2", "a3"]]


def test_unknown_names_are_skipped_and_repeated_ones_count_once() -> None:
    overlap = ["nowhere", "plate", "a2", "plate", "a1", "b2"]
    assert pair_queries("soc", SOURCE, TARGET, overlap=overlap).keypoints == ["plate", "a2"]
    groups = [("a", ["nowhere", "a1", "a1"], ["nowhere", "a2"]), ("x", ["b1"], ["nowhere"]), ("y", ["b1"], [])]
    queries = pair_queries("cc", SOURCE, TARGET, groups=groups)
    assert queries.keypoints == ["a1"]
    assert queries.target_keypoints == [["a2"]]


def test_the_last_of_two_points_with_one_name_counts() -> None:
    doubled = ImagePoints(("a", "a"), ("x", "y"), ((0, 0), (1, 1)))
    queries = pair_queries("soc", doubled, doubled)
    assert queries.source_points == [[1, 1]]
    assert queries.concepts == ["y"]
    assert queries.target_points == [[[1, 1]]]


def test_columns_are_those_of_the_schema() -> None:
    row_only = {"pair_id", "pair_group"} | {f"{end}_{c}" for end in ("source", "target") for c in ("size", "bbox")}
    row_only |= {f"{end}_{c}" for end in ("source", "target") for c in ("image_id", "category")}
    assert set(pair_queries("cc", SOURCE, TARGET).columns()) == set(PAIRS) - row_only
    assert set(pair_queries("geo", SOURCE, TARGET).columns()) == set(PAIRS_GEO) - row_only


def test_unknown_kind_and_unequal_lists_are_refused() -> None:
    with pytest.raises(UsageError, match=r"'socc'.*Did you mean 'soc'"):
        pair_queries("socc", SOURCE, TARGET)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(UsageError, match="2 names, 1 concepts and 2 points"):
        ImagePoints(("a", "b"), (None,), ((0, 0), (1, 1)))


def _expected_pairs() -> list[tuple[Path, Path]]:
    found = []
    for root, expected in ((ORACLE / "SOCOv1", ORACLE / "expected"), (REAL_SAMPLE, REAL_EXPECTED)):
        for split in ("intra", "cross"):
            found.append((root / "PairAnnotations", expected / f"pairs_dinov2_tiny_p14_{split}_nobbox.json"))
    return found


@pytest.mark.parametrize(("root", "expected"), _expected_pairs(), ids=lambda path: path.parent.name + path.stem[-12:])
def test_queries_equal_those_of_the_reference(root: Path, expected: Path) -> None:
    rows = json.loads(expected.read_text(encoding="utf-8"))["rows"]
    assert rows
    for row in rows:
        pair = json.loads((root / row["pair"]).read_text(encoding="utf-8"))
        source, target = (
            ImagePoints(
                tuple(point["name"] for point in pair[side]),
                tuple(point["concept_name"] for point in pair[side]),
                tuple((point["pos"][0], point["pos"][1]) for point in pair[side]),
            )
            for side in ("src_keypoints", "trg_keypoints")
        )
        groups = [(g["concept_name"], g["src_keypoints"], g["trg_keypoints"]) for g in pair["concept_matches"]]
        released = {"overlap": pair["semantic_overlap"], "groups": groups}

        soc = pair_queries("soc", source, target, **released)
        matches = [
            [source.index[n], target.index[t[0]]] for n, t in zip(soc.keypoints, soc.target_keypoints, strict=True)
        ]
        assert matches == row["semantic_pairs"], row["pair"]

        cc = pair_queries("cc", source, target, **released)
        named = zip(cc.keypoints, cc.target_keypoints, strict=True)
        unions = [[source.index[name], [target.index[t] for t in targets]] for name, targets in named]
        assert [[name, sorted(union)] for name, union in row["concept_map"]] == unions, row["pair"]

        geo = pair_queries("geo", source, target, **released)
        assert geo.candidate_keypoints is not None
        assert len(geo) == len(row["geo_err"]), row["pair"]
        several = [candidates for candidates in geo.candidate_keypoints if len(candidates) > 1]
        assert len(several) == len(row["geo_err_multi"]), row["pair"]


# ---- the index ------------------------------------------------------------------------------------------------------

_images = st.lists(
    st.tuples(st.sampled_from(["ox", "bus", "ピアノ", "a b"]), st.frozensets(st.sampled_from("abcdefg"), max_size=7)),
    max_size=14,
)


def brute_force(images: list, cross: bool, min_shared: int, directed: bool) -> list[tuple[int, int]]:
    found = []
    for category in sorted({c for c, _ in images}):
        for target in range(len(images)):
            for source in range(len(images) if directed else target):
                (c, names), (d, shown) = images[source], images[target]
                if d == category and source != target and (c != d) == cross and len(names & shown) >= min_shared:
                    found.append((source, target))
    return found


@settings(max_examples=200)
@given(_images, st.booleans(), st.integers(1, 4), st.booleans(), st.sampled_from([1, 8 * 2**20]))
def test_index_equals_brute_force(images: list, cross: bool, min_shared: int, directed: bool, block: int) -> None:
    expected = brute_force(images, cross, min_shared, directed)
    index = PairIndex(
        [c for c, _ in images], [n for _, n in images], cross=cross, min_shared=min_shared, directed=directed
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "BLOCK", block)  # one target at a time, or all of a category
        assert len(index) == len(expected)
        assert [index[k] for k in range(len(index))] == expected
        assert list(index.iter_pairs()) == list(index) == expected
        sources, targets = index.arrays()
        blocks = list(index.iter_blocks())
    for part, whole in enumerate((sources, targets)):
        assert all(block[part].dtype == np.int32 for block in blocks)
        assert np.concatenate([np.empty(0, np.int32), *(block[part] for block in blocks)]).tolist() == whole.tolist()
    ends = [target for block in blocks for target in set(block[1].tolist())]
    assert len(set(ends)) == len(ends)  # no target is cut in two
    assert sources.dtype == targets.dtype == np.int32
    assert list(zip(sources.tolist(), targets.tolist(), strict=True)) == expected
    assert index.group_counts() == Counter(images[target][0] for _, target in expected)
    assert list(index.group_counts()) == sorted(index.group_counts())
    assert index.correspondences() == sum(len(images[s][1] & images[t][1]) for s, t in expected)
    for category, numbers in index.group_ranges().items():
        assert {images[index[k][1]][0] for k in numbers} == {category}


def test_undirected_pairs_are_each_in_the_directed_index_both_ways() -> None:
    categories, names = small_release()
    once = PairIndex(categories, names, cross=True)
    both = once.with_direction(directed=True)
    assert sorted(both) == sorted([*once, *((t, s) for s, t in once)])
    assert once.with_direction(directed=False) is once
    assert len(once) * 2 == len(both)


def test_random_access_from_the_end_slices_and_outside() -> None:
    categories, names = small_release()
    index = PairIndex(categories, names, cross=False)
    every = list(index)
    assert index[-1] == every[-1]
    assert index[1:6:2] == every[1:6:2]
    assert index[np.int64(2)] == every[2]
    for outside in (len(every), -len(every) - 1):
        with pytest.raises(IndexError):
            index[outside]


def test_an_index_without_images_or_names_is_empty() -> None:
    for categories, names in (([], []), (["a", "b"], [(), ()])):
        index = PairIndex(categories, names, cross=True)
        assert len(index) == 0
        assert index.group_counts() == {}
        assert draw_pairs(index) == []


def test_names_repeated_in_an_image_count_once() -> None:
    assert len(PairIndex(["a", "a"], [["x", "x", "x"], ["x", "x", "x"]], cross=False, min_shared=2)) == 0


def test_an_index_can_be_pickled() -> None:
    categories, names = small_release()
    index = PairIndex(categories, names, cross=True, directed=True)
    assert index[3] == pickle.loads(pickle.dumps(index))[3]
    assert list(pickle.loads(pickle.dumps(index))) == list(index)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="min_shared must be at least 1, got 0"):
        PairIndex(["a"], [["x"]], cross=True, min_shared=0)
    with pytest.raises(UsageError, match="2 categories but the names of 1"):
        PairIndex(["a", "b"], [["x"]], cross=True)
    with pytest.raises(UsageError, match="must not be negative"):
        draw_pairs(PairIndex(["a"], [["x"]], cross=True), total=-1)


def test_a_release_of_4000_images_is_counted_without_a_big_matrix() -> None:
    """40 animal-like categories that share their 20 names, 60 of their own: counts known in closed form."""
    categories = [f"c{i % 100:02d}" for i in range(4000)]
    names = [
        [f"animal_{k}" for k in range(20)] if i % 100 < 40 else [f"{i % 100}_{k}" for k in range(10)]
        for i in range(4000)
    ]
    cross = PairIndex(categories, names, cross=True)
    assert len(cross) == 1600 * 1599 // 2 - 40 * (40 * 39 // 2)
    assert cross.correspondences() == 20 * len(cross)
    assert len(PairIndex(categories, names, cross=False)) == 100 * (40 * 39 // 2)
    held = len(pickle.dumps(cross))
    assert held < 700 * 4000  # a byte per image and name; a 4000 x 4000 matrix of counts would have 16 million entries
    sources, targets = cross.arrays()
    assert (sources[777_777], targets[777_777]) == cross[777_777]


# ---- the draw -------------------------------------------------------------------------------------------------------


def small_release() -> tuple[list[str], list[list[str]]]:
    """Five images of each of three categories; image i of a category hides name i."""
    categories = [category for category in ("bus", "ambulance", "car") for _ in range(5)]
    names = [[name for k, name in enumerate("uvwxyz") if k != i % 5] for i in range(15)]
    return categories, names


def test_the_draw_is_the_same_for_ever() -> None:
    """These pairs are part of every dataset built without released pairs: a change here changes published data."""
    categories, names = small_release()
    intra = PairIndex(categories, names, cross=False)
    cross = PairIndex(categories, names, cross=True)
    assert draw_pairs(intra, total=10, seed=0) == PINNED_INTRA
    assert draw_pairs(cross, total=8, seed=0) == PINNED_CROSS
    assert draw_pairs(cross, total=8, seed=7) == PINNED_CROSS_7


@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("total", [0, 1, 7, 29, 30, 1000])
def test_the_draw_is_uniform_over_categories_and_without_doubles(cross: bool, total: int) -> None:
    categories, names = small_release()
    index = PairIndex(categories, names, cross=cross, directed=cross)
    drawn = draw_pairs(index, total=total, seed=3)
    possible = set(index) | (set() if cross else {(t, s) for s, t in index})
    assert set(drawn) <= possible
    assert len({pair if cross else frozenset(pair) for pair in drawn}) == len(drawn)
    per_category = Counter(categories[target] for _, target in drawn)
    for i, (category, available) in enumerate(index.group_counts().items()):
        assert per_category[category] == min(available, total // 3 + (i < total % 3))


def test_the_draw_does_not_depend_on_how_the_index_was_directed() -> None:
    categories, names = small_release()
    for cross in (False, True):
        one = PairIndex(categories, names, cross=cross, directed=False)
        assert draw_pairs(one, 12, 5) == draw_pairs(one.with_direction(True), 12, 5)


def test_a_category_draws_the_same_pairs_whatever_the_others_are() -> None:
    categories, names = small_release()
    alone = draw_pairs(PairIndex(categories[:5], names[:5], cross=False), total=4, seed=1)
    among = draw_pairs(PairIndex(categories, names, cross=False), total=12, seed=1)
    assert [pair for pair in among if pair[1] < 5] == alone


def test_both_directions_and_every_pair_come_up_over_seeds() -> None:
    categories, names = small_release()
    index = PairIndex(categories, names, cross=False)
    counts = Counter(pair for seed in range(600) for pair in draw_pairs(index, total=3, seed=seed))
    assert len(counts) == 2 * len(index)
    # 600 draws of one of 20 directed pairs a category: 30 expected of each, 5.3 standard deviation
    assert min(counts.values()) > 30 - 5 * 5.3
    assert max(counts.values()) < 30 + 5 * 5.3


class ListedPairs:
    """What the draw asks of an index, from brute force."""

    def __init__(self, images: list, cross: bool, min_shared: int) -> None:
        self.images, self.cross, self.min_shared = images, cross, min_shared

    def with_direction(self, directed: bool) -> ListedPairs:
        self.pairs = brute_force(self.images, self.cross, self.min_shared, directed)
        return self

    def group_ranges(self) -> dict[str, range]:
        targets = [self.images[target][0] for _, target in self.pairs]
        return {c: range(targets.index(c), targets.index(c) + targets.count(c)) for c in sorted(set(targets))}

    def __getitem__(self, k: int) -> tuple[int, int]:
        return self.pairs[k]


@settings(max_examples=100)
@given(_images, st.booleans(), st.integers(1, 4), st.integers(0, 40), st.integers())
def test_the_draw_is_that_from_listed_pairs(images: list, cross: bool, min_shared: int, total: int, seed: int) -> None:
    index = PairIndex([c for c, _ in images], [n for _, n in images], cross=cross, min_shared=min_shared)
    assert draw_pairs(index, total, seed) == draw_pairs(ListedPairs(images, cross, min_shared), total, seed)


PINNED_INTRA = [(6, 5), (8, 7), (9, 5), (9, 6), (0, 3), (1, 4), (4, 3), (11, 13), (12, 13), (10, 14)]
PINNED_CROSS = [(1, 5), (4, 8), (10, 8), (8, 2), (14, 3), (6, 4), (9, 11), (6, 12)]
PINNED_CROSS_7 = [(13, 7), (13, 8), (12, 9), (6, 0), (14, 0), (12, 2), (3, 13), (8, 14)]
