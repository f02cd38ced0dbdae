"""Which pairs of drawn images the release lists, and what a pair file says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, permutations
from typing import Any

from .annotations import Annotation
from .randomness import SeededDraw

MINI_MIN_SHARED = 3

ImagePair = tuple[Annotation, Annotation]


def shared_names(source: Annotation, target: Annotation) -> list[str]:
    """Names of the keypoints visible in both, sorted."""
    return sorted(source.points.keys() & target.points.keys())


def eligible(pairs: Iterable[ImagePair]) -> list[ImagePair]:
    """The pairs with enough common keypoints."""
    return [pair for pair in pairs if len(shared_names(*pair)) >= MINI_MIN_SHARED]


def choose(pairs: Sequence[ImagePair], count: int, draw: SeededDraw) -> list[ImagePair]:
    """At most `count` pairs in random order; both directions of one pair only where there are too few."""
    taken: set[tuple[str, str]] = set()
    fresh: list[ImagePair] = []
    mirrored: list[ImagePair] = []
    for source, target in draw.shuffled(pairs):
        (mirrored if (target.stem, source.stem) in taken else fresh).append((source, target))
        taken.add((source.stem, target.stem))
    return (fresh + mirrored)[:count]


def intra_pairs(images: Sequence[Annotation], count: int, draw: SeededDraw) -> list[ImagePair]:
    """Pairs of different images of one category."""
    return choose(eligible(permutations(images, 2)), count, draw)


def cross_pairs(images: Sequence[Annotation], target: str, count: int, draw: SeededDraw) -> list[ImagePair]:
    """Pairs from other categories to the category `target`."""
    sources = [image for image in images if image.category != target]
    targets = [image for image in images if image.category == target]
    return choose(eligible((a, b) for a in sources for b in targets), count, draw)


def probe_pairs(images: Sequence[Annotation], count: int, draw: SeededDraw) -> tuple[list[ImagePair], list[ImagePair]]:
    """Train and test pairs of one category on disjoint halves of its images.

    Of all ways to halve the images one is drawn among those that give both sides the most pairs, up to `count`.
    """
    best: tuple[list[ImagePair], list[ImagePair]] = ([], [])
    for train in draw.shuffled(list(combinations(images, len(images) // 2))):
        test = [image for image in images if image not in train]
        sides = eligible(permutations(train, 2)), eligible(permutations(test, 2))
        if min(*map(len, sides), count) > min(*map(len, best)):
            best = sides
        if min(map(len, best)) >= count:
            break
    return choose(best[0], count, draw), choose(best[1], count, draw)


def pair_record(number: int, source: Annotation, target: Annotation) -> dict[str, Any]:
    """The content of a pair file."""
    return {
        "pair_id": number,
        "category": target.category,
        "pair_group": target.category,
        "src_category": source.category,
        "trg_category": target.category,
        "src_image": source.file_name,
        "trg_image": target.file_name,
        "src_imsize": list(source.size),
        "trg_imsize": list(target.size),
        "src_bndbox": list(source.bbox),
        "trg_bndbox": list(target.bbox),
        "src_keypoints": source.keypoint_records(),
        "trg_keypoints": target.keypoint_records(),
        "semantic_overlap": shared_names(source, target),
        "concept_matches": concept_matches(source, target),
    }


def concept_matches(source: Annotation, target: Annotation) -> list[dict[str, Any]]:
    """Every concept visible in both images with its keypoints on both sides, sorted by concept."""
    sides = [_by_concept(image) for image in (source, target)]
    return [
        {"concept_name": concept, "src_keypoints": sides[0][concept], "trg_keypoints": sides[1][concept]}
        for concept in sorted(sides[0].keys() & sides[1].keys())
    ]


def _by_concept(image: Annotation) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, (point, _) in image.points.items():
        groups.setdefault(point.concept, []).append(name)
    return groups
