"""Whether predictions are whole, sound and of the right dataset: every fault is named, and none is scored."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..errors import PredictionsError, UsageError
from ..metrics.aggregation import PairGroups
from ..metrics.pck import normalisers
from .annotated_points import AnnotatedPoints, Images
from .header import Header, TaskExpectation

_SHOWN = 3
_HASHED = 2**16  # keys joined at a time
_UNIT, _RECORD = "\x1f", "\x1e"  # ASCII separators; names hold no control characters


def points_array(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """(N, 2) float64 from a column of points, or all points of a column of lists of points; null becomes NaN."""
    array = whole_array(column)
    while not pa.types.is_floating(array.type):
        array = array.flatten()
    return array.to_numpy(zero_copy_only=False).reshape(-1, 2)


def boxes_array(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """(N, 4) float64 from a column of boxes; a null box becomes a row of NaN."""
    array = whole_array(column)
    boxes = np.full((len(array), 4), np.nan)
    boxes[array.is_valid().to_numpy(zero_copy_only=False)] = (
        array.flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
    )
    return boxes


def sizes_array(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """(N, 2) float64 from a column of sizes."""
    return whole_array(column).flatten().to_numpy(zero_copy_only=False).astype(np.float64).reshape(-1, 2)


def whole_array(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array, without a copy where it is one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def codes(rows: pa.Table, columns: Sequence[str]) -> NDArray[np.int64]:
    """(N,) int64: rows that agree in all `columns` (of strings) have the same number, 0.. in order of appearance."""
    found = np.zeros(len(rows), dtype=np.int64)
    for name in columns:  # numbers all the way: strings joined for each row take many times the memory
        column = whole_array(rows[name]).dictionary_encode()
        both = found * len(column.dictionary) + column.indices.to_numpy(zero_copy_only=False)
        found = pa.array(both).dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def first_rows(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """(P,) the first row of each number of `codes`.

    >>> first_rows(np.array([0, 0, 1, 0, 2, 1])).tolist()
    [0, 2, 4]
    """
    return np.flatnonzero(np.diff(np.maximum.accumulate(numbers), prepend=-1))


def pair_groups(rows: pa.Table, header: Header, task: str | None = None) -> tuple[NDArray[np.int64], PairGroups]:
    """((N,) the pair of each row, 0..P-1; the P pairs as `aggregation.aggregate` takes them) of one task's rows.

    Args:
        rows: of a predictions table.
        header: of the table.
        task: whose announced numbers of pairs count; None = pairs are counted in `rows`.
    """
    pair = codes(rows, ("pair_id",))
    first = pa.array(first_rows(pair))
    category, images = (rows[name].take(first).to_pylist() for name in ("pair_group", "target_image_id"))
    return pair, PairGroups(category, images, header.tasks[task].pairs if task else None, header.supercategories)


def keys_sha256(rows: pa.Table) -> str:
    """Hex sha256 over the sorted (pair_id, keypoint) keys of one task's rows."""
    keys = pc.binary_join_element_wise(rows["pair_id"], rows["keypoint"], _UNIT)
    ordered = keys.take(pc.sort_indices(keys))
    digest = hashlib.sha256()
    for start in range(0, len(ordered), _HASHED):
        part = ordered.slice(start, _HASHED).combine_chunks()
        listed = pa.ListArray.from_arrays(pa.array([0, len(part)], pa.int32()), part)
        digest.update(_RECORD.encode() if start else b"")
        digest.update(pc.binary_join(listed, _RECORD)[0].as_buffer())
    return digest.hexdigest()


def predictions_sha256(table: pa.Table) -> str:
    """Hex sha256 of what was predicted, in the order of task, pair and keypoint, so of the rows in any order.

    Taken are predicted points and similarities, and the source and target points they are compared with, to the bit.
    """
    ranks = [_ranks(whole_array(table[name])) for name in ("keypoint", "pair_id", "task")]
    order = pa.array(np.lexsort(ranks))
    rows = table.select(["source_point", "prediction", "similarity", "target_points"]).take(order)
    digest = hashlib.sha256(pc.list_value_length(whole_array(rows["target_points"])).to_numpy().tobytes())
    for name in ("source_point", "prediction", "target_points"):
        digest.update(np.ascontiguousarray(points_array(rows[name])).data)
    digest.update(np.ascontiguousarray(whole_array(rows["similarity"]).to_numpy(zero_copy_only=False)).data)
    return digest.hexdigest()


def _ranks(names: pa.Array) -> NDArray[np.int64]:
    """(N,) int64: the place of each name among the distinct ones, sorted."""
    coded = names.dictionary_encode()
    place = np.empty(len(coded.dictionary), dtype=np.int64)
    place[pc.sort_indices(coded.dictionary).to_numpy()] = np.arange(len(place))
    return place[coded.indices.to_numpy(zero_copy_only=False)]


def check_rows(table: pa.Table, tasks: Collection[str]) -> None:
    """Check the rows of a table of `predictions.SCHEMA`: values first, then whether they fit each other.

    Raises:
        PredictionsError: naming the first rows at fault.
    """
    _check_values(table)
    doubled = codes(table, ("task", "pair_id", "keypoint"))
    _refuse(table, np.bincount(doubled)[doubled] > 1, "predicted more than once")
    known = pc.is_in(table["task"], value_set=pa.array(list(tasks), pa.string()))
    _refuse(table, ~known.to_numpy().astype(bool), f"of a task that was not evaluated ({', '.join(tasks)})")
    pair = codes(table, ("task", "pair_id"))
    first = pa.array(first_rows(pair)[pair])
    for name in ("pair_group", "pair_queries"):
        differs = pc.not_equal(table[name], table[name].take(first)).to_numpy().astype(bool)
        _refuse(table, differs, f"with another {name} than the first row of the pair")


def compare_rows(task: str, rows: pa.Table, expected: pa.Table) -> None:
    """Check that one task's rows are the dataset's queries, in any order, with equal references.

    Args:
        task: its name, for messages.
        rows: of the predictions; more columns are ignored.
        expected: `predictions.query_rows` of the dataset.

    Raises:
        PredictionsError: naming the first rows that differ.
    """
    keys = [pc.binary_join_element_wise(part["pair_id"], part["keypoint"], _UNIT) for part in (rows, expected)]
    foreign = ~pc.is_in(keys[0], value_set=keys[1]).to_numpy().astype(bool)
    _refuse(rows, foreign, "not in this dataset")
    absent = ~pc.is_in(keys[1], value_set=keys[0]).to_numpy().astype(bool)
    _refuse(expected, absent, "in this dataset but not predicted")
    ordered = rows.take(pc.sort_indices(keys[0])).combine_chunks()
    reference = expected.take(pc.sort_indices(keys[1])).combine_chunks()
    for name in reference.column_names:
        given, wanted = ordered[name].combine_chunks(), reference[name].combine_chunks()
        if given.equals(wanted):
            continue
        values = list(zip(given.to_pylist(), wanted.to_pylist(), strict=True))
        differs = np.array([got != want for got, want in values], dtype=bool)
        got, want = values[int(differs.argmax())]
        _refuse(ordered, differs, f"whose {name} ({got!r}) is not the dataset's ({want!r})")


def check_annotated(table: pa.Table, annotated: AnnotatedPoints) -> None:
    """Check that every query and valid target of a table of `predictions.SCHEMA` is annotated, and where it is.

    Raises:
        PredictionsError: naming the first rows at fault.
    """
    source, target = (annotated.image_numbers(table[f"{side}_image_id"]) for side in ("source", "target"))
    for name, number in (("source_image_id", source), ("target_image_id", target)):
        _refuse(table, number < 0, f"whose {name} has no stored annotations")
    sizes, size_of = sizes_array(table["target_size"]), np.zeros((len(annotated.image_ids), 2))
    size_of[target] = sizes
    resized = _differ(size_of.take(target, axis=0), sizes)
    _refuse(table, resized, "whose target_size is not that of the image's other rows")
    asked = annotated.find(source, table["keypoint"])
    _refuse(table, asked < 0, "whose keypoint is not annotated in the source image")
    moved = _differ(annotated.points.take(asked, axis=0), points_array(table["source_point"]))
    _refuse(table, moved, "whose source_point is not where its keypoint is annotated")
    owner, found = target_numbers(table, annotated, target)
    moved = _differ(annotated.points.take(found, axis=0), points_array(table["target_points"]))
    for fault, what in (
        (found < 0, "with a target keypoint that is not annotated in the target image"),
        (moved, "with a target point that is not where its keypoint is annotated"),
    ):
        bad = np.zeros(len(table), dtype=bool)
        bad[owner[fault]] = True
        _refuse(table, bad, what)


def target_numbers(
    rows: pa.Table, annotated: AnnotatedPoints, target: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """((T,) row, (T,) annotated point, -1 where there is none) of every valid target of some rows, row after row.

    `target` is (N,) `annotated.image_numbers` of the rows' target images.
    """
    targets = whole_array(rows["target_keypoints"])
    owner = np.repeat(np.arange(len(rows)), pc.list_value_length(targets).to_numpy(zero_copy_only=False))
    return owner, annotated.find(target[owner], targets.flatten())


def compare_images(stored: Images, wanted: Images) -> None:
    """Check that stored annotations are those of the dataset.

    Args:
        stored: `predictions.read_images`.
        wanted: `predictions_images.image_annotations` of the dataset; may hold more images.

    Raises:
        PredictionsError: naming the first images that differ, and in what.
    """
    differ = [
        f"image {name} ({'not in it' if name not in wanted else _differences(image, wanted[name])})"
        for name, image in stored.items()
        if name not in wanted or image != wanted[name]
    ]
    if differ:
        more = f" and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
        raise PredictionsError(
            f"the stored annotations of {len(differ)} image(s) are not the dataset's: "
            f"{', '.join(differ[:_SHOWN])}{more}. Evaluate again on this dataset"
        )


def _differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    return "other " + ", ".join(name for name in stored if stored[name] != wanted[name])


def _check_values(table: pa.Table) -> None:
    for field in table.schema:
        if not field.nullable and table[field.name].null_count:
            _refuse(table, table[field.name].is_null().to_numpy().astype(bool), f"without {field.name}")
    for name in ("prediction", "source_point"):
        _refuse(table, _not_finite(table[name]), f"whose {name} is not finite")
    number = pc.list_value_length(table["target_points"]).to_numpy()
    named = pc.list_value_length(table["target_keypoints"]).to_numpy()
    _refuse(table, (number < 1) | (number != named), "without one point for each of at least one target keypoint")
    owner = np.repeat(np.arange(len(table)), number)
    for name in ("target_points", "target_keypoints"):  # a null among them would be dropped, and shift all that follow
        holes = whole_array(table[name]).flatten().is_null().to_numpy(zero_copy_only=False)
        _refuse(table, np.bincount(owner[holes], minlength=len(table)) > 0, f"with a null among its {name}")
    bad = np.zeros(len(table), dtype=bool)
    bad[owner[_not_finite(table["target_points"])]] = True
    _refuse(table, bad, "with a target point that is not finite")
    try:
        normalisers(boxes_array(table["target_bbox"]), sizes_array(table["target_size"]))
    except UsageError as error:
        raise PredictionsError(str(error)) from None


def _not_finite(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    x, y = np.isfinite(points_array(column)).T
    return np.asarray(~(x & y))


def _differ(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether two (N, 2) arrays differ in a row."""
    x, y = (one != other).T
    return np.asarray(x | y)


def check_complete(task: str, rows: pa.Table, expected: TaskExpectation) -> None:
    """Check that one task's rows are all that the header says they must be.

    Raises:
        PredictionsError: naming what is missing or foreign.
    """
    wanted, present = sum(expected.keypoints.values()), len(rows)
    found = {row["values"]: row["counts"] for row in rows["pair_group"].value_counts().to_pylist()}
    foreign = sorted(name for name, number in found.items() if number > expected.keypoints.get(name, 0))
    if foreign:
        name = foreign[0]
        raise PredictionsError(
            f"task {task!r}: category {name!r} has {found[name]} predictions, {expected.keypoints.get(name, 0)} were "
            "evaluated; some rows are of other pairs. Evaluate again, or give the file as it was written"
        )
    if present < wanted:
        raise PredictionsError(
            f"task {task!r}: {wanted - present} of {wanted} predictions are missing: "
            f"{_missing(rows, found, expected)}. Evaluate again, or give the file as it was written"
        )
    if keys_sha256(rows) != expected.keys_sha256:
        raise PredictionsError(
            f"task {task!r}: there are {present} predictions as there should be, but some are of other pairs or "
            "keypoints than those evaluated. Evaluate again, or give the file as it was written"
        )


def _missing(rows: pa.Table, found: Mapping[str, int], expected: TaskExpectation) -> str:
    """Which predictions are missing: by pair where a row of the pair is left, by category otherwise."""
    pair = codes(rows, ("pair_id",))
    numbers, first = np.bincount(pair), first_rows(pair)
    due = rows["pair_queries"].to_numpy()[first]
    short = np.flatnonzero(numbers < due)
    told = [
        f"pair {rows['pair_id'][int(first[index])]} has {numbers[index]} of {due[index]}" for index in short[:_SHOWN]
    ]
    told += [f"{len(short) - _SHOWN} more pairs"] if len(short) > _SHOWN else []
    gaps = [(name, found.get(name, 0), due) for name, due in expected.keypoints.items() if found.get(name, 0) < due]
    told += [f"category {name} has {number} of {due}" for name, number, due in gaps[:_SHOWN]]
    told += [f"{len(gaps) - _SHOWN} more categories"] if len(gaps) > _SHOWN else []
    return ", ".join(told)


def _refuse(table: pa.Table, bad: NDArray[np.bool_], what: str) -> None:
    """Raise naming the first rows where `bad` is set, if any."""
    if not bad.any():
        return
    found = np.flatnonzero(bad)
    shown: list[Any] = [
        f"row {row} (task {table['task'][row]}, pair {table['pair_id'][row]}, keypoint {table['keypoint'][row]})"
        for row in found[:_SHOWN].tolist()
    ]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise PredictionsError(f"{len(found)} row(s) {what}: {', '.join(shown)}{more}")
