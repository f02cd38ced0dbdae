"""Pairs as columns: numbers instead of an object and some dozens of strings for each, about a hundred bytes a pair."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .release_types import ConceptGroup, FileList, ImageView, PairRecord

_Ints = NDArray[Any]
_UNSAID = -1  # the count of a list that a pair leaves to be derived


@dataclass(frozen=True, slots=True)
class ViewedFiles:
    """A view and the files that show it."""

    view: ImageView
    files: FileList


@dataclass(slots=True)
class PairTable:
    """P pairs. Points are numbers within a view, counted from 0.

    Attributes:
        views: what annotation files say of images; a pair has the numbers of two.
        files: of each pair, "" where it has none.
        ids: pair id of each; None = its file's path below PairAnnotations, without the ending.
        lists, groups: the names that `list_codes` and `group_codes` number.
        list_codes, group_codes: (P,) which list (subset) and which group a pair is in.
        sides: (P, 2) source view and target view.
        unshared: (P, 2) bool, whether the view counts as this file's own, though another file may say the same.
        overlap_counts: (P,) names of its overlap.
        overlap_said: (P,) bool, whether the file lists the overlap; where it does not, it is what both views show.
        overlap: (N, 2) point of the source and point of the target of each name, pair after pair.
        match_counts: (P,) concept groups of a pair, -1 where the file leaves them to be derived.
        concepts: the names that `match_concepts` number.
        match_concepts: (G,) concept of each group.
        match_sizes: (G, 2) points of the source, of the target.
        match_points: of each group the points of the source, then of the target.
        attributes: of each pair further columns; None = no pair has any.
    """

    views: list[ImageView]
    files: list[str]
    ids: list[str] | None
    lists: list[str]
    groups: list[str]
    concepts: list[str]
    list_codes: _Ints
    group_codes: _Ints
    sides: _Ints
    unshared: _Ints
    overlap_counts: _Ints
    overlap_said: _Ints
    overlap: _Ints
    match_counts: _Ints
    match_concepts: _Ints
    match_sizes: _Ints
    match_points: _Ints
    attributes: list[Mapping[str, object]] | None = None

    def __len__(self) -> int:
        return len(self.files)

    @classmethod
    def of(cls, records: Iterable[PairRecord]) -> PairTable:
        """From records; names that a view does not show are left out, and of an overlap those that come again."""
        builder = PairTableBuilder()
        for record in records:
            builder.add(record)
        return builder.table()

    def pair_ids(self) -> list[str]:
        """Id of each pair."""
        if self.ids is not None:
            return self.ids
        return [file.removeprefix("PairAnnotations/")[: -len(".json")] for file in self.files]

    def image_ids(self, side: int) -> list[str]:
        """Image of each pair's source (0) or target (1)."""
        return [self.views[number].image_id for number in self.sides[:, side].tolist()]

    def take(self, chosen: _Ints) -> PairTable:
        """The pairs of these numbers, in ascending order; views are the same list."""
        kept = np.zeros(len(self), dtype=np.bool_)
        kept[chosen] = True
        matches = np.repeat(kept, np.maximum(self.match_counts, 0))
        numbers = np.flatnonzero(kept).tolist()
        return replace(
            self,
            files=[self.files[i] for i in numbers],
            ids=None if self.ids is None else [self.ids[i] for i in numbers],
            list_codes=self.list_codes[kept],
            group_codes=self.group_codes[kept],
            sides=self.sides[kept],
            unshared=self.unshared[kept],
            overlap_counts=self.overlap_counts[kept],
            overlap_said=self.overlap_said[kept],
            overlap=self.overlap[np.repeat(kept, self.overlap_counts)],
            match_counts=self.match_counts[kept],
            match_concepts=self.match_concepts[matches],
            match_sizes=self.match_sizes[matches],
            match_points=self.match_points[np.repeat(matches, self.match_sizes.sum(1, dtype=np.int64))],
            attributes=None if self.attributes is None else [self.attributes[i] for i in numbers],
        )

    def batches(self, size: int) -> Iterator[PairTable]:
        """Slices of `size` pairs, one after the other."""
        overlap, match, point = (
            np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
            for counts in (
                self.overlap_counts,
                np.maximum(self.match_counts, 0),
                self.match_sizes.sum(1, dtype=np.int64),
            )
        )
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            matches = slice(match[rows.start], match[rows.stop])
            yield replace(
                self,
                files=self.files[rows],
                ids=None if self.ids is None else self.ids[rows],
                list_codes=self.list_codes[rows],
                group_codes=self.group_codes[rows],
                sides=self.sides[rows],
                unshared=self.unshared[rows],
                overlap_counts=self.overlap_counts[rows],
                overlap_said=self.overlap_said[rows],
                overlap=self.overlap[overlap[rows.start] : overlap[rows.stop]],
                match_counts=self.match_counts[rows],
                match_concepts=self.match_concepts[matches],
                match_sizes=self.match_sizes[matches],
                match_points=self.match_points[point[matches.start] : point[matches.stop]],
                attributes=None if self.attributes is None else self.attributes[rows],
            )

    def records(self) -> Iterator[PairRecord]:
        """The pairs as objects, one at a time."""
        for one, pair_id in zip(self.batches(1), self.pair_ids(), strict=True):
            source, target = (self.views[number] for number in one.sides[0].tolist())
            overlap = tuple(source.points[i].name for i in one.overlap[:, 0].tolist())
            yield PairRecord(
                pair_id,
                self.lists[one.list_codes[0]],
                self.groups[one.group_codes[0]],
                source,
                target,
                overlap if one.overlap_said[0] else None,
                None if one.match_counts[0] == _UNSAID else tuple(one._groups(source, target)),
                one.files[0],
                attributes=one.attributes[0] if one.attributes else {},
            )

    def _groups(self, source: ImageView, target: ImageView) -> Iterator[ConceptGroup]:
        """The groups of a table of one pair."""
        points = iter(self.match_points.tolist())
        for concept, sizes in zip(self.match_concepts.tolist(), self.match_sizes.tolist(), strict=True):
            names = [
                tuple(view.points[next(points)].name for _ in range(size))
                for view, size in zip((source, target), sizes, strict=True)
            ]
            yield ConceptGroup(self.concepts[concept], *names)

    def viewed(self) -> list[ViewedFiles]:
        """Every view that pairs show, in the order in which they are first met, with its files; an unshared one comes
        again for each file that has it as its own."""
        shown = self.sides.reshape(-1).astype(np.int64)
        own = self.unshared.reshape(-1)
        key = np.where(own, len(self.views) + np.arange(len(shown)), shown)
        _, first, inverse, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        files = (np.argsort(inverse, kind="stable") // 2).astype(np.int32)
        ends = np.cumsum(counts)
        return [
            ViewedFiles(self.views[shown[first[k]]], FileList(self.files, files[ends[k] - counts[k] : ends[k]]))
            for k in np.argsort(first).tolist()
        ]


@dataclass
class PairTableBuilder:
    """Collects pairs one by one."""

    _views: list[ImageView] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)  # by identity; `_views` keeps the ids from being reused
    _points: list[dict[str, int]] = field(default_factory=list)  # of each view, name -> last point of that name
    _files: list[str] = field(default_factory=list)
    _ids: list[str] = field(default_factory=list)
    _rows: list[int] = field(default_factory=list)  # nine of each pair: codes, views, unshared, overlap, matches
    _lists: dict[str, int] = field(default_factory=dict)
    _groups: dict[str, int] = field(default_factory=dict)
    _concepts: dict[str, int] = field(default_factory=dict)
    _overlap: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))  # of the sources, of the targets
    _matches: list[int] = field(default_factory=list)  # concept, points of the source, of the target, group by group
    _match_points: list[int] = field(default_factory=list)
    _attributes: list[Mapping[str, object]] = field(default_factory=list)

    @property
    def views(self) -> list[ImageView]:
        """Those met so far, as they are numbered."""
        return self._views

    def add(self, pair: PairRecord, unshared: tuple[bool, bool] = (False, False)) -> None:
        """Take in a pair; see `PairTable.of`."""
        sides = pair.source, pair.target
        here, there = map(self._places, sides)
        overlap = [
            n for n in (here if pair.overlap is None else dict.fromkeys(pair.overlap)) if n in here and n in there
        ]
        groups = [
            (group.concept, [n for n in group.source if n in here], [n for n in group.target if n in there])
            for group in pair.groups or ()
        ]
        self.add_shown(pair.subset, pair.group, sides, overlap, groups)
        if pair.overlap is None or pair.groups is None or any(unshared):
            said = pair.overlap is not None, _UNSAID if pair.groups is None else len(groups)
            self._rows[-5:] = *unshared, len(overlap), *said
        self._files[-1], self._ids[-1], self._attributes[-1] = pair.file, pair.pair_id, pair.attributes

    def add_shown(
        self,
        subset: str,
        group: str,
        sides: tuple[ImageView, ImageView],
        overlap: Sequence[str],
        matches: Sequence[tuple[str, Sequence[str], Sequence[str]]],
    ) -> None:
        """Take in a pair without file, id and attributes.

        Args:
            subset, group: its list and group.
            sides: source and target.
            overlap: names, each once.
            matches: a concept, names of points of the source, and of the target, for each concept group.

        Raises:
            KeyError: a name is not shown; no pair was taken in.
        """
        here, there = map(self._places, sides)
        place, other = here.__getitem__, there.__getitem__
        overlaps = [*map(place, overlap)], [*map(other, overlap)]
        lists, groups, concepts = self._lists, self._groups, self._concepts
        points, sizes = list[int](), list[int]()
        for name, first, second in matches:
            points += map(place, first)
            points += map(other, second)
            sizes += concepts.setdefault(name, len(concepts)), len(first), len(second)
        self._overlap[0].extend(overlaps[0])
        self._overlap[1].extend(overlaps[1])
        self._match_points += points
        self._matches += sizes
        codes = lists.setdefault(subset, len(lists)), groups.setdefault(group, len(groups))
        views = self._number(sides[0], here), self._number(sides[1], there)
        self._rows += *codes, *views, False, False, len(overlap), True, len(matches)
        self._files.append("")
        self._ids.append("")
        self._attributes.append({})

    def _places(self, view: ImageView) -> dict[str, int]:
        number = self._numbers.get(id(view))
        if number is not None:
            return self._points[number]
        return {point.name: place for place, point in enumerate(view.points)}

    def _number(self, view: ImageView, places: dict[str, int]) -> int:
        number = self._numbers.setdefault(id(view), len(self._views))
        if number == len(self._views):
            self._views.append(view)
            self._points.append(places)
        return number

    def table(self) -> PairTable:
        """All of them."""
        rows = np.array(self._rows, dtype=np.int32).reshape(-1, 9)
        matches = np.array(self._matches, dtype=np.int32).reshape(-1, 3)
        return PairTable(
            views=self._views,
            files=self._files,
            ids=self._ids,
            lists=list(self._lists),
            groups=list(self._groups),
            concepts=list(self._concepts),
            list_codes=rows[:, 0].copy(),
            group_codes=rows[:, 1].copy(),
            sides=rows[:, 2:4].copy(),
            unshared=rows[:, 4:6].astype(np.bool_),
            overlap_counts=rows[:, 6].copy(),
            overlap_said=rows[:, 7].astype(np.bool_),
            overlap=_small(self._overlap).T.copy(),
            match_counts=rows[:, 8].copy(),
            match_concepts=matches[:, 0].copy(),
            match_sizes=_small(matches[:, 1:]),
            match_points=_small(self._match_points),
            attributes=self._attributes if any(self._attributes) else None,
        )


def joined_tables(tables: Sequence[PairTable], views: list[ImageView], numbers: Sequence[_Ints]) -> PairTable:
    """Tables one after the other, whose views are among `views`.

    Args:
        tables: of SOCO pairs: their ids are those of the files, and they have no attributes.
        views: of all.
        numbers: for each table the number in `views` of each of its views.
    """
    names: dict[str, dict[str, int]] = {"lists": {}, "groups": {}, "concepts": {}}

    def coded(what: str, codes: str) -> _Ints:
        known = names[what]
        parts = [
            np.array([known.setdefault(n, len(known)) for n in getattr(t, what)], dtype=np.int32)[getattr(t, codes)]
            for t in tables
        ]
        return np.concatenate(parts)

    def column(name: str) -> _Ints:
        return np.concatenate([getattr(table, name) for table in tables])

    pieces: dict[str, Any] = {
        "list_codes": coded("lists", "list_codes"),
        "group_codes": coded("groups", "group_codes"),
        "match_concepts": coded("concepts", "match_concepts"),
        "sides": np.concatenate([own[table.sides] for own, table in zip(numbers, tables, strict=True)]),
    }
    copied = ("unshared", "overlap_counts", "overlap_said", "overlap", "match_counts", "match_sizes", "match_points")
    same: dict[str, Any] = {name: column(name) for name in copied}
    return PairTable(
        views=views,
        files=list(chain.from_iterable(table.files for table in tables)),
        ids=None,
        lists=list(names["lists"]),
        groups=list(names["groups"]),
        concepts=list(names["concepts"]),
        **pieces,
        **same,
    )


def _small(values: Any) -> _Ints:
    """Whole numbers from 0 on in as few bytes as they need."""
    array = np.array(values, dtype=np.int32)
    return array.astype(np.min_scalar_type(int(array.max(initial=0))))
