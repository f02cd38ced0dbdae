"""kNN: the same neighbors however the bank is cut, ties by position and class, nothing to score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.errors import UsageError
from soco_datasets.metrics.knn import class_scores, knn_accuracy, merge_neighbors, nearest_neighbors, ranked_classes


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([1, 2, 3, 1000]),  # few values make many equal similarities, one makes all equal
    sizes=st.tuples(st.integers(1, 90), st.integers(1, 40), st.integers(1, 50)),
    half=st.booleans(),
)
def test_neighbors_do_not_depend_on_blocks_or_shards(
    seed: int, levels: int, sizes: tuple[int, int, int], half: bool
) -> None:
    generator = np.random.default_rng(seed)
    bank_block, query_block, cut = sizes
    kind = np.float16 if half else np.float32
    bank, queries = (generator.integers(0, levels + 1, (n, 6)).astype(kind) for n in (120, 15))
    whole = nearest_neighbors(queries, bank, 30)
    lengths = [np.linalg.norm(one.astype(float), axis=1, keepdims=True) for one in (queries, bank)]
    unit = [one / np.maximum(n, 1e-12) for one, n in zip((queries, bank), lengths, strict=True)]
    exact = unit[0] @ unit[1].T
    order = np.lexsort((np.broadcast_to(np.arange(120), exact.shape), -exact.astype(np.float32)), axis=1)[:, :30]
    assert np.array_equal(whole.positions, order)
    blocks = nearest_neighbors(queries, bank, 30, query_block=query_block, bank_block=bank_block)
    shards = [
        nearest_neighbors(queries, part, min(30, len(part)), first_position=first)
        for first, part in ((cut, bank[cut:]), (0, bank[:cut]))
    ]
    for found in (blocks, merge_neighbors(shards, 30)):
        assert np.array_equal(found.positions, whole.positions)
        assert np.array_equal(found.similarities, whole.similarities)


def test_a_bank_of_equal_vectors_gives_the_first_positions() -> None:
    bank = np.full((5000, 4), 0.1, dtype=np.float32)
    found = nearest_neighbors(bank[:3] * 7, bank, 9, bank_block=64)
    assert (found.positions == np.arange(9)).all()
    assert (found.similarities == 1).all()


def test_accuracy_of_equal_scores_and_of_classes_without_votes() -> None:
    found = nearest_neighbors([[1, 0], [0, 1]], [[1, 0], [1, 0], [0, 1], [0, 1]], k=2)
    result = knn_accuracy(found, [3, 1, 2, 2], [1, 0], ks=[1, 2], classes=9)
    assert result["accuracy"] == {1: {"top1": 0.0, "top5": 0.0}, 2: {"top1": 50.0, "top5": 50.0}}
    assert result["best_k"] == 2
    votes = np.array([[0, 4, 4]])
    scores = class_scores([[1.0, -1.0, -1.0]], votes, 6)
    assert ranked_classes(scores, votes).tolist() == [[0, 4, -1, -1, -1]]
    empty = knn_accuracy(nearest_neighbors(np.empty((0, 2)), [[1, 0]], 1), [3], [], ks=[1])
    assert empty == {"accuracy": {1: {"top1": None, "top5": None}}, "best_k": None, "queries": 0}


@pytest.mark.parametrize(
    ("bank", "k", "message"),
    [
        ([[1.0, 0.0]], 2, "k = 2"),
        ([[1.0, np.nan]], 1, "bank row 0"),
        ([[1.0]], 1, "one D"),
        ([[np.inf, 0]], 1, "finite"),
    ],
)
def test_wrong_input_is_named(bank: list[list[float]], k: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        nearest_neighbors([[1.0, 0.0]], bank, k)
