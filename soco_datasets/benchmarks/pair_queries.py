"""The queries of many stored pairs at once: what `data.queries.pair_queries` gives for each, in its order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..data.pair_table import PairTable
from ..data.queries import PairKind
from ..data.query_blocks import RaggedPoints
from .view_columns import ViewColumns

_Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TableQueries:
    """The Q queries of P pairs, pair after pair. A point is a row of `ViewColumns`.

    Attributes:
        counts: (P,) queries of each pair.
        sources: (Q,) the point that is asked for.
        groups: (Q,) code among `group_names` of the first concept group that lists the point; None for kind "soc".
        group_names: concepts of groups.
        targets: the valid targets of each query.
        candidates: of kind "geo", its candidates; else None.
    """

    counts: _Ints
    sources: _Ints
    groups: _Ints | None
    group_names: list[str]
    targets: RaggedPoints
    candidates: RaggedPoints | None = None


def table_queries(kind: PairKind, pairs: PairTable, views: ViewColumns) -> TableQueries:
    """The queries of all pairs of a table.

    Args:
        kind: "soc", "cc" or "geo", see `data.queries.pair_queries`.
        pairs: some pairs; groups that their files leave out are derived from the views.
        views: the views of the table.
    """
    sides = views.offsets[:-1][pairs.sides]
    pair = np.repeat(np.arange(len(pairs)), pairs.overlap_counts)
    source, target = (sides[pair, side] + pairs.overlap[:, side] for side in (0, 1))
    if kind == "soc":
        return TableQueries(pairs.overlap_counts, source, None, [], _alone(target))
    grouped = _with_groups(pairs, views)
    unions = _Unions(grouped, sides, int(views.offsets[-1]))
    if kind == "cc":
        counts = np.bincount(unions.pair, minlength=len(pairs))
        return TableQueries(counts, unions.source, unions.group, grouped.concepts, unions.targets)
    query = unions.find(pair, source, target)
    kept = np.flatnonzero(query >= 0)
    counts = np.bincount(pair[kept], minlength=len(pairs))
    candidates = unions.targets.take(query[kept])
    groups = unions.group[query[kept]]
    return TableQueries(counts, source[kept], groups, grouped.concepts, _alone(target[kept]), candidates)


def _alone(points: _Ints) -> RaggedPoints:
    return RaggedPoints.of(np.ones(len(points), dtype=np.int64), points)


class _Unions:
    """The points of the source that groups list, each with its targets over all groups of its pair.

    Attributes:
        pair, source, group: (Q,) its pair, the point, the concept of the first group that lists it; pair after pair, in
            the order of the groups.
        targets: of each, in the order of the target's points.
    """

    def __init__(self, pairs: PairTable, sides: _Ints, points: int) -> None:
        pair_of_group = np.repeat(np.arange(len(pairs)), pairs.match_counts)
        sizes = pairs.match_sizes.astype(np.int64)
        begin = np.cumsum(sizes.sum(1)) - sizes.sum(1)
        sources = np.where(sizes[:, 1] > 0, sizes[:, 0], 0)  # a group that shows no target asks for nothing
        listed = RaggedPoints(np.concatenate([[0], np.cumsum(sizes.sum(1))]), pairs.match_points.astype(np.int64))
        group = np.repeat(np.arange(len(sizes)), sources)
        place = np.arange(len(group)) - np.repeat(np.cumsum(sources) - sources, sources)
        own_pair = pair_of_group[group]
        source = listed.values[begin[group] + place] + sides[own_pair, 0]
        self._span = points
        key = own_pair * self._span + source
        self._keys, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        self._rank = rank
        self.pair, self.source = own_pair[first[order]], source[first[order]]
        self.group = pairs.match_concepts[group[first[order]]].astype(np.int64)
        counts = sizes[group, 1]
        each = np.repeat(np.arange(len(group)), counts)
        within = np.arange(len(each)) - np.repeat(np.cumsum(counts) - counts, counts)
        target = listed.values[begin[group[each]] + sizes[group[each], 0] + within] + sides[own_pair[each], 1]
        answers = np.sort(rank[inverse][each] * self._span + target, kind="stable")  # nearly sorted, unlike by unique
        self._answers = answers[np.diff(answers, prepend=-1) > 0]
        query, values = np.divmod(self._answers, self._span)
        self.targets = RaggedPoints.of(np.bincount(query, minlength=len(order)), values)

    def find(self, pair: _Ints, source: _Ints, target: _Ints) -> _Ints:
        """(N,) query of each point of a pair that has this target among its own, -1 where there is none."""
        place = _place(self._keys, pair * self._span + source)
        query = np.where(place >= 0, self._rank[place] if len(self._rank) else -1, -1)
        answered = _place(self._answers, query * self._span + target) >= 0
        return np.where((query >= 0) & answered, query, -1)


def _place(keys: _Ints, wanted: _Ints) -> _Ints:
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def _with_groups(pairs: PairTable, views: ViewColumns) -> PairTable:
    """The pairs with one group per concept that both views show where their files leave the groups out."""
    if (pairs.match_counts >= 0).all():
        return pairs
    codes = {name: code for code, name in enumerate(pairs.concepts)}
    counts, concepts, sizes, points = [], [], [], []
    listed = iter(zip(pairs.match_concepts.tolist(), pairs.match_sizes.tolist(), strict=True))
    flat, at = pairs.match_points, 0
    for count, (source, target) in zip(pairs.match_counts.tolist(), pairs.sides.tolist(), strict=True):
        if count < 0:
            there = views.by_concept(target)
            found = [(c, here, there[c]) for c, here in views.by_concept(source).items() if c in there]
            counts.append(len(found))
            for concept, here, away in found:
                concepts.append(codes.setdefault(concept, len(codes)))
                sizes.append((len(here), len(away)))
                points += [*here, *away]
            continue
        counts.append(count)
        for _ in range(count):
            concept, size = next(listed)
            concepts.append(concept)
            sizes.append(tuple(size))
            points += flat[at : at + sum(size)].tolist()
            at += sum(size)
    return replace(
        pairs,
        concepts=list(codes),
        match_counts=np.array(counts, dtype=np.int64),
        match_concepts=np.array(concepts, dtype=np.int64),
        match_sizes=np.array(sizes, dtype=np.int64).reshape(-1, 2),
        match_points=np.array(points, dtype=np.int64),
    )
