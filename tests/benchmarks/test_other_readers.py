"""The other benchmarks' files: what is counted, what is repaired, and what is refused with which words."""

from __future__ import annotations

import builtins
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from helpers.shared_data import DATA

from soco_datasets import cli
from soco_datasets.benchmarks.base import BuildOptions
from soco_datasets.benchmarks.build import BuildResult, build_dataset
from soco_datasets.benchmarks.resolve import resolve_data
from soco_datasets.data.folder import open_folder
from soco_datasets.errors import DataNotFoundError, MissingExtraError, ReleaseError, SocoError, UsageError

MINIATURES = DATA / "benchmarks" / "miniatures"
COUNTS = json.loads((DATA / "benchmarks" / "expected" / "counts.json").read_text())


def build(source: str | Path, out: Path, **options: Any) -> BuildResult:
    return build_dataset(MINIATURES / source, out, options=BuildOptions(**options))


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[str], Path]:
    def copied(name: str) -> Path:
        return Path(shutil.copytree(MINIATURES / name, tmp_path / "source" / name))

    return copied


def groups(result: BuildResult, config: str, split: str) -> dict[str, int]:
    folder = open_folder(result.path)
    if config not in folder.configs or split not in folder.splits(config):
        return {}
    names = folder.table(config, split, columns=["pair_group"])["pair_group"].to_pylist()
    return {name: names.count(name) for name in sorted(set(names))}


def test_spair_counts_and_attributes(tmp_path: Path) -> None:
    result, expected = build("SPair-71k", tmp_path / "out"), COUNTS["SPair-71k"]
    assert result.manifest["counts"]["images"] == expected["images"]
    assert result.manifest["counts"]["keypoints"] == expected["visible_points"]
    disagreeing = [item.file for item in result.findings if item.rule == "points_disagree"]
    named = [f"{name}.json" for name in expected["pair_files_that_disagree_with_image_annotation"]]
    assert [Path(file).name for file in disagreeing] == named
    for split in ("trn", "val", "test"):
        assert groups(result, "soc", split) == expected[split]["per_category"]
        table = open_folder(result.path).table("soc", split)
        assert sum(map(len, table["keypoints"].to_pylist())) == expected[split]["points"]
        assert sum(len(names) == 1 for names in table["keypoints"].to_pylist()) == expected[split]["one_point_pairs"]
        assert sum(table["in_small_layout"].to_pylist()) == expected[split]["small_layout"]
    row = open_folder(result.path).table("soc", "test").to_pylist()[0]
    assert [row[name] for name in ("viewpoint_variation", "scale_variation", "truncation", "occlusion")] == [2, 0, 3, 2]
    loaded = datasets.load_dataset("soco", "soc", data_dir=str(result.path), split="test")
    assert loaded[0]["viewpoint_variation"] == 2
    assert loaded[0]["target_image"].size == (375, 500)
    plain = datasets.load_dataset(str(result.path), "soc", split="val", streaming=True)
    assert next(iter(plain))["in_small_layout"] is True
    doubled = [i for i in open_folder(result.path).images if i.endswith(expected["picture_names_in_two_categories"][0])]
    assert len(doubled) == 2


def test_ap10k_counts(tmp_path: Path) -> None:
    result, expected = build("ap-10k", tmp_path / "out"), COUNTS["ap-10k"]
    lists = {"trn": "soc/trn", "val": "soc/val", "test": "soc/test"}
    for name in ("val_cross_species", "test_cross_species", "val_cross_family", "test_cross_family"):
        split, _, config = name.partition("_")
        lists[name] = f"{config}/{split}"
    for name, place in lists.items():
        assert groups(result, *place.split("/")) == expected[name]["per_category"], name
    assert result.manifest["facts"]["foreign_paths"] == {"cross_species_test": 3}
    folder = open_folder(result.path)
    assert (folder.taxonomy.supercategory("king cheetah"), len(folder.taxonomy.keypoints("cat"))) == ("Felidae", 17)
    assert folder.taxonomy.entry("cat", "left_front_paw").concept == "front_paw"
    cc = {row["pair_id"]: row for row in folder.table("cc", "test").to_pylist()}
    for row in folder.table("soc_geo", "test").to_pylist():
        for query, candidates in zip(row["keypoints"], row["candidate_keypoints"], strict=True):
            assert query in candidates
            assert {name.removeprefix("left_").removeprefix("right_") for name in candidates} == {
                query.removeprefix("left_").removeprefix("right_")
            }
        assert set(row["keypoints"]) <= set(cc[row["pair_id"]]["keypoints"])
    rotated = [item for item in result.findings if item.rule == "exif_rotation"]
    assert len(rotated) == 3


def test_raw_ap10k_counts_and_says_that_its_pairs_are_its_own(tmp_path: Path) -> None:
    result, expected = build("ap-10k_raw", tmp_path / "out"), COUNTS["ap-10k_raw"]
    facts = result.manifest["facts"]
    for name in ("annotations", "labelled_images", "unlabelled_images", "multi_instance_images", "crowd_list"):
        assert facts[name] == expected[name], name
    assert facts["under_three_points"] == expected["under_three_points"]
    assert facts["eligible_per_species"] == expected["eligible_per_species"]
    shared = expected["unordered_pairs_with_three_shared_flag2"]
    assert sum(groups(result, "soc", "test").values()) == shared["same_species"]
    assert sum(groups(result, "cross_species", "test").values()) == shared["same_family_other_species"]
    assert "no other copy has these pairs" in result.manifest["pairs"]["soc_test"]
    again = build("ap-10k_raw", tmp_path / "again")
    assert again.manifest["pair_lists"] == result.manifest["pair_lists"]
    other = build("ap-10k_raw", tmp_path / "other", seed=1)
    assert other.manifest["pair_lists"]["cross_family/test"] != result.manifest["pair_lists"]["cross_family/test"]


def test_pf_and_misc_counts(tmp_path: Path) -> None:
    pascal, expected = build("PF-dataset-PASCAL", tmp_path / "pascal"), COUNTS["PF-PASCAL"]
    assert pascal.manifest["counts"]["images"] == expected["annotations"]
    assert pascal.manifest["facts"]["test_per_class"] == expected["test_per_class"]
    assert pascal.manifest["facts"]["rows"] == {"trn": expected["trn_rows"], "val": 8, "test": expected["test_pairs"]}
    assert any("are in soc_trn too" in note for note in pascal.manifest["facts"]["notes"])
    points = open_folder(pascal.path).table("soc", "test", columns=["keypoints"])["keypoints"].to_pylist()
    assert sum(map(len, points)) == expected["test_points"]
    willow = build("PF-dataset", tmp_path / "willow")
    assert willow.manifest["counts"]["images"] == COUNTS["PF-WILLOW"]["images"]
    assert willow.manifest["counts"]["rows"]["soc"] == {"test": COUNTS["PF-WILLOW"]["pairs"]}
    misc, expected = build("MISC210K", tmp_path / "misc"), COUNTS["MISC210K"]
    facts = misc.manifest["facts"]
    assert (facts["pictures"], facts["annotations"]) == (expected["images"], expected["annotations"])
    assert facts["single_instance_per_category"] == expected["single_instance_per_category"]
    assert misc.manifest["benchmark"] == "misc210k"
    assert build("MISC210K", tmp_path / "coco", benchmark="coco").manifest["benchmark"] == "coco_keypoints"


def test_a_pair_list_and_field_names_of_a_coco_file(copy: Callable[[str], Path], tmp_path: Path) -> None:
    root = copy("MISC210K")
    file = root / "annotations" / "misc_test.json"
    content = json.loads(file.read_text())
    for annotation in content["annotations"]:
        annotation["joints"] = annotation.pop("keypoints")
    file.write_text(json.dumps(content))
    listed = tmp_path / "pairs.csv"
    listed.write_text("category,source,target\ncar,55551,000000198432.jpg\n")
    options = {"fields": {"keypoints": "joints"}, "pair_list": listed, "benchmark": "coco"}
    result = build(root, tmp_path / "out", **options)
    assert result.manifest["counts"]["rows"]["soc"] == {"test": 1}
    assert result.manifest["pairs"] == {"soc_test": "the list pairs.csv"}
    with pytest.raises(UsageError, match="joint"):
        build(root, tmp_path / "x", fields={"joint": "joints"}, benchmark="coco")
    listed.write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="columns category, source and target"):
        build(root, tmp_path / "x", **options)


Change = Callable[[Path], None]


def edit(path: Path, **fields: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **fields}))


def first(root: Path, pattern: str) -> Path:
    return sorted(root.glob(pattern))[0]


def wrong_order(root: Path) -> None:
    """Boxes of [left, top, right, bottom] in a format of [left, top, width, height]."""
    for file in root.glob("ImageAnnotation/*/*/*.json"):
        content = json.loads(file.read_text())
        edit(file, bbox=[content["width"] - 20, content["height"] - 30, content["width"] - 2, content["height"] - 3])


REFUSED: list[tuple[str, Change, str]] = [
    ("PF-dataset-PASCAL", lambda root: [p.unlink() for p in root.glob("*.csv")] and None, "no pair list"),
    ("PF-dataset", lambda root: [p.unlink() for p in root.glob("*.csv")] and None, "no pair list"),
    ("SPair-71k", lambda root: first(root, "JPEGImages/dog/*").unlink(), "picture_missing|is not there"),
    ("SPair-71k", lambda root: first(root, "PairAnnotation/test/*").unlink(), "without a file in PairAnnotation/test"),
    (
        "SPair-71k",
        lambda root: first(root, "ImageAnnotation/dog/*").write_text("{"),
        "bad_json|Expecting propert",
    ),
    ("SPair-71k", lambda root: edit(first(root, "PairAnnotation/test/*"), trg_bndbox=[5, 5, 5, 9]), "no area"),
    ("SPair-71k", lambda root: edit(first(root, "PairAnnotation/test/*"), kps_ids=["0"]), "bad_field|another form"),
    (
        "SPair-71k",
        lambda root: edit(first(root, "PairAnnotation/val/*"), src_imname="nowhere.jpg"),
        "no annotated picture",
    ),
    ("SPair-71k", lambda root: edit(first(root, "ImageAnnotation/cat/*"), image_width=7), "pixels"),
    ("ap-10k", wrong_order, "every box leaves its picture when read as left, top, width, height"),
    ("ap-10k", lambda root: edit(first(root, "ImageAnnotation/*/cat/*.json"), bbox=[3, 3, 0, 0]), "no area"),
    ("PF-dataset-PASCAL", lambda root: _truncate(first(root, "Annotations/cow/*.mat")), "truncated"),
]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:150])


@pytest.mark.parametrize(("name", "change", "message"), REFUSED)
def test_bad_input_is_refused_with_one_clear_message(
    name: str, change: Change, message: str, copy: Callable[[str], Path], tmp_path: Path
) -> None:
    root = copy(name)
    change(root)
    with pytest.raises(SocoError, match=message):
        build(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_repaired(copy: Callable[[str], Path], tmp_path: Path) -> None:
    root = copy("SPair-71k")
    before = build(root, tmp_path / "before")
    for file in list(root.glob("PairAnnotation/*/*.json")):  # unpacked where a name cannot hold a colon
        file.rename(file.with_name(file.name.replace(":", "_")))
    shutil.rmtree(root / "Layout")
    after = build(root, tmp_path / "after")
    assert after.manifest["pair_lists"] == before.manifest["pair_lists"]
    assert {item.rule for item in after.findings} == {"points_disagree", "layout_missing"}
    edit(first(root, "ImageAnnotation/dog/*"), category="cat")
    assert "category_disagrees" in {item.rule for item in build(root, tmp_path / "third").findings}
    moved = copy("ap-10k")
    first(moved, "PairAnnotation/trn/*").rename(moved / "PairAnnotation" / "trn" / "renamed.json")
    assert sum(groups(build(moved, tmp_path / "ap"), "soc", "trn").values()) == 5
    broken = copy("PF-dataset-PASCAL")
    first(broken, "JPEGImages/*").write_bytes(b"no picture")
    result = build(broken, tmp_path / "pascal", skip_bad=True)
    assert result.manifest["findings"]["counts"]["error"].keys() == {"bad_image", "pair_without_image"}


def test_without_scipy_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"soco-datasets\[benchmarks\]"):
        build("PF-dataset-PASCAL", tmp_path / "out")
    assert build("PF-dataset", tmp_path / "willow").manifest["benchmark"] == "pf_willow"


def test_names_and_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SOCO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SOCO_HOME", raising=False)
    with pytest.raises(DataNotFoundError, match="--benchmark spair71k"):
        resolve_data("spair")
    built = build_dataset(MINIATURES / "SPair-71k").path
    assert built == tmp_path / "cache" / "spair71k"
    assert resolve_data("SPair-71k") == built.resolve()
    monkeypatch.setenv("SOCO_HOME", str(tmp_path / "home"))
    shutil.copytree(built, tmp_path / "home" / "spair")
    assert resolve_data("spair") == (tmp_path / "home" / "spair").resolve()
    with pytest.raises(UsageError, match="points"):
        build("SPair-71k", tmp_path / "x", points="pairs")
    with pytest.raises(ReleaseError, match="Expected JPEGImages"):
        build("MISC210K", tmp_path / "x", benchmark="spair")
    assert cli.main(["benchmarks", "spair"]) == 0
    out = capsys.readouterr().out
    assert "58.42  SOCO paper, table r7" in out
    assert cli.main(["info", str(built), "--no-all"]) == 0
    assert "are in soc_trn too" in capsys.readouterr().out
