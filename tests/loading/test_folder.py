from __future__ import annotations

import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny_folder import CMYK, GRAY, IMAGE_IDS, ROTATED, jpeg, rows_of, upright, write_manifest

from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.data.schema import CONFIGS
from soco_datasets.errors import DataNotFoundError, DatasetFolderError, UsageError


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture(params=["arrow", "parquet"])
def any_folder(request: pytest.FixtureRequest) -> DatasetFolder:
    return open_folder(request.getfixturevalue("folder" if request.param == "arrow" else "parquet_folder"))


def edit_manifest(root: Path, **changes: object) -> None:
    manifest = json.loads((root / "manifest.json").read_text())
    write_manifest(root, **({"shards": manifest["shards"]} | changes))


@pytest.mark.parametrize("name", CONFIGS)
def test_tables_hold_what_was_written_with_the_types_of_the_schema(any_folder: DatasetFolder, name: str) -> None:
    spec = CONFIGS[name]
    assert any_folder.splits(name) == list(spec.splits)
    for split in spec.splits:
        table = any_folder.table(name, split)
        assert table.schema.equals(spec.features.arrow_schema.remove_metadata())
        assert any_folder.rows(name, split) == table.num_rows
        expected = [{column: row.get(column) for column in spec.features} for row in rows_of(name, split)]
        if name == "images":  # float32 columns
            expected = [row | {"azimuth": pytest.approx(row["azimuth"])} for row in expected]
        assert table.to_pylist() == expected


def test_columns_come_in_the_order_asked_for(any_folder: DatasetFolder) -> None:
    table = any_folder.table("keypoints", columns=["points", "image_id"])
    assert table.column_names == ["points", "image_id"]
    assert table["image_id"].to_pylist() == IMAGE_IDS


@pytest.mark.parametrize("image_id", [ROTATED, GRAY, CMYK, "kettle electric/kettle electric_1", "ピアノ/ピアノ_2"])
def test_images_are_the_original_bytes_and_decode_unrotated_to_rgb(any_folder: DatasetFolder, image_id: str) -> None:
    assert any_folder.images.jpeg_bytes(image_id) == jpeg(image_id)
    image = any_folder.images.decode(image_id)
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), upright(image_id))


def test_image_store_is_a_collection_of_ids(any_folder: DatasetFolder) -> None:
    images = any_folder.images
    assert (len(images), list(images)) == (len(IMAGE_IDS), IMAGE_IDS)
    assert ROTATED in images
    assert [images.row(image_id) for image_id in IMAGE_IDS] == list(range(len(IMAGE_IDS)))
    with pytest.raises(UsageError, match="No image 'car/car_99'"):
        images.decode("car/car_99")


def test_folder_and_images_survive_pickling_and_threads(any_folder: DatasetFolder) -> None:
    images = pickle.loads(pickle.dumps(any_folder.images))
    assert pickle.loads(pickle.dumps(any_folder)).content_hash == any_folder.content_hash
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(images.jpeg_bytes, IMAGE_IDS * 10)) == [jpeg(i) for i in IMAGE_IDS] * 10


def test_open_folder_keeps_a_folder_until_its_manifest_changes(copy: Path) -> None:
    first = open_folder(copy)
    assert open_folder(str(copy)) is first
    edit_manifest(copy, content_hash="other")
    assert open_folder(copy).content_hash == "other"
    assert first.content_hash != "other"


def test_verify_names_every_shard_that_differs(copy: Path) -> None:
    DatasetFolder(copy).verify()
    for file in ("soc/test-00000-of-00001.arrow", "images/test-00001-of-00002.arrow"):
        data = bytearray((copy / file).read_bytes())
        data[-100] ^= 1
        (copy / file).write_bytes(data)
    with pytest.raises(DatasetFolderError, match=r"2 file\(s\).*images/test-00001-of-00002.*soc/test-00000"):
        DatasetFolder(copy).verify()


def test_missing_or_cut_shards_are_all_named(copy: Path) -> None:
    (copy / "soc" / "test-00000-of-00001.arrow").unlink()
    cut = copy / "keypoints" / "test-00000-of-00001.arrow"
    cut.write_bytes(cut.read_bytes()[:-10])
    with pytest.raises(
        DatasetFolderError, match=r"(?s)keypoints/test-00000.* bytes instead of .*soc/test-00000.* is missing"
    ):
        open_folder(copy)


def test_shard_that_is_no_table(copy: Path) -> None:
    shard = copy / "soc" / "test-00000-of-00001.arrow"
    shard.write_bytes(b"x" * shard.stat().st_size)
    with pytest.raises(DatasetFolderError, match=r"soc/test-00000-of-00001\.arrow cannot be read"):
        open_folder(copy).table("soc")


def test_shard_of_another_table(copy: Path) -> None:
    shard = copy / "soc" / "test-00000-of-00001.arrow"
    shutil.copy(copy / "taxonomy" / "test-00000-of-00001.arrow", shard)
    manifest = json.loads((copy / "manifest.json").read_text())
    for entry in manifest["shards"]:
        if entry["config"] == "soc":
            entry["bytes"] = shard.stat().st_size
    write_manifest(copy, manifest["shards"])
    with pytest.raises(DatasetFolderError, match="cannot be read as a table of 'soc'"):
        open_folder(copy).table("soc")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "not a SOCO dataset folder"),
        ({"format_version": 2}, "pip install -U soco-datasets"),
        ({"format_version": None}, "soco build"),
        ({"shards": [{"config": "soc"}]}, "lacks the field 'split'"),
        (
            {"shards": [{"config": "soc", "split": "test", "file": "../x", "rows": 0, "bytes": 0, "sha256": ""}]},
            "outside the folder",
        ),
    ],
)
def test_bad_manifests(copy: Path, changes: dict[str, object], message: str) -> None:
    edit_manifest(copy, **changes)
    with pytest.raises(DatasetFolderError, match=message):
        open_folder(copy)


def test_manifest_that_is_not_json(copy: Path) -> None:
    (copy / "manifest.json").write_text('{"format": ')
    with pytest.raises(DatasetFolderError, match=r"manifest\.json cannot be read"):
        open_folder(copy)


def test_what_is_no_built_folder_says_what_to_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataNotFoundError, match="soco build SOURCE --out DIR"):
            open_folder(path)


def test_unknown_names_give_the_closest(any_folder: DatasetFolder) -> None:
    with pytest.raises(UsageError, match="Did you mean 'cross_soc'"):
        any_folder.table("cross_sok")
    with pytest.raises(UsageError, match="Did you mean 'test'"):
        any_folder.table("soc", "tset")
    with pytest.raises(UsageError, match="Did you mean 'image_id'"):
        any_folder.table("keypoints", columns=["imageid"])
