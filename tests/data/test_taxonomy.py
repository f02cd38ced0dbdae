"""Building, validating and asking the taxonomy."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from helpers.shared_data import ORACLE, REAL_SAMPLE
from hypothesis import given
from hypothesis import strategies as st

from soco_datasets.benchmarks.soco.metadata import METADATA_FILE
from soco_datasets.benchmarks.soco.taxonomy_build import Observation, build_taxonomy
from soco_datasets.data.diagnostics import BuildReport
from soco_datasets.data.schema import TAXONOMY
from soco_datasets.data.taxonomy import KeypointEntry, Taxonomy
from soco_datasets.errors import DatasetFolderError, UsageError


def seen(
    category: str, keypoint: str, number: int | None = None, concept: str | None = None, **fields: Any
) -> Observation:
    concept_id = {"wheel": 1, "mirror": 2, "paw": 3}.get(concept or "")
    values = {"concept_id": concept_id, "kind": None, "shared": None, "files": [f"{category}.json"], **fields}
    return Observation(category=category, keypoint=keypoint, keypoint_id=number, concept=concept, **values)


OBSERVED = [
    seen("car", "front_left_wheel", 0, "wheel", kind="functional", shared=True),
    seen("car", "left_mirror", 1, "mirror", kind="functional", shared=True),
    seen("car", "numberplate", 2, kind="structural", shared=False),
    seen("bus", "front_left_wheel", 0, "wheel", kind="functional", shared=True),
    seen("bus", "left_mirror", 1, "mirror", kind="functional", shared=True),
    seen("cheetah", "left_front_paw", 0, "paw", kind="structural", shared=True),
]


def build(observations: list[Observation], metadata: object = None) -> tuple[Taxonomy, BuildReport]:
    findings = BuildReport()
    return build_taxonomy(observations, metadata, findings), findings


def rules(findings: BuildReport) -> list[tuple[str, str]]:
    return [(item.severity, item.rule) for item in findings]


# ---- queries --------------------------------------------------------------------------------------------------------


def test_entries_have_all_columns_of_the_schema() -> None:
    taxonomy, findings = build(OBSERVED)
    assert taxonomy.entry("car", "front_left_wheel") == KeypointEntry(
        "car", "transportation", "four_wheeled", 0, "front_left_wheel", 1, "wheel",
        "wheel", "front left", None, "functional", True,
    )  # fmt: skip
    assert [list(row) for row in taxonomy.to_rows()] == [list(TAXONOMY)] * 6
    assert rules(findings) == [("note", "no_concept")]


def test_queries() -> None:
    taxonomy, _ = build(OBSERVED)
    assert taxonomy.categories() == ("bus", "car", "cheetah")
    assert taxonomy.concepts() == ("mirror", "paw", "wheel")
    assert taxonomy.keypoints("car") == ("front_left_wheel", "left_mirror", "numberplate")
    assert [entry.keypoint_id for entry in taxonomy.entries_of("car")] == [0, 1, 2]
    assert taxonomy.categories_with_concept("wheel") == ("bus", "car")
    assert taxonomy.categories_with_keypoint("numberplate") == ("car",)
    assert taxonomy.shared_keypoints("car", "bus") == ("front_left_wheel", "left_mirror")
    assert taxonomy.shared_keypoints("car", "bus", "cheetah") == ()
    assert taxonomy.shared_keypoints("cheetah") == ("left_front_paw",)
    assert taxonomy.related_categories("car") == ("bus",)
    assert taxonomy.related_categories("cheetah", "supercategory") == ()
    assert taxonomy.supercategory("cheetah") == "animals"
    assert taxonomy.supercategory("teapot") is None  # has no keypoint here
    assert taxonomy.supercategory("théière") is None


def test_unknown_names_are_refused_with_the_closest() -> None:
    taxonomy, _ = build(OBSERVED)
    for ask in (taxonomy.keypoints, taxonomy.entries_of, taxonomy.related_categories, taxonomy.shared_keypoints):
        with pytest.raises(UsageError, match=r"Unknown category 'cheeta'\. Did you mean 'cheetah'\?"):
            ask("cheeta")
    with pytest.raises(UsageError, match=r"keypoint of category 'car' 'left_miror'\. Did you mean 'left_mirror'"):
        taxonomy.entry("car", "left_miror")
    with pytest.raises(UsageError, match=r"Unknown category 'van'"):
        taxonomy.entry("van", "left_mirror")
    with pytest.raises(UsageError, match=r"Unknown concept 'wheels'\. Did you mean 'wheel'"):
        taxonomy.categories_with_concept("wheels")
    with pytest.raises(UsageError, match=r"Unknown keypoint 'number_plate'\. Did you mean 'numberplate'"):
        taxonomy.categories_with_keypoint("number_plate")
    with pytest.raises(UsageError, match=r"Unknown level 'groups'\. Did you mean 'group'"):
        taxonomy.related_categories("car", "groups")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(UsageError, match="at least one category"):
        taxonomy.shared_keypoints()


def test_rows_and_pickles_round_trip() -> None:
    taxonomy, _ = build(OBSERVED)
    taxonomy.concepts()
    assert Taxonomy.from_rows(taxonomy.to_rows()) == taxonomy
    assert pickle.loads(pickle.dumps(taxonomy)) == taxonomy
    with pytest.raises(DatasetFolderError, match=r"\('bus', 'left_mirror'\)"):
        Taxonomy.from_rows(taxonomy.to_rows() + taxonomy.to_rows()[1:2])


def test_order_and_doubles_of_observations_do_not_matter() -> None:
    once, _ = build(OBSERVED)
    again, _ = build(OBSERVED[::-1] + OBSERVED)
    assert once == again


# ---- what pair files say --------------------------------------------------------------------------------------------


def test_bare_points_are_filled_from_the_others() -> None:
    bare = [seen("car", "left_mirror"), seen("car", "front_left_wheel", 0)]
    assert build(bare + OBSERVED)[0] == build(OBSERVED + bare)[0] == build(OBSERVED)[0]


@pytest.mark.parametrize(
    ("changed", "rule", "values"),
    [
        ({"keypoint_id": 9}, "two_ids", ("1", "9")),
        ({"concept": "wheel", "concept_id": 1}, "two_concepts", ("'mirror'", "'wheel'")),
        ({"kind": "structural"}, "two_kinds", ("'functional'", "'structural'")),
    ],
)
def test_a_contradiction_names_both_files_and_values(
    changed: dict[str, Any], rule: str, values: tuple[str, str]
) -> None:
    fields = {"keypoint_id": 1, "concept": "mirror", "concept_id": 2, "kind": "functional", "shared": True} | changed
    _, findings = build([*OBSERVED, Observation("car", "left_mirror", files=["other.json"], **fields)])
    (error,) = findings.of("error")
    assert (error.rule, error.file, error.field) == (rule, "other.json", "left_mirror")
    for piece in ("'left_mirror'", "'car'", "car.json", "other.json", *values):
        assert piece in error.message
    assert error.mend


def test_every_file_that_contradicts_the_most_is_named() -> None:
    """Whichever comes first."""
    odd = [seen("car", "left_mirror", 1, "wheel", concept_id=1, files=[f"odd{n}.json"]) for n in (1, 2)]
    odd.append(seen("car", "left_mirror", 1, "door", concept_id=12, files=["odd3.json"]))
    usual = [seen("car", "left_mirror", 1, "mirror", concept_id=2, files=["a.json", "b.json", "c.json"])]
    for observed in (odd + usual, usual + odd):
        taxonomy, findings = build(observed)
        assert sorted(error.file for error in findings.of("error")) == ["odd1.json", "odd2.json", "odd3.json"]
        assert all("'mirror' in a.json" in error.message for error in findings.of("error"))
        assert taxonomy.entry("car", "left_mirror").concept == "mirror"


def test_two_values_of_shared_are_only_noted() -> None:
    taxonomy, findings = build([*OBSERVED, seen("car", "numberplate", 2, shared=True, kind="structural")])
    assert rules(findings) == [("note", "two_shareds"), ("note", "no_concept")]
    assert taxonomy.entry("car", "numberplate").shared is True


def test_two_names_with_one_id_are_an_error() -> None:
    _, findings = build([*OBSERVED, seen("bus", "right_mirror", 1, "mirror", files=["other.json"])])
    (error,) = findings.of("error")
    assert (error.rule, error.file) == ("doubled_id", "other.json")
    assert "'left_mirror' here" in error.message or "'right_mirror' here" in error.message
    assert "bus.json" in error.message


def test_one_id_in_two_categories_is_fine() -> None:
    assert not build(OBSERVED)[1].of("error")  # id 0 is another keypoint in car and cheetah


def test_concept_names_and_ids_are_one_to_one() -> None:
    _, findings = build([*OBSERVED, seen("ox", "hoof", 0, "wheel", concept_id=7)])
    (error,) = findings.of("error")
    assert error.rule == "two_concept_ids"
    assert "has id 7 here and 1 in car.json" in error.message
    _, findings = build([*OBSERVED, seen("ox", "hoof", 0, "hoof", concept_id=3)])
    (error,) = findings.of("error")
    assert error.rule == "two_concept_names"
    assert "'hoof' here and 'paw' in cheetah.json" in error.message


def test_concept_ids_and_names_fill_each_other() -> None:
    taxonomy, findings = build(
        [*OBSERVED, seen("ox", "a", concept_id=3), seen("ox", "b", concept="paw", concept_id=None)]
    )
    assert not findings.of("error")
    assert [(entry.concept, entry.concept_id) for entry in taxonomy.entries_of("ox")] == [("paw", 3)] * 2


def test_a_keypoint_without_category_or_name_is_an_error() -> None:
    taxonomy, findings = build([*OBSERVED, seen("", "nose", files=["x.json"]), seen("ox", "", files=["y.json"])])
    assert [(error.file, error.rule) for error in findings.of("error")] == [
        ("x.json", "no_category"),
        ("y.json", "no_name"),
    ]
    assert taxonomy == build(OBSERVED)[0]


def test_notes_come_once_a_category() -> None:
    _, findings = build([seen("théière", name, number) for number, name in enumerate(("lid", "spout", "base"))])
    assert rules(findings) == [("note", "no_supercategory"), ("note", "no_concept")]
    assert all("'théière'" in note.message for note in findings)


# ---- what the metadata adds -----------------------------------------------------------------------------------------

INSTANCES: dict[str, Any] = {
    "concepts": [{"id": 1, "name": "wheel"}, {"id": 5, "name": "roof_corner"}],
    "instances": [
        {
            "category": "car",
            "supercategory": "vehicles",
            "group": "road",
            "keypoints": [
                {"id": 0, "name": "front_left_wheel", "concept_id": 1, "concept_name": "wheel", "part": "tyre"},
                {
                    "id": 3,
                    "name": "roof_front_left",
                    "concept_name": "roof_corner",
                    "kind": "structural",
                    "shared": False,
                },
            ],
        }
    ],
}


def test_metadata_adds_unseen_keypoints_levels_and_explicit_fields() -> None:
    taxonomy, findings = build(OBSERVED, INSTANCES)
    assert taxonomy.entry("car", "roof_front_left") == KeypointEntry(
        "car", "vehicles", "road", 3, "roof_front_left", 5, "roof_corner",
        "roof", None, "front left", "structural", False,
    )  # fmt: skip
    wheel = taxonomy.entry("car", "front_left_wheel")
    assert (wheel.part, wheel.part_position, wheel.supercategory) == ("tyre", "front left", "vehicles")
    assert taxonomy.entry("bus", "left_mirror").supercategory == "transportation"
    assert rules(findings) == [("note", "no_concept")]


def test_the_pair_files_win_and_the_disagreement_is_noted() -> None:
    metadata = copy.deepcopy(INSTANCES)
    metadata["instances"][0]["keypoints"] = [
        {"id": 8, "name": "left_mirror", "concept_name": "wheel", "kind": "structural", "shared": False},
        {"id": 0, "name": "antenna"},  # the id of front_left_wheel
        {"name": "numberplate", "concept_name": "plate"},
    ]
    metadata["concepts"] = [{"id": 9, "name": "wheel"}, {"id": 2, "name": "lamp"}]
    taxonomy, findings = build(OBSERVED, metadata)
    assert taxonomy.entry("car", "left_mirror").concept == "mirror"
    assert taxonomy.entry("car", "left_mirror").keypoint_id == 1
    assert taxonomy.entry("car", "antenna").keypoint_id is None
    assert taxonomy.entry("car", "numberplate").concept is None
    notes = [note for note in findings if note.rule == "taxonomy_disagrees"]
    assert {note.file for note in notes} == {METADATA_FILE}
    assert sorted(note.field for note in notes) == ["antenna", "lamp", *["left_mirror"] * 4, "numberplate", "wheel"]
    assert not findings.of("error")


SHAPES: dict[str, object] = {
    "list of categories": INSTANCES["instances"],
    "mapping of categories": {"categories": {"car": {k: v for k, v in INSTANCES["instances"][0].items() if k != "category"}}},
    "mapping to lists": {"Car": INSTANCES["instances"][0]["keypoints"]},
    "keypoints by name": {"instances": [{"name": "car", "keypoints": {"roof_front_left": {"id": 3, "concept": "roof_corner"}}}]},
    "ids by name": {"categories": [{"name": "car", "keypoints": {"roof_front_left": 3}}]},
    "names only": {"instances": [{"category": "car", "keypoints": ["roof_front_left"]}]},
    "flat": [{"category": "car", "keypoint": "roof_front_left", "keypoint_id": 3, "concept": {"id": 5, "name": "roof_corner"}}],
    "through concepts": {
        "instances": [
            {"category": "car", "concepts": [{"id": 5, "name": "roof_corner", "keypoints": [{"id": 3, "name": "roof_front_left"}]}]}
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_many_shapes_are_understood(shape: str) -> None:
    taxonomy, findings = build(OBSERVED, SHAPES[shape])
    entry = taxonomy.entry("car", "roof_front_left")
    assert entry.keypoint_id == (None if shape == "names only" else 3)
    assert entry.concept == (None if shape in ("names only", "ids by name") else "roof_corner")
    assert {rule for _, rule in rules(findings)} <= {"no_concept"}
    assert taxonomy.categories() == ("bus", "car", "cheetah")


@pytest.mark.parametrize(
    "metadata", [{}, [], "text", 3, {"version": 2, "tree": {"a": {"b": 1}}}, {"instances": [7, {"x": 1}]}]
)
def test_unknown_shapes_are_noted_and_harmless(metadata: object) -> None:
    taxonomy, findings = build(OBSERVED, metadata)
    assert taxonomy == build(OBSERVED)[0]
    assert ("note", "unknown_metadata") in rules(findings)


_JSON_KEYS = (
    st.sampled_from(["instances", "concepts", "keypoints", "category", "name", "id", "concept", "car"]) | st.text()
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_JSON_KEYS, inner, max_size=4),
)


@given(_JSON)
def test_no_metadata_is_fatal_or_overrules_the_pair_files(metadata: object) -> None:
    taxonomy, findings = build(OBSERVED, metadata)
    assert not findings.of("error")
    for item in OBSERVED:
        entry = taxonomy.entry(item.category, item.keypoint)
        assert (entry.keypoint_id, entry.concept, entry.kind) == (item.keypoint_id, item.concept, item.kind)


# ---- whole releases -------------------------------------------------------------------------------------------------


def observations_of(root: Path) -> list[Observation]:
    found = []
    for path in sorted((root / "PairAnnotations").rglob("*.json")):
        pair = json.loads(path.read_text(encoding="utf-8"))
        for side in ("src", "trg"):
            for point in pair[f"{side}_keypoints"]:
                fields = {"keypoint_id": point["id"], "concept": point["concept_name"], "files": [path.name]}
                fields |= {name: point[name] for name in ("concept_id", "kind", "shared")}
                found.append(Observation(pair[f"{side}_category"], point["name"], **fields))
    return found


@pytest.mark.parametrize("root", [ORACLE / "SOCOv1", REAL_SAMPLE], ids=lambda path: path.name)
def test_the_shared_releases_have_nothing_but_gaps(root: Path) -> None:
    metadata = json.loads((root / METADATA_FILE).read_text(encoding="utf-8"))
    taxonomy, findings = build(observations_of(root), metadata)
    assert {rule for _, rule in rules(findings)} <= {"no_concept", "no_supercategory"}
    listed = {(i["category"], k["name"]): k for i in metadata["instances"] for k in i["keypoints"]}
    assert {(entry.category, entry.keypoint) for entry in taxonomy} == set(listed)
    for entry in taxonomy:
        stated = listed[entry.category, entry.keypoint]
        assert (entry.keypoint_id, entry.concept, entry.concept_id, entry.kind, entry.shared) == (
            stated["id"], stated["concept_name"], stated["concept_id"], stated["kind"], stated["shared"],
        )  # fmt: skip


def test_questions_of_the_oracle_release() -> None:
    taxonomy, _ = build(observations_of(ORACLE / "SOCOv1"))
    assert taxonomy.categories_with_concept("wheel") == ("ambulance", "bus", "car")
    assert len(taxonomy.shared_keypoints("car", "bus")) == 10
    assert taxonomy.related_categories("car") == ("ambulance", "bus")
    assert taxonomy.categories_with_keypoint("spout_tip") == ("kettle electric", "théière")
