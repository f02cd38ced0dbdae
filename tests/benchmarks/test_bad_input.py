"""Spoiled releases: every problem is named by file and field in one run, repaired as documented, never scored wrongly."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.shared_data import ORACLE
from helpers.small_release import NAMES, edit, first_pair, jpeg, make_release, zip_release
from PIL import Image

from soco_datasets.benchmarks.base import BuildOptions
from soco_datasets.benchmarks.build import BuildResult, build_dataset
from soco_datasets.benchmarks.image_files import check_image
from soco_datasets.benchmarks.info import describe_findings
from soco_datasets.data.folder import open_folder
from soco_datasets.data.release_types import ImageRecord
from soco_datasets.errors import ReleaseError

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "release")


def refused(release: Path, out: Path, **options: Any) -> str:
    """The message of a build that must be refused and must leave nothing behind."""
    with pytest.raises(ReleaseError) as error:
        build_dataset(str(release), out, options=BuildOptions(**options))
    assert not out.exists()
    return str(error.value)


def set_point(side: str, number: int, **values: Any) -> Change:
    return lambda data: data[f"{side}_keypoints"][number].update(values)


def set_field(**values: Any) -> Change:
    return lambda data: data.update(values)


ERRORS: dict[str, tuple[Change, str]] = {
    "nan": (set_point("src", 0, pos=[float("nan"), 3]), "holds NaN"),
    "infinity": (set_point("src", 0, pos=[float("inf"), 3]), "holds Infinity"),
    "overflowing number": (set_point("src", 0, pos=[10**400, 3]), "src_keypoints[0].pos"),
    "text for a number": (set_point("trg", 1, pos=["12", "13"]), "trg_keypoints[1].pos"),
    "true for a number": (set_point("trg", 1, pos=[True, 13]), "trg_keypoints[1].pos"),
    "one coordinate": (set_point("trg", 1, pos=[12]), "trg_keypoints[1].pos"),
    "no position": (lambda d: d["src_keypoints"][2].pop("pos"), "src_keypoints[2].pos"),
    "no name": (lambda d: d["src_keypoints"][2].pop("name"), "src_keypoints[2]"),
    "keypoint is no object": (lambda d: d["src_keypoints"].__setitem__(0, 5), "src_keypoints[0]"),
    "far outside": (set_point("src", 0, pos=[5000, 3]), "far outside the image"),
    "no keypoints field": (lambda d: d.pop("src_keypoints"), "src_keypoints: missing"),
    "no image field": (lambda d: d.pop("trg_image"), "trg_image: missing"),
    "unknown image": (set_field(src_image="car_99.JPEG"), "no usable image Images/car/car_99.JPEG"),
    "unknown category": (set_field(src_category="cart"), "no usable image Images/cart/"),
    "size of one": (set_field(src_imsize=[80]), "src_imsize: is [80]"),
    "wrong size": (set_field(src_imsize=[81, 60]), "src_imsize: says [81, 60]"),
    "swapped size": (set_field(src_imsize=[60, 80]), "width and height are swapped"),
    "box without area": (set_field(trg_bndbox=[5, 5, 5, 9]), "trg_bndbox: [5, 5, 5, 9] has no area"),
    "inverted box": (set_field(trg_bndbox=[50, 40, 5, 9]), "has no area or is inverted"),
    "box elsewhere": (set_field(trg_bndbox=[500, 400, 510, 409]), "wholly outside"),
    "box of three": (set_field(trg_bndbox=[5, 4, 51]), "trg_bndbox: is [5, 4, 51]"),
    "overlap is text": (set_field(semantic_overlap="all"), "semantic_overlap: is 'all'"),
    "concept is a list": (set_point("src", 0, concept_name=["mirror"]), "src_keypoints[0].concept_name: is ['mirror']"),
    "half a character": (lambda d: d["semantic_overlap"].append("\ud800"), "holds an escape"),
    "a source of another category": (set_field(src_category="bus", src_image="bus_1.JPEG"), "source is of 'bus'"),
    "group without names": (set_field(concept_matches=[{"concept_name": "x"}]), "concept_matches[0]"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_name_file_and_field(case: str, release: Path, tmp_path: Path) -> None:
    change, expected = ERRORS[case]
    path = edit(first_pair(release), change)
    message = refused(release, tmp_path / "out")
    line = next(line for line in message.splitlines() if expected in line)
    assert path.relative_to(release).as_posix() in line
    assert message.startswith(str(release))


def build_with(release: Path, out: Path, change: Change, subset: str = "intra") -> tuple[BuildResult, str]:
    path = edit(first_pair(release, subset), change)
    return build_dataset(str(release), out), path.relative_to(release).as_posix()


REPAIRS: dict[str, tuple[Change, str]] = {
    "unknown name in the overlap": (lambda d: d["semantic_overlap"].append("no_such_point"), "unknown_overlap"),
    "name twice in the overlap": (lambda d: d["semantic_overlap"].append(d["semantic_overlap"][0]), "doubled_overlap"),
    "no overlap": (lambda d: d.pop("semantic_overlap"), "missing_overlap"),
    "no matches": (lambda d: d.pop("concept_matches"), "missing_matches"),
    "empty group": (
        lambda d: d["concept_matches"].append({"concept_name": "x", "src_keypoints": [], "trg_keypoints": []}),
        "empty_group",
    ),
    "unknown name in a group": (lambda d: d["concept_matches"][0]["trg_keypoints"].append("x"), "unknown_match"),
    "no box": (lambda d: d.pop("trg_bndbox"), "missing_box"),
    "empty box": (set_field(trg_bndbox=[]), "missing_box"),
    "null box where others have one": (set_field(trg_bndbox=None), "missing_box"),
    "id is a list": (set_point("src", 0, id=[1]), "odd_field"),
    "shared is text": (set_point("trg", 2, shared="yes"), "odd_field"),
    "bare points": (lambda d: [p.pop("concept_name") for p in d["src_keypoints"]], "bare_points"),
    "three coordinates": (lambda d: [p["pos"].append(1) for p in d["src_keypoints"]], "extra_coordinates"),
    "no group": (lambda d: d.pop("pair_group"), "pair_group"),
    "other group": (set_field(pair_group="elsewhere"), "pair_group"),
    "no category": (lambda d: d.pop("trg_category"), "missing_category"),
    "pair_id is text": (set_field(pair_id="1"), "pair_id_type"),
}


@pytest.mark.parametrize("case", REPAIRS)
def test_repairs_are_counted_give_the_same_rows_and_are_errors_when_strict(
    case: str, release: Path, tmp_path: Path
) -> None:
    build_dataset(str(release), tmp_path / "clean")
    change, rule = REPAIRS[case]
    result, path = build_with(release, tmp_path / "out", change)
    repairs = result.findings.of("repair")
    assert {item.rule for item in repairs} == {rule}
    assert {item.file for item in repairs} == {path}
    assert result.manifest["findings"]["counts"]["repair"] == {rule: len(repairs)}
    for config in ("soc", "cc", "soc_geo", "keypoints", "images", "taxonomy"):
        clean = open_folder(tmp_path / "clean").table(config, "test")
        assert open_folder(result.path).table(config, "test").equals(clean), config
    assert path in refused(release, tmp_path / "strict", strict=True)


def test_a_missing_image_is_told_from_one_of_another_spelling(release: Path, tmp_path: Path) -> None:
    edit(first_pair(release), set_field(src_image="CAR_1.jpg"))
    edit(first_pair(release, category="bus"), set_field(trg_category="Bus"))
    message = refused(release, tmp_path / "out")
    assert "no usable image Images/car/CAR_1.jpg (it has Images/car/car_1.JPEG)" in message
    assert "no usable image Images/Bus/bus_2.JPEG (it has Images/bus/bus_2.JPEG)" in message


def test_pairs_in_folders_of_other_pairs(release: Path, tmp_path: Path) -> None:
    within, across = first_pair(release), first_pair(release, "cross")
    within.rename(release / "PairAnnotations/cross/car/00077-a.json")
    across.rename(release / "PairAnnotations/intra/car/00078-b.json")
    message = refused(release, tmp_path / "out")
    assert "cross/car/00077-a.json: source and target are both of 'car', but cross/ holds pairs of two" in message
    assert "intra/car/00078-b.json: source is of 'bus', target of 'car', but this folder holds" in message


def test_the_folder_counts_where_the_target_is_of_another_category(release: Path, tmp_path: Path) -> None:
    path = edit(first_pair(release, "cross"), set_field(pair_group="bus"))
    moved = path.rename(release / "PairAnnotations/cross/bus/00077-a.json")
    result = build_dataset(str(release), tmp_path / "out")
    assert [(item.rule, item.file) for item in result.findings.of("repair")] == [
        ("other_folder", moved.relative_to(release).as_posix())
    ]
    groups = open_folder(tmp_path / "out").table("cross_soc", "test").select(["pair_id", "pair_group"]).to_pylist()
    assert {"pair_id": "cross/bus/00077-a", "pair_group": "bus"} in groups


def test_json_by_another_ending_is_a_pair_file(release: Path, tmp_path: Path) -> None:
    path = first_pair(release)
    path.rename(path.with_suffix(".JSON"))
    result = build_dataset(str(release), tmp_path / "out")
    assert result.manifest["counts"]["rows"]["soc"] == {"test": 12}
    assert f"intra/car/{path.stem}" in open_folder(tmp_path / "out").table("soc", "test")["pair_id"].to_pylist()


def test_of_a_keypoint_given_twice_the_last_counts(release: Path, tmp_path: Path) -> None:
    for path in sorted((release / "PairAnnotations").rglob("*.json")):

        def double(data: dict[str, Any]) -> None:
            for side in ("src", "trg"):
                if data[f"{side}_image"] == "car_1.JPEG":
                    data[f"{side}_keypoints"].append({**data[f"{side}_keypoints"][0], "pos": [20, 21]})

        edit(path, double)
    result = build_dataset(str(release), tmp_path / "out")
    assert set(result.manifest["findings"]["counts"]["repair"]) == {"doubled_keypoint"}
    row = next(
        r for r in open_folder(result.path).table("soc", "test").to_pylist() if r["source_image_id"] == "car/car_1"
    )
    assert row["source_points"][row["keypoints"].index(NAMES[0])] == [20.0, 21.0]


def test_a_view_without_points_is_kept_and_scores_nothing(release: Path, tmp_path: Path) -> None:
    empty = set_field(src_keypoints=[], semantic_overlap=[], concept_matches=[])
    result, path = build_with(release, tmp_path / "out", empty)
    assert [item.rule for item in result.findings.of("repair")] == ["no_points"]
    rows = {row["pair_id"]: row for row in open_folder(result.path).table("soc", "test").to_pylist()}
    assert rows[path.removeprefix("PairAnnotations/").removesuffix(".json")]["keypoints"] == []


def test_files_that_contradict_each_other_are_named(release: Path, tmp_path: Path) -> None:
    moved = edit(first_pair(release), set_point("src", 0, pos=[30, 30]))
    message = refused(release, tmp_path / "out")
    assert moved.relative_to(release).as_posix() in message
    assert f"{NAMES[0]} of car/car_1 is [30.0, 30.0] here and [14.0, 13.0] in" in message
    assert message.count("error:") == 1


def test_a_concept_in_some_files_and_none_in_another(release: Path, tmp_path: Path) -> None:
    path = edit(first_pair(release), set_point("src", 0, concept_name=None, concept_id=None))
    message = refused(release, tmp_path / "out")
    assert f"error: {path.relative_to(release).as_posix()}: {NAMES[0]}" in message
    assert "two values of concept: 'wheel_center' in" in message


def test_two_concepts_for_one_keypoint(release: Path, tmp_path: Path) -> None:
    path = edit(first_pair(release), set_point("src", 0, concept_name="roof", concept_id=177))
    message = refused(release, tmp_path / "out")
    assert path.relative_to(release).as_posix() in message
    assert "roof" in message
    assert "wheel_center" in message


def test_the_same_pair_twice(release: Path, tmp_path: Path) -> None:
    path = first_pair(release)
    double = path.with_name("00099-again.json")
    double.write_bytes(path.read_bytes())
    result = build_dataset(str(release), tmp_path / "out")
    assert [(item.rule, item.file) for item in result.findings.of("repair")] == [
        ("doubled_pair", double.relative_to(release).as_posix())
    ]
    assert result.manifest["counts"]["rows"]["soc"] == {"test": 12}
    edit(double, lambda data: data["semantic_overlap"].pop())
    assert "annotated differently" in refused(release, tmp_path / "out2")


def test_everything_wrong_is_named_in_one_run(release: Path, tmp_path: Path) -> None:
    pairs = sorted((release / "PairAnnotations/intra/car").iterdir())
    pairs[0].write_text("{not json")
    pairs[1].write_text("[1, 2]")
    pairs[2].write_bytes(b"\xff\xfe\xfa")
    edit(pairs[3], set_point("src", 0, pos=[None, 1]))
    (release / "Images/bus/bus_2.JPEG").write_bytes(jpeg(60, 80)[:300])
    (release / "Images/bus/bus_3.JPEG").write_bytes(b"GIF89a")
    message = refused(release, tmp_path / "out")
    for path in pairs[:4]:
        assert path.name in message
    assert "Images/bus/bus_2.JPEG: does not decode" in message
    assert "Images/bus/bus_3.JPEG: does not decode" in message


def test_skip_bad_leaves_out_what_is_wrong_and_counts_it(release: Path, tmp_path: Path) -> None:
    first_pair(release).write_text("{not json")
    (release / "Images/bus/bus_2.JPEG").write_bytes(b"")
    result = build_dataset(str(release), tmp_path / "out", options=BuildOptions(skip_bad=True))
    rows = result.manifest["counts"]["rows"]
    assert rows["images"] == {"test": 5}
    assert rows["soc"] == {"test": 5 + 2}  # car lost one pair, bus the four that show bus_2
    assert result.manifest["findings"]["left_out"] == len(result.findings.of("error")) > 0
    assert "left_out" in json.dumps(json.loads((result.path / "manifest.json").read_text()))


def test_a_list_of_which_no_file_is_usable_stays_empty_and_is_said(release: Path, tmp_path: Path) -> None:
    files = sorted((release / "PairAnnotations/cross").rglob("*.json"))
    for path in files:
        path.write_text("{not json")
    result = build_dataset(str(release), tmp_path / "out", options=BuildOptions(skip_bad=True))
    assert "cross_soc" not in result.manifest["counts"]["rows"]
    assert result.manifest["pairs"] == {"intra": "released"}
    (said,) = [item for item in result.findings if item.rule == "emptied_list"]
    assert said.field == "cross"
    assert f"none of its {len(files)} file(s)" in said.message
    for path in files:
        path.unlink()
    drawn = build_dataset(str(release), tmp_path / "drawn", options=BuildOptions(skip_bad=True))
    assert drawn.manifest["pairs"]["cross"].startswith("drawn")
    assert not [item for item in drawn.findings if item.rule == "emptied_list"]


def test_broken_side_files_are_kept_verbatim_and_said(release: Path, tmp_path: Path) -> None:
    (release / "Metadata/keypoint_taxonomy.json").write_text("{")
    (release / "KeypointAnnotations/car/car_1.json").write_bytes(b"\xff\xfe")
    (release / "KeypointAnnotations/car/car_2.json").write_text('{"another": "format"}')
    result = build_dataset(str(release), tmp_path / "out")
    assert {item.rule for item in result.findings.of("repair")} == {"side_file_not_json", "not_utf8"}
    assert "annotation_unused" in {item.rule for item in result.findings.of("note")}
    texts = dict(zip(*open_folder(result.path).table("annotations", "test").to_pydict().values(), strict=True))
    assert texts["Metadata/keypoint_taxonomy.json"] == "{"


def test_side_files_that_disagree_are_noted_and_the_pair_files_believed(release: Path, tmp_path: Path) -> None:
    edit(release / "KeypointAnnotations/car/car_1.json", lambda data: data["keypoints"][0].update(pos=[1, 1]))
    result = build_dataset(str(release), tmp_path / "out")
    assert [item.rule for item in result.findings.of("note")].count("annotation_disagrees") == 1
    row = open_folder(result.path).table("keypoints", "test").to_pylist()[3]
    assert row["points"][0] == [14.0, 13.0]
    told = describe_findings(open_folder(result.path))
    assert "note: KeypointAnnotations/car/car_1.json: keypoints: 1 keypoint(s) differ from the pair files" in told


@pytest.mark.parametrize(
    "mapping",
    [
        {"car": {"n01/x.JPEG": "car_1.JPEG"}},
        {"car": {"car_1.JPEG": "n01/x.JPEG"}},
        {"car/car_1.JPEG": "n01/x.JPEG"},
        {"n01/x.JPEG": "Images/car/car_1.JPEG"},
    ],
)
def test_origins_of_images_in_any_order(mapping: Any, release: Path, tmp_path: Path) -> None:
    (release / "Metadata/filename_mapping.json").write_text(json.dumps(mapping))
    build_dataset(str(release), tmp_path / "out")
    rows = open_folder(tmp_path / "out").table("images", "test", columns=["image_id", "source"]).to_pylist()
    assert [row["image_id"] for row in rows if row["source"] == "n01/x.JPEG"] == ["car/car_1"]
    assert sum(row["source"] is not None for row in rows) == 1


def test_side_files_that_say_nothing_of_use(release: Path, tmp_path: Path) -> None:
    (release / "Metadata/filename_mapping.json").write_text('{"car": ["car_1.JPEG"]}')
    edit(release / "KeypointAnnotations/car/car_1.json", lambda data: data.update(azimuth="45", rotation=1e300))
    result = build_dataset(str(release), tmp_path / "out")
    assert [(item.rule, item.field) for item in result.findings.of("repair")] == [
        ("odd_pose", "azimuth"),
        ("odd_pose", "rotation"),
    ]
    assert "unknown_mapping" in {item.rule for item in result.findings.of("note")}


def test_categories_that_only_the_metadata_has_are_noted(release: Path, tmp_path: Path) -> None:
    taxonomy = {"instances": [{"category": "spaceship", "keypoints": ["nose"]}]}
    (release / "Metadata/keypoint_taxonomy.json").write_text(json.dumps(taxonomy))
    build_dataset(str(release), tmp_path / "out")
    assert "1 categories without images (such as spaceship)" in describe_findings(open_folder(tmp_path / "out"))


def test_every_file_that_gives_a_keypoint_another_concept_is_named(release: Path, tmp_path: Path) -> None:
    paths = sorted((release / "PairAnnotations/intra/car").iterdir())[:2]
    for path in paths:
        edit(path, set_point("src", 2, concept_name="roof", concept_id=177))
    message = refused(release, tmp_path / "out")
    for path in paths:
        assert f"error: {path.relative_to(release).as_posix()}: {NAMES[2]}: keypoint" in message


def test_files_in_wrong_places(release: Path, tmp_path: Path) -> None:
    (release / "PairAnnotations/odd").mkdir()
    (release / "PairAnnotations/odd/1.json").write_text("{}")
    (release / "Images/loose.JPEG").write_bytes(jpeg(8, 8))
    (release / "Images/.DS_Store").write_bytes(b"junk")
    result = build_dataset(str(release), tmp_path / "out")
    assert {item.file for item in result.findings.of("repair")} == {"PairAnnotations/odd/1.json", "Images/loose.JPEG"}


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_an_image_of_another_format_under_the_name_of_a_jpeg(format: str, release: Path, tmp_path: Path) -> None:
    path = release / "Images/car/car_1.JPEG"
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.save(path, format)
    result = build_dataset(str(release), tmp_path / "out")
    assert result.manifest["counts"]["images"] == 6
    assert open_folder(tmp_path / "out").images.open("car/car_1").size == (80, 60)


def test_damaged_pictures_are_refused_as_by_decoding_all_pixels() -> None:
    draw = random.Random(0)
    picture = Image.frombytes("RGB", (75, 50), draw.randbytes(75 * 50 * 3))
    whole = []
    for options in ({"progressive": True}, {"subsampling": 2}, {"quality": 30}):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", **options)
        whole.append(buffer.getvalue())
    refused = 0
    for number in range(600):
        data = bytearray(whole[number % len(whole)])
        place = draw.randrange(len(data))
        data[place : place + draw.choice((1, 3, len(data)))] = draw.randbytes(draw.randrange(4))
        try:
            Image.open(io.BytesIO(data), formats=("JPEG",)).load()
            decodes = True
        except Exception:
            decodes = False
        assert isinstance(check_image("Images/car/car_1.jpg", lambda data=bytes(data): data), ImageRecord) == decodes
        refused += not decodes
    assert 100 < refused < 500


def test_files_among_the_images_that_are_none(release: Path, tmp_path: Path) -> None:
    (release / "Images/car/notes.txt").write_text("hello")
    (release / "Images/car/car_9.JPEG").write_text("hello")
    message = refused(release, tmp_path / "out", strict=True)
    assert "Images/car/notes.txt: no image by its ending" in message
    assert "Images/car/car_9.JPEG: does not decode as an image: neither JPEG nor PNG nor WebP" in message
    (release / "Images/car/car_9.JPEG").unlink()
    result = build_dataset(str(release), tmp_path / "out")
    assert [item.file for item in result.findings.of("repair")] == ["Images/car/notes.txt"]


def test_side_files_with_half_a_character(release: Path, tmp_path: Path) -> None:
    taxonomy = {"instances": [{"category": "car", "keypoints": [{"name": "x\ud800"}]}]}
    (release / "Metadata/keypoint_taxonomy.json").write_text(json.dumps(taxonomy))
    result = build_dataset(str(release), tmp_path / "out")
    assert [item.rule for item in result.findings.of("repair")] == ["side_file_not_json"]


def test_links_pipes_and_names_that_are_no_text(release: Path, tmp_path: Path) -> None:
    (release / "Images/bus").rename(tmp_path / "bus")
    (release / "Images/bus").symlink_to(tmp_path / "bus")
    (release / "Images/car").rename(release / "kept")
    (release / "Images/car").symlink_to(release / "kept")
    os.mkfifo(release / "PairAnnotations/intra/car/pipe.json")
    (release / "PairAnnotations/intra/car/gone.json").symlink_to("nowhere.json")
    Path(os.fsdecode(os.fsencode(release) + b"/KeypointAnnotations/car/caf\xe9.json")).write_text("{}")
    assert "Images/bus: a link that leads" in refused(release, tmp_path / "out")  # though no image is left
    (release / "Images/truck").mkdir()
    (release / "Images/truck/truck_1.JPEG").write_bytes(jpeg(8, 8))
    message = refused(release, tmp_path / "out")
    assert f"Images/bus: a link that leads outside the release ({tmp_path / 'bus'})" in message
    assert "Images/car: a link to a folder, which is not followed" in message
    assert "intra/car/pipe.json: no regular file" in message
    assert "intra/car/gone.json: no regular file (a broken link" in message
    assert "caf\\udce9.json: the file's name is not UTF-8" in message


def test_a_link_that_leads_outside(release: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpeg"
    secret.write_bytes(jpeg(8, 8))
    (release / "Images/car/car_7.JPEG").symlink_to(secret)
    assert "Images/car/car_7.JPEG: a link that leads outside" in refused(release, tmp_path / "out")


# Archives ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def zips(release: Path, tmp_path: Path) -> Path:
    return zip_release(release, tmp_path / "zips")


def test_a_truncated_zip(zips: Path, tmp_path: Path) -> None:
    archive = zips / "Images.zip"
    archive.write_bytes(archive.read_bytes()[:-200])
    message = refused(zips, tmp_path / "out")
    assert "Images.zip: not a complete zip archive" in message
    assert "download it again" in message


def test_a_damaged_member_is_named(zips: Path, tmp_path: Path) -> None:
    archive = zips / "Images.zip"
    with zipfile.ZipFile(archive) as opened:
        member = opened.getinfo("Images/car/car_2.JPEG")
        start = member.header_offset + 30 + len(member.filename)
    data = bytearray(archive.read_bytes())
    data[start + 40 : start + 60] = b"\0" * 20
    archive.write_bytes(bytes(data))
    assert "Images/car/car_2.JPEG: cannot be read" in refused(zips, tmp_path / "out")


@pytest.mark.parametrize("name", ["../evil.JPEG", "/etc/evil.JPEG", "Images/../../evil.JPEG", "C:\\evil.JPEG"])
def test_a_member_that_points_outside(name: str, zips: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(zips / "Images.zip", "a") as archive:
        archive.writestr(name, jpeg(8, 8))
    assert "points outside the archive" in refused(zips, tmp_path / "out")


def test_a_member_that_is_a_link(zips: Path, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("Images/car/car_8.JPEG")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(zips / "Images.zip", "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "Images/car/car_8.JPEG: the archive member is a link" in refused(zips, tmp_path / "out")


def test_missing_and_doubled_members(zips: Path, release: Path, tmp_path: Path) -> None:
    (release / "Images/car/car_3.JPEG").unlink()
    missing = zip_release(release, tmp_path / "missing")
    message = refused(missing, tmp_path / "out")
    assert "no usable image Images/car/car_3.JPEG" in message
    with zipfile.ZipFile(zips / "Images.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("Images/car/car_1.JPEG", jpeg(80, 60, seed=5))
    assert "two files of the release have this name" in refused(zips, tmp_path / "out")


def test_extra_members_do_no_harm(zips: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(zips / "Images.zip", "a") as archive:
        archive.writestr("__MACOSX/Images/._car_1.JPEG", b"junk")
        archive.writestr("Images/readme.txt", b"hello")
    with zipfile.ZipFile(zips / "PairAnnotations.zip", "a") as archive:
        archive.writestr("PairAnnotations/intra/car/notes.txt", b"hello")
    result = build_dataset(str(zips), tmp_path / "out")
    assert result.manifest["counts"]["images"] == 6
    assert {item.file for item in result.findings.of("repair")} == {"Images/readme.txt"}


def test_an_archive_is_missing(zips: Path, tmp_path: Path) -> None:
    (zips / "PairAnnotations.zip").unlink()
    assert "has no PairAnnotations" in (message := refused(zips, tmp_path / "out"))
    assert "--draw-pairs" in message


def test_archives_whose_files_are_all_elsewhere_say_so(release: Path, tmp_path: Path) -> None:
    (release / "Images/car").rename(release / "car")
    (release / "Images/bus").rename(release / "bus")
    (release / "Images/deeper").mkdir()
    for name in ("car", "bus"):
        (release / name).rename(release / "Images/deeper" / name)
    message = refused(release, tmp_path / "out", skip_bad=True)
    assert "no usable image is left" in message
    assert "Images/deeper/bus/bus_1.JPEG: not at Images/<category>/<file>" in message


# The stress release -----------------------------------------------------------------------------------------------


def test_strict_names_every_malformed_file_of_the_stress_release(tmp_path: Path) -> None:
    stress = shutil.copytree(ORACLE / "SOCOv1_stress", tmp_path / "stress")  # its images are links to those of SOCOv1
    command = [
        sys.executable,
        "-m",
        "soco_datasets.cli",
        "build",
        str(stress),
        "--out",
        str(tmp_path / "out"),
        "--strict",
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    for path in (stress / "PairAnnotations/intra/car").iterdir():
        assert path.name in run.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", range(1, 23))
def test_each_stress_file_alone_is_refused_or_repaired(number: int, tmp_path: Path) -> None:
    stress = ORACLE / "SOCOv1_stress"
    [path] = (stress / "PairAnnotations/intra/car").glob(f"{number:05d}-*.json")
    release = tmp_path / "release"
    (release / "PairAnnotations/intra/car").mkdir(parents=True)
    (release / "PairAnnotations/intra/car" / path.name).write_bytes(path.read_bytes())
    (release / "Images/car").mkdir(parents=True)
    for image in (stress / "Images/car").iterdir():
        (release / "Images/car" / image.name).write_bytes(image.read_bytes())
    if number in (6, 7, 8, 10, 20, 21):
        assert path.name in refused(release, tmp_path / "out")
        return
    result = build_dataset(str(release), tmp_path / "out")
    assert {item.file for item in result.findings.of("repair")} == {f"PairAnnotations/intra/car/{path.name}"}
    cases = {row["case"]: row for row in json.loads((ORACLE / "expected/stress.json").read_text())["rows"]}
    reference = cases[path.stem]["no_bbox"]
    [soc] = open_folder(tmp_path / "out").table("soc", "test").to_pylist()
    [cc] = open_folder(tmp_path / "out").table("cc", "test").to_pylist()
    if number == 15:  # no lists: derived here, unscored by the reference
        assert len(soc["keypoints"]) == 7
        return
    expected_soc = {tuple(pair) for pair in reference["semantic_pairs"]}  # a name listed twice counts once
    assert len(soc["keypoints"]) == len(expected_soc)
    assert [len(targets) for targets in cc["target_points"]] == [
        len(targets) for _, targets in reference["concept_map"]
    ]
