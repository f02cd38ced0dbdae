"""Which pairs of images a release lists: seeded, spread over the images, at least three common keypoints."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, permutations

from .release_views import CategorySpec, ReleaseView

MIN_SHARED = 3
Pair = tuple[ReleaseView, ReleaseView]


class PairChooser:
    """Draws pairs for some categories; the same seed gives the same pairs."""

    def __init__(self, categories: Mapping[str, CategorySpec], seed: int, min_shared: int = MIN_SHARED) -> None:
        self.categories, self.seed, self.min_shared = categories, seed, min_shared

    def concepts(self, view: ReleaseView) -> dict[str, list[str]]:
        """Concept -> the view's visible keypoints of it."""
        found: dict[str, list[str]] = {}
        for name in view.points:
            concept = self.categories[view.category].points[name].concept
            if concept is not None:
                found.setdefault(concept, []).append(name)
        return found

    def is_eligible(self, source: ReleaseView, target: ReleaseView) -> bool:
        """Enough common keypoints; across categories, where names differ, common concepts count as well."""
        if len(source.points.keys() & target.points.keys()) >= self.min_shared:
            return True
        shared = self.concepts(source).keys() & self.concepts(target).keys()
        return source.category != target.category and len(shared) >= self.min_shared

    def intra(self, views: Sequence[ReleaseView], count: int) -> list[Pair]:
        """At most `count` pairs within a category; both directions of one only where there are too few."""
        return self.choose(permutations(views, 2), count, "intra", views[0].category if views else "")

    def cross(self, sources: Sequence[ReleaseView], targets: Sequence[ReleaseView], count: int) -> list[Pair]:
        """At most `count` pairs from other categories."""
        pairs = ((source, target) for source in sources for target in targets if source.category != target.category)
        return self.choose(pairs, count, "cross", targets[0].category if targets else "")

    def probe(self, views: Sequence[ReleaseView], count: int) -> tuple[list[Pair], list[Pair]]:
        """Train and test pairs on disjoint halves of a category's images, the halving that gives the most pairs."""
        category = views[0].category if views else ""
        draw = self._random("halves", category)
        best: tuple[list[Pair], list[Pair]] = ([], [])
        for _ in range(20):
            order = draw.sample(list(views), len(views))
            halves = order[: len(order) // 2], order[len(order) // 2 :]
            sides = tuple(self.choose(permutations(half, 2), count, "probe", category) for half in halves)
            if min(map(len, sides)) > min(map(len, best)):
                best = sides[0], sides[1]
            if min(map(len, best)) >= count:
                break
        return best

    def choose(self, pairs: Iterable[Pair], count: int, *path: str) -> list[Pair]:
        """At most `count` eligible pairs in random order; a mirrored pair only where there are too few."""
        eligible = [pair for pair in pairs if self.is_eligible(*pair)]
        self._random(*path).shuffle(eligible)
        taken: set[tuple[str, str]] = set()
        fresh: list[Pair] = []
        mirrored: list[Pair] = []
        for source, target in eligible:
            (mirrored if (target.file, source.file) in taken else fresh).append((source, target))
            taken.add((source.file, target.file))
        return (fresh + mirrored)[:count]

    def _random(self, *path: str) -> random.Random:
        return random.Random("/".join([str(self.seed), *path]))


def possible_pairs(chooser: PairChooser, views: Sequence[ReleaseView]) -> int:
    """Number of unordered pairs of a category that are eligible."""
    return sum(chooser.is_eligible(*pair) for pair in combinations(views, 2))
