"""Which pairs a report shows, and what to draw on them: each pair under every model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from .photographs import Photograph, Photographs
from .style import OUTCOME_TITLES

GALLERY_KINDS = {
    "disagreement": "largest difference in hits between models",
    "best": "highest share of hits",
    "typical": "nearest to the median",
    "worst": "lowest share of hits",
    "swaps": "most predictions on another instance of the concept",
}
_FEWEST = 3  # queries a pair needs to say something

ImageLoader = Callable[[str], Image.Image]


@dataclass(frozen=True)
class Query:
    """One query of a drawn pair, in pixels of the photographs as shown.

    Attributes:
        number: stands at the query point and at every prediction.
        keypoint: its name.
        source: the query point.
        targets: the valid targets.
    """

    number: int
    keypoint: str
    source: tuple[float, float]
    targets: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Mark:
    """What one model predicted for a query.

    Attributes:
        outcome: of `error_analysis.CLASSES`.
        prediction: a point; one outside the image (in its padding) is drawn at the border.
        nearest: the valid target nearest to it.
        error: as PCK has it.
        tip: what it is, in words.
    """

    number: int
    outcome: str
    prediction: tuple[float, float]
    nearest: tuple[float, float]
    error: float
    tip: str


@dataclass(frozen=True)
class ModelView:
    """The target of a pair under one model: number of the result, hits, a mark per query."""

    model: int
    hits: int
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Picture:
    """One pair as a report draws it. `source` and `target` are keys of the photographs."""

    source: str
    target: str
    source_size: tuple[int, int]
    target_size: tuple[int, int]
    title: str
    category: str
    radius: float
    queries: tuple[Query, ...]
    views: tuple[ModelView, ...]

    def outcomes(self) -> list[str]:
        """The outcomes that occur under any model."""
        return [kind for kind in CLASSES if any(mark.outcome == kind for view in self.views for mark in view.marks)]


@dataclass(frozen=True)
class Analyzed:
    """The rows of one task with the outcome of each."""

    rows: pa.Table
    kind: NDArray[np.int64]
    error: NDArray[np.float32]


def analyze(table: pa.Table, task: str) -> Analyzed:
    """The outcome of every prediction of a task; without annotations in the table, hits and the rest only.

    Args:
        table: a checked predictions table.
        task: one of its tasks.
    """
    rows = task_rows(table, task).combine_chunks()
    images = read_annotated_images(table)
    if images is not None:
        verdicts = classify(rows, AnnotatedPoints.of(images))
        return Analyzed(rows, verdicts.kind, verdicts.error)
    errors = row_errors(rows)
    return Analyzed(rows, np.where(errors < np.float32(ALPHA), HIT, CLASSES.index("background")), errors)


def choose_pairs(analyzed: Sequence[Analyzed], number: int = 4) -> dict[str, list[str]]:
    """Pairs of each of `GALLERY_KINDS`, no pair twice and, while they last, each of another category.

    Hits, errors and swaps are means over the models; "disagreement" needs two or more.

    Args:
        analyzed: of one task, one per model.
        number: pairs of a kind.

    Returns:
        kind -> pair ids; a kind that nothing fits is left out.
    """
    if not all(len(one.rows) for one in analyzed):
        return {}
    sides = [_by_pair(one) for one in analyzed]
    ids = [pair_id for pair_id in sides[0] if all(pair_id in side for side in sides)]
    if not ids:
        return {}
    groups = [sides[0][pair_id].group for pair_id in ids]
    queries = np.array([sides[0][pair_id].queries for pair_id in ids])
    shares = np.array([[side[pair_id].share for pair_id in ids] for side in sides])
    share, apart = shares.mean(axis=0), shares.max(axis=0) - shares.min(axis=0)
    error = np.array([[side[pair_id].error for pair_id in ids] for side in sides]).mean(axis=0)
    swaps = np.array([[side[pair_id].swaps for pair_id in ids] for side in sides]).mean(axis=0)
    telling = queries >= min(_FEWEST, int(queries.max()))
    orders = {
        "disagreement": np.lexsort((-queries, -apart)),
        "best": np.lexsort((error, -queries, -share)),
        "worst": np.lexsort((-error, share)),
        "swaps": np.lexsort((error, -swaps / queries, -swaps)),
        "typical": np.lexsort((abs(error - np.median(error)), abs(share - np.median(share)))),
    }
    shown = {"swaps": swaps > 0, "disagreement": apart > 0}
    taken: set[int] = set()
    chosen: dict[str, list[str]] = {}
    for kind, order in orders.items():
        fit = [i for i in order.tolist() if telling[i] and (kind not in shown or shown[kind][i])]
        picked = _spread(fit, groups, number, taken)
        taken.update(picked)
        if picked:
            chosen[kind] = [ids[i] for i in picked]
    return {kind: chosen[kind] for kind in GALLERY_KINDS if kind in chosen}


@dataclass(frozen=True)
class _PairScore:
    """One pair under one model."""

    group: str
    queries: int
    share: float
    error: float
    swaps: float


def _by_pair(analyzed: Analyzed) -> dict[str, _PairScore]:
    rows = analyzed.rows
    pair = codes(rows, ("pair_id",))
    first = pa.array(np.unique(pair, return_index=True)[1])
    queries = np.bincount(pair)
    numbers = (
        np.bincount(pair, weights=analyzed.kind == HIT) / queries,
        np.bincount(pair, weights=np.minimum(analyzed.error, 1.0)) / queries,
        np.bincount(pair, weights=analyzed.kind == SWAP),
    )
    names = (rows[name].take(first).to_pylist() for name in ("pair_id", "pair_group"))
    values = zip(*names, queries.tolist(), *(column.tolist() for column in numbers), strict=True)
    return {pair_id: _PairScore(*rest) for pair_id, *rest in values}


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


def draw_gallery_pairs(
    analyzed: Mapping[int, Analyzed], pair_ids: Sequence[str], photographs: Photographs
) -> list[Picture]:
    """The pictures of some pairs, in their order.

    Args:
        analyzed: number of a result -> its rows of one task.
        pair_ids: which pairs; every result has them.
        photographs: collects the images.
    """
    wanted = set(pair_ids)
    places: dict[int, dict[str, list[int]]] = {}
    for model, one in analyzed.items():
        places[model] = {}
        for row, pair_id in enumerate(one.rows["pair_id"].to_pylist()):
            if pair_id in wanted:
                places[model].setdefault(pair_id, []).append(row)
    return [
        _picture({model: (one, places[model][pair_id]) for model, one in analyzed.items()}, photographs)
        for pair_id in pair_ids
    ]


def _picture(sides: Mapping[int, tuple[Analyzed, list[int]]], photographs: Photographs) -> Picture:
    first, numbers = next(iter(sides.values()))
    table = first.rows.take(pa.array(numbers))
    rows = table.to_pylist()
    source, target = (photographs.add(rows[0][f"{side}_image_id"]) for side in ("source", "target"))
    normalizer = read_header(first.rows).protocol.scoring.normalizer
    length = normalisers(boxes_array(table["target_bbox"]), sizes_array(table["target_size"]), normalizer)[0]
    order = {row["keypoint"]: number for number, row in enumerate(rows, start=1)}
    views = []
    for model, (one, places) in sides.items():
        marks = sorted(_marks(one, places, order, target), key=lambda mark: mark.number)
        views.append(ModelView(model, sum(mark.outcome == "hit" for mark in marks), tuple(marks)))
    queries = (
        Query(
            number,
            clean(row["keypoint"]),
            source.shown(row["source_point"]),
            tuple(target.shown(point) for point in row["target_points"]),
        )
        for number, row in enumerate(rows, start=1)
    )
    return Picture(
        source=source.key,
        target=target.key,
        source_size=source.size,
        target_size=target.size,
        title=f"{clean(rows[0]['source_image_id'])} → {clean(rows[0]['target_image_id'])}",
        category=clean(rows[0]["pair_group"]),
        radius=round(ALPHA * float(length) * target.scale, 1),
        queries=tuple(queries),
        views=tuple(views),
    )


def _marks(analyzed: Analyzed, places: Sequence[int], order: Mapping[str, int], target: Photograph) -> list[Mark]:
    """The predictions of one model for one pair."""
    marks = []
    for place, row in zip(places, analyzed.rows.take(pa.array(places)).to_pylist(), strict=True):
        point = row["prediction"]
        near = min(row["target_points"], key=lambda t: (t[0] - point[0]) ** 2 + (t[1] - point[1]) ** 2)
        outcome, error = CLASSES[int(analyzed.kind[place])], float(analyzed.error[place])
        outside = "" if target.within(point) == target.shown(point) else ", outside the image"
        number = order[row["keypoint"]]
        tip = f"{number}. {clean(row['keypoint'])}: {OUTCOME_TITLES[outcome]}, error {error:.2f}{outside}"
        marks.append(Mark(number, outcome, target.within(point), target.shown(near), error, tip))
    return marks


def galleries(
    tables: Mapping[int, pa.Table], tasks: Sequence[str], photographs: Photographs, number: int
) -> dict[str, dict[str, list[Picture]]]:
    """task -> kind -> pictures, for those of the tasks that the predictions have; each pair under every model.

    Args:
        tables: number of a result -> its checked predictions.
        tasks: which tasks.
        photographs: collects the images.
        number: pairs of a kind.
    """
    shown = {}
    for task in tasks:
        analyzed = {model: analyze(table, task) for model, table in tables.items() if task in read_header(table).tasks}
        if analyzed:
            kinds = choose_pairs(list(analyzed.values()), number)
            shown[task] = {kind: draw_gallery_pairs(analyzed, ids, photographs) for kind, ids in kinds.items()}
    return {task: kinds for task, kinds in shown.items() if kinds}
