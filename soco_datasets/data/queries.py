"""The queries of one pair: which source points are asked, and which target points are valid answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from ..errors import UsageError, unknown_name

PairKind = Literal["soc", "cc", "geo"]
Group = tuple[str, Sequence[str], Sequence[str]]  # concept, names in the source, names in the target


@dataclass(frozen=True)
class ImagePoints:
    """The visible keypoints of one image: names, their concepts (None = without) and (x, y) in pixels, aligned.

    Where a name comes twice the last one counts, as in the reference.
    """

    names: tuple[str, ...]
    concepts: tuple[str | None, ...]
    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.concepts) == len(self.points):
            counts = f"{len(self.names)} names, {len(self.concepts)} concepts and {len(self.points)} points"
            raise UsageError(f"ImagePoints needs as many names as concepts and points, got {counts}.")

    @cached_property
    def index(self) -> dict[str, int]:
        """Name -> position in the lists, in order of first appearance."""
        return {name: i for i, name in enumerate(self.names)}


@dataclass(frozen=True)
class Queries:
    """The queries of a pair, one entry each in all lists; columns of `schema.PAIRS` (candidates: `PAIRS_GEO`)."""

    keypoints: list[str]
    concepts: list[str | None]
    source_points: list[list[float]]
    target_keypoints: list[list[str]]
    target_points: list[list[list[float]]]
    candidate_keypoints: list[list[str]] | None = None
    candidate_points: list[list[list[float]]] | None = None

    def __len__(self) -> int:
        return len(self.keypoints)

    def columns(self) -> dict[str, list[Any]]:
        """Column name -> list; the candidate columns only for kind "geo"."""
        return {name: values for name, values in vars(self).items() if values is not None}


def pair_queries(
    kind: PairKind,
    source: ImagePoints,
    target: ImagePoints,
    overlap: Sequence[str] | None = None,
    groups: Sequence[Group] | None = None,
) -> Queries:
    """The queries of one pair.

    Args:
        kind: "soc": a query per name of the overlap, its target the point of the same name. "cc": a query per source
            name that a group lists, its targets all points of the union of these groups. "geo": the queries of "soc"
            that are among their own "cc" targets, and those as candidates.
        source, target: what the two images show.
        overlap: a released pair's `semantic_overlap`; None = the names both show, in source order.
        groups: a released pair's `concept_matches`; None = one per concept both show, in source order.

    Names an image does not show are skipped and a repeated name counts once. Queries come in order of first appearance
    in `overlap` or `groups`, targets in the order of `target.names`. The concept of a query is that of its own point,
    else (not for "soc") that of the first group that lists it. Raises `UsageError` for an unknown kind.
    """
    if kind not in get_args(PairKind):
        raise unknown_name("kind of pair", kind, get_args(PairKind))
    if kind == "cc":
        unions = _concept_targets(source, target, _derived_groups(source, target) if groups is None else groups)
        return _queries(source, target, {name: targets for name, (_, targets) in unions.items()}, unions)
    names = source.names if overlap is None else overlap
    semantic = {name: [name] for name in names if name in source.index and name in target.index}
    if kind == "soc":
        return _queries(source, target, semantic, {})
    unions = _concept_targets(source, target, _derived_groups(source, target) if groups is None else groups)
    evaluated = {name: own for name, own in semantic.items() if name in unions and name in unions[name][1]}
    queries = _queries(source, target, evaluated, unions)
    candidates = [unions[name][1] for name in evaluated]
    return Queries(**queries.columns(), candidate_keypoints=candidates, candidate_points=_positions(target, candidates))


def _derived_groups(source: ImagePoints, target: ImagePoints) -> list[Group]:
    """One group per concept that both images show."""

    def by_concept(image: ImagePoints) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, i in image.index.items():
            concept = image.concepts[i]
            if concept is not None:
                found.setdefault(concept, []).append(name)
        return found

    there = by_concept(target)
    return [(concept, names, there[concept]) for concept, names in by_concept(source).items() if concept in there]


def _concept_targets(
    source: ImagePoints, target: ImagePoints, groups: Sequence[Group]
) -> dict[str, tuple[str, list[str]]]:
    """Source name -> (first group that lists it, its targets over all groups); names without any are left out."""
    unions: dict[str, tuple[str, set[str]]] = {}
    for concept, source_names, target_names in groups:
        shown = [name for name in target_names if name in target.index]
        for name in source_names if shown else ():
            if name in source.index:
                unions.setdefault(name, (concept, set()))[1].update(shown)
    return {name: (concept, sorted(union, key=target.index.__getitem__)) for name, (concept, union) in unions.items()}


def _queries(
    source: ImagePoints,
    target: ImagePoints,
    targets: dict[str, list[str]],
    unions: dict[str, tuple[str, list[str]]],
) -> Queries:
    indices = [source.index[name] for name in targets]
    own = [source.concepts[i] for i in indices]
    return Queries(
        keypoints=list(targets),
        concepts=[
            unions[name][0] if concept is None and name in unions else concept
            for name, concept in zip(targets, own, strict=True)
        ],
        source_points=[list(source.points[i]) for i in indices],
        target_keypoints=list(targets.values()),
        target_points=_positions(target, targets.values()),
    )


def _positions(image: ImagePoints, names: Collection[list[str]]) -> list[list[list[float]]]:
    return [[list(image.points[image.index[name]]) for name in some] for some in names]
