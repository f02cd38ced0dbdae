"""What keypoint names say, and that any name survives."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soco_datasets.benchmarks.soco.names import NameParts, parse_name, point_noun, split_words

# name, concept -> part, position of the part, position of the point
CASES = [
    ("vehicle_wheel_front_left_center", "wheel_center", "wheel", "front left", "center"),
    ("vehicle_wheel_front_left_center", None, "wheel", "front left", "center"),
    ("ambulance_carriage_rear_top_left", "carriage_corner", "carriage", None, "rear top left"),
    ("car_doorhandle_front_left", "door_handle", "door_handle", "front left", None),
    ("car_doorhandle_front_left", None, "doorhandle", "front left", None),
    ("car_roof_front_left", "car_roof_corner", "roof", None, "front left"),
    ("vehicle_mirror_left", "mirror", "mirror", "left", None),
    ("vehicle_front_left_indicator", "indicator", "indicator", "front left", None),
    ("bike_frame_left_center", None, "frame", "left", "center"),
    ("bike_wheel_center", "wheel_center", "wheel", None, "center"),
    ("bike_rearview_mirror_center", None, "rearview_mirror", None, "center"),
    ("handlebar_left_center", None, "handlebar", "left", "center"),
    ("front_left_wheel", "wheel", "wheel", "front left", None),
    ("left_front_paw", "paw", "paw", "left front", None),
    ("left_front_paw", "leg", "paw", "left front", None),  # the concept is not in the name
    ("left_hind_leg_1", "leg_1", "leg_1", "left hind", None),
    ("left_antenna_tip", "antenna_tip", "antenna_tip", "left", None),
    ("wing_left", "wing_tip", "wing_tip", "left", None),
    ("roof_centre", "roof", "roof", None, "centre"),
    ("handle_top", "handle", "handle", None, "top"),
    ("chair_leg_front_left_bottom", "leg_bottom", "leg", "front left", "bottom"),
    ("back_left_corner", "back_corner", "back", None, "left"),  # the back of a chair is a part
    ("back_left_corner", None, "corner", "back left", None),
    ("keyboard_left", "keyboard_end", "keyboard", None, "left"),
    ("chair_back", None, "back", None, None),
    ("Front Left-Wheel", None, "Wheel", "Front Left", None),
]


@pytest.mark.parametrize(("name", "concept", "part", "part_position", "point_position"), CASES)
def test_names_that_parse(
    name: str, concept: str | None, part: str, part_position: str | None, point_position: str | None
) -> None:
    parsed = parse_name(name, concept)
    assert (parsed.part, parsed.part_position, parsed.point_position) == (part, part_position, point_position)


@pytest.mark.parametrize("name", ["numberplate", "number_plate", "tail_base", "nose", "front_left", "center", "", "__"])
def test_names_that_do_not_parse_are_kept_whole(name: str) -> None:
    assert parse_name(name) == NameParts(name)
    assert parse_name(name, "something_else") == NameParts(name)


def test_the_owner_is_told_apart_from_the_part() -> None:
    assert parse_name("vehicle_mirror_left").owner == "vehicle"
    assert parse_name("fire_truck_ladder_top").owner == "fire truck"
    assert parse_name("théière_lid_top").part == "théière_lid"
    assert parse_name("théière_lid_top", category="théière").owner == "théière"


def test_explicit_fields_win() -> None:
    parsed = parse_name("vehicle_wheel_front_left_center", "wheel_center", part="rim", point_position="middle")
    assert (parsed.part, parsed.part_position, parsed.point_position) == ("rim", "front left", "middle")
    assert parse_name("x1", part_position="front").part_position == "front"


def test_point_noun() -> None:
    assert point_noun("carriage_corner", "carriage") == "corner"
    assert point_noun("car_roof_corner", "roof") == "corner"
    assert point_noun("keyboard_end", "key_board") == "end"
    for concept, part in (("wheel_center", "wheel"), ("carriage_corner", "wheel"), (None, "x"), ("corner", "corner")):
        assert point_noun(concept, part) is None


_WORDS = st.sampled_from(
    [
        "vehicle",
        "bus",
        "fire",
        "truck",
        "wheel",
        "door",
        "left",
        "FRONT",
        "top",
        "center",
        "corner",
        "1",
        "鍵盤",
        "",
        " ",
    ]
)
_NAMES = st.one_of(st.text(), st.lists(_WORDS, max_size=7).map("_".join))


@given(_NAMES, st.none() | _NAMES, st.none() | _NAMES)
def test_any_name_parses_and_without_concept_loses_no_word(
    name: str, concept: str | None, category: str | None
) -> None:
    parse_name(name, concept, category)
    parsed = parse_name(name, None, category)
    pieces = (parsed.owner, parsed.part, parsed.part_position, parsed.point_position)
    assert Counter(word for piece in pieces for word in split_words(piece or "")) == Counter(split_words(name))
    assert parsed.part or not name


@given(st.lists(_WORDS, max_size=7), _NAMES)
def test_with_a_concept_every_word_is_in_a_piece_or_in_the_concept(words: list[str], concept: str) -> None:
    name = "_".join(words)
    parsed = parse_name(name, concept)
    pieces = (parsed.owner, parsed.part, parsed.part_position, parsed.point_position, concept)
    letters = Counter("".join(word for piece in pieces for word in split_words(piece or "")).casefold())
    assert not Counter("".join(split_words(name)).casefold()) - letters
