"""The shipped facts about the 100 categories."""

from __future__ import annotations

import csv
from collections import Counter

import pytest
from helpers.shared_data import DATA

from soco_datasets.benchmarks.soco.categories import (
    CATEGORIES,
    REAL_COUNTS,
    SUPERCATEGORIES,
    find_category,
    normal_spelling,
    supercategory_of,
)


def test_counts_of_the_paper() -> None:
    assert len(CATEGORIES) == REAL_COUNTS.categories == 100
    per_supercategory = Counter(category.supercategory for category in CATEGORIES.values())
    assert per_supercategory == {"transportation": 31, "hand_held": 19, "furniture": 10, "animals": 40}
    assert dict(REAL_COUNTS.supercategories) == per_supercategory
    assert set(SUPERCATEGORIES) == set(per_supercategory)
    assert REAL_COUNTS.images == REAL_COUNTS.categories * REAL_COUNTS.images_per_category


def test_all_animals_share_their_keypoints_and_have_a_group() -> None:
    animals = [category for category in CATEGORIES.values() if category.supercategory == "animals"]
    assert {(c.keypoints, c.shared_keypoints) for c in animals} == {(REAL_COUNTS.animal_keypoints,) * 2}
    assert {c.group for c in animals} == {"dogs", "wild_canines", "felids", "bears", "ungulates"}
    # 40 animal categories of 40 images that share everything give the paper's number of cross pairs
    images = 40 * REAL_COUNTS.images_per_category
    across = images * (images - 1) // 2 - 40 * (40 * 39 // 2)
    assert abs(across - REAL_COUNTS.about_cross_soc_pairs) < 0.05 * REAL_COUNTS.about_cross_soc_pairs


def test_groups_of_vehicles() -> None:
    assert CATEGORIES["bus"].group == CATEGORIES["car"].group == "four_wheeled"
    assert CATEGORIES["bicycle"].group == CATEGORIES["motorbike"].group == "two_wheeled"
    assert CATEGORIES["unicycle"].group is None
    assert {category.group for category in CATEGORIES.values() if category.supercategory == "furniture"} == {None}


@pytest.mark.parametrize(
    "spelling", ["american black bear", "american_black_bear", "American-Black  Bear", " AMERICAN BLACK_BEAR"]
)
def test_any_spelling_is_found(spelling: str) -> None:
    assert supercategory_of(spelling) == "animals"
    assert find_category(spelling) is CATEGORIES["american black bear"]
    assert normal_spelling(spelling) == "american black bear"


def test_other_categories_are_not_guessed() -> None:
    for name in ("", "dog", "théière", "black bear", "cars"):
        assert supercategory_of(name) is None


def test_spellings_do_not_collide() -> None:
    assert len({normal_spelling(name) for name in CATEGORIES}) == len(CATEGORIES)


def test_facts_are_those_of_the_shared_table() -> None:
    with (DATA / "paper" / "categories.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["category"] for row in rows] == list(CATEGORIES)
    for row in rows:
        own = CATEGORIES[row["category"]]
        assert (own.supercategory, own.keypoints, own.shared_keypoints) == (
            row["supercategory"],
            int(row["keypoints"]),
            int(row["shared_keypoints"]),
        )
        assert not row["animal_group"] or own.group == row["animal_group"]
