"""Names, splits, errors and descriptions of `load_dataset("soco", ...)`, and the ways around it."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import (
    DatasetDict,
    IterableDatasetDict,
    ReadInstruction,
    get_dataset_config_names,
    get_dataset_split_names,
    load_dataset,
    load_dataset_builder,
)
from helpers.tiny_folder import write_folder

import soco_datasets
from soco_datasets.data.schema import CONFIGS
from soco_datasets.errors import DataNotFoundError, DatasetFolderError, UsageError


@pytest.fixture
def load(folder: Path, tmp_path: Path) -> Callable[..., Any]:
    def loader(*args: Any, **kwargs: Any) -> Any:
        return load_dataset("soco", *args, **({"data_dir": str(folder), "cache_dir": str(tmp_path / "hf")} | kwargs))

    return loader


def test_config_and_split_names(folder: Path) -> None:
    assert get_dataset_config_names("soco") == list(CONFIGS)
    assert get_dataset_split_names("soco", "soc", data_dir=str(folder)) == ["test", "all"]
    assert get_dataset_split_names("soco", "soc_probe", data_dir=str(folder)) == ["train", "test"]
    assert get_dataset_split_names("soco", "images", data_dir=str(folder)) == ["test"]


def test_builder_describes_the_dataset_without_loading_it(folder: Path) -> None:
    info = load_dataset_builder("soco", "cross_soc", data_dir=str(folder)).info
    assert "2605.31597" in info.citation
    assert info.license == "CC BY 4.0"
    assert "across categories" in info.description
    assert {name: split.num_examples for name, split in info.splits.items()} == {"test": 2, "all": 15}
    assert set(CONFIGS["cross_soc"].features) == set(info.features) - {"source_image", "target_image"}


def test_no_split_gives_all_of_them(load: Callable[..., Any]) -> None:
    loaded = load("soc_probe")
    assert isinstance(loaded, DatasetDict)
    assert {name: len(split) for name, split in loaded.items()} == {"train": 1, "test": 1}
    assert isinstance(load("soc", streaming=True), IterableDatasetDict)
    assert loaded["train"].info.license == "CC BY 4.0"


@pytest.mark.parametrize(
    ("config", "split", "ids"),
    [
        ("soc", "test[:2]", [1, 2]),
        ("soc", "test[-1:]", [3]),
        ("soc", "test[:34%]", [1]),
        ("soc", "test[:1]+test[2:]", [1, 3]),
        ("soc", ReadInstruction("test", from_=1, to=2, unit="abs"), [2]),
        ("soc", datasets.Split.TEST, [1, 2, 3]),
    ],
)
def test_slices(load: Callable[..., Any], config: str, split: Any, ids: list[int]) -> None:
    for streaming in (False, True):
        loaded = load(config, split=split, streaming=streaming)
        assert [row["pair_id"] for row in loaded] == [f"intra/{i:05d}" for i in ids]


def test_sums_lists_and_the_split_all(load: Callable[..., Any]) -> None:
    both = load("soc_probe", split="train+test")
    assert (len(both), str(both.split)) == (2, "train+test")
    assert len(load("soc", split="all")) == 15  # a split of its own, not the union of the stored ones
    assert len(load("soc", split="all[:10]")) == 10
    first, second = load("soc", split=["test", "all[5:7]"])
    assert (len(first), len(second)) == (3, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "cross_sco"}, "Did you mean 'cross_soc'"),
        ({"name": "SOC"}, "Unknown config of SOCO 'SOC'. Did you mean 'soc'"),
        ({"name": None}, "needs a config: 'images' .*'cross_soc'"),
        ({"name": "soc", "split": "tset"}, "Unknown split of config 'soc' 'tset'. Did you mean 'test'"),
        ({"name": "soc", "split": "train"}, "Known: all, test"),
        ({"name": "images", "split": "all"}, "Known: test"),
        ({"name": "soc", "split": "test["}, "Give a split such as"),
        ({"name": "soc", "split": "test+all"}, "holds the pairs of every other split"),
        ({"name": "soc", "min_shared": 0}, "at least 1, got 0"),
        ({"name": "soc", "min_shared": "3"}, "at least 1, got '3'"),
        ({"name": "images", "min_shared": 3}, "'images' does not have"),
        ({"name": "soc", "min_sharde": 3}, "Did you mean 'min_shared'"),
        ({"name": "soc", "data_files": "x.arrow"}, "takes data_dir=FOLDER"),
        ({"name": "soc", "features": datasets.Features({})}, "fixed features"),
        ({"name": "soc", "revision": "v1"}, "Give only one of them"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_mistakes_are_explained(
    load: Callable[..., Any], arguments: dict[str, Any], message: str, streaming: bool
) -> None:
    with pytest.raises(UsageError, match=message):
        load(**arguments, streaming=streaming)


def test_config_that_the_release_does_not_fill(load: Callable[..., Any], tmp_path: Path) -> None:
    partial = str(write_folder(tmp_path / "partial", leave_out=("soc_probe", "soc")))
    with pytest.raises(DataNotFoundError, match="has no config 'soc_probe'"):
        load("soc_probe", data_dir=partial)
    assert list(load("soc", data_dir=partial)) == ["all"]


def test_empty_splits(load: Callable[..., Any], tmp_path: Path) -> None:
    root = write_folder(tmp_path / "few")
    manifest = json.loads((root / "manifest.json").read_text())
    for shard in manifest["shards"]:
        if shard["config"] == "soc":
            path = root / shard["file"]
            table = soco_datasets.open_folder(root).table("soc").slice(0, 0)
            import pyarrow as pa

            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema):
                pass
            shard["rows"], shard["bytes"] = 0, path.stat().st_size
    (root / "manifest.json").write_text(json.dumps(manifest))
    for name, split in {"test": "test", "all": "all"}.items():
        loaded = load("soc", split=split, data_dir=str(root), min_shared=100)
        assert (len(loaded), list(loaded)) == (0, []), name
        assert list(load("soc", split=split, data_dir=str(root), min_shared=100, streaming=True)) == []


def test_checks_on_request(load: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    load("soc", verification_mode="all_checks")
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    shard = copy / "taxonomy" / "test-00000-of-00001.arrow"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    load("soc", data_dir=str(copy))
    with pytest.raises(DatasetFolderError, match="taxonomy/test-00000"):
        load("soc", data_dir=str(copy), verification_mode="all_checks")


def test_in_memory_and_parquet_folders_give_the_same_rows(load: Callable[..., Any], parquet_folder: Path) -> None:
    for config in ("keypoints", "soc_geo"):
        rows = load(config, split="test").remove_columns(
            ["source_image", "target_image"] if config == "soc_geo" else []
        )
        for other in (
            load(config, split="test", keep_in_memory=True),
            load(config, split="test", data_dir=str(parquet_folder)),
        ):
            assert other.select_columns(rows.column_names).to_list() == rows.to_list()
        assert load(config, split="test", keep_in_memory=True).cache_files == []


def test_folder_rebuilt_in_another_format_at_the_same_place(load: Callable[..., Any], tmp_path: Path) -> None:
    root = write_folder(tmp_path / "same")
    first = [row["image"].tobytes() for row in load("images", split="test", data_dir=str(root))]
    shutil.rmtree(root)
    write_folder(root, format="parquet")
    assert [row["image"].tobytes() for row in load("images", split="test", data_dir=str(root))] == first


def test_builder_writes_plain_shards_where_asked(folder: Path, tmp_path: Path) -> None:
    builder = load_dataset_builder("soco", "soc", data_dir=str(folder), cache_dir=str(tmp_path / "hf"))
    builder = pickle.loads(pickle.dumps(builder))
    builder.download_and_prepare(str(tmp_path / "out"), file_format="parquet")
    written = load_dataset("parquet", data_files=str(tmp_path / "out" / "*.parquet"), cache_dir=str(tmp_path / "hf"))
    assert len(written["train"]) == 3
    assert written["train"].features["source_image"] == datasets.Image(mode="RGB")
    assert list(builder.as_dataset()) == ["test", "all"]


def test_public_names_are_there() -> None:
    for name in soco_datasets.__all__:
        assert getattr(soco_datasets, name) is not None
        assert name in dir(soco_datasets)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        soco_datasets.nonsense  # noqa: B018 - the access is the test
