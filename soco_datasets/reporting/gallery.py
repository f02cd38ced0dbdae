"""Which pairs a report shows of a model, and what to draw on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from ..metrics.pck import normalisers
from ..records.annotated_points import AnnotatedPoints
from ..records.error_analysis import (
    ALPHA,
    CLASSES,
    HIT,
    SWAP,
    classify,
)
from ..records.predictions import read_annotated_images, read_header, task_rows
from ..records.scores import row_errors
from ..records.validation import boxes_array, codes, sizes_array
from ..utils.text import clean
from .photographs import Photographs
from .style import OUTCOME_TITLES

GALLERY_KINDS = {
    "best": "highest share of hits",
    "typical": "nearest to the median",
    "worst": "lowest share of hits",
    "swaps": "most predictions on another instance of the concept",
}
_FEWEST = 3  # queries a pair needs to say something

ImageLoader = Callable[[str], Image.Image]


@dataclass(frozen=True)
class Mark:
    """One query of a drawn pair, in pixels of the pictures as shown.

    Attributes:
        number: stands at the query point and at the prediction.
        outcome: of `anatomy.CLASSES`.
        source, prediction: points; a prediction outside the image (in its padding) is drawn at the border.
        targets: the valid targets; the first is the nearest to the prediction.
        tip: what it is, in words.
    """

    number: int
    outcome: str
    source: tuple[float, float]
    prediction: tuple[float, float]
    targets: tuple[tuple[float, float], ...]
    tip: str


@dataclass(frozen=True)
class Picture:
    """One pair as a report draws it. `source` and `target` are keys of the photographs."""

    source: str
    target: str
    source_size: tuple[int, int]
    target_size: tuple[int, int]
    title: str
    hits: int
    queries: int
    radius: float
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Analysed:
    """The rows of one task with the outcome of each."""

    rows: pa.Table
    kind: NDArray[np.int64]
    error: NDArray[np.float32]


def analyse(table: pa.Table, task: str) -> Analysed:
    """The outcome of every prediction of a task; without annotations in the table, hits and the rest only.

    Args:
        table: a checked predictions table.
        task: one of its tasks.
    """
    rows = task_rows(table, task).combine_chunks()
    images = read_annotated_images(table)
    if images is not None:
        verdicts = classify(rows, AnnotatedPoints.of(images))
        return Analysed(rows, verdicts.kind, verdicts.error)
    errors = row_errors(rows)
    return Analysed(rows, np.where(errors < np.float32(ALPHA), HIT, CLASSES.index("background")), errors)


def choose_pairs(analysed: Analysed, number: int = 4) -> dict[str, list[str]]:
    """Pairs of each of `GALLERY_KINDS`, no pair twice and, while they last, each of another category.

    Args:
        analysed: of one task.
        number: pairs of a kind.

    Returns:
        kind -> pair ids; a kind that nothing fits is left out.
    """
    rows = analysed.rows
    if not len(rows):
        return {}
    pair = codes(rows, ("pair_id",))
    first = np.unique(pair, return_index=True)[1]
    ids = rows["pair_id"].take(pa.array(first)).to_pylist()
    groups = rows["pair_group"].take(pa.array(first)).to_pylist()
    queries = np.bincount(pair)
    share = np.bincount(pair, weights=analysed.kind == HIT) / queries
    error = np.bincount(pair, weights=np.minimum(analysed.error, 1.0)) / queries
    swaps = np.bincount(pair, weights=analysed.kind == SWAP)
    telling = queries >= min(_FEWEST, int(queries.max()))
    orders = {
        "best": np.lexsort((error, -queries, -share)),
        "worst": np.lexsort((-error, share)),
        "swaps": np.lexsort((error, -swaps / queries, -swaps)),
        "typical": np.lexsort((abs(error - np.median(error)), abs(share - np.median(share)))),
    }
    taken: set[int] = set()
    chosen: dict[str, list[str]] = {}
    for kind, order in orders.items():
        fit = [i for i in order.tolist() if telling[i] and (kind != "swaps" or swaps[i] > 0)]
        picked = _spread(fit, groups, number, taken)
        taken.update(picked)
        if picked:
            chosen[kind] = [ids[i] for i in picked]
    return {kind: chosen[kind] for kind in GALLERY_KINDS if kind in chosen}


def _spread(order: Sequence[int], groups: Sequence[str], number: int, taken: set[int]) -> list[int]:
    """The first `number` that are not taken, one of each group before a second of any."""
    picked: list[int] = []
    free = [i for i in order if i not in taken]
    while len(picked) < number and free:
        seen: set[str] = set()
        later = []
        for i in free:
            if groups[i] in seen or len(picked) >= number:
                later.append(i)
            else:
                seen.add(groups[i])
                picked.append(i)
        free = later
    return picked


def draw_gallery_pairs(analysed: Analysed, pair_ids: Sequence[str], photographs: Photographs) -> Iterator[Picture]:
    """The pictures of some pairs, in their order."""
    where: dict[str, list[int]] = {pair_id: [] for pair_id in pair_ids}
    for row, pair_id in enumerate(analysed.rows["pair_id"].to_pylist()):
        if pair_id in where:
            where[pair_id].append(row)
    for pair_id in pair_ids:
        yield _picture(analysed, where[pair_id], photographs)


def _picture(analysed: Analysed, numbers: Sequence[int], photographs: Photographs) -> Picture:
    table = analysed.rows.take(pa.array(numbers))
    rows = table.to_pylist()
    source, target = (photographs.add(rows[0][f"{side}_image_id"]) for side in ("source", "target"))
    protocol = read_header(analysed.rows).protocol
    length = normalisers(
        boxes_array(table["target_bbox"]), sizes_array(table["target_size"]), protocol.scoring.normalizer
    )[0]
    marks = []
    for number, (place, row) in enumerate(zip(numbers, rows, strict=True), start=1):
        prediction = row["prediction"]
        targets = sorted(row["target_points"], key=lambda t: (t[0] - prediction[0]) ** 2 + (t[1] - prediction[1]) ** 2)
        outside = "" if target.within(prediction) == target.shown(prediction) else ", outside the image"
        outcome, error = CLASSES[int(analysed.kind[place])], float(analysed.error[place])
        marks.append(
            Mark(
                number,
                outcome,
                source.shown(row["source_point"]),
                target.within(prediction),
                tuple(target.shown(point) for point in targets),
                f"{number}. {clean(row['keypoint'])}: {OUTCOME_TITLES[outcome]}, error {error:.2f}{outside}",
            )
        )
    return Picture(
        source=source.key,
        target=target.key,
        source_size=source.size,
        target_size=target.size,
        title=f"{clean(rows[0]['source_image_id'])} → {clean(rows[0]['target_image_id'])}",
        hits=sum(mark.outcome == "hit" for mark in marks),
        queries=len(marks),
        radius=round(ALPHA * float(length) * target.scale, 1),
        marks=tuple(marks),
    )


def galleries(
    table: pa.Table, tasks: Sequence[str], photographs: Photographs, number: int
) -> dict[str, dict[str, list[Picture]]]:
    """task -> kind -> pictures of one model, for those of the tasks that the predictions have."""
    present: Mapping[str, object] = read_header(table).tasks
    shown = {}
    for task in tasks:
        if task in present:
            analysed = analyse(table, task)
            kinds = choose_pairs(analysed, number)
            shown[task] = {kind: list(draw_gallery_pairs(analysed, ids, photographs)) for kind, ids in kinds.items()}
    return {task: kinds for task, kinds in shown.items() if kinds}
