"""Releases that contradict themselves, say too little or say it twice: gone, derived, counted; odd manifests: named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.small_release import edit, first_pair, make_release

from soco_datasets.benchmarks.base import BuildOptions
from soco_datasets.benchmarks.build import BuildResult, build_dataset
from soco_datasets.cli import main
from soco_datasets.data.folder import open_folder
from soco_datasets.errors import ReleaseError

PAIR_CONFIGS = ("soc", "cc", "cross_soc", "soc_probe")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "release")


def build(release: Path, name: str = "built", **options: Any) -> BuildResult:
    return build_dataset(str(release), release.with_name(name), options=BuildOptions(**options))


def rows(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Every pair of every config by its id, and images with their keypoints."""
    opened = open_folder(folder)
    return {
        f"{config}/{split}": opened.table(config, split).to_pylist()
        for config in (*PAIR_CONFIGS, "keypoints", "taxonomy")
        if config in opened.configs
        for split in opened.splits(config)
    }


def set_point(number: int, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["src_keypoints"][number].update(values)


BETWEEN = {
    "another position": set_point(0, pos=[70, 50]),
    "another concept": set_point(0, concept_name="mirror", concept_id=101),
    "another id": set_point(0, id=77),
    "another id of a concept": set_point(0, concept_id=555),
    "another box": lambda data: data.update(src_bndbox=[1, 2, 30, 40]),
}


@pytest.mark.parametrize("change", BETWEEN.values(), ids=BETWEEN)
def test_what_an_error_between_files_names_is_really_gone(
    release: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    bad = edit(first_pair(release), change)
    name = bad.relative_to(release / "PairAnnotations").as_posix().removesuffix(".json")
    with pytest.raises(ReleaseError, match=name):
        build(release)
    found = build(release, skip_bad=True)
    assert found.manifest["findings"]["left_out"] == 1
    stored = rows(found.path)
    assert name not in {row["pair_id"] for config in PAIR_CONFIGS for row in stored.get(f"{config}/test", [])}
    bad.unlink()
    assert stored == rows(build(release, "without").path)


def test_contradictions_without_a_majority_leave_out_both(release: Path) -> None:
    first, second, *others = sorted((release / "PairAnnotations").rglob("*car_3*.json"))
    for path in others:
        path.unlink()
    side = "src" if json.loads(first.read_text())["src_image"] == "car_3.JPEG" else "trg"
    edit(first, lambda data: data[f"{side}_keypoints"][0].update(pos=[30, 30]))
    found = build(release, skip_bad=True)
    assert found.manifest["findings"]["left_out"] == 2
    first.unlink()
    second.unlink()
    assert rows(found.path) == rows(build(release, "without").path)


def strip(data: dict[str, Any]) -> None:
    """Leave what the official repository's own loader needs."""
    for name in ("pair_group", "src_imsize", "trg_imsize", "src_bndbox", "trg_bndbox"):
        data.pop(name)
    for side in ("src", "trg"):
        data[f"{side}_keypoints"] = [{key: p[key] for key in ("id", "name", "pos")} for p in data[f"{side}_keypoints"]]


def test_what_the_official_loader_reads_builds_to_the_same_pairs(release: Path) -> None:
    whole = rows(build(release, "whole").path)
    shutil.rmtree(release / "KeypointAnnotations")
    for path in (release / "PairAnnotations").rglob("*.json"):
        edit(path, strip)
        if "cross" not in path.parts:
            edit(path, lambda data: [data.pop(f"{side}_category") for side in ("src", "trg")])
    found = build(release)
    repaired = found.findings.counts()["repair"]
    assert {"missing_size", "missing_box", "missing_category", "bare_points", "pair_group"} <= set(repaired)
    assert repaired["missing_size"] == 2 * len(list((release / "PairAnnotations").rglob("*.json")))
    stripped = rows(found.path)
    for config in PAIR_CONFIGS:
        for one, other in zip(whole[f"{config}/test"], stripped[f"{config}/test"], strict=True):
            lost = {"target_bbox", "source_bbox"}
            assert {k: v for k, v in one.items() if k not in lost} == {k: v for k, v in other.items() if k not in lost}


@pytest.mark.parametrize("size", [[1, 2], "80x60", [80], [80, None]])
def test_a_size_that_disagrees_is_still_an_error(release: Path, size: object) -> None:
    edit(first_pair(release), lambda data: data.update(src_imsize=size))
    with pytest.raises(ReleaseError, match=r"src_imsize: (says|is)"):
        build(release)


@pytest.mark.parametrize("field", ["trg_keypoints", "pair_id", "name"])
def test_a_field_given_twice_is_a_counted_repair(release: Path, field: str) -> None:
    whole = rows(build(release, "whole").path)
    path = first_pair(release)
    text = path.read_text()
    place = text.index(f'"{field}"')
    path.write_text(f'{text[:place]}"{field}": [], {text[place:]}')
    found = build(release)
    assert found.findings.counts()["repair"] == {"doubled_field": 1}
    assert rows(found.path) == whole
    with pytest.raises(ReleaseError, match="more than once"):
        build(release, "strict", strict=True)


@pytest.mark.parametrize("place", ["PairAnnotations/intra/car/loop.json", "Images/car/loop.JPEG", "Metadata/loop.json"])
@pytest.mark.parametrize("length", [1, 2])
def test_a_link_to_itself_is_a_missing_file(release: Path, place: str, length: int) -> None:
    path = release / place
    names = [path.name, "other" + path.suffix][:length]
    for name, target in zip(names, [*names[1:], names[0]], strict=True):
        path.with_name(name).symlink_to(target)
    with pytest.raises(ReleaseError, match=f"{place}: no regular file"):
        build(release)
    assert build(release, skip_bad=True).manifest["findings"]["left_out"] == length


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], Any], bool]] = {
    "no source": (lambda m: m.pop("source"), False),
    "null source": (lambda m: m.update(source=None), False),
    "source without id": (lambda m: m["source"].pop("id"), False),
    "source without kind": (lambda m: m["source"].pop("kind"), True),
    "findings a text": (lambda m: m.update(findings="none"), False),
    "no findings": (lambda m: m.pop("findings"), False),
    "findings without counts": (lambda m: m["findings"].pop("counts"), True),
    "counts a list": (lambda m: m["findings"].update(counts=[1]), False),
    "counts of texts": (lambda m: m["findings"]["counts"].update(error={"rule": "many"}), False),
    "pairs a list": (lambda m: m.update(pairs=[1]), False),
    "a finding a text": (lambda m: m["findings"].update(listed=["x"]), False),
    "a finding of no severity": (lambda m: m["findings"].update(listed=[{"file": "x"}]), False),
    "a finding with more": (
        lambda m: m["findings"].update(
            listed=[{"severity": "note", "file": "x", "field": "", "rule": "r", "message": "m", "mend": "", "new": 1}]
        ),
        True,
    ),
    "a field of later": (lambda m: m.update(later={"a": 1}), True),
    "version true": (lambda m: m.update(format_version=True), False),
    "shards a text": (lambda m: m.update(shards="x"), False),
}


@pytest.mark.parametrize(("change", "fine"), MANIFESTS.values(), ids=MANIFESTS)
def test_an_odd_manifest_is_named(
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], Any],
    fine: bool,
) -> None:
    folder = shutil.copytree(_built(tmp_path_factory), tmp_path / "odd")
    edit(folder / "manifest.json", change)
    results = [main(["info", str(folder)]), main(["info", str(folder), "--findings"])]
    error = capsys.readouterr().err
    assert (max(results) == 0) is fine
    assert fine or "manifest.json" in error
    assert "Traceback" not in error


_kept: list[Path] = []


def _built(factory: pytest.TempPathFactory) -> Path:
    if not _kept:
        _kept.append(build(make_release(factory.mktemp("manifests") / "release")).path)
    return _kept[0]
