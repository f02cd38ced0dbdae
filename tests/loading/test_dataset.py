"""What `load_dataset("soco", ...)` gives does all that a `datasets.Dataset` does."""

from __future__ import annotations

import functools
import io
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets import Dataset, Value, concatenate_datasets, interleave_datasets, load_dataset, load_from_disk
from datasets.distributed import split_dataset_by_node
from helpers.tiny_folder import CMYK, GRAY, IMAGE_IDS, ROTATED, jpeg, points_of, rows_of, upright
from PIL import Image

from soco_datasets.data.pairs import PairIndex
from soco_datasets.data.queries import pair_queries
from soco_datasets.data.schema import CONFIGS
from soco_datasets.errors import DatasetFolderError, UsageError
from soco_datasets.loading.dataset import expand_pairs
from soco_datasets.loading.feature_types import StoredImage

PAIR_SPLITS = [("soc", "test"), ("soc", "all"), ("cross_cc", "all"), ("soc_geo", "all")]


@pytest.fixture(scope="session")
def load(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    cache = tmp_path_factory.mktemp("hf_datasets")

    def loader(config: str, split: str | None = None, data_dir: Path = folder, **kwargs: Any) -> Any:
        return load_dataset("soco", config, split=split, data_dir=str(data_dir), cache_dir=str(cache), **kwargs)

    return loader


@pytest.fixture(params=PAIR_SPLITS, ids="/".join)
def pairs(request: pytest.FixtureRequest, load: Callable[..., Any]) -> Dataset:
    return load(*request.param)


def all_pairs(cross: bool, min_shared: int = 3) -> list[tuple[str, str]]:
    """All undirected pairs, listed the slow way, in the order of the split."""
    order = sorted(IMAGE_IDS, key=lambda i: i.partition("/")[0])
    found = []
    for target in order:
        for source in IMAGE_IDS[: IMAGE_IDS.index(target)]:
            same = source.partition("/")[0] == target.partition("/")[0]
            if same != cross and len(set(points_of(source).names) & set(points_of(target).names)) >= min_shared:
                found.append((source, target))
    return found


def spoilt(data: bytes) -> bytes:
    """A JPEG whose header is in order and whose pixels cannot be decoded: its Huffman tables make no sense."""
    start = data.index(b"\xff\xc4")
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    return data[: start + 4] + b"\xff" * (length - 2) + data[start + 2 + length :]


def same_rows(one: Any, other: Any) -> bool:
    """Equality of rows whose images are compared by their pixels."""
    if isinstance(one, Image.Image):
        return np.array_equal(np.asarray(one), np.asarray(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_rows(one[key], other[key]) for key in one)
    return bool(one == other)


def test_stored_pairs_come_joined_with_their_images(load: Callable[..., Any]) -> None:
    for config in ("soc", "cc", "cross_soc", "soc_geo"):
        for row, expected in zip(load(config, "test"), rows_of(config, "test"), strict=True):
            for side in ("source", "target"):
                image = row.pop(f"{side}_image")
                assert (image.mode, image.size) == ("RGB", tuple(expected[f"{side}_size"]))
                np.testing.assert_array_equal(np.asarray(image), upright(expected[f"{side}_image_id"]))
            assert row == expected


@pytest.mark.parametrize("config", ["keypoints", "taxonomy", "descriptions", "annotations"])
def test_tables_load_as_stored(load: Callable[..., Any], config: str) -> None:
    expected = [{name: row.get(name) for name in CONFIGS[config].features} for row in rows_of(config, "test")]
    assert load(config, "test").to_list() == expected


@pytest.mark.parametrize(("config", "cross"), [("soc", False), ("cc", False), ("cross_soc", True), ("soc_geo", False)])
def test_all_lists_every_pair_with_its_queries(load: Callable[..., Any], config: str, cross: bool) -> None:
    dataset = load(config, "all").remove_columns(["source_image", "target_image"])
    expected = all_pairs(cross)
    assert len(dataset) == len(expected) > 10
    assert len(set(dataset["pair_id"])) == len(expected)
    for row, (source, target) in zip(dataset, expected, strict=True):
        assert (row["source_image_id"], row["target_image_id"], row["pair_group"]) == (
            source,
            target,
            target.partition("/")[0],
        )
        queries = pair_queries(CONFIGS[config].kind, points_of(source), points_of(target)).columns()
        assert {name: row[name] for name in queries} == queries


def test_all_agrees_with_the_stored_row_of_the_same_pair(load: Callable[..., Any]) -> None:
    stored = load("soc", "test")[0]
    derived = next(row for row in load("soc", "all") if row["target_image_id"] == stored["target_image_id"])
    assert same_rows(derived | {"pair_id": ""}, stored | {"pair_id": ""})


def test_min_shared_changes_all_only(load: Callable[..., Any]) -> None:
    splits = load("soc", min_shared=6)
    assert {name: len(split) for name, split in splits.items()} == {"test": 3, "all": len(all_pairs(False, 6))}


def test_images_of_every_kind_decode_upright_to_rgb(load: Callable[..., Any], parquet_folder: Path) -> None:
    for source in ({}, {"data_dir": parquet_folder}):
        for row in load("images", "test", **source):
            assert row["image"].mode == "RGB"
            np.testing.assert_array_equal(np.asarray(row["image"]), upright(row["image_id"]))


def test_undecoded_images_are_the_original_bytes_but_for_the_orientation_tag(load: Callable[..., Any]) -> None:
    for row in load("images", "test").cast_column("image", datasets.Image(decode=False)):
        original, given = jpeg(row["image_id"]), row["image"]["bytes"]
        changed = sum(a != b for a, b in zip(original, given, strict=True))
        assert changed == (row["image_id"] == ROTATED)


def test_rows_by_index_slice_select_and_shuffle_agree(pairs: Dataset) -> None:
    rows = list(pairs)
    assert len(rows) == len(pairs)
    assert same_rows(pairs[-1], rows[-1])
    batch = pairs[:2]
    assert all(same_rows({k: v[i] for k, v in batch.items()}, rows[i]) for i in range(2))
    assert same_rows(pairs.select([1, 0])[1], rows[0])
    shuffled = pairs.shuffle(seed=3)
    assert sorted(shuffled["pair_id"]) == sorted(pairs["pair_id"])
    flat = shuffled.flatten_indices()
    assert all(same_rows(flat[i], shuffled[i]) for i in range(2))
    assert pairs.train_test_split(0.5, seed=0)["test"][0]["source_image"].mode == "RGB"


def test_rows_may_be_edited_without_spoiling_the_next(pairs: Dataset) -> None:
    row = pairs[0]
    row["keypoints"].clear()
    row["target_points"][0].append("x")
    assert pairs[0]["keypoints"]
    assert "x" not in pairs[0]["target_points"][0]


def test_map_adds_columns_and_keeps_the_others(pairs: Dataset) -> None:
    for mapped in (
        pairs.map(lambda row: {"n": len(row["keypoints"]), "width": row["source_image"].width}),
        pairs.map(
            lambda rows: {"n": [len(k) for k in rows["keypoints"]], "width": [i.width for i in rows["source_image"]]},
            batched=True,
        ),
        pairs.map(lambda row: {"n": len(row["keypoints"]), "width": row["source_image"].width}, num_proc=2),
    ):
        assert mapped.features["n"] == Value("int64")
        row = mapped[0]
        assert (row.pop("n"), row.pop("width")) == (len(row["keypoints"]), row["source_size"][0])
        assert same_rows(row, pairs[0])


def test_map_may_replace_a_column(pairs: Dataset) -> None:
    mapped = pairs.map(lambda row: {"pair_id": row["pair_id"].upper(), "source_size": row["source_size"] * 2})
    assert mapped[0]["pair_id"] == pairs[0]["pair_id"].upper()
    assert mapped[0]["source_size"] == pairs[0]["source_size"] * 2
    whole = pairs.map(lambda row: dict(row), remove_columns=["source_image", "target_image"])
    assert whole[0]["target_points"] == pairs[0]["target_points"]


def test_map_results_are_cached_outside_the_dataset_folder_and_found_again(
    load: Callable[..., Any], folder: Path
) -> None:
    before = sorted(folder.rglob("*"))
    for config, split in [*PAIR_SPLITS, ("images", "test"), ("taxonomy", "test")]:
        first, again = load(config, split), load(config, split)
        assert first._fingerprint == again._fingerprint
        mapped = first.map(lambda row: {"n": 1})
        cached = again.map(lambda row: {"n": 1}, load_from_cache_file=True)
        assert mapped.cache_files == cached.cache_files != []
        assert not any(Path(file["filename"]).is_relative_to(folder) for file in cached.cache_files)
        assert same_rows(cached[0], first[0] | {"n": 1})
    assert sorted(folder.rglob("*")) == before


def test_fingerprints_tell_config_split_slice_and_min_shared_apart(load: Callable[..., Any]) -> None:
    loaded = [
        load("soc", "test"),
        load("cc", "test"),
        load("soc", "all"),
        load("soc", "all", min_shared=4),
        load("soc", "test[:1]"),
        load("soc", "test[:2]"),
    ]
    assert len({dataset._fingerprint for dataset in loaded}) == len(loaded)


def test_filter_by_row_and_by_column(pairs: Dataset) -> None:
    wanted = pairs[1]["pair_id"]
    assert pairs.filter(lambda row: row["pair_id"] == wanted)["pair_id"][:] == [wanted]
    assert len(pairs.filter(lambda size: size[0] > 0, input_columns=["source_size"])) == len(pairs)


@pytest.mark.parametrize("format", ["numpy", "torch", "pandas"])
def test_formats(pairs: Dataset, format: str) -> None:
    formatted, row = pairs.with_format(format), pairs[0]
    points, image = formatted[0]["source_points"], formatted[0]["source_image"]
    if format == "pandas":
        points, image = points[0], np.asarray(image[0])
        points = np.stack([np.asarray(point) for point in points])
    if format == "torch":
        import torch

        assert isinstance(points, torch.Tensor)
        image = image.permute(1, 2, 0)
    np.testing.assert_allclose(np.asarray(points, dtype=float), row["source_points"])
    np.testing.assert_array_equal(np.asarray(image), np.asarray(row["source_image"]))
    assert len(formatted[:2]["keypoints"]) == 2 if format == "pandas" else True


def test_data_loader_with_workers(pairs: Dataset) -> None:
    from torch.utils.data import DataLoader

    loader = DataLoader(pairs, batch_size=2, num_workers=2, collate_fn=list)
    rows = [row for batch in loader for row in batch]
    assert len(rows) == len(pairs)
    assert all(same_rows(row, pairs[i]) for i, row in enumerate(rows))


def test_pickles_are_small_and_whole(pairs: Dataset) -> None:
    data = pickle.dumps(pairs.select([1, 0]))
    assert len(data) < 50_000
    assert same_rows(pickle.loads(data)[0], pairs[1])


def test_all_costs_eight_bytes_a_pair_on_disk(load: Callable[..., Any]) -> None:
    dataset = load("soc", "all")
    files = {file["filename"] for file in dataset.cache_files}
    assert len(files) == 1
    assert Path(files.pop()).stat().st_size < 1000 + 8 * len(dataset)


def test_save_to_disk_and_back(pairs: Dataset, tmp_path: Path) -> None:
    pairs.save_to_disk(tmp_path / "saved")
    back = load_from_disk(tmp_path / "saved")
    assert all(same_rows(row, pairs[i]) for i, row in enumerate(back))


def test_saved_images_stay_upright(load: Callable[..., Any], tmp_path: Path) -> None:
    load("images", "test").save_to_disk(tmp_path / "saved")
    for row in load_from_disk(tmp_path / "saved"):
        np.testing.assert_array_equal(np.asarray(row["image"]), upright(row["image_id"]))


def test_concatenation(load: Callable[..., Any], pairs: Dataset) -> None:
    mapped = pairs.map(lambda row: {"n": 1}).remove_columns("n")
    assert same_rows(concatenate_datasets([pairs, mapped])[len(pairs)], pairs[0])


def test_to_iterable_dataset(pairs: Dataset) -> None:
    iterable = pairs.to_iterable_dataset(num_shards=2)
    assert all(same_rows(row, pairs[i]) for i, row in enumerate(iterable))


def test_expanded_pairs_are_a_plain_dataset(pairs: Dataset, tmp_path: Path) -> None:
    some = pairs.select([2, 0]).map(lambda row: {"n": 7})
    expanded = expand_pairs(some)
    assert expanded.features["target_points"] == CONFIGS["soc"].features["target_points"]
    assert isinstance(expanded.features["source_image"], StoredImage)
    assert all(same_rows(expanded[i], some[i]) for i in range(2))
    assert expanded.sort("pair_id")["pair_id"][:] == sorted(some["pair_id"])
    assert expanded.to_pandas()["pair_id"].tolist() == some["pair_id"][:]


def test_exports_need_no_code_of_ours(load: Callable[..., Any], tmp_path: Path, run_python: Callable[..., str]) -> None:
    pairs = load("cross_soc", "all").select([0, 1])
    expand_pairs(pairs, embed_images=True).to_parquet(tmp_path / "pairs.parquet")
    load("images", "test").to_parquet(tmp_path / "images.parquet")
    shutil.rmtree(tmp_path / "npy", ignore_errors=True)
    out = run_python(
        f"""
import sys
from datasets import load_dataset
for row in load_dataset("parquet", data_files={str(tmp_path / "pairs.parquet")!r}, split="train"):
    print(row["source_image_id"], row["source_image"].size, row["source_image"].mode, row["source_points"][0])
for row in load_dataset("parquet", data_files={str(tmp_path / "images.parquet")!r}, split="train"):
    print(row["image_id"], row["image"].size, row["image"].mode)
assert "soco_datasets" not in sys.modules
"""
    )
    expected = [
        f"{row['source_image_id']} {row['source_image'].size} RGB {row['source_points'][0]}" for row in pairs
    ] + [f"{image_id} {upright(image_id).shape[1::-1]} RGB" for image_id in IMAGE_IDS]
    assert out.splitlines() == expected


@pytest.mark.parametrize(
    "misuse",
    [
        lambda ds: ds.sort("pair_id"),
        lambda ds: ds.sort(["n", "pair_group"], reverse=True),
        lambda ds: ds.unique("keypoints"),
        lambda ds: ds.unique(column="pair_group"),
        lambda ds: ds.class_encode_column("pair_group"),
        lambda ds: ds.align_labels_with_mapping({"car": 0}, "pair_group"),
        lambda ds: ds.cast_column("pair_id", Value("string")),
        lambda ds: ds.cast_column("source_image", datasets.Image(decode=False)),
        lambda ds: ds.cast(datasets.Features({name: Value("string") for name in ds.column_names})),
        lambda ds: ds.add_item({"pair_id": "x"}),
        lambda ds: ds.with_format("polars"),
        lambda ds: ds.with_format("arrow").map(lambda table: table, batched=True),
    ],
)
def test_what_cannot_work_on_numbers_of_pairs_names_the_way_out(
    load: Callable[..., Any], misuse: Callable[[Dataset], object]
) -> None:
    dataset = load("soc", "all").map(lambda row: {"n": 1}).select([0, 2, 1])
    with pytest.raises(UsageError, match=r"call soco_datasets\.expand_pairs"):
        misuse(dataset)


def exported(pairs: Dataset, tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows as each export has them, read back by what is not ours."""
    import sqlite3

    import pandas as pd
    import pyarrow.parquet as pq

    pairs.to_parquet(tmp_path / "x.parquet")
    pairs.save_to_disk(tmp_path / "saved")
    kept = pairs.remove_columns([name for name in pairs.column_names if name != "pair_id" and name != "pair_group"])
    kept.to_csv(tmp_path / "x.csv")
    kept.to_json(tmp_path / "x.json")
    with sqlite3.connect(tmp_path / "x.db") as database:
        kept.to_sql("pairs", database)
        sql = pd.read_sql("select * from pairs", database)
    return {
        "parquet": pq.read_table(tmp_path / "x.parquet").to_pylist(),
        "saved": load_from_disk(tmp_path / "saved").with_format("arrow")[:].to_pylist(),
        "pandas": pairs.to_pandas().to_dict("records"),
        "batches": pd.concat(pairs.to_pandas(batch_size=1, batched=True)).to_dict("records"),
        "dict": pd.DataFrame(pairs.to_dict()).to_dict("records"),
        "list": pairs.to_list(),
        "csv": pd.read_csv(tmp_path / "x.csv").to_dict("records"),
        "json": pd.read_json(tmp_path / "x.json", lines=True).to_dict("records"),
        "sql": sql.to_dict("records"),
    }


COMBINED: dict[str, Callable[[Dataset], Dataset]] = {
    "concatenated": lambda pairs: concatenate_datasets([pairs.select([2, 0]), pairs]),
    "interleaved": lambda pairs: interleave_datasets([pairs, pairs], probabilities=[0.5, 0.5], seed=0),
    "beside": lambda pairs: concatenate_datasets([pairs, Dataset.from_dict({"n": list(range(len(pairs)))})], axis=1),
    "in a dict, mapped": lambda pairs: datasets.DatasetDict({"x": pairs.repeat(2)}).map(lambda row: {"n": 1})["x"],
    "filtered, split": lambda pairs: (
        concatenate_datasets([pairs, pairs]).filter(lambda row: True).train_test_split(2, seed=0)["test"]
    ),
    "pickled": lambda pairs: pickle.loads(pickle.dumps(concatenate_datasets([pairs, pairs]))),
    "of a node": lambda pairs: split_dataset_by_node(concatenate_datasets([pairs, pairs]), 1, 2),
}


@pytest.mark.parametrize("change", ["none", "select", "map", "shuffle", "filter", "rename", *COMBINED])
def test_every_export_gives_values_and_images(
    load: Callable[..., Any], pairs: Dataset, tmp_path: Path, change: str
) -> None:
    chosen = {
        **{name: functools.partial(combine, pairs) for name, combine in COMBINED.items()},
        "none": lambda: pairs,
        "select": lambda: pairs.select([2, 0]),
        "map": lambda: pairs.map(lambda row: {"n": 7}).select(range(2)),
        "shuffle": lambda: pairs.shuffle(seed=1).take(2),
        "filter": lambda: pairs.filter(lambda row: row["pair_id"] == pairs[1]["pair_id"]),
        "rename": lambda: pairs.rename_column("target_image", "goal").train_test_split(0.5, seed=0)["test"],
    }[change]()
    for kind, rows in exported(chosen, tmp_path).items():
        assert len(rows) == len(chosen), kind
        for row, expected in zip(rows, chosen, strict=True):
            assert (row["pair_id"], row["pair_group"]) == (expected["pair_id"], expected["pair_group"]), kind
            if kind in ("csv", "json", "sql"):
                continue
            assert np.array_equal(np.stack(row["source_points"]), expected["source_points"]), kind
            picture = Image.open(io.BytesIO(row["source_image"]["bytes"])).convert("RGB")
            np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected["source_image"]))


STREAMS: dict[str, Callable[[Any], Any]] = {
    "concatenated": lambda stream: concatenate_datasets([stream.take(1), stream]),
    "interleaved": lambda stream: interleave_datasets([stream, stream]),
    "of a node": lambda stream: split_dataset_by_node(stream, 0, 2),
}


@pytest.mark.parametrize("change", ["none", "take", "columns", "filter", "iterable", *STREAMS])
def test_exports_of_streams_give_values_and_images(
    load: Callable[..., Any], pairs: Dataset, tmp_path: Path, change: str
) -> None:
    import pyarrow.parquet as pq

    stream = load(pairs.info.config_name, str(pairs.split), streaming=True)
    chosen = {
        **{name: functools.partial(combine, stream) for name, combine in STREAMS.items()},
        "none": lambda: stream,
        "take": lambda: stream.take(2),
        "columns": lambda: stream.remove_columns(["target_image"]).take(1),
        "filter": lambda: stream.filter(lambda row: row["pair_id"] == pairs[1]["pair_id"]),
        "iterable": lambda: pairs.select([1, 0]).to_iterable_dataset(),
    }[change]()
    rows = list(chosen)
    chosen.to_parquet(tmp_path / "x.parquet")
    for found in (chosen.to_pandas().to_dict("records"), pq.read_table(tmp_path / "x.parquet").to_pylist()):
        assert len(found) == len(rows)
        for one, row in zip(found, rows, strict=True):
            assert (one["pair_id"], one["pair_group"]) == (row["pair_id"], row["pair_group"])
            picture = Image.open(io.BytesIO(one["source_image"]["bytes"])).convert("RGB")
            np.testing.assert_array_equal(np.asarray(picture), np.asarray(row["source_image"]))


def test_exports_of_many_rows_stop_and_name_the_way_out(
    load: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soco_datasets.loading.dataset.MOST_ROWS", 2)
    for export in ("to_pandas", "to_dict", "to_list", "to_csv", "to_json", "to_parquet", "save_to_disk", "push_to_hub"):
        arguments = () if export in ("to_pandas", "to_dict", "to_list") else (str(tmp_path / export),)
        with pytest.raises(UsageError, match=r"call soco_datasets\.expand_pairs"):
            getattr(load("soc", "all"), export)(*arguments)
        assert not (tmp_path / export).exists()
    with pytest.raises(UsageError, match=r"split 'all': save_to_disk would write out 15 rows"):
        load("soc").save_to_disk(tmp_path / "dict")
    expanded = expand_pairs(load("soc", "all"), embed_images=True)
    assert len(expanded.to_pandas()) == 15
    assert expanded.to_pandas()["pair_id"].tolist() == load("soc", "all")["pair_id"][:]


def test_all_splits_of_a_config_are_saved_together(load: Callable[..., Any], tmp_path: Path) -> None:
    for number, splits in enumerate((load("soc"), load("soc").map(lambda row: {"n": 1}))):
        splits.save_to_disk(tmp_path / str(number))
        back = load_from_disk(tmp_path / str(number))
        assert {name: len(split) for name, split in back.items()} == {"test": 3, "all": 15}
        assert back["test"].features == back["all"].features
        assert type(back["all"].features["source_image"]) is datasets.Image
        assert all(same_rows(row, splits["all"][i]) for i, row in enumerate(back["all"]))


def test_pairs_that_are_stored_in_different_ways_are_not_combined(load: Callable[..., Any]) -> None:
    every = load("soc", "all")
    for other in (load("soc", "test"), load("cc", "all"), load("soc", "all", min_shared=4)):
        for combine in (concatenate_datasets, interleave_datasets):
            with pytest.raises(UsageError, match=r"call soco_datasets\.expand_pairs"):
                combine([every, other])
    both = concatenate_datasets([expand_pairs(every), load("soc", "test")])
    assert both.to_pandas()["pair_id"].tolist() == every["pair_id"][:] + load("soc", "test")["pair_id"][:]
    plain = concatenate_datasets([Dataset.from_dict({"n": [1]}), Dataset.from_dict({"n": [2]})])
    assert type(plain) is Dataset


def test_batches_and_arrow_tables_have_values_and_images(load: Callable[..., Any], pairs: Dataset) -> None:
    first, stream = pairs[0], load(pairs.info.config_name, str(pairs.split), streaming=True)
    for found in (
        {name: cells[0] for name, cells in pairs.batch(2).to_dict().items()},
        {name: cells[0] for name, cells in stream.batch(2).to_pandas().to_dict("list").items()},
        pairs.with_format("arrow")[:2].to_pydict(),
        next(pairs.with_format("arrow").iter(2)).to_pydict(),
    ):
        assert found["pair_id"][0] == first["pair_id"]
        picture = Image.open(io.BytesIO(found["source_image"][0]["bytes"])).convert("RGB")
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(first["source_image"]))


def test_messages_of_datasets_about_features_name_the_way_out(load: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="expand_pairs"):
        datasets.DatasetDict({"a": load("soc", "test"), "b": load("soc", "all")}).push_to_hub("me/both")


def test_nothing_is_decoded_before_it_is_asked_for(load: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    """With the bytes of one image spoilt, everything works that does not open that image."""
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    for shard in (broken / "images").iterdir():
        shard.write_bytes(shard.read_bytes().replace(jpeg(ROTATED), spoilt(jpeg(ROTATED))))
    for config, split in PAIR_SPLITS[:3]:
        dataset = load(config, split, data_dir=broken)
        bad = [
            i
            for i, ids in enumerate(zip(dataset["source_image_id"], dataset["target_image_id"], strict=True))
            if ROTATED in ids
        ]
        assert bad
        assert len(dataset.map(lambda row: {"n": len(row["keypoints"])})) == len(dataset)
        assert len(dataset.filter(lambda row: len(row["target_points"]) > 0)) == len(dataset)
        assert len(dataset.select_columns(["source_points"])[:]["source_points"]) == len(dataset)
        stream = load(config, split, data_dir=broken, streaming=True)
        assert [row["pair_id"] for row in stream.select_columns(["pair_id"])] == dataset["pair_id"][:]
        good = next(i for i in range(len(dataset)) if i not in bad)
        assert dataset[good]["source_image"].mode == "RGB"
        row = dataset[bad[0]]
        with pytest.raises(DatasetFolderError, match=f"{ROTATED}' does not decode"):
            [np.asarray(row[f"{side}_image"]) for side in ("source", "target")]


def test_streams(load: Callable[..., Any], pairs: Dataset) -> None:
    from torch.utils.data import DataLoader

    config = pairs.info.config_name
    stream = load(config, str(pairs.split), streaming=True)
    assert stream.features == expand_pairs(pairs).features
    assert str(stream.split) == str(pairs.split)
    rows = list(stream)
    assert len(rows) == len(pairs)
    assert all(same_rows(row, pairs[i]) for i, row in enumerate(rows))
    assert same_rows(next(iter(pickle.loads(pickle.dumps(stream)))), pairs[0])
    assert [row["n"] for row in stream.map(lambda row: {"n": len(row["keypoints"])})] == [
        len(r["keypoints"]) for r in rows
    ]
    loaded = [row for batch in DataLoader(stream, batch_size=2, num_workers=2, collate_fn=list) for row in batch]
    assert sorted(row["pair_id"] for row in loaded) == sorted(pairs["pair_id"])
    assert len(list(stream.shuffle(seed=0, buffer_size=4).take(2))) == 2


def test_streams_can_lose_and_rename_columns(load: Callable[..., Any], pairs: Dataset) -> None:
    stream = load(pairs.info.config_name, str(pairs.split), streaming=True)
    unseen = pairs.remove_columns("target_image")
    for one, other in (
        (stream.remove_columns("target_image"), unseen),
        (stream.remove_columns("target_image").filter(lambda row: len(row["keypoints"]) > 0), unseen),
        (stream.rename_column("target_image", "seen"), pairs.rename_column("target_image", "seen")),
        (stream.select_columns(["pair_id", "source_image"]), pairs.select_columns(["pair_id", "source_image"])),
    ):
        rows = list(one)
        assert len(rows) == len(pairs)
        assert all(same_rows(row, other[i]) for i, row in enumerate(rows))


def test_feature_of_one_image_decodes_bytes_addresses_and_files(tmp_path: Path, folder: Path) -> None:
    feature = StoredImage()
    for image_id in (ROTATED, GRAY, CMYK):
        decoded = feature.decode_example({"bytes": jpeg(image_id), "path": None})
        np.testing.assert_array_equal(np.asarray(decoded), upright(image_id))
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), "red").save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    assert feature.decode_example({"bytes": None, "path": str(tmp_path / "a.png")}).size == (5, 4)
    assert feature.encode_example(Image.new("RGB", (3, 2)))["bytes"].startswith(b"\x89PNG")


def test_pair_index_and_split_have_the_same_order(load: Callable[..., Any]) -> None:
    categories = [image_id.partition("/")[0] for image_id in IMAGE_IDS]
    index = PairIndex(categories, [points_of(i).names for i in IMAGE_IDS], cross=True)
    ids = [(IMAGE_IDS[s], IMAGE_IDS[t]) for s, t in index]
    dataset = load("cross_soc", "all")
    assert list(zip(dataset["source_image_id"], dataset["target_image_id"], strict=True)) == ids


@pytest.mark.parametrize(("config", "split"), [("soc", "test"), ("soc", "all"), ("images", "test")])
def test_map_that_only_looks_at_images_stores_no_new_ones(load: Callable[..., Any], config: str, split: str) -> None:
    column = "image" if config == "images" else "source_image"

    def look(row: Any) -> dict[str, int]:
        return {"sum": int(np.asarray(row[column], dtype=int).sum())}

    dataset = load(config, split)
    for mapped in (dataset.map(look), load(config, split).map(look)):  # fresh, and from the cache
        again = mapped.map(lambda row: {"two": look(row)["sum"]})
        assert again["sum"][:] == again["two"][:]
        assert all(same_rows(row[column], dataset[i][column]) for i, row in enumerate(again))
        stored = again.data[column].to_pylist()
        if config == "images":
            originals = [jpeg(i) for i in IMAGE_IDS if i != ROTATED]
            assert [cell["bytes"] for cell in stored if cell["bytes"] in originals] == originals
        elif split == "test":
            assert all(cell["bytes"] is None and cell["path"].startswith("soco://") for cell in stored)
        else:
            assert stored == [[k] for k in range(len(dataset))]


@pytest.mark.parametrize(("config", "split"), [("soc", "test"), ("soc", "all"), ("images", "test")])
def test_images_drawn_on_in_map_keep_the_drawing(load: Callable[..., Any], config: str, split: str) -> None:
    from PIL import ImageDraw

    column = "image" if config == "images" else "source_image"
    dataset = load(config, split)

    def draw(row: Any) -> Any:
        ImageDraw.Draw(row[column]).rectangle((0, 0, 9, 9), fill="red")
        return {column: row[column]}

    features = datasets.Features(dataset.features | {column: datasets.Image()})
    for i, row in enumerate(dataset.map(draw, features=features)):
        expected = np.array(dataset[i][column])
        expected[:10, :10] = (255, 0, 0)
        np.testing.assert_array_equal(np.asarray(row[column]), expected)


@pytest.mark.parametrize("image_id", [ROTATED, GRAY, CMYK, "car/car_4"])
def test_images_behave_like_any_other(load: Callable[..., Any], image_id: str) -> None:
    from PIL import ImageOps

    def fresh() -> Image.Image:
        return next(row["image"] for row in load("images", "test") if row["image_id"] == image_id)

    pixels = upright(image_id)
    plain = Image.fromarray(pixels)
    np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(fresh())), pixels)
    np.testing.assert_array_equal(np.asarray(fresh().resize((9, 7))), np.asarray(plain.resize((9, 7))))
    np.testing.assert_array_equal(np.asarray(fresh().crop((3, 3, 9, 9))), np.asarray(plain.crop((3, 3, 9, 9))))
    np.testing.assert_array_equal(np.asarray(pickle.loads(pickle.dumps(fresh()))), pixels)
    np.testing.assert_array_equal(np.asarray(fresh().convert("L")), np.asarray(plain.convert("L")))
    assert fresh().getpixel((1, 1)) == plain.getpixel((1, 1))
    small = fresh()
    small.thumbnail((16, 16))
    assert (small.mode, max(small.size)) == ("RGB", 16)
    with_dot = fresh()
    with_dot.load()[2, 1] = (1, 2, 3)
    assert with_dot.getpixel((2, 1)) == (1, 2, 3)
    assert with_dot.filename == ""
