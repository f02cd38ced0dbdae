"""Nearest neighbors by cosine similarity and the votes of a kNN classifier: ImageNet kNN.

Neighbors are ordered by similarity (falling, in float32), then by position in the bank (rising). Blocks of the bank
go through a float32 matrix product, which only selects candidates: every row whose product is within the product's
rounding bound of the k-th best is scored again in float64, in one summation order per pair, and rounded to float32. The
result therefore does not depend on how the queries or the bank are cut into blocks, shards or machines.

Weights of neighbors: Wu et al. 2018, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError

TEMPERATURE = 0.07
TIE = 1e-9  # class scores that differ by less are equal
_MAX_POSITION = 2**32 - 1
_RESCORED_VALUES = 1 << 20  # float64 values that one step of the second scoring holds
_SHORTEST = 1e-12  # lengths below this count as this
_NONE = np.uint64(0xFFFFFFFFFFFFFFFF)  # the key of an empty place, after all others


class Neighbors(NamedTuple):
    """The k nearest rows of a bank for each of Q queries, best first.

    Attributes:
        similarities: (Q, k) float32, cosine similarity in [-1, 1], falling.
        positions: (Q, k) int64, rows of the whole bank; rising where similarities are equal.
    """

    similarities: NDArray[np.float32]
    positions: NDArray[np.int64]


def nearest_neighbors(
    queries: ArrayLike,
    bank: ArrayLike,
    k: int,
    *,
    first_position: int = 0,
    query_block: int = 1024,
    bank_block: int = 8192,
) -> Neighbors:
    """Exact top k of the bank for each query by cosine similarity.

    Args:
        queries: (Q, D) float features, not necessarily normalized.
        bank: (N, D) float features (an array or a memory map; read one block at a time).
        k: neighbors per query, 1 to N.
        first_position: position of the bank's first row in a larger bank, for shards.
        query_block: queries per matrix product.
        bank_block: bank rows per matrix product; the product holds query_block * bank_block float32.

    Returns:
        `Neighbors`; a vector of length 0 has similarity 0 with everything.

    Raises:
        UsageError: shapes that do not fit, k outside 1..N, a feature that is not finite.

    >>> found = nearest_neighbors([[1.0, 0.0]], [[0, 1], [2, 0], [1, 0], [1, 1]], k=3)
    >>> found.positions.tolist(), found.similarities[0, :2].tolist()
    ([[1, 2, 3]], [1.0, 1.0])
    """
    rows, vectors = np.asarray(queries), np.asarray(bank)
    _check_search(rows, vectors, k, first_position)
    similarities = np.empty((len(rows), k), dtype=np.float32)
    positions = np.empty((len(rows), k), dtype=np.int64)
    for start in range(0, len(rows), query_block):
        part = slice(start, min(start + query_block, len(rows)))
        keys = _search_block(rows[part], vectors, k, bank_block, start)
        similarities[part], positions[part] = _decode(keys)
    return Neighbors(similarities, positions + first_position)


def merge_neighbors(shards: Sequence[Neighbors], k: int) -> Neighbors:
    """The k best of several shards' neighbors of the same queries, whatever the order of the shards.

    Args:
        shards: each with (Q, k_i) similarities and positions in the whole bank.
        k: neighbors to keep, at most the sum of the k_i.

    Raises:
        UsageError: no shard, different numbers of queries, fewer than k neighbors in all.

    >>> one = Neighbors(np.float32([[0.9, 0.5]]), np.array([[4, 3]]))
    >>> two = Neighbors(np.float32([[0.9, 0.1]]), np.array([[2, 7]]))
    >>> merge_neighbors([one, two], 3).positions.tolist()
    [[2, 4, 3]]
    """
    if not shards or len({len(shard.positions) for shard in shards}) != 1:
        raise UsageError("Shards to merge must be at least one and hold the same queries.")
    keys = np.concatenate([_encode(shard.similarities, shard.positions) for shard in shards], axis=1)
    if not 1 <= k <= keys.shape[1]:
        raise UsageError(f"k = {k}, but the shards hold {keys.shape[1]} neighbors per query in all.")
    return Neighbors(*_decode(np.sort(keys, axis=1)[:, :k]))


def class_scores(
    similarities: ArrayLike, labels: ArrayLike, classes: int, temperature: float = TEMPERATURE
) -> NDArray[np.float64]:
    """Score of each class: the sum of its neighbors' weights, exp(s / temperature) normalized over the neighbors.

    Args:
        similarities: (Q, k) cosine similarities.
        labels: (Q, k) int, class of each neighbor, 0 to classes - 1.
        classes: number of classes C.
        temperature: softmax temperature.

    Returns:
        (Q, C) float64, each row sums to 1; 0 for a class without a vote.

    Raises:
        UsageError: a label outside 0..classes - 1, shapes that differ, a temperature that is not above 0.

    >>> class_scores([[0.5, 0.5]], [[2, 0]], classes=3).tolist()
    [[0.5, 0.0, 0.5]]
    """
    values, votes = np.asarray(similarities, dtype=np.float64), np.asarray(labels)
    if values.shape != votes.shape or values.ndim != 2:
        raise UsageError(f"Similarities {values.shape} and labels {votes.shape} must have one shape (Q, k).")
    if votes.size and (votes.min() < 0 or votes.max() >= classes):
        raise UsageError(f"Labels run from {votes.min()} to {votes.max()}; expected 0 to {classes - 1}.")
    if not temperature > 0:
        raise UsageError(f"The temperature is {temperature}; give a number above 0.")
    weights: NDArray[np.float64] = (
        np.exp((values - values.max(axis=1, keepdims=True)) / temperature) if values.size else values
    )
    weights = weights / weights.sum(axis=1, keepdims=True)
    flat = votes + classes * np.arange(len(votes))[:, None]
    summed: NDArray[Any] = np.bincount(flat.ravel(), weights=weights.ravel(), minlength=len(votes) * classes)
    return summed.reshape(len(votes), classes).astype(np.float64, copy=False)


def ranked_classes(scores: ArrayLike, labels: ArrayLike, count: int = 5) -> NDArray[np.int64]:
    """The best classes of each query, best first; of classes with equal scores (to 1e-9) the lower one comes first.

    Args:
        scores: (Q, C) from `class_scores`.
        labels: (Q, k) classes of the neighbors: a class that is not among them is never ranked.
        count: classes to rank.

    Returns:
        (Q, count) int64, -1 where fewer classes have a vote.

    >>> ranked_classes([[0.2, 0.4, 0.0, 0.4]], [[3, 1, 0]], count=4).tolist()
    [[1, 3, 0, -1]]
    """
    values, votes = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    left = np.full(values.shape, -np.inf)
    np.put_along_axis(left, votes, np.take_along_axis(values, votes, axis=1), axis=1)
    ranked = np.full((len(left), count), -1, dtype=np.int64)
    if not left.size:
        return ranked
    every = np.arange(len(left))
    for rank in range(count):
        best = left.max(axis=1)
        first = (left >= (best - TIE)[:, None]).argmax(axis=1)
        ranked[:, rank] = np.where(best > -np.inf, first, -1)
        left[every, first] = -np.inf
    return ranked


def knn_accuracy(
    neighbors: Neighbors,
    bank_labels: ArrayLike,
    targets: ArrayLike,
    ks: Sequence[int],
    *,
    classes: int | None = None,
    temperature: float = TEMPERATURE,
    block: int = 4096,
) -> dict[str, Any]:
    """Top-1 and top-5 accuracy for several numbers of neighbors.

    Args:
        neighbors: of Q queries, with at least max(ks) neighbors each.
        bank_labels: (N,) int, class of each bank row.
        targets: (Q,) int, true class of each query.
        ks: numbers of neighbors.
        classes: number of classes; default: the highest label or target + 1.
        temperature: of the weights.
        block: queries scored at a time.

    Returns:
        {"accuracy": {k: {"top1": percent, "top5": percent}}, "best_k": k of the highest top-1 (the smaller where
        equal), "queries": Q}; with no query every number and best_k is None.

    Raises:
        UsageError: a k above the number of neighbors, labels out of range, shapes that do not fit.
    """
    labels, truth = np.asarray(bank_labels), np.asarray(targets)
    wanted = sorted(set(ks))
    available = neighbors.positions.shape[1]
    if not wanted or wanted[0] < 1 or wanted[-1] > available:
        raise UsageError(f"k must lie between 1 and {available}, the number of neighbors found; given: {list(ks)}.")
    if len(truth) != len(neighbors.positions):
        raise UsageError(f"There are {len(truth)} targets for {len(neighbors.positions)} queries.")
    if not len(truth):
        empty = {k: {"top1": None, "top5": None} for k in wanted}
        return {"accuracy": empty, "best_k": None, "queries": 0}
    total = classes if classes is not None else int(max(labels.max(), truth.max())) + 1
    hits = {k: np.zeros(2) for k in wanted}
    for start in range(0, len(truth), block):
        part = slice(start, start + block)
        for k in wanted:
            votes = labels[neighbors.positions[part, :k]]
            scores = class_scores(neighbors.similarities[part, :k], votes, total, temperature)
            right = ranked_classes(scores, votes) == truth[part, None]
            hits[k] += right[:, 0].sum(), right.any(axis=1).sum()
    accuracy = {k: dict(zip(("top1", "top5"), (100 * hits[k] / len(truth)).tolist(), strict=True)) for k in wanted}
    best = max(wanted, key=lambda k: (accuracy[k]["top1"], -k))
    return {"accuracy": accuracy, "best_k": best, "queries": len(truth)}


def _check_search(queries: NDArray[Any], bank: NDArray[Any], k: int, first_position: int) -> None:
    if queries.ndim != 2 or bank.ndim != 2 or queries.shape[1] != bank.shape[1]:
        raise UsageError(f"Queries {queries.shape} and bank {bank.shape} must be (Q, D) and (N, D) with one D.")
    if not 1 <= k <= len(bank):
        raise UsageError(f"k = {k}, but the bank holds {len(bank)} vectors. Give a k between 1 and {len(bank)}.")
    if first_position < 0 or first_position + len(bank) > _MAX_POSITION:
        raise UsageError(f"Bank positions must lie between 0 and {_MAX_POSITION}.")


def _unit_rows(rows: NDArray[Any], what: str, first: int) -> NDArray[np.float32]:
    """(n, D) float32 rows of length 1 (0 where the row is 0)."""
    values = np.asarray(rows, dtype=np.float32)
    lengths = np.sqrt(np.vecdot(values, values)).astype(np.float64)
    odd = np.flatnonzero(~((lengths > 1e-15) & (lengths < 1e15)))  # where float32 squares may have left their range
    if len(odd):
        exact = np.asarray(rows[odd], dtype=np.float64)
        lengths[odd] = np.sqrt(np.vecdot(exact, exact))
        bad = odd[~np.isfinite(lengths[odd])]
        if len(bad):
            raise UsageError(
                f"The features of {what} {first + bad[0]} are not finite. Extract them again, or leave it out."
            )
    return values * (1 / np.maximum(lengths, _SHORTEST)).astype(np.float32)[:, None]


def _search_block(queries: NDArray[Any], bank: NDArray[Any], k: int, bank_block: int, first: int) -> NDArray[np.uint64]:
    """(q, k) sorted keys of the best k bank rows of some queries."""
    count, dimensions = queries.shape
    unit = _unit_rows(queries, "query", first)
    # A float32 dot product of D numbers is off by at most D * 2^-24 times its terms' sizes, in whatever order it is
    # summed; so are the lengths of both vectors, by half of that. Twice, as both the k-th and the candidate may be off.
    margin = np.float32(2 * (2 * dimensions + 16) * 2.0**-24)
    most = 4 * k + 1024  # candidates per query that are kept before they are scored exactly
    candidates = np.empty((count, 0), dtype=np.uint64)
    limit = np.full(count, -np.inf, dtype=np.float32)
    for start in range(0, len(bank), bank_block):
        products = unit @ _unit_rows(bank[start : start + bank_block], "bank row", start).T
        if products.shape[1] > k and start == 0:
            limit = np.partition(products, products.shape[1] - k, axis=1)[:, products.shape[1] - k] - margin
        rows, columns = np.divmod(np.flatnonzero(products >= limit[:, None]), products.shape[1])
        candidates = _joined(candidates, rows, _encode(products[rows, columns], columns + start))
        if candidates.shape[1] > most:
            candidates = _exact_keys(queries, bank, candidates)[:, :k]
        if candidates.shape[1] >= k:
            limit = _decode(candidates[:, k - 1])[0] - margin
            limit[candidates[:, k - 1] == _NONE] = -np.inf
            candidates[candidates > _encode(limit, np.full(count, _MAX_POSITION))[:, None]] = _NONE
            candidates = candidates[:, : max(k, int((candidates != _NONE).sum(axis=1).max(initial=0)))]
    return _exact_keys(queries, bank, candidates)[:, :k]


def _exact_keys(queries: NDArray[Any], bank: NDArray[Any], candidates: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sorted keys of candidates by their float32 cosine, each pair's summed in float64 in one order."""
    result = candidates.copy()
    for row, query in enumerate(np.asarray(queries, dtype=np.float64)):
        held = candidates[row] != _NONE
        positions = _decode(candidates[row, held])[1]
        similarities = np.empty(len(positions), dtype=np.float32)
        step = max(1, _RESCORED_VALUES // max(1, len(query)))
        for start in range(0, len(positions), step):
            vectors = np.asarray(bank[positions[start : start + step]], dtype=np.float64)
            lengths = np.sqrt(np.vecdot(vectors, vectors)) * np.sqrt(np.vecdot(query, query))
            similarities[start : start + step] = np.vecdot(vectors, query) / np.maximum(lengths, _SHORTEST**2)
        result[row, held] = _encode(similarities, positions)
    result.sort(axis=1)
    return result


def _joined(keys: NDArray[np.uint64], rows: NDArray[np.intp], new: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sorted keys (q, m + widest) of each row's m old and its new ones, given with their rows in rising order."""
    counts = np.bincount(rows, minlength=len(keys))
    table = np.full((len(keys), keys.shape[1] + int(counts.max(initial=0))), _NONE, dtype=np.uint64)
    table[:, : keys.shape[1]] = keys
    starts = np.cumsum(counts) - counts
    table[rows, keys.shape[1] + np.arange(len(rows)) - starts[rows]] = new
    table.sort(axis=1)
    return table


def _encode(similarities: ArrayLike, positions: ArrayLike) -> NDArray[np.uint64]:
    """One integer per neighbor that rises as the similarity falls, then as the position rises."""
    bits = (np.asarray(similarities, dtype=np.float32) + np.float32(0)).view(np.uint32)  # + 0: -0 becomes 0
    rising = np.where(bits >> 31 == 1, ~bits, bits | np.uint32(1 << 31))  # unsigned order = order of the floats
    return (~rising).astype(np.uint64) << np.uint64(32) | np.asarray(positions).astype(np.uint64)


def _decode(keys: NDArray[np.uint64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rising = ~(keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(rising >> 31 == 1, rising & np.uint32(0x7FFFFFFF), ~rising)
    return bits.view(np.float32), (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
