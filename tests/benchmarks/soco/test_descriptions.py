"""Keypoints in words: generated, and from the release's templates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soco_datasets.benchmarks.soco.categories import CATEGORIES
from soco_datasets.benchmarks.soco.descriptions import build_descriptions, describe_keypoint, with_article
from soco_datasets.benchmarks.soco.names import parse_name
from soco_datasets.data.diagnostics import BuildReport
from soco_datasets.data.schema import DESCRIPTIONS
from soco_datasets.data.taxonomy import KeypointEntry, Taxonomy


def entry(category: str, keypoint: str, concept: str | None = None) -> KeypointEntry:
    parts = parse_name(keypoint, concept, category)
    return KeypointEntry(
        category,
        "transportation",
        None,
        1,
        keypoint,
        None,
        concept,
        parts.part,
        parts.part_position,
        parts.point_position,
        "functional",
        True,
    )


@pytest.mark.parametrize(
    ("category", "keypoint", "concept", "text"),
    [
        ("bus", "vehicle_wheel_front_left_center", "wheel_center", "Center point of the front left wheel of a bus"),
        ("car", "vehicle_mirror_left", "mirror", "Left mirror of a car"),
        ("car", "numberplate", None, "Numberplate of a car"),
        ("cheetah", "tail_base", None, "Tail base of a cheetah"),
        ("ambulance", "ambulance_carriage_rear_top_left", "carriage_corner",
         "Rear top left corner of the carriage of an ambulance"),
        ("school_bus", "car_doorhandle_front_left", "door_handle", "Front left door handle of a school bus"),
        ("bicycle", "bike_wheel_center", "wheel_center", "Center point of the wheel of a bicycle"),
        ("ox", "left_front_paw", "paw", "Left front paw of an ox"),
        ("chair", "back_left_corner", "back_corner", "Left corner of the back of a chair"),
        ("eyeglasses", "left_lens", "lens", "Left lens of a pair of eyeglasses"),
    ],
)  # fmt: skip
def test_generated_text(category: str, keypoint: str, concept: str | None, text: str) -> None:
    assert describe_keypoint(entry(category, keypoint, concept)) == text


def test_articles() -> None:
    an = {category for category in CATEGORIES if with_article(category).startswith("an ")}
    vowels = {c for c in CATEGORIES if c[0] in "aeiou"} - {"unicycle", "eyeglasses"}
    assert an == vowels | {"f1 car"}
    nouns = ["hourglass", "ukulele", "X-ray", "umbrella", "one-wheeler", "éclair", "ピアノ", "suv"]
    assert [with_article(noun).split()[0] for noun in nouns] == ["an", "a", "an", "an", "a", "an", "a", "a"]


_TEXT = st.none() | st.text(max_size=8)


@given(st.text(max_size=8), st.text(max_size=8), _TEXT, _TEXT, _TEXT, _TEXT)
def test_a_description_is_never_empty_and_one_line(
    category: str, keypoint: str, concept: str | None, part: str | None, on_object: str | None, on_part: str | None
) -> None:
    text = describe_keypoint(
        KeypointEntry(category, None, None, None, keypoint, None, concept, part, on_object, on_part, None, None)
    )
    assert " of a" in text
    assert "\n" not in text
    assert "  " not in text
    assert text == text.strip()


def released(template: object, field: str = "language_template", level: str = "keypoint") -> dict[str, object]:
    """Metadata with a template at one level."""
    point = {"name": "vehicle_wheel_front_left_center", "concept_name": "wheel_center"}
    concept: dict[str, object] = {"id": 1, "name": "wheel_center"}
    instance: dict[str, object] = {"category": "bus", "keypoints": [point]}
    top: dict[str, object] = {"concepts": [concept], "instances": [instance]}
    {"keypoint": point, "concept": concept, "category": instance, "top": top}[level][field] = template  # type: ignore[index]  # values are of many types
    return top


def described(
    template: object, field: str = "language_template", level: str = "keypoint"
) -> tuple[str, str, BuildReport]:
    findings = BuildReport()
    taxonomy = Taxonomy((entry("bus", "vehicle_wheel_front_left_center", "wheel_center"),))
    (row,) = build_descriptions(taxonomy, released(template, field, level), findings)
    assert list(row) == list(DESCRIPTIONS)
    return row["text"], row["origin"], findings


GENERATED = "Center point of the front left wheel of a bus"


@pytest.mark.parametrize("level", ["keypoint", "concept", "category", "top"])
def test_a_template_of_the_release_wins(level: str) -> None:
    text, origin, findings = described("the {part_position} {part} of a {category}, its {point_position}", level=level)
    assert (text, origin) == ("The front left wheel of a bus, its center", "release")
    assert not len(findings)


@pytest.mark.parametrize("field", ["language_template", "template", "description", "language_templates"])
def test_text_for_one_keypoint_is_taken_as_it_is(field: str) -> None:
    assert described("hub of the wheel", field)[:2] == ("Hub of the wheel", "release")


def test_a_template_for_many_keypoints_must_have_a_field() -> None:
    assert described("a wheel", level="concept")[:2] == (GENERATED, "generated")


def test_several_templates_and_languages() -> None:
    assert described(["{no_such}", "{part} hub"])[0] == "Wheel hub"
    assert described({"de": "Nabe", "en": "hub"})[0] == "Hub"


def test_articles_in_templates_agree() -> None:
    taxonomy = Taxonomy((entry("ambulance", "numberplate"),))
    for article in ("a", "an", "a(n)"):
        metadata = {"language_template": f"{{part}} of {article} {{category}}", "instances": []}
        assert build_descriptions(taxonomy, metadata)[0]["text"] == "Numberplate of an ambulance"


@pytest.mark.parametrize(
    "template",
    [
        "{unknown} of a {category}",
        "{part.__class__} of a {category}",
        "{part[0]} of a {category}",
        "{part!r} of a {category}",
        "{part:>1000000000}",
        "{0} of a {category}",
        "{} of a {category}",
        "{part",
        "part}",
        "{{part}}",
        "%s of a %s",
        "%(part)s of a bus",
        "$part of a bus",
        "<part> of a {category}",
        "[part] of a bus",
        "{group} of a {category}",  # known but empty
    ],
)
def test_a_template_that_cannot_be_filled_is_noted_and_replaced(template: str) -> None:
    text, origin, findings = described(template)
    assert (text, origin) == (GENERATED, "generated")
    (note,) = findings
    assert (note.severity, note.rule, note.field) == ("note", "unknown_template", "vehicle_wheel_front_left_center")
    assert template in note.message


def test_one_note_a_template_however_many_keypoints() -> None:
    taxonomy = Taxonomy(tuple(entry("bus", f"x{i}") for i in range(50)))
    findings = BuildReport()
    rows = build_descriptions(taxonomy, {"template": "{nothing}"}, findings)
    assert len(rows) == 50
    assert [note.message.partition(";")[0] for note in findings] == [
        "the language template '{nothing}' cannot be filled for 'x0' of 'bus' and 49 other keypoint(s)"
    ]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["instances", "concepts", "keypoints", "name", "template", "bus"]) | st.text(), x)))  # fmt: skip
def test_any_metadata_gives_one_row_a_keypoint(metadata: object) -> None:
    taxonomy = Taxonomy((entry("bus", "numberplate"),))
    rows = build_descriptions(taxonomy, metadata, BuildReport())
    assert len(rows) == 1
    assert rows[0]["text"].strip()
