"""The predictions table: one row per (task, pair, query), enough to recompute a result record without the dataset.

Points and boxes are float64 pixels of the stored image, as in `data.schema`. The header, JSON in the Arrow schema's
metadata, says what the rows should be (so that missing, doubled and foreign rows are found) and everything else that
goes into the record; beside it stands what else is annotated in the images (see `predictions_images`). The order of
the rows means nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import ArrayLike

from ..errors import PredictionsError
from ..utils.files import atomic_file
from ..utils.parquet_files import read_checked
from ..utils.paths import local_path
from .annotated_points import (
    IMAGES_KEY,
    AnnotatedPoints,
    Images,
    images_from_json,
    images_to_json,
)
from .header import Header, PredictionsOrigin, TaskExpectation
from .validation import (
    check_annotated,
    check_complete,
    check_rows,
    compare_images,
    compare_rows,
    keys_sha256,
    whole_array,
)

HEADER_KEY = b"soco_predictions"

_POINT = pa.list_(pa.float64(), 2)
_BOX = pa.list_(pa.float64(), 4)
_SIZE = pa.list_(pa.int32(), 2)


def _field(name: str, kind: pa.DataType, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable)


PREDICTIONS_SCHEMA = pa.schema(
    [
        _field("task", pa.string()),
        _field("pair_id", pa.string()),
        _field("pair_group", pa.string()),  # the category the pair is averaged in
        _field("pair_queries", pa.int32()),  # rows this pair must have in this task
        _field("source_image_id", pa.string()),
        _field("target_image_id", pa.string()),
        _field("source_category", pa.string()),
        _field("target_category", pa.string()),
        _field("keypoint", pa.string()),  # name of the query point
        _field("concept", pa.string(), nullable=True),
        _field("source_point", _POINT),
        _field("prediction", _POINT),
        _field("similarity", pa.float32(), nullable=True),  # of the query and the predicted place
        _field("target_keypoints", pa.list_(pa.string())),  # names of the valid targets, one or more
        _field("target_points", pa.list_(_POINT)),
        _field("target_size", _SIZE),
        _field("target_bbox", _BOX, nullable=True),
    ]
)
KEY = ("task", "pair_id", "keypoint")


@dataclass(frozen=True)
class TaskPredictions:
    """The predictions of one task, in the order of its pairs.

    Attributes:
        pairs: columns of `data.schema.PAIRS` (more are ignored), one row per pair, pairs without a query included.
        points: (Q, 2) float64 pixels of the target images, query after query, pair after pair.
        similarity: (Q,) float32, or None.
    """

    pairs: pa.Table
    points: ArrayLike
    similarity: ArrayLike | None = None


def query_rows(task: str, pairs: pa.Table) -> pa.Table:
    """The rows of one task without `prediction` and `similarity`: one per query, in the order of the pairs.

    Raises:
        PredictionsError: a column of `data.schema.PAIRS` is absent, or the lists of a pair differ in length.
    """
    lists = ("keypoints", "concepts", "source_points", "target_keypoints", "target_points")
    images = ("source_image_id", "target_image_id", "source_category", "target_category", "target_size", "target_bbox")
    once = ("pair_id", "pair_group", *images)
    missing = [name for name in (*once, *lists) if name not in pairs.column_names]
    if missing:
        raise PredictionsError(f"the pairs of task {task!r} lack the column(s) {', '.join(missing)}")
    columns = {name: whole_array(pairs[name]) for name in (*once, *lists)}
    counts = pc.list_value_length(columns["keypoints"]).to_numpy(zero_copy_only=False)
    for name in lists[1:]:
        other = pc.list_value_length(columns[name]).to_numpy(zero_copy_only=False)
        if not np.array_equal(counts, other):
            row = int(np.flatnonzero(counts != other)[0])
            raise PredictionsError(
                f"task {task!r}, pair {columns['pair_id'][row]}: {counts[row]} keypoints but {other[row]} {name}"
            )
    owner = pa.array(np.repeat(np.arange(len(pairs)), counts))
    rows = {name: columns[name].take(owner) for name in once}
    rows["task"] = pa.array([task] * len(owner), pa.string())
    rows["pair_queries"] = pa.array(np.repeat(counts, counts).astype(np.int32))
    names = ("keypoint", "concept", "source_point", "target_keypoints", "target_points")
    rows.update({name: columns[listed].flatten() for name, listed in zip(names, lists, strict=True)})
    fields = [field for field in PREDICTIONS_SCHEMA if field.name in rows]
    try:
        return pa.table([rows[field.name].cast(field.type) for field in fields], schema=pa.schema(fields))
    except pa.ArrowInvalid as error:
        raise PredictionsError(f"the pairs of task {task!r} hold a malformed point, size or box: {error}") from None


def expectation(task: str, pairs: pa.Table) -> TaskExpectation:
    """What a complete set of predictions for these pairs must hold. Errors as `query_rows`."""
    return _expectation(pairs, query_rows(task, pairs))


def _expectation(pairs: pa.Table, rows: pa.Table) -> TaskExpectation:
    return TaskExpectation(
        pairs=_count(pairs["pair_group"]), keypoints=_count(rows["pair_group"]), keys_sha256=keys_sha256(rows)
    )


def predictions_table(
    tasks: Mapping[str, TaskPredictions], origin: PredictionsOrigin, images: Images | None = None
) -> pa.Table:
    """Join pairs and predicted points to a predictions table (`PREDICTIONS_SCHEMA`, header in its metadata).

    Args:
        tasks: task name -> its pairs and points.
        origin: where the predictions come from.
        images: `predictions_images.image_annotations` of at least the source and target images (others are left out),
            for the anatomy of errors; None = the record will be without it.

    Raises:
        PredictionsError: a number of points that does not fit the pairs, a point that is not finite, doubled keys,
            annotations that lack an image or differ from the pairs.
    """
    parts, expected = [], {}
    for task, given in tasks.items():
        rows = query_rows(task, given.pairs)
        expected[task] = _expectation(given.pairs, rows)
        points = np.asarray(given.points, dtype=np.float64)
        if points.size != 2 * len(rows) or (len(rows) and points.shape != (len(rows), 2)):
            raise PredictionsError(
                f"task {task!r} has {len(rows)} queries, so predictions must have shape ({len(rows)}, 2), "
                f"got {points.shape}"
            )
        similarity = [None] * len(rows) if given.similarity is None else np.asarray(given.similarity, dtype=np.float32)
        if len(similarity) != len(rows):
            raise PredictionsError(f"task {task!r} has {len(rows)} queries but {len(similarity)} similarities")
        rows = rows.append_column("prediction", pa.FixedSizeListArray.from_arrays(pa.array(points.reshape(-1)), 2))
        rows = rows.append_column("similarity", pa.array(similarity, pa.float32()))
        parts.append(rows.select(PREDICTIONS_SCHEMA.names).cast(PREDICTIONS_SCHEMA))
    header = Header(**dict(origin), tasks=expected)
    whole = pa.concat_tables(parts) if parts else PREDICTIONS_SCHEMA.empty_table()
    metadata = {HEADER_KEY: header.to_json()}
    if images is not None:
        used = pc.unique(pa.chunked_array([*whole["source_image_id"].chunks, *whole["target_image_id"].chunks]))
        metadata[IMAGES_KEY] = images_to_json({name: images[name] for name in used.to_pylist() if name in images})
    whole = whole.replace_schema_metadata(metadata)
    _check_content(whole, expected)
    return whole


def read_header(table: pa.Table) -> Header:
    """The header of a predictions table. Raises `PredictionsError` when there is none or it is malformed."""
    metadata = table.schema.metadata or {}
    if HEADER_KEY not in metadata:
        raise PredictionsError(
            "not SOCO predictions: the header is missing (was the file rewritten by another program?); "
            "give the Parquet file that `soco evaluate` wrote"
        )
    return Header.from_json(metadata[HEADER_KEY])


def read_annotated_images(table: pa.Table) -> Images | None:
    """What is annotated in the images of a predictions table (see `annotated_points`), None where it is not stored.

    The steps of one evaluation ask for the same table's, so the last one read is kept: it is not to be changed.

    Raises:
        PredictionsError: the annotations are damaged.
    """
    stored = (table.schema.metadata or {}).get(IMAGES_KEY)
    return None if stored is None else _images(stored)


_images = functools.lru_cache(maxsize=1)(images_from_json)


def check_predictions(table: pa.Table) -> pa.Table:
    """The table in the form of `PREDICTIONS_SCHEMA`, after checking it against its own header and image annotations.

    Raises:
        PredictionsError: columns missing or of another type, values missing, points that are not finite, boxes without
            area, rows missing, doubled or foreign, a point that is not annotated. The first rows at fault are named.
    """
    header = read_header(table)
    missing = [name for name in PREDICTIONS_SCHEMA.names if name not in table.column_names]
    if missing:
        raise PredictionsError(f"the predictions lack the column(s) {', '.join(missing)}")
    given = {field.name: table.schema.field(field.name).type for field in PREDICTIONS_SCHEMA}
    wrong = [
        f"{f.name} is {given[f.name]}, not {f.type}"
        for f in PREDICTIONS_SCHEMA
        if not _same_kind(given[f.name], f.type)
    ]
    if wrong:
        raise PredictionsError(f"columns of the wrong type: {'; '.join(wrong)}")
    columns = []
    for field in PREDICTIONS_SCHEMA:
        try:  # undoes what a rewrite changes without loss: large and view types, names of list items
            columns.append(table[field.name].cast(field.type))
        except pa.ArrowInvalid as error:
            raise PredictionsError(f"column {field.name} does not hold {field.type}: {error}") from None
    checked = pa.table(columns, schema=PREDICTIONS_SCHEMA.with_metadata(table.schema.metadata))
    _check_content(checked, header.tasks)
    for task, expected in header.tasks.items():
        check_complete(task, task_rows(checked, task), expected)
    return checked


def _check_content(table: pa.Table, tasks: Collection[str]) -> None:
    """Check the values of a table in the form of `PREDICTIONS_SCHEMA`, and its image annotations where it has them."""
    check_rows(table, tasks)
    images = read_annotated_images(table)
    if images is not None:
        check_annotated(table, AnnotatedPoints.of(images))


def task_rows(table: pa.Table, task: str) -> pa.Table:
    """The rows of one task, without a copy where they follow one another."""
    rows = np.flatnonzero(pc.equal(table["task"], task).to_numpy())
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return table.slice(int(rows[0]), len(rows))
    return table.take(pa.array(rows))


def check_against_dataset(
    table: pa.Table,
    pairs: Mapping[str, pa.Table],
    content_hash: str,
    images: Images | None = None,
    supercategories: Mapping[str, str | None] | None = None,
) -> None:
    """Check that predictions belong to a dataset: same content hash, queries, points, sizes, boxes, annotations and
    supercategories.

    Args:
        table: a predictions table.
        pairs: task -> its pairs, columns of `data.schema.PAIRS`; every task of the table must be there.
        content_hash: of the dataset.
        images: `predictions_images.image_annotations` of the dataset, to compare the stored annotations with; None
            leaves those points that no query asks for unchecked.
        supercategories: category -> supercategory of the dataset, to compare those with that scores are averaged in;
            None leaves them unchecked.

    Raises:
        PredictionsError: naming the first rows or images that differ.
    """
    table = check_predictions(table)
    header = read_header(table)
    if header.dataset["content_hash"] != content_hash:
        raise PredictionsError(
            f"these predictions were made on dataset {header.dataset['id']} with content hash "
            f"{str(header.dataset['content_hash'])[:12]}, not on this one ({content_hash[:12]}); give that dataset, or "
            "evaluate again"
        )
    if supercategories is not None and header.supercategories != supercategories:
        ours, theirs = header.supercategories, dict(supercategories)
        differ = sorted(name for name in {*ours, *theirs} if ours.get(name, "") != theirs.get(name, ""))
        shown = ", ".join(f"{name} ({ours.get(name)}, in the dataset {theirs.get(name)})" for name in differ[:3])
        more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
        raise PredictionsError(f"the supercategories of the predictions are not the dataset's: {shown}{more}")
    for task, expected in header.tasks.items():
        if task not in pairs:
            raise PredictionsError(f"the dataset has no pairs for task {task!r} of these predictions")
        if expectation(task, pairs[task]).pairs != expected.pairs:
            raise PredictionsError(f"task {task!r}: the dataset's pairs are not those that were evaluated")
        compare_rows(task, task_rows(table, task), query_rows(task, pairs[task]))
    stored = read_annotated_images(table)
    if stored is not None and images is not None:
        compare_images(stored, images)


def write_predictions(path: str | Path, table: pa.Table) -> None:
    """Write a table as Parquet (zstd, page checksums), whole or not at all.

    Raises:
        PredictionsError: the table is incomplete or malformed; nothing is written.
        SocoError: the place cannot be written.
    """
    write_checked(path, check_predictions(table))


def write_checked(path: str | Path, table: pa.Table) -> None:
    """`write_predictions` of what `check_predictions` gave."""
    with atomic_file(local_path(path)) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_predictions(path: str | Path) -> pa.Table:
    """Read and check a predictions file.

    Raises:
        PredictionsError: no such file, not Parquet or truncated, not predictions, another format version, or anything
            `check_predictions` finds. The file is named.
    """
    path = local_path(path)
    if path.is_dir():
        found = sorted(one.name for one in path.glob("*.predictions.parquet"))
        raise PredictionsError(
            f"{path} is a folder. Give a file in it, such as {path / found[0]}."
            if found
            else f"{path} is a folder without predictions. Give the predictions Parquet that `soco evaluate` wrote."
        )
    if not path.is_file():
        raise PredictionsError(f"{path}: no such file. Give the predictions Parquet that `soco evaluate` wrote.")
    return read_checked(path, PREDICTIONS_SCHEMA.names, check_predictions, ("soco evaluate", "evaluate"))


def _same_kind(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a cast cannot change what a value means (no string is read as a number, nor the reverse)."""
    types = pa.types
    if types.is_list(wanted) or types.is_fixed_size_list(wanted):
        listed = types.is_list(given) or types.is_large_list(given) or types.is_fixed_size_list(given)
        return listed and _same_kind(given.value_type, wanted.value_type)
    if types.is_dictionary(given):
        return _same_kind(given.value_type, wanted)
    if types.is_integer(wanted):
        return bool(types.is_integer(given))
    if types.is_floating(wanted):
        return bool(types.is_floating(given))
    return bool(types.is_string(given) or types.is_large_string(given) or types.is_string_view(given))


def _count(column: pa.ChunkedArray) -> dict[str, int]:
    found = {row["values"]: row["counts"] for row in column.value_counts().to_pylist()}
    return {name: found[name] for name in sorted(found)}
