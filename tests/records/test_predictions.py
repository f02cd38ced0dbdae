from __future__ import annotations

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.feature_worlds import world_pairs, world_table
from helpers.pair_tables import (
    HASH,
    PAIRS_CC,
    PAIRS_SOC,
    POINTS_SOC,
    build,
    oracle_protocol,
    oracle_tasks,
    pair,
    pairs_table,
    small_table,
)
from helpers.shared_data import ORACLE
from helpers.small_release import make_release
from hypothesis import given
from hypothesis import strategies as st

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.data.folder import open_folder
from soco_datasets.errors import PredictionsError, SocoError, UsageError
from soco_datasets.records import validation as predictions_check
from soco_datasets.records.annotated_points import (
    IMAGES_KEY,
    AnnotatedPoints,
    image_annotations,
    images_from_json,
    images_to_json,
)
from soco_datasets.records.evaluation import record_from_predictions
from soco_datasets.records.predictions import (
    HEADER_KEY,
    PREDICTIONS_SCHEMA,
    TaskPredictions,
    check_against_dataset,
    check_predictions,
    query_rows,
    read_annotated_images,
    read_header,
    read_predictions,
    write_predictions,
)
from soco_datasets.records.validation import keys_sha256


def put(table: pa.Table, name: str, row: int, value) -> pa.Table:
    """The table with one value replaced."""
    values = table[name].to_pylist()
    values[row] = value
    field = PREDICTIONS_SCHEMA.field(name)
    return table.set_column(table.column_names.index(name), field, pa.array(values, field.type))


def with_header(table: pa.Table, change) -> pa.Table:
    header = json.loads(table.schema.metadata[HEADER_KEY])
    change(header)
    return table.replace_schema_metadata({HEADER_KEY: json.dumps(header)})


def test_one_row_per_query_with_its_references():
    table = small_table()
    assert table.schema.equals(PREDICTIONS_SCHEMA)
    rows = table.to_pylist()
    assert [(row["task"], row["pair_id"], row["keypoint"]) for row in rows] == [
        ("soc", "car/1", "wheel"),
        ("soc", "car/1", "roof"),
        ("soc", "car/2", "wheel"),
        ("soc", "ピアノ/1", "key"),
        ("cc", "car/1", "wheel"),
        ("cc", "car/1", "roof"),
    ]
    assert rows[1]["prediction"] == [20, 10]
    assert rows[1]["similarity"] == pytest.approx(0.2)
    assert rows[4]["target_points"] == [[50, 60], [10, 60]]
    assert rows[4]["similarity"] is None
    assert rows[3]["target_bbox"] is None
    assert rows[0]["pair_queries"] == 2


def test_a_file_comes_back_whole(tmp_path):
    table = small_table()
    path = tmp_path / "new folder" / "predictions.parquet"
    write_predictions(path, table)
    again = read_predictions(path)
    assert again.equals(table, check_metadata=True)
    assert read_header(again) == read_header(table)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_reordered_rows_and_columns_are_fine(tmp_path):
    table = small_table()
    shuffled = table.take(np.random.default_rng(1).permutation(len(table))).select(PREDICTIONS_SCHEMA.names[::-1])
    pq.write_table(shuffled, tmp_path / "p.parquet")
    again = read_predictions(tmp_path / "p.parquet")
    assert record_from_predictions(again).to_json() == record_from_predictions(table).to_json()


def test_a_rewrite_with_large_types_is_fine(tmp_path):
    table = small_table()
    large = {
        "task": pa.large_string(),
        "keypoint": pa.dictionary(pa.int32(), pa.string()),
        "prediction": pa.large_list(pa.float64()),
        "target_bbox": pa.list_(pa.float64()),
    }
    fields = [pa.field(f.name, large.get(f.name, f.type)) for f in PREDICTIONS_SCHEMA]
    pq.write_table(table.cast(pa.schema(fields, table.schema.metadata)), tmp_path / "p.parquet")
    assert read_predictions(tmp_path / "p.parquet").equals(table)


def test_a_model_may_have_nothing_to_predict(tmp_path):
    table = build({"soc": TaskPredictions(pairs_table([pair("cup/1", "cup", {})]), [])})
    write_predictions(tmp_path / "p.parquet", table)
    assert len(read_predictions(tmp_path / "p.parquet")) == 0


def test_the_whole_oracle_survives_the_file(tmp_path):
    table = build(oracle_tasks(ORACLE / "SOCOv1", ORACLE / "expected"), oracle_protocol())
    write_predictions(tmp_path / "p.parquet", table)
    assert read_predictions(tmp_path / "p.parquet").equals(table)


# --- faults in the file -----------------------------------------------------------------------------------------------


def refused(tmp_path, table, message):
    """Reading and (unless it is already unwritable) writing the table are refused, and nothing is left."""
    pq.write_table(
        table.cast(pa.schema([f.with_nullable(True) for f in table.schema], table.schema.metadata)),
        tmp_path / "bad.parquet",
    )
    with pytest.raises(PredictionsError, match=message) as caught:
        read_predictions(tmp_path / "bad.parquet")
    assert str(tmp_path / "bad.parquet") in str(caught.value)
    with pytest.raises(PredictionsError, match=message):
        write_predictions(tmp_path / "out.parquet", table)
    assert not (tmp_path / "out.parquet").exists()
    with pytest.raises(PredictionsError, match=message):
        record_from_predictions(table)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("prediction", [float("nan"), 1.0], r"prediction is not finite: row 1 \(task soc, pair car/1, keypoint roof\)"),
        ("prediction", [1.0, float("-inf")], "prediction is not finite: row 1"),
        ("prediction", [1.0, None], "prediction is not finite: row 1"),
        ("prediction", None, "without prediction: row 1"),
        ("pair_group", None, "without pair_group: row 1"),
        ("source_point", [float("inf"), 1.0], "source_point is not finite: row 1"),
        ("target_points", [[float("nan"), 1.0]], "target point that is not finite: row 1"),
        ("target_points", [], "at least one target keypoint: row 1"),
        ("target_points", [[1.0, 2.0], [3.0, 4.0]], "one point for each"),
        ("target_points", [None], "null among its target_points: row 1"),
        ("target_keypoints", [None], "null among its target_keypoints: row 1"),
        ("target_size", [None, 100], "Row 1: image size"),
        ("target_bbox", [0.0, None, 10.0, 80.0], "Row 1: box"),
        ("target_bbox", [50.0, 0.0, 10.0, 80.0], "Row 1: box"),
        ("target_bbox", [0.0, 0.0, 0.0, 0.0], "Row 1: box"),
        ("target_size", [0, 100], "Row 1: image size"),
        ("pair_group", "bus", r"another pair_group than the first row of the pair: row 1"),
        ("pair_queries", 5, "another pair_queries"),
        ("task", "soc_geo", r"task that was not evaluated \(soc, cc\): row 1"),
        ("keypoint", "wheel", "predicted more than once: row 0 .*, row 1 "),
        ("keypoint", "door", "some are of other pairs or keypoints"),
    ],
)
def test_a_bad_value_names_its_row(tmp_path, name, value, message):
    refused(tmp_path, put(small_table(), name, 1, value), message)


def test_missing_rows_are_named_by_pair_and_category(tmp_path):
    table = small_table()
    message = "'soc': 1 of 4 predictions are missing: pair car/1 has 1 of 2, category car has 2 of 3"
    refused(tmp_path, pa.concat_tables([table.slice(0, 1), table.slice(2)]), message)
    refused(tmp_path, pa.concat_tables([table.slice(0, 3), table.slice(4)]), "1 of 4 .*: category ピアノ has 0 of 1")
    refused(tmp_path, table.slice(0, 4), "'cc': 2 of 2 predictions are missing")
    refused(tmp_path, table.slice(0, 0), "'soc': 4 of 4 predictions are missing")


def test_doubled_and_foreign_rows_are_named(tmp_path):
    table = small_table()
    refused(
        tmp_path, pa.concat_tables([table, table.slice(2, 1)]), r"2 row\(s\) predicted more than once: row 2 .*car/2"
    )
    foreign = put(put(table.slice(2, 1), "pair_id", 0, "car/9"), "keypoint", 0, "door")
    refused(tmp_path, pa.concat_tables([table, foreign]), "category 'car' has 4 predictions, 3 were evaluated")
    swapped = put(table, "pair_id", 2, "car/9")
    refused(tmp_path, swapped, "some are of other pairs or keypoints")


def test_missing_columns_and_wrong_types_are_named(tmp_path):
    table = small_table()
    refused(tmp_path, table.drop_columns(["keypoint", "target_size"]), "lack the column.*keypoint, target_size")
    text = table.set_column(0, "task", pa.array([1] * len(table)))
    refused(tmp_path, text, "task is int64, not string")
    words = pa.array([["a", "b"]] * len(table))
    place = table.column_names.index("prediction")
    refused(tmp_path, table.set_column(place, "prediction", words), "prediction is list<.*string>")
    long = pa.array([[1.0, 2.0, 3.0]] * len(table))
    refused(tmp_path, table.set_column(place, "prediction", long), "prediction does not hold")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(format_version=2), "format version 2"),
        (lambda h: h.pop("format_version"), "damaged"),
        (lambda h: h.pop("protocol"), "protocol"),
        (lambda h: h["protocol"].update(alphas=[]), "alphas"),
        (lambda h: h.update(surprise=1), "unknown or lacks fields: surprise"),
        (lambda h: h["tasks"]["soc"].update(pairs={"car": -1}), "tasks/soc/pairs/car must be 0 or more"),
        (lambda h: h["tasks"]["soc"].pop("keys_sha256"), "keys_sha256"),
        (lambda h: h.update(tasks=["soc"]), "tasks"),
        (lambda h: h.update(supercategories={"car": 1}), "supercategories"),
        (lambda h: h.pop("counts"), "counts"),
        (lambda h: h.update(dataset={"id": "x"}), "content_hash"),
    ],
)
def test_a_malformed_header_is_refused(tmp_path, change, message):
    refused(tmp_path, with_header(small_table(), change), message)


def test_no_header_says_what_to_give(tmp_path):
    refused(tmp_path, small_table().replace_schema_metadata(None), "header is missing")


def test_what_is_no_parquet_is_named(tmp_path):
    path = tmp_path / "p.parquet"
    with pytest.raises(PredictionsError, match="no such file"):
        read_predictions(path)
    write_predictions(path, small_table())
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[60] ^= 0xFF
    for content in (b"", b"not Parquet", whole[: len(whole) // 2], whole[:-1], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(PredictionsError, match=r"p\.parquet: not a whole Parquet file"):
            read_predictions(path)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "p.parquet"
    write_predictions(path, small_table())
    before = path.read_bytes()
    with pytest.raises(PredictionsError):
        write_predictions(path, small_table().slice(1))
    assert path.read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(SocoError, match="Cannot write"):
        write_predictions(tmp_path / "file" / "p.parquet", small_table())


# --- the dataset ------------------------------------------------------------------------------------------------------


def dataset() -> dict[str, pa.Table]:
    return {"soc": pairs_table(PAIRS_SOC), "cc": pairs_table(PAIRS_CC)}


def test_predictions_of_this_dataset_pass_in_any_order():
    table = small_table()
    check_against_dataset(table.take(np.arange(len(table))[::-1]), dataset(), HASH)
    reordered = {**dataset(), "soc": pairs_table(PAIRS_SOC[::-1])}
    check_against_dataset(table, reordered, HASH)


def test_predictions_of_another_dataset_are_refused():
    table = small_table()
    with pytest.raises(PredictionsError, match=f"content hash {HASH[:12]}, not on this one"):
        check_against_dataset(table, dataset(), "f" * 64)
    with pytest.raises(PredictionsError, match="no pairs for task 'cc'"):
        check_against_dataset(table, {"soc": pairs_table(PAIRS_SOC)}, HASH)
    with pytest.raises(PredictionsError, match="pairs are not those that were evaluated"):
        check_against_dataset(table, {**dataset(), "soc": pairs_table(PAIRS_SOC[:3])}, HASH)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_points": [[[50, 61]], [[90, 10]]]}, r"whose target_points \(\[\[50.0, 60.0\]\]\).*keypoint wheel"),
        ({"source_points": [[1, 2], [1, 3]]}, "whose source_point .*keypoint roof"),
        ({"target_bbox": None}, "whose target_bbox"),
        ({"target_size": [201, 100]}, "whose target_size"),
        ({"concepts": ["wheel", None]}, "whose concept"),
        ({"target_image_id": "car/x"}, "whose target_image_id"),
        ({"keypoints": ["wheel", "door"]}, r"1 row\(s\) not in this dataset: .*keypoint roof"),
    ],
)
def test_a_changed_reference_is_named(change, message):
    changed = [{**PAIRS_SOC[0], **change}, *PAIRS_SOC[1:]]
    with pytest.raises(PredictionsError, match=message):
        check_against_dataset(small_table(), {**dataset(), "soc": pairs_table(changed)}, HASH)


def test_a_query_that_was_not_predicted_is_named():
    rows = pair("cup/1", "cup", {"handle": [[1, 2]]})
    with pytest.raises(
        PredictionsError, match=r"in this dataset but not predicted: row 4 .*pair cup/1, keypoint handle"
    ):
        check_against_dataset(small_table(), {**dataset(), "soc": pairs_table([*PAIRS_SOC[:3], rows])}, HASH)


# --- building ---------------------------------------------------------------------------------------------------------


def test_malformed_pairs_are_named():
    with pytest.raises(PredictionsError, match=r"lack the column.*target_points"):
        query_rows("soc", pairs_table(PAIRS_SOC).drop_columns(["target_points"]))
    uneven = {**PAIRS_SOC[0], "source_points": [[1, 2]]}
    with pytest.raises(PredictionsError, match="pair car/1: 2 keypoints but 1 source_points"):
        query_rows("soc", pairs_table([uneven]))
    with pytest.raises(PredictionsError, match="malformed point"):
        query_rows("soc", pairs_table([{**PAIRS_SOC[1], "source_points": [[1, 2, 3]]}]))


def test_the_same_pair_twice_is_refused():
    with pytest.raises(PredictionsError, match="more than once"):
        build({"soc": TaskPredictions(pairs_table([PAIRS_SOC[1]] * 2), POINTS_SOC[:2])})


def test_a_point_that_is_not_finite_is_never_written():
    points = np.array(POINTS_SOC, dtype=np.float64)
    points[2, 0] = np.nan
    with pytest.raises(PredictionsError, match="row 2"):
        build({"soc": TaskPredictions(pairs_table(PAIRS_SOC), points)})


def test_a_sliced_and_chunked_pair_table_gives_the_same_rows():
    whole = pairs_table(PAIRS_SOC)
    chunked = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 2), whole.slice(3)])
    assert query_rows("soc", chunked).equals(query_rows("soc", whole))
    assert query_rows("soc", whole.slice(1, 2)).to_pylist() == query_rows("soc", whole).to_pylist()[2:]


def test_checking_returns_the_same_table():
    table = small_table()
    assert check_predictions(table).equals(table, check_metadata=True)


# --- what is annotated in the images ----------------------------------------------------------------------------------


def with_images(table: pa.Table, images) -> pa.Table:
    """The table with other stored annotations, given as they are in memory or as text."""
    text = images if isinstance(images, str) else images_to_json(images)
    return table.replace_schema_metadata({**table.schema.metadata, IMAGES_KEY: text})


def test_the_annotations_of_the_images_in_use_come_back_whole(tmp_path):
    images = world_pairs(0)[1]
    for number, image in enumerate(images.values()):
        image["azimuth"] = None if number % 2 else 30.1 + number
    unused = {"keypoints": ["x"], "concepts": [None], "points": [[1.0, 2.0]], "azimuth": None}
    table = world_table(0, tasks=("soc",), images={**images, "car/unused": unused})
    used = {*table["source_image_id"].to_pylist(), *table["target_image_id"].to_pylist()}
    assert read_annotated_images(table) == {name: image for name, image in images.items() if name in used}
    shuffled = table.take(np.arange(len(table))[::-1])
    write_predictions(tmp_path / "p.parquet", shuffled)
    again = read_predictions(tmp_path / "p.parquet")
    assert read_annotated_images(again) == read_annotated_images(table)
    assert record_from_predictions(again, resamples=5) == record_from_predictions(table, resamples=5)


def test_equal_annotations_are_stored_as_equal_bytes():
    images = world_pairs(0)[1]
    backwards = dict(reversed(images.items()))
    assert images_to_json(images) == images_to_json(backwards)
    assert images_from_json(images_to_json(images)) == images


def test_a_file_without_annotations_is_read():
    assert read_annotated_images(small_table()) is None
    old = world_table(0, images=None)
    assert IMAGES_KEY not in old.schema.metadata
    for name in ("valid_area", "soft_beta", "soft_window"):  # an older protocol
        old = with_header(old, lambda header, name=name: header["protocol"].pop(name))
    record = record_from_predictions(old, resamples=0)
    assert record.anatomy is None
    assert record.metrics == record_from_predictions(world_table(0), resamples=0).metrics


def test_points_are_found_by_image_and_name():
    images = world_pairs(1)[1]
    annotated = AnnotatedPoints.of(images)
    names = [name for image in images.values() for name in image["keypoints"]]
    owners = pa.chunked_array([[image_id for image_id, image in images.items() for _ in image["keypoints"]]])
    found = annotated.find(annotated.image_numbers(owners), pa.array(names))
    wanted = [point for image in images.values() for point in image["points"]]
    assert annotated.points[found].tolist() == wanted
    concepts = annotated.concepts.to_pylist()
    parts = [concept for image in images.values() for concept in image["concepts"]]
    assert [None if number < 0 else concepts[number] for number in annotated.concept[found]] == parts
    unknown = annotated.image_numbers(pa.chunked_array([["car/0", "nowhere"]]))
    assert annotated.find(unknown, pa.array(["door", "roof"])).tolist() == [-1, -1]
    empty = AnnotatedPoints.of({})
    assert empty.find(empty.image_numbers(owners), pa.array(names)).tolist() == [-1] * len(names)


def moved(images, image_id, keypoint):
    image = images[image_id]
    image["points"][image["keypoints"].index(keypoint)][0] += 0.5


def forgotten(images, image_id, keypoint):
    image = images[image_id]
    place = image["keypoints"].index(keypoint)
    for part in ("keypoints", "concepts", "points"):
        image[part].pop(place)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, r: i.pop(r["source_image_id"]), r"source_image_id has no stored annotations: row 0 \(task soc"),
        (lambda i, r: i.pop(r["target_image_id"]), "target_image_id has no stored annotations: row 0"),
        (lambda i, r: moved(i, r["source_image_id"], r["keypoint"]), "source_point is not where .*: row 0"),
        (lambda i, r: moved(i, r["target_image_id"], r["keypoint"]), "target point that is not where .*: row 0"),
        (lambda i, r: forgotten(i, r["source_image_id"], r["keypoint"]), "keypoint is not annotated in the source.* 0"),
        (lambda i, r: forgotten(i, r["target_image_id"], r["keypoint"]), "target keypoint that is not annotated.* 0"),
    ],
)
def test_annotations_that_do_not_fit_the_rows_name_them(tmp_path, change, message):
    row = {
        **pair("car/1", "car", {"wheel": [[50, 60]]}),
        "target_keypoints": [["wheel"]],
    }
    shown = {"keypoints": ["roof", "wheel"], "concepts": [None, "wheel"], "azimuth": None}
    images = {
        row["source_image_id"]: {**shown, "points": [[0.0, 0.0], [1.0, 2.0]]},
        row["target_image_id"]: {**shown, "points": [[0.0, 0.0], [50.0, 60.0]]},
    }
    tasks = {"soc": TaskPredictions(pairs_table([row]), [[50, 60]])}
    table = build(tasks, images=images)
    images = json.loads(json.dumps(images))  # nothing shared between the two
    change(images, row | {"keypoint": "wheel"})
    refused(tmp_path, with_images(table, images), message)
    with pytest.raises(PredictionsError, match=message):
        build(tasks, images=images)


def test_an_image_has_one_size_in_all_rows(tmp_path):
    _, images = world_pairs(2)
    table = world_table(2, images=images)
    sizes = table["target_size"].to_pylist()
    image = table["target_image_id"][0].as_py()
    sizes[0] = [sizes[0][0] + 1, sizes[0][1]]
    assert table["target_image_id"].to_pylist().count(image) > 1
    column = pa.array(sizes, PREDICTIONS_SCHEMA.field("target_size").type)
    resized = table.set_column(
        PREDICTIONS_SCHEMA.get_field_index("target_size"), PREDICTIONS_SCHEMA.field("target_size"), column
    )
    refused(tmp_path, resized, "row.* whose target_size is not that of the image's other rows")


@given(
    rows=st.lists(st.tuples(*[st.text("aé/_1 ", min_size=1, max_size=3)] * 2), max_size=40), block=st.integers(1, 50)
)
def test_the_hash_of_the_keys_is_of_their_sorted_list(rows, block):
    table = pa.table({"pair_id": [p for p, _ in rows], "keypoint": [k for _, k in rows]}, schema=pa.schema(
        [("pair_id", pa.string()), ("keypoint", pa.string())]
    ))  # fmt: skip
    listed = sorted("\x1f".join(row).encode() for row in rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions_check, "_HASHED", block)
        assert keys_sha256(table) == hashlib.sha256(b"\x1e".join(listed)).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.pop("keypoints"),
        lambda w: w.update(images=[]),
        lambda w: w["images"].update({"car/0": None}),
        lambda w: w["images"]["car/0"].pop("azimuth"),
        lambda w: w["images"]["car/0"].update(azimuth="north"),
        lambda w: w["images"]["car/0"]["keypoints"].append(0),
        lambda w: w["images"]["car/0"]["keypoints"].__setitem__(0, 999),
        lambda w: w["images"]["car/0"]["keypoints"].__setitem__(0, -1),
        lambda w: w["images"]["car/0"]["keypoints"].__setitem__(0, w["images"]["car/0"]["keypoints"][1]),
        lambda w: w["images"]["car/0"]["concepts"].__setitem__(0, -1),
        lambda w: w["images"]["car/0"]["concepts"].__setitem__(0, "wheel"),
        lambda w: w["images"]["car/0"]["points"].pop(),
        lambda w: w["images"]["car/0"]["points"].__setitem__(0, None),
        lambda w: w["images"]["car/0"]["points"].__setitem__(0, float("nan")),
        lambda w: w["images"]["car/0"]["points"].__setitem__(0, "1"),
        lambda w: w.update(keypoints=[1] * len(w["keypoints"])),
    ],
)
def test_damaged_annotations_are_refused(tmp_path, change):
    table = world_table(0, tasks=("soc",))
    whole = json.loads(table.schema.metadata[IMAGES_KEY])
    change(whole)
    refused(tmp_path, with_images(table, json.dumps(whole)), "image annotations of these predictions are damaged")
    refused(tmp_path, with_images(table, table.schema.metadata[IMAGES_KEY].decode()[:-1]), "damaged")


@pytest.mark.parametrize(
    "change",
    [
        {"points": [[1.0, float("inf")]]},
        {"points": [[1.0, 2.0, 3.0]]},
        {"points": [[1.0, "x"]]},
        {"points": []},
        {"concepts": [3]},
        {"keypoints": [3]},
        {"keypoints": ["x", "x"], "concepts": [None, None], "points": [[1, 2], [1, 2]]},
        {"azimuth": float("nan")},
        {"azimuth": "north"},
        {"pose": 1},
    ],
)
def test_annotations_that_are_malformed_are_not_written(change):
    image = {"keypoints": ["x"], "concepts": [None], "points": [[1.0, 2.0]], "azimuth": None, **change}
    with pytest.raises(PredictionsError, match="annotations of image 'car/0'"):
        images_to_json({"car/0": image})


def test_annotations_are_compared_with_the_dataset():
    tables, images = world_pairs(2)
    table = world_table(2, images=images)
    check_against_dataset(table, tables, HASH, images)
    check_against_dataset(table, tables, HASH)
    name = table["target_image_id"][0].as_py()
    for change, told in (
        ({"points": [[0.0, 0.0]] * len(images[name]["points"])}, "other points"),
        ({"concepts": ["else"] * len(images[name]["concepts"]), "azimuth": 5.0}, "other concepts, azimuth"),
    ):
        other = {**images, name: {**images[name], **change}}
        with pytest.raises(PredictionsError, match=rf"1 image\(s\) are not the dataset's: image {name} \({told}\)"):
            check_against_dataset(table, tables, HASH, other)
    with pytest.raises(PredictionsError, match=rf"image {name} \(not in it\)"):
        check_against_dataset(table, tables, HASH, {key: value for key, value in images.items() if key != name})


def test_the_annotations_of_a_dataset_fit_its_pairs(tmp_path):
    build_dataset(str(make_release(tmp_path / "release")), tmp_path / "data")
    folder = open_folder(tmp_path / "data")
    images = image_annotations(folder)
    assert list(images) == sorted(folder.table("images")["image_id"].to_pylist())
    some = list(images)[:2]
    assert image_annotations(folder, [*some, some[0]]) == {name: images[name] for name in some}
    with pytest.raises(UsageError, match="car/absent"):
        image_annotations(folder, ["car/absent"])
    pairs = {task: folder.table(task) for task in ("cc", "soc", "cross_cc", "cross_soc")}
    tasks = {
        task: TaskPredictions(table, np.zeros((sum(map(len, table["keypoints"].to_pylist())), 2)))
        for task, table in pairs.items()
    }
    table = build(tasks, images=images)
    check_against_dataset(table, pairs, HASH, images)
    assert record_from_predictions(table, resamples=5).anatomy["tasks"].keys() == tasks.keys()
