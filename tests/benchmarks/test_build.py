"""A release becomes a dataset folder: complete, repeatable, readable by plain `datasets`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import Image, get_dataset_config_names, load_dataset
from helpers.shared_data import ORACLE, REAL_SAMPLE, needs_photographs
from helpers.small_release import jpeg, make_release, write_json, zip_release

from soco_datasets.benchmarks.base import BuildOptions
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.correspondence.probe_pairs import read_split
from soco_datasets.data.folder import open_folder
from soco_datasets.data.images import open_rgb
from soco_datasets.data.schema import CONFIGS
from soco_datasets.errors import DataNotFoundError, DatasetFolderError, ReleaseError, SocoError, UsageError
from soco_datasets.synthetic import MINI_ARCHIVE


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "release")


def tree_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def test_tables_hold_the_release(release: Path, tmp_path: Path) -> None:
    result = build_dataset(str(release), tmp_path / "out")
    assert not result.findings.of("error")
    assert not result.findings.of("repair")
    folder = open_folder(result.path)
    images = folder.table("images", "test").to_pylist()
    assert [row["image_id"] for row in images] == [
        "bus/bus_1",
        "bus/bus_2",
        "bus/bus_3",
        "car/car_1",
        "car/car_2",
        "car/car_3",
    ]
    for row in images:
        path = release / "Images" / row["file_name"]
        assert row["image"]["bytes"] == path.read_bytes()
        assert row["bbox"] == [5, 6, 55, 50]
        assert row["supercategory"] == "transportation"
        assert row["source"] == f"elsewhere/{path.name}"
    keypoints = folder.table("keypoints", "test").to_pylist()
    assert keypoints[3]["keypoints"][0] == "vehicle_wheel_front_left_center"
    assert keypoints[3]["points"][0] == [14.0, 13.0]
    soc = folder.table("soc", "test").to_pylist()
    assert len(soc) == 12
    assert soc[6]["pair_id"] == "intra/car/00001-car_1-car_2"
    assert soc[6]["pair_group"] == "car"
    assert [len(targets) for targets in soc[6]["target_points"]] == [1, 1, 1, 1]
    cc = folder.table("cc", "test").to_pylist()
    assert [len(targets) for targets in cc[6]["target_points"]] == [2, 2, 1, 1]
    cross = folder.table("cross_soc", "test").to_pylist()
    assert {(row["source_category"], row["target_category"]) for row in cross} == {("bus", "car"), ("car", "bus")}
    assert len(folder.table("soc_probe", "train")) == 2
    paths = folder.table("annotations", "test")["path"].to_pylist()
    assert "Metadata/keypoint_taxonomy.json" in paths
    assert "KeypointAnnotations/car/car_1.json" in paths


def test_the_taxonomy_of_a_folder_answers_questions(release: Path, tmp_path: Path) -> None:
    taxonomy = open_folder(build_dataset(str(release), tmp_path / "out").path).taxonomy
    assert taxonomy.categories_with_concept("door_handle") == ("car",)
    assert taxonomy.categories_with_keypoint("vehicle_mirror_left") == ("bus", "car")
    assert taxonomy.shared_keypoints("car", "bus") == taxonomy.keypoints("bus")
    with pytest.raises(UsageError, match="Did you mean 'bus'"):
        taxonomy.shared_keypoints("car", "buss")


def test_side_files_are_kept_verbatim(release: Path, tmp_path: Path) -> None:
    build_dataset(str(release), tmp_path / "out")
    for row in open_folder(tmp_path / "out").table("annotations", "test").to_pylist():
        assert row["content"].encode() == (release / row["path"]).read_bytes()


def test_plain_datasets_loads_every_config(release: Path, tmp_path: Path) -> None:
    for format in ("arrow", "parquet"):
        out = tmp_path / format
        build_dataset(str(release), out, options=BuildOptions(format=format))
        for name, spec in CONFIGS.items():
            loaded = load_dataset(str(out), name, cache_dir=str(tmp_path / "hf"))
            assert set(loaded) == set(spec.splits), name
            for split in loaded.values():
                assert split.features == spec.features, name
        image = load_dataset(str(out), "images", split="test", cache_dir=str(tmp_path / "hf"))[0]["image"]
        assert image.size == (80, 60)


def test_what_a_release_brings_nothing_for_is_not_in_the_folder(release: Path, tmp_path: Path) -> None:
    """A config or split without a row would keep plain `datasets` from loading what is beside it."""
    for part in ("Metadata", "KeypointAnnotations", "PairAnnotations/trainsplits/test"):
        shutil.rmtree(release / part)
    out = build_dataset(str(release), tmp_path / "out").path
    names = get_dataset_config_names(str(out))
    assert set(CONFIGS) - set(names) == {"annotations"}
    for name in (name for name in names if name != "preview"):
        loaded = load_dataset(str(out), name, cache_dir=str(tmp_path / "hf"))
        assert set(loaded) == ({"train"} if name in ("soc_probe", "cc_probe") else set(CONFIGS[name].splits))
        assert all(len(split) for split in loaded.values())
    with pytest.raises(DatasetFolderError, match=r"no test pairs for a probe .*trainsplits/test"):
        read_split(open_folder(out), "test")


def test_two_builds_are_byte_identical_and_zips_give_the_same_content(release: Path, tmp_path: Path) -> None:
    first = build_dataset(str(release), tmp_path / "a")
    build_dataset(str(release), tmp_path / "b")
    assert tree_hash(tmp_path / "a") == tree_hash(tmp_path / "b")
    zipped = build_dataset(str(zip_release(release, tmp_path / "zips")), tmp_path / "c")
    parquet = build_dataset(str(release), tmp_path / "d", options=BuildOptions(format="parquet"))
    assert first.manifest["content_hash"] == zipped.manifest["content_hash"] == parquet.manifest["content_hash"]
    assert zipped.manifest["source"]["kind"] == "zips"


def test_pair_files_that_only_the_strict_parser_reads_give_the_same_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(MINI_ARCHIVE) as archive:
        archive.extractall(tmp_path / "mini")
    options = BuildOptions(preview=False)
    plain = build_dataset(tmp_path / "mini", tmp_path / "plain", options=options)
    for path in tmp_path.glob("mini/PairAnnotations/**/*.json"):
        data = json.loads(path.read_bytes())
        write_json(path, {name: data[name] for name in sorted(data, reverse=True)})  # the lists of points come last
    strict = build_dataset(tmp_path / "mini", tmp_path / "strict", options=options)
    assert tree_hash(strict.path) == tree_hash(plain.path)
    assert strict.findings.counts() == plain.findings.counts()


def test_content_hash_sees_a_moved_point_and_a_changed_pixel(release: Path, tmp_path: Path) -> None:
    before = build_dataset(str(release), tmp_path / "a").manifest["content_hash"]
    (release / "Images/car/car_1.JPEG").write_bytes(jpeg(80, 60, seed=9))
    assert build_dataset(str(release), tmp_path / "b").manifest["content_hash"] != before


def test_shards_are_split_by_size_and_read_back_whole(release: Path, tmp_path: Path) -> None:
    whole = build_dataset(str(release), tmp_path / "whole")
    split = build_dataset(str(release), tmp_path / "split", options=BuildOptions(max_shard_size="3KB"))
    for config in ("soc", "images"):
        shards = [shard for shard in split.manifest["shards"] if shard["config"] == config]
        assert len(shards) > 1
        for shard in shards:
            with pa.ipc.open_stream(tmp_path / "split" / shard["file"]) as stream:
                data = stream.read_all()
            assert data.nbytes <= 3000 or data.num_rows == 1
        whole_table, table = (open_folder(tmp_path / name).table(config, "test") for name in ("whole", "split"))
        assert table.equals(whole_table)
    assert whole.manifest["content_hash"] == split.manifest["content_hash"]
    with pytest.raises(UsageError, match="is not a size"):
        build_dataset(str(release), tmp_path / "x", options=BuildOptions(max_shard_size="lots"))


def test_manifest_counts_and_hashes_are_true(release: Path, tmp_path: Path) -> None:
    manifest = build_dataset(str(release), tmp_path / "out").manifest
    assert manifest["counts"]["keypoints"] == 3 * 4 + 3 * 3
    assert manifest["counts"]["image_bytes"] == sum(p.stat().st_size for p in (release / "Images").rglob("*.JPEG"))
    for shard in manifest["shards"]:
        data = (tmp_path / "out" / shard["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == shard["sha256"]
        assert len(data) == shard["bytes"]
        with pa.ipc.open_stream(data) as stream:
            assert stream.read_all().num_rows == shard["rows"]
    open_folder(tmp_path / "out").verify()


def test_missing_pairs_are_drawn_deterministically(release: Path, tmp_path: Path) -> None:
    for subset in ("intra", "cross"):
        for path in sorted((release / "PairAnnotations" / subset).rglob("*.json")):
            path.unlink()
    first = build_dataset(str(release), tmp_path / "a", options=BuildOptions(test_pairs=4))
    again = build_dataset(str(release), tmp_path / "b", options=BuildOptions(test_pairs=4))
    assert first.manifest["content_hash"] == again.manifest["content_hash"]
    assert "drawn (seed 0" in first.manifest["pairs"]["intra"]
    soc = open_folder(tmp_path / "a").table("soc", "test").to_pylist()
    assert [row["pair_group"] for row in soc] == ["bus", "bus", "car", "car"]
    assert all(row["source_category"] == row["target_category"] for row in soc)
    assert all(len(row["keypoints"]) >= 3 for row in soc)
    cross = open_folder(tmp_path / "a").table("cross_soc", "test").to_pylist()
    assert all(row["source_category"] != row["target_category"] for row in cross)
    assert (
        first.manifest["content_hash"]
        != build_dataset(str(release), tmp_path / "c", options=BuildOptions(test_pairs=4, seed=1)).manifest[
            "content_hash"
        ]
    )


def test_exif_orientation_is_recorded_and_size_is_of_the_stored_pixels(release: Path, tmp_path: Path) -> None:
    (release / "Images/car/car_1.JPEG").write_bytes(jpeg(80, 60, orientation=6))
    result = build_dataset(str(release), tmp_path / "out")
    assert result.manifest["counts"]["exif_rotated"] == 1
    row = open_folder(tmp_path / "out").table("images", "test").to_pylist()[3]
    assert (row["exif_orientation"], row["width"], row["height"]) == (6, 80, 60)
    assert open_folder(tmp_path / "out").images.decode("car/car_1").size == (80, 60)
    plain = load_dataset(str(tmp_path / "out"), "images", split="test", cache_dir=str(tmp_path / "hf"))
    assert (
        plain.cast_column("image", Image(decode=False))[3]["image"]["bytes"]
        == (release / "Images/car/car_1.JPEG").read_bytes()
    )


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(release: Path, tmp_path: Path) -> None:
    """13,300 x 13,300 pixels take 700 MB in each thread that decodes them."""
    path = release / "Images/car/car_1.JPEG"
    data = bytearray(path.read_bytes())
    frame = data.index(b"\xff\xc0") + 5  # behind marker, length and precision
    data[frame : frame + 4] = (13_300).to_bytes(2, "big") * 2
    path.write_bytes(data)
    with pytest.raises(ReleaseError, match=r"car_1.*is 13300 x 13300 pixels, more than 64,000,000"):
        build_dataset(str(release), tmp_path / "out")
    with pytest.raises(DatasetFolderError, match="Image 1 is 13300 x 13300 pixels, more than 64,000,000"):
        open_rgb(bytes(data), "Image 1")


def test_out_in_use_is_refused_and_overwrite_replaces_it(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        build_dataset(str(release), out)
    assert (out / "precious.txt").read_text() == "mine"
    build_dataset(str(release), out, options=BuildOptions(overwrite=True))
    assert (out / "manifest.json").is_file()
    assert not (out / "precious.txt").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("inside", [".", "outer/release"])
def test_overwrite_never_deletes_the_release_itself(inside: str, release: Path, tmp_path: Path) -> None:
    out = tmp_path / "place"
    (out / inside).parent.mkdir(parents=True, exist_ok=True)
    release.rename(out / inside)
    with pytest.raises(UsageError, match="holds the release"):
        build_dataset(str(out / inside), out, options=BuildOptions(overwrite=True))
    assert (out / inside / "Images/car/car_1.JPEG").is_file()


def test_a_revision_is_of_the_hub_only(release: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'main' is of a Hub release"):
        build_dataset(str(release), tmp_path / "out", options=BuildOptions(revision="main"))


def test_a_snapshot_in_the_cache_of_the_hub(release: Path, tmp_path: Path) -> None:
    """The Hub client stores files as blobs and links to them, out of the snapshot's own folder."""
    cache = tmp_path / "datasets--LAB--SOCO"
    (cache / "blobs").mkdir(parents=True)
    zips = zip_release(release, tmp_path / "zips")
    snapshot = cache / "snapshots" / ("a" * 40)
    for number, path in enumerate(sorted(p for p in zips.rglob("*") if p.is_file())):
        link = snapshot / path.relative_to(zips)
        link.parent.mkdir(parents=True, exist_ok=True)
        path.rename(cache / "blobs" / str(number))
        link.symlink_to(cache / "blobs" / str(number))
    result = build_dataset(str(snapshot), tmp_path / "out", options=BuildOptions(strict=True))
    assert result.manifest["counts"]["images"] == 6
    assert result.manifest["counts"]["rows"]["annotations"] == {"test": 8}


def test_pairs_are_drawn_from_keypoint_annotations_when_asked(release: Path, tmp_path: Path) -> None:
    shutil.rmtree(release / "PairAnnotations")
    result = build_dataset(str(release), tmp_path / "out", options=BuildOptions(draw_pairs=True))
    assert {origin[:5] for origin in result.manifest["pairs"].values()} == {"drawn"}
    assert result.manifest["counts"]["rows"]["soc"] == {"test": 6}
    assert result.manifest["counts"]["keypoints"] == 3 * 4 + 3 * 3
    shutil.rmtree(release / "KeypointAnnotations")
    with pytest.raises(ReleaseError, match="no KeypointAnnotations"):
        build_dataset(str(release), tmp_path / "out2", options=BuildOptions(draw_pairs=True))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_full_disk_leaves_nothing(release: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (release / "Images/car/car_1.JPEG").write_bytes(jpeg(80, 60) + b"\0" * 100_000)
        with pytest.raises(SocoError, match="the disk is full"):
            build_dataset(str(release), small / "out")
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_unwritable_place_is_one_clear_error(release: Path, tmp_path: Path) -> None:
    with pytest.raises(SocoError, match="the name is too long"):
        build_dataset(str(release), tmp_path / ("x" * 300))
    (tmp_path / "file").write_text("")
    with pytest.raises(SocoError, match="Cannot write"):
        build_dataset(str(release), tmp_path / "file" / "out")


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing_or_is_cleaned_up(release: Path, tmp_path: Path, kill: int) -> None:
    for n in range(4, 400):  # enough to be still at it when the signal comes
        (release / f"Images/car/car_{n}.JPEG").write_bytes(jpeg(640, 640, seed=n % 7))
    place = tmp_path / "place"
    place.mkdir()
    command = [sys.executable, "-m", "soco_datasets.cli", "build", str(release), "--out", str(place / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not list(place.glob(".out.*.part")):
        assert process.poll() is None, process.stderr.read()  # type: ignore[union-attr]
        time.sleep(0.01)
    process.send_signal(kill)
    process.communicate()
    assert process.returncode not in (0, None)
    assert not (place / "out").exists()
    if kill != signal.SIGKILL:
        assert list(place.iterdir()) == []
    build_dataset(str(release), place / "out")
    assert [path.name for path in place.iterdir()] == ["out"]


def test_sources_that_are_no_release(tmp_path: Path, release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataNotFoundError, match="neither an existing folder nor a Hub dataset id"):
        build_dataset(str(tmp_path / "nowhere"), tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no SOCO release"):
        build_dataset(str(tmp_path / "empty"), tmp_path / "out")
    (tmp_path / "half" / "Images").mkdir(parents=True)
    with pytest.raises(ReleaseError, match="no Images and no PairAnnotations"):
        build_dataset(str(tmp_path / "half"), tmp_path / "out")
    build_dataset(str(release), tmp_path / "built")
    with pytest.raises(DataNotFoundError, match="built dataset folder already"):
        build_dataset(str(tmp_path / "built"), tmp_path / "out")
    with pytest.raises(DataNotFoundError, match="Cannot get the release GenIntelLab/SOCO"):
        build_dataset("GenIntelLab/SOCO", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_wrapping_folder_is_found(release: Path, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    release.rename(tmp_path / "outer" / "SOCOv1")
    assert build_dataset(str(tmp_path / "outer"), tmp_path / "out").manifest["counts"]["images"] == 6


def test_names_outside_ascii_meet_in_nfc(release: Path, tmp_path: Path) -> None:
    """An archive from macOS spells é as e + accent; JSON spells it as one letter."""
    import unicodedata

    for folder in ("Images", "KeypointAnnotations", "PairAnnotations/intra", "PairAnnotations/trainsplits/train"):
        (release / folder / "car").rename(release / folder / unicodedata.normalize("NFD", "théière"))
    for path in sorted((release / "PairAnnotations").rglob("*.json")):
        data = json.loads(path.read_text())
        write_json(path, {k: "théière" if v == "car" else v for k, v in data.items()})
    for subset in ("trainsplits/test", "cross"):
        (release / "PairAnnotations" / subset / "car").rename(release / "PairAnnotations" / subset / "théière")
    result = build_dataset(str(release), tmp_path / "out")
    assert not result.findings.of("error")
    assert set(open_folder(tmp_path / "out").table("soc", "test")["pair_group"].to_pylist()) == {"bus", "théière"}


@needs_photographs
def test_the_real_sample_comes_out_barely_larger_than_its_jpegs(tmp_path: Path) -> None:
    result = build_dataset(str(REAL_SAMPLE), tmp_path / "out", options=BuildOptions(strict=True, preview=False))
    jpegs = sum(path.stat().st_size for path in (REAL_SAMPLE / "Images").rglob("*.JPEG"))
    built = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert result.manifest["counts"]["image_bytes"] == jpegs
    assert built <= 1.1 * jpegs + 300_000


def test_the_awkward_but_well_formed_oracle_builds_strictly(tmp_path: Path) -> None:
    result = build_dataset(str(ORACLE / "SOCOv1"), tmp_path / "out", options=BuildOptions(strict=True))
    rows = result.manifest["counts"]["rows"]
    assert rows["soc"] == {"test": 128}
    assert rows["cross_soc"] == {"test": 141}
    expected = json.loads((ORACLE / "expected/manifest.json").read_text())["images"]
    folder = open_folder(tmp_path / "out")
    for name, facts in expected.items():
        image_id = name.removeprefix("SOCOv1/Images/").removesuffix(".JPEG")
        image = folder.images.decode(image_id)
        assert hashlib.sha256(image.tobytes()).hexdigest() == facts["rgb_sha256"], image_id
