"""Observations from the pair files, completed by the metadata, to a validated `Taxonomy`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar, overload

import numpy as np

from ...data.diagnostics import BuildReport
from ...data.release_types import FileList, Observation
from ...data.taxonomy import KeypointEntry, Taxonomy
from .categories import find_category
from .metadata import (
    METADATA_FILE,
    STATED,
    Metadata,
    read_metadata,
)
from .names import parse_name

_K = TypeVar("_K")


Files = list[Sequence[str]]  # in parts, as the observations have them
_Seen = dict[str, dict[Any, Files]]  # field -> value -> the files that say so; "" -> {None: all files}
_NAMED = 50  # files that one contradiction names


def build_taxonomy(observations: Iterable[Observation], metadata: object | None, findings: BuildReport) -> Taxonomy:
    """The taxonomy of a release.

    Args:
        observations: keypoints as the pair files show them. A field that some files leave out is filled from the
            others when they agree; files that contradict the most are errors by name.
        metadata: parsed `Metadata/keypoint_taxonomy.json` or None.
        findings: errors (one concept, id and kind per keypoint; ids unique in a category; concept names and ids one to
            one; every keypoint has a category) and notes are added here. The caller checks it; the returned taxonomy
            is usable either way (the value of most files stands, else the first seen).
    """
    seen, concepts = _gather(observations, findings)
    stated = read_metadata(metadata, findings).respelled({category for category, _ in seen})
    ids = _concept_ids(concepts, stated, findings)
    points = {key: _resolve(key, values, findings) for key, values in sorted(seen.items())}
    _check_ids(points, seen, findings)
    _merge(points, seen, stated, findings)
    names = {number: name for name, number in ids.items()}
    entries = []
    for (category, keypoint), values in points.items():
        explicit = stated.keypoints.get((category, keypoint), {})
        concept = values["concept"] or names.get(values["concept_id"])
        parts = parse_name(
            keypoint,
            concept,
            category,
            part=explicit.get("part"),
            part_position=explicit.get("part_position"),
            point_position=explicit.get("point_position"),
        )
        supercategory, group = _levels(category, stated)
        entries.append(
            KeypointEntry(
                category,
                supercategory,
                group,
                values["keypoint_id"],
                keypoint,
                ids.get(concept, values["concept_id"]) if concept else values["concept_id"],
                concept,
                parts.part,
                parts.part_position,
                parts.point_position,
                values["kind"],
                values["shared"],
            )
        )
    entries.sort(key=lambda e: (e.category, e.keypoint_id is None, e.keypoint_id or 0, e.keypoint))
    taxonomy = Taxonomy(tuple(entries))
    _note_gaps(taxonomy, seen, findings)
    return taxonomy


def _gather(
    observations: Iterable[Observation], findings: BuildReport
) -> tuple[dict[tuple[str, str], _Seen], dict[tuple[int, str], Files]]:
    """One pass: (category, keypoint) -> what is said of it, and (concept id, concept) -> the files."""
    seen: dict[tuple[str, str], _Seen] = {}
    concepts: dict[tuple[int, str], Files] = {}
    for item in observations:
        key = (item.category, item.keypoint)
        values = seen.get(key)
        if values is None:
            if not item.category or not item.keypoint:
                what = "category" if not item.category else "name"
                findings.error(
                    item.files[0],
                    item.keypoint or "",
                    f"no_{what}",
                    f"a keypoint without {what}.",
                    f"give it its {what}",
                )
                continue
            values = seen[key] = {name: {} for name in STATED}
            values[""] = {None: []}
        values[""][None].append(item.files)
        for name in STATED:
            value = getattr(item, name)
            if value is not None:
                values[name].setdefault(value, []).append(item.files)
        if item.no_concept:
            values["concept"].setdefault(None, []).append(item.files)
        if item.concept_id is not None and item.concept is not None:
            concepts.setdefault((item.concept_id, item.concept), []).append(item.files)
    return seen, concepts


class _Distinct(Sequence[str]):
    """The files of some parts, each once; they are counted by their numbers and named only where a message does."""

    def __init__(self, parts: Files) -> None:
        self._parts = parts

    def __len__(self) -> int:
        numbers = [part.numbers for part in self._parts if isinstance(part, FileList)]
        others = (part for part in self._parts if not isinstance(part, FileList))  # of other folders
        counted = len(np.unique(np.concatenate(numbers))) if numbers else 0
        return counted + len(set(itertools.chain.from_iterable(others)))

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        return self._parts[0][0] if place == 0 else self._names[place]

    @cached_property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(itertools.chain.from_iterable(self._parts)))


def _by_files(values: Mapping[_K, Files]) -> list[tuple[_K, Sequence[str]]]:
    """Each value with its files, that of most files first."""
    found = [(value, _Distinct(files)) for value, files in values.items()]
    return sorted(found, key=lambda item: -len(item[1]))


def _each_file(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(file, what to add to its message): the first files one by one, the rest as a number."""
    left = len(files) - _NAMED
    for number, file in enumerate(files[:_NAMED], start=1):
        yield file, f" So do {left} more file(s)." if number == _NAMED and left > 0 else ""


def _resolve(key: tuple[str, str], values: _Seen, findings: BuildReport) -> dict[str, Any]:
    """One value a field; two are an error (of `shared`, which no score depends on, a note)."""
    category, keypoint = key
    resolved: dict[str, Any] = {}
    for name in STATED:
        ranked: list[tuple[Any, Sequence[str]]] = (
            _by_files(values[name]) if len(values[name]) > 1 else [(v, [""]) for v in values[name]]
        )
        resolved[name] = ranked[0][0] if ranked else None
        if name == "concept_id" and any(values["concept"]):
            continue  # ids of named concepts are checked once for all keypoints
        what = name.replace("keypoint_id", "id").replace("_", " ")
        for other, files in ranked[1:]:
            if name != "shared":
                findings.blame(files)
            for file, more in _each_file(files):
                message = (
                    f"keypoint {keypoint!r} of category {category!r} has two values of {what}: "
                    f"{ranked[0][0]!r} in {ranked[0][1][0]} and {other!r} in {file}"
                )
                if name == "shared":
                    findings.note(file, keypoint, "two_shareds", f"{message}; taken as shared.{more}")
                    break
                mend = f"give it one {what} in all pair files"
                findings.error(file, keypoint, f"two_{what.replace(' ', '_')}s", f"{message}.{more}", mend)
    resolved["shared"] = any(values["shared"]) if values["shared"] else None
    return resolved


def _concept_ids(concepts: dict[tuple[int, str], Files], stated: Metadata, findings: BuildReport) -> dict[str, int]:
    """Concept -> id, one to one: from the pair files, then from the metadata where that does not contradict them."""
    ids: dict[str, int] = {}
    names: dict[int, str] = {}
    first: dict[tuple[int, str], str] = {}
    for (number, name), files in _by_files(concepts):
        first[number, name] = files[0]
        if ids.setdefault(name, number) != number:
            message = f"concept {name!r} has id {number} here and {ids[name]} in {first[ids[name], name]}."
            rule, mend = "two_concept_ids", "give the concept one id in all pair files"
        elif names.setdefault(number, name) != name:
            other = names[number]
            message = f"concept id {number} is {name!r} here and {other!r} in {first[number, other]}."
            rule, mend = "two_concept_names", "give each concept an id of its own"
        else:
            continue
        findings.blame(files)
        for file, more in _each_file(files):
            findings.error(file, name, rule, message + more, mend)
    told = [(name, values.get("concept_id")) for name, values in stated.concepts.items()]
    told += [
        (values["concept"], values.get("concept_id")) for values in stated.keypoints.values() if "concept" in values
    ]
    for name, stated_id in dict.fromkeys(told):
        if stated_id is None or ids.get(name) == stated_id:
            continue
        if name in ids or stated_id in names:
            here = f"{name!r} is {ids[name]}" if name in ids else f"{stated_id} is {names[stated_id]!r}"
            _disagrees(findings, name, f"concept {name!r} has id {stated_id}, but {here} in the pair files")
        else:
            ids[name], names[stated_id] = stated_id, name
    return ids


def _check_ids(
    points: dict[tuple[str, str], dict[str, Any]], seen: dict[tuple[str, str], _Seen], findings: BuildReport
) -> None:
    """Two names of a category with one id are an error."""
    owners: dict[tuple[str, int], str] = {}
    for (category, keypoint), values in points.items():
        number = values["keypoint_id"]
        if number is None:
            continue
        other = owners.setdefault((category, number), keypoint)
        if other != keypoint:
            file, other_file = (_first(seen[category, name]["keypoint_id"][number]) for name in (keypoint, other))
            findings.blame(itertools.chain.from_iterable(seen[category, keypoint]["keypoint_id"][number]))
            findings.error(
                file,
                keypoint,
                "doubled_id",
                f"keypoint id {number} of category {category!r} is {keypoint!r} here and {other!r} in {other_file}.",
                "give each keypoint name of a category an id of its own",
            )


def _merge(
    points: dict[tuple[str, str], dict[str, Any]],
    seen: dict[tuple[str, str], _Seen],
    stated: Metadata,
    findings: BuildReport,
) -> None:
    """Fill `points` from the metadata and add the keypoints only it has; note where it contradicts the pair files."""
    taken = {(category, values["keypoint_id"]): name for (category, name), values in points.items()}
    for key, told in sorted(stated.keypoints.items()):
        category, keypoint = key
        own = points.setdefault(key, dict.fromkeys(STATED))
        # A point that has a kind but no concept is without concept on purpose; a bare one is only incomplete.
        bare = key not in seen or (own["kind"] is None and own["shared"] is None)
        for name in STATED:
            value = told.get(name)
            if value is None or value == own[name] or (name == "concept_id" and key in seen):
                continue
            clash = taken.get((category, value)) if name == "keypoint_id" else None
            if own[name] is None and clash is None and (bare or name != "concept"):
                own[name] = value
                if name == "keypoint_id":
                    taken[category, value] = keypoint
            else:
                there = f"that is the id of {clash!r}" if clash else f"it is {own[name]!r} in the pair files"
                what = f"{name} of {keypoint!r} of category {category!r}"
                _disagrees(findings, keypoint, f"{what} is {value!r}, but {there}")


def _first(files: Files) -> str:
    return next(itertools.chain.from_iterable(files))


def _disagrees(findings: BuildReport, field: str, message: str) -> None:
    findings.note(METADATA_FILE, field, "taxonomy_disagrees", f"{message}; the pair files are followed.")


def _levels(category: str, stated: Metadata) -> tuple[str | None, str | None]:
    """(supercategory, group) from the metadata, else from the categories of SOCO."""
    told, known = stated.categories.get(category, {}), find_category(category)
    supercategory = told.get("supercategory") or (known.supercategory if known else None)
    return supercategory, told.get("group") or (known.group if known else None)


def _note_gaps(taxonomy: Taxonomy, seen: dict[tuple[str, str], _Seen], findings: BuildReport) -> None:
    """Once a category: no supercategory, keypoints without concept."""
    for category in taxonomy.categories():
        entries = taxonomy.entries_of(category)
        files = [_first(seen[category, e.keypoint][""][None]) for e in entries if (category, e.keypoint) in seen]
        file = min(files, default=METADATA_FILE)
        if entries[0].supercategory is None:
            message = f"the supercategory of category {category!r} is not known; it is left empty."
            findings.note(file, category, "no_supercategory", message)
        without = [entry.keypoint for entry in entries if entry.concept is None]
        if without:
            message = f"keypoint(s) of category {category!r} without concept: {', '.join(map(repr, without))}."
            findings.note(file, category, "no_concept", message)
