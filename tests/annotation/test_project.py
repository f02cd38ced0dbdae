"""project.yaml: the example, known taxonomies, and problems named by line and field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from annotation.helpers import picture, write_project

from soco_datasets.annotation.project import load_project
from soco_datasets.annotation.starters import init_project, load_taxonomy, propose_concepts
from soco_datasets.annotation.yaml_lines import ProjectError
from soco_datasets.errors import DataNotFoundError, UsageError
from soco_datasets.synthetic.mini_release import write_mini_release


def test_the_example_is_valid_and_commented(tmp_path: Path) -> None:
    path = init_project(tmp_path / "p")
    project = load_project(tmp_path / "p")
    assert project.categories[0].keypoints[0].name == "mug_handle_top"
    assert project.settings.annotators_per_image == 3
    assert project.categories[0].mirrors == {"mug_rim_left": "mug_rim_right", "mug_rim_right": "mug_rim_left"}
    assert path.read_text().count("#") > 15
    with pytest.raises(UsageError, match="there already"):
        init_project(tmp_path / "p")


PROBLEMS = [
    ("title: 3\ncategories: [{name: a, keypoints: [b]}]", r"line 1: title: must be text, got 3"),
    ("categories: []", r"line 1: categories: give a list"),
    ("categories:\n- name: a\n  keypoints:\n  - nose\n  - nose", r"line 5: categories\[0\].keypoints\[1\].name: 'nose' is there twice"),
    ("categories:\n- name: ../a\n  keypoints: [nose]", r"line 2: categories\[0\].name: '../a': letters"),
    ("categories:\n- name: a\n  keypoints:\n  - {name: n, kind: odd}", r"line 4: categories\[0\].keypoints\[0\].kind: 'odd'; known: structural, functional"),
    ("categories:\n- name: a\n  keypoints:\n  - {name: n, concpt: x}", r"line 4: categories\[0\].keypoints\[0\].concpt: unknown field; known: card, concept"),
    ("categories:\n- name: a\n  keypoints:\n  - name: n\n    card: {image: ../secret.jpg, point: [1, 1]}", r"line 5: .*card.image: '../secret.jpg' is outside"),
    ("categories:\n- name: a\n  keypoints:\n  - name: n\n    card: {image: card.jpg, point: [1, 999]}", r"line 5: .*card.point: \[1, 999\] is outside the card of 200 x 150"),
    ("categories:\n- name: a\n  keypoints:\n  - name: n\n    card: {image: broken.jpg, point: [1, 1]}", r"line 5: .*'broken.jpg' does not decode"),
    ("settings:\n  tolerance: 2\ncategories: [{name: a, keypoints: [b]}]", r"line 2: settings.tolerance: is a share"),
    ("settings:\n  annotators_per_image: 0\ncategories: [{name: a, keypoints: [b]}]", r"line 2: settings.annotators_per_image: is too small"),
    ("settings:\n  ask_box: 1\ncategories: [{name: a, keypoints: [b]}]", r"line 2: settings.ask_box: must be a bool"),
    ("categories:\n- {name: a, keypoints: [{name: n, concept: x}]}\n- {name: b, keypoints: [{name: n, concept: y}]}", r"line 3: .*concept: 'y', but 'x'"),
    ("categories:\n- {name: a, keypoints: [{name: box_top_left}]}", r"is reserved"),
    ("categories: &a [*a]", r"not valid YAML|nested too deep"),
    ("a: [", r"line 1: not valid YAML|line 2: not valid YAML"),
    ("title: x\ntitle: y\ncategories: [{name: a, keypoints: [b]}]", r"line 2: title: given twice"),
    ("categories:\n- name: a\n  keypoints: [{name: n, mirror: m}]", r"mirror: 'm' is not a keypoint here"),
    ("!!python/object/apply:os.system ['true']", r"fields such as|cannot be read"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), PROBLEMS)
def test_problems_are_named_by_line_and_field(tmp_path: Path, text: str, message: str) -> None:
    picture(tmp_path / "card.jpg", 1)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (tmp_path / "project.yaml").write_text(text)
    with pytest.raises(ProjectError, match=message):
        load_project(tmp_path)


def test_all_problems_at_once(tmp_path: Path) -> None:
    (tmp_path / "project.yaml").write_text("title: 3\nlicense: 4\ncategories: [{name: a, keypoints: [3]}]")
    with pytest.raises(ProjectError, match="4 problem"):
        load_project(tmp_path)
    with pytest.raises(DataNotFoundError, match="soco annotate init"):
        load_project(tmp_path / "none")


def test_known_taxonomies_can_be_the_start(tmp_path: Path) -> None:
    assert len(load_taxonomy("ap-10k", ["dog"])[0].keypoints) == 17
    assert load_taxonomy("coco-person")[0].by_name["left_wrist"].concept == "wrist"
    write_mini_release(tmp_path / "mini")
    init_project(tmp_path / "p", str(tmp_path / "mini"), ["bus", "kettle"])
    bus, kettle = load_project(tmp_path / "p").categories
    assert bus.by_name["vehicle_wheel_front_left_center"].concept == "wheel_center"
    assert bus.by_name["vehicle_wheel_front_left_center"].part_position == "front left"
    assert kettle.supercategory is None  # the mini taxonomy does not state it
    coco = {"images": [], "annotations": [], "categories": [{"name": "crab", "keypoints": ["left_claw", "right_claw"]}]}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    assert [k.concept for k in load_taxonomy(str(tmp_path / "coco.json"))[0].keypoints] == ["claw", "claw"]
    with pytest.raises(UsageError, match="Did you mean 'bus'"):
        load_taxonomy(str(tmp_path / "mini"), ["buss"])


def test_concepts_are_proposed_by_name(tmp_path: Path) -> None:
    write_mini_release(tmp_path / "mini")
    write_project(tmp_path / "p", ["truck_wheel_front_left_center", "truck_horn"], category="truck")
    text = (tmp_path / "p" / "project.yaml").read_text().replace("concept: handle_end", "")
    (tmp_path / "p" / "project.yaml").write_text(text)
    found = propose_concepts(load_project(tmp_path / "p").categories, load_taxonomy(str(tmp_path / "mini")))
    assert [(row["keypoint"], row["concept"]) for row in found] == [
        ("truck_wheel_front_left_center", "wheel_center"),
        ("truck_horn", "horn"),
    ]
