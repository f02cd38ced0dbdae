"""The 100 categories of SOCO, their supercategory and group, and the counts a build of the real release should give.

The facts are those of the SOCO paper. `group` is the level between supercategory and category (dogs, four_wheeled); the
groups of vehicles are ours and only given where they clearly fit.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType

SUPERCATEGORIES: tuple[str, ...] = ("transportation", "hand_held", "furniture", "animals")


@dataclass(frozen=True)
class Category:
    """One category of the real SOCO.

    Attributes:
        name: as the release spells it, lower case with spaces ("american black bear").
        supercategory: one of `SUPERCATEGORIES`.
        group: level between supercategory and category, None where there is none.
        keypoints: number of keypoint names.
        shared_keypoints: how many of them other categories have too.
    """

    name: str
    supercategory: str
    group: str | None
    keypoints: int
    shared_keypoints: int


@dataclass(frozen=True)
class RealCounts:
    """What the real SOCO holds, from the paper and the release card. Fields named `about_*` are rounded there.

    Pairs of `about_soc_pairs` and `about_cross_soc_pairs` are undirected and share at least `min_shared` keypoints;
    the `*_pair_files` are the released fixed pairs.
    """

    categories: int = 100
    supercategories: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType(
            {"transportation": 31, "hand_held": 19, "furniture": 10, "animals": 40}
        )
    )
    images_per_category: int = 40
    images: int = 4_000
    about_keypoints: int = 40_000
    intra_pair_files: int = 20_000
    cross_pair_files: int = 20_000
    probe_train_pair_files: int = 10_000
    probe_test_pair_files: int = 10_000
    min_shared: int = 3
    about_soc_pairs: int = 73_000
    about_soc_correspondences: int = 560_000
    about_cross_soc_pairs: int = 1_300_000
    animal_keypoints: int = 20  # all 40 animal categories have the same 20 names


REAL_COUNTS = RealCounts()


def normal_spelling(name: str) -> str:
    """A name for comparison: lower case, underscores, hyphens and runs of space as one space.

    >>> normal_spelling("American_black-bear ")
    'american black bear'
    """
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())


@cache
def _load() -> dict[str, Category]:
    text = resources.files(__package__).joinpath("categories.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {
        row["category"]: Category(
            row["category"],
            row["supercategory"],
            row["group"] or None,
            int(row["keypoints"]),
            int(row["shared_keypoints"]),
        )
        for row in rows
    }


class _Categories(Mapping[str, Category]):
    """Read-only mapping over the shipped table; the file is read at the first look."""

    def __getitem__(self, name: str) -> Category:
        return _load()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_load())

    def __len__(self) -> int:
        return len(_load())


CATEGORIES: Mapping[str, Category] = _Categories()


@cache
def _by_spelling() -> dict[str, Category]:
    return {normal_spelling(name): category for name, category in _load().items()}


def find_category(name: str) -> Category | None:
    """The category called `name` in any spelling ("American_Black_Bear"), None where SOCO has none such.

    >>> find_category("F1_car").name
    'f1 car'
    """
    return _by_spelling().get(normal_spelling(name))


def supercategory_of(category: str) -> str | None:
    """The supercategory of a category in any spelling, None where SOCO has no such category."""
    found = find_category(category)
    return found.supercategory if found else None
