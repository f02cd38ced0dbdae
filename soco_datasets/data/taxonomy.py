"""Category -> concept -> keypoint: what the pair files say, completed by the release's metadata, validated, queried.

The pair files are the authority. `Metadata/keypoint_taxonomy.json`, whose format is not published, adds what they never
show (keypoints that are never visible, groups, explicit part and position fields); where it disagrees, that is noted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Literal, get_args

from ..errors import DatasetFolderError, UsageError, unknown_name

Level = Literal["group", "supercategory"]


@dataclass(frozen=True)
class KeypointEntry:
    """A keypoint of a category: one row of the config `taxonomy`, columns as in `schema.TAXONOMY`."""

    category: str
    supercategory: str | None
    group: str | None
    keypoint_id: int | None
    keypoint: str
    concept_id: int | None
    concept: str | None
    part: str | None
    part_position: str | None
    point_position: str | None
    kind: str | None
    shared: bool | None

    @classmethod
    def named(
        cls,
        category: str,
        keypoint: str,
        keypoint_id: int | None = None,
        supercategory: str | None = None,
        concept: str | None = None,
    ) -> KeypointEntry:
        """A keypoint of which nothing else is known."""
        nothing: dict[str, Any] = {field.name: None for field in fields(cls)}
        known = {"category": category, "keypoint": keypoint, "keypoint_id": keypoint_id}
        return cls(**{**nothing, **known, "supercategory": supercategory, "concept": concept})


@dataclass(frozen=True)
class Taxonomy:
    """All keypoints of all categories, in the order category, id, name. Immutable; look-ups are built at first use."""

    entries: tuple[KeypointEntry, ...]

    def __post_init__(self) -> None:
        if len(self._index) != len(self.entries):
            keys = [(entry.category, entry.keypoint) for entry in self.entries]
            doubled = sorted({key for key in keys if keys.count(key) > 1})
            raise DatasetFolderError(
                f"The taxonomy lists these (category, keypoint) rows more than once: {doubled}. Build the folder again."
            )

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Taxonomy:
        """From rows of the config `taxonomy`; missing columns count as null, others are ignored."""
        names = [field.name for field in fields(KeypointEntry)]
        columns: Iterable[list[Any]] = ([row.get(name) for name in names] for row in rows)
        return cls(tuple(KeypointEntry(*values) for values in columns))

    def to_rows(self) -> list[dict[str, Any]]:
        """Rows of the config `taxonomy`."""
        return [asdict(entry) for entry in self.entries]

    def __repr__(self) -> str:
        return f"<Taxonomy: {len(self.entries):,} keypoints of {len(self.categories()):,} categories>"

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[KeypointEntry]:
        return iter(self.entries)

    def categories(self) -> tuple[str, ...]:
        """All categories, sorted."""
        return tuple(self._by_category)

    def concepts(self) -> tuple[str, ...]:
        """Names of all concepts, sorted."""
        return tuple(sorted(self._with_concept))

    def entries_of(self, category: str) -> tuple[KeypointEntry, ...]:
        """The keypoints of a category, by id. Raises `UsageError` for an unknown category."""
        if category not in self._by_category:
            raise unknown_name("category", category, self._by_category)
        return self._by_category[category]

    def keypoints(self, category: str) -> tuple[str, ...]:
        """The names of a category's keypoints, by id. Raises `UsageError` for an unknown category."""
        return tuple(entry.keypoint for entry in self.entries_of(category))

    def entry(self, category: str, keypoint: str) -> KeypointEntry:
        """One keypoint of a category. Raises `UsageError` when there is no such category or keypoint."""
        found = self._index.get((category, keypoint))
        if found is None:
            raise unknown_name(f"keypoint of category {category!r}", keypoint, self.keypoints(category))
        return found

    def supercategory(self, category: str) -> str | None:
        """The supercategory of a category; None where it is not known or the category has no keypoints."""
        own = self._by_category.get(category)
        return own[0].supercategory if own else None

    def categories_with_concept(self, concept: str) -> tuple[str, ...]:
        """Sorted categories that have a keypoint of this concept."""
        if concept not in self._with_concept:
            raise unknown_name("concept", concept, self._with_concept)
        return tuple(sorted(self._with_concept[concept]))

    def categories_with_keypoint(self, keypoint: str) -> tuple[str, ...]:
        """Sorted categories that have a keypoint of this name."""
        if keypoint not in self._with_keypoint:
            raise unknown_name("keypoint", keypoint, self._with_keypoint)
        return tuple(sorted(self._with_keypoint[keypoint]))

    def shared_keypoints(self, *categories: str) -> tuple[str, ...]:
        """Names that all the given categories have, in the order of the first one."""
        if not categories:
            raise UsageError("shared_keypoints needs at least one category, for example shared_keypoints('car', 'bus')")
        names = [self.keypoints(category) for category in categories]
        common = set(names[0]).intersection(*names[1:])
        return tuple(name for name in names[0] if name in common)

    def related_categories(self, category: str, level: Level = "group") -> tuple[str, ...]:
        """The other categories of the same group or supercategory, sorted; none when it is unknown for `category`."""
        if level not in get_args(Level):
            raise unknown_name("level", level, get_args(Level))
        value = getattr(self.entries_of(category)[0], level)
        if value is None:
            return ()
        return tuple(c for c, own in self._by_category.items() if c != category and getattr(own[0], level) == value)

    @cached_property
    def _index(self) -> dict[tuple[str, str], KeypointEntry]:
        return {(entry.category, entry.keypoint): entry for entry in self.entries}

    @cached_property
    def _by_category(self) -> dict[str, tuple[KeypointEntry, ...]]:
        found: dict[str, list[KeypointEntry]] = defaultdict(list)
        for entry in self.entries:
            found[entry.category].append(entry)
        return {category: tuple(found[category]) for category in sorted(found)}

    @cached_property
    def _with_concept(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for entry in self.entries:
            if entry.concept is not None:
                found[entry.concept].add(entry.category)
        return dict(found)

    @cached_property
    def _with_keypoint(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for entry in self.entries:
            found[entry.keypoint].add(entry.category)
        return dict(found)
