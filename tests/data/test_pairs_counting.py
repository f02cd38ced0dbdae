"""Counting pairs by distinct sets of names in pools, against matrices of all images, and how much work it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.data import pairs_counting
from soco_datasets.data.pairs import PairIndex, draw_pairs
from soco_datasets.data.pairs_counting import common_names, count_common_names, count_partners
from soco_datasets.data.pairs_pools import make_pools


def random_bits(images: int, names: int, distinct: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(W, S) bits of images that show at most `distinct` different sets of names, and the same as an (S, N) matrix."""
    generator = np.random.default_rng(seed)
    shown = (generator.random((distinct, names)) < generator.random())[generator.integers(0, distinct, images)]
    bits = np.zeros((-(-names // 64), images), dtype=np.uint64)
    for name in range(names):
        bits[name // 64] |= shown[:, name].astype(np.uint64) << np.uint64(name % 64)
    return bits, shown.astype(np.int64)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 150),
    st.sampled_from([1, 4, 9, 64, 65, 300]),
    st.integers(1, 150),
    st.integers(1, 9),
    st.sampled_from([1, 2**13, 2**20]),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_counts_equal_those_of_the_matrix_of_all_images(
    images: int, names: int, distinct: int, min_shared: int, block: int, table: bool, seed: int
) -> None:
    bits, shown = random_bits(images, names, distinct, seed)
    common = shown @ shown.T
    assert (common_names(bits, bits) == common).all()
    np.fill_diagonal(common, 0)
    pairs = common >= min_shared
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs_counting, "BLOCK_BYTES", block)
        patch.setattr(pairs_counting, "_TABLE_ENTRIES", 2**23 if table else 0)
        everyone = count_partners(bits, min_shared, earlier=False)
        before = count_partners(bits, min_shared, earlier=True)
        names_of_pairs = count_common_names(bits, min_shared)
    assert everyone.dtype == before.dtype == np.int64
    assert everyone.tolist() == pairs.sum(axis=1).tolist()
    assert before.tolist() == np.tril(pairs).sum(axis=1).tolist()
    assert names_of_pairs == common[pairs].sum()


def test_the_table_takes_over_where_there_are_many_sets_of_few_names(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = np.arange(512, dtype=np.uint64)[None]  # every set of nine names
    expected = (np.bitwise_count(bits[0][:, None] & bits[0]) >= 3).sum(axis=1) - (np.bitwise_count(bits[0]) >= 3)
    monkeypatch.setattr(pairs_counting, "_compared", None)  # compares the sets
    assert count_partners(bits, 3, earlier=False).tolist() == expected.tolist()
    with pytest.raises(TypeError):
        count_partners(bits[:, 15::16], 3, earlier=False)


def pooled(names: dict[str, list[str]], cross: bool = True, min_shared: int = 3) -> list[list[str]]:
    """The categories of each pool of one image a category."""
    codes = np.arange(len(names), dtype=np.int32)
    pools = make_pools(codes, list(names.values()), cross=cross, min_shared=min_shared)
    return [[list(names)[code] for code in pool.codes] for pool in pools]


def test_pools_are_categories_linked_by_enough_common_names() -> None:
    names = {
        "bear": ["ear", "eye", "nose", "paw"],
        "bus": ["wheel", "mirror", "plate", "door"],
        "cat": ["nose", "paw", "eye", "tail", "whisker"],
        "desk": ["top", "leg", "drawer", "eye"],
        "fox": ["paw", "tail", "whisker", "nose"],
        "van": ["plate", "wheel", "mirror", "eye"],
        "yak": ["horn", "hoof", "eye", "nose"],
    }
    assert pooled(names) == [["bear", "cat", "fox"], ["bus", "van"]]  # bear and fox by way of the cat
    assert pooled(names, min_shared=4) == [["cat", "fox"]]
    assert pooled(names, cross=False) == [[category] for category in names]
    assert pooled(names, cross=False, min_shared=5) == [["cat"]]
    assert pooled({}) == []


def test_a_pool_holds_only_the_names_that_may_be_shared() -> None:
    """65 names of its own a category: one word each is left."""
    names = [[f"{c}_{k}" for k in range(65)] + ["x", "y", "z", "z"] for c in range(4) for _ in range(2)]
    codes = np.repeat(np.arange(4, dtype=np.int32), 2)[::-1].copy()
    (pool,) = make_pools(codes, names, cross=True, min_shared=3)
    assert pool.images.tolist() == list(range(8))
    assert pool.codes.tolist() == codes.tolist()
    assert pool.bits.tolist() == [[7] * 8]


def test_a_large_taxonomy_is_drawn_from_with_work_linear_in_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """40,000 images, 2,000 categories in 20 groups of 8 common names; a category's images hide one name in turn."""
    compared = 0

    def counted(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        nonlocal compared
        compared += first.shape[1] * second.shape[1]
        return common_names(first, second)

    categories = [f"c{i % 2000:04d}" for i in range(40_000)]
    names = [[f"g{i % 20}_{k}" for k in range(8) if k != i // 2000 % 10] for i in range(40_000)]
    index = PairIndex(categories, names, cross=True, directed=True)
    monkeypatch.setattr(pairs_counting, "common_names", counted)
    assert len(index) == 20 * (2000 * 1999 - 100 * 20 * 19)
    assert compared < 10 * len(names)  # all pairs of images are 40,000 for each image
    drawn = draw_pairs(index, total=4000, seed=1)
    assert len(drawn) == len(set(drawn)) == 4000
    assert all(categories[s] != categories[t] and s % 20 == t % 20 for s, t in drawn)
    assert len({categories[t] for _, t in drawn}) == 2000
