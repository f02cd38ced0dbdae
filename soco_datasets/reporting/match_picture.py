"""Pictures of matches: source and target side by side, each query with its prediction, valid targets and radius."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from ..benchmarks.tasks import task_title
from ..errors import UsageError
from ..metrics.pck import normalisers
from ..records.error_analysis import ALPHA, CLASSES
from ..records.predictions import read_header
from ..records.validation import boxes_array, sizes_array
from ..utils.colors import INK, MARK_INK, MUTED, PAPER
from ..utils.shapes import Drawing, Item, Label, Photo, Stroke, text_width
from .drawing import outcome_mark, target_mark
from .gallery import Analyzed, analyze
from .sheet import GAP, TEXT, TITLE, fitted, outcome_legend, sheet_of
from .style import MISS_COLOR, OUTCOME_COLORS

_HEIGHT, _WIDEST = 330.0, 520.0  # pixels of each photograph
_SMALL = 24  # with more queries marks are small and their numbers beside them

ImageLoader = Callable[[str], Image.Image]
Asked = tuple[Sequence[Sequence[float]], Sequence[float], str]  # valid targets, prediction, outcome: one query


def draw_matches(
    predictions: pa.Table, task: str, pair_ids: Sequence[str], load: ImageLoader, columns: int = 2
) -> Drawing:
    """A sheet of pairs of one task.

    In each pair the source is on the left with its query points; on the right are the valid targets (a plus and the
    circle of a hit) and the predictions. A query has one number on both sides; a dashed line joins a miss to its
    nearest target. Colors and shapes are those of the report.

    Args:
        predictions: a predictions table (see `records.predictions`).
        task: which task's rows to draw.
        pair_ids: the pairs, in drawing order.
        load: image_id -> RGB image.
        columns: pairs beside each other.

    Raises:
        UsageError: no such pair among the predictions.
    """
    panels = [draw_pair({"": predictions}, task, pair_id, load) for pair_id in pair_ids]
    name = read_header(predictions).model["name"]
    outcomes = outcomes_shown({"": predictions}, task)
    return sheet_of(panels, f"{name}, {task_title(task)}", columns, outcome_legend(ALPHA, outcomes))


def draw_models(tables: Mapping[str, pa.Table], task: str, pair_ids: Sequence[str], load: ImageLoader) -> Drawing:
    """The same pairs under several models: in each row the source and the target as each model matched it.

    Args:
        tables: name of a model, as shown -> its predictions.
        task, pair_ids, load: as of `draw_matches`.

    Raises:
        UsageError: predictions without such a pair.
    """
    panels = [draw_pair(tables, task, pair_id, load) for pair_id in pair_ids]
    return sheet_of(panels, task_title(task), 1, outcome_legend(ALPHA, outcomes_shown(tables, task)))


def draw_pair(tables: Mapping[str, pa.Table], task: str, pair_id: str, load: ImageLoader) -> Drawing:
    """One pair: the source, then the target under each model. Arguments and errors as `draw_models`."""
    rows = {name: _analyzed(table, task, pair_id) for name, table in tables.items()}
    first = next(iter(rows.values()))
    row = first.rows.slice(0, 1).to_pylist()[0]
    size = 8.5 if len(first.rows) <= _SMALL else 5.0
    photo, scale = fitted(load(row["source_image_id"]), (0.0, TITLE), _HEIGHT, _WIDEST)
    target, _ = fitted(load(row["target_image_id"]), (0.0, TITLE), _HEIGHT, _WIDEST)
    title = f"{row['source_image_id']} to {row['target_image_id']}"
    width = photo.size[0] + len(rows) * (GAP / 2 + target.size[0])
    height = TITLE + max(photo.size[1], target.size[1])
    panel = Drawing(max(width, text_width(title, TEXT) + 130), height)
    panel.add(photo)
    points = [(x * scale, TITLE + y * scale) for x, y in first.rows["source_point"].to_pylist()]
    kinds = [CLASSES[int(kind)] for kind in first.kind] if len(rows) == 1 else [""] * len(points)
    for number, (at, kind) in enumerate(zip(points, kinds, strict=True), start=1):
        panel.add(*(outcome_mark(kind, at, number, size) if kind else _query_mark(at, number, size)))
    left = photo.size[0] + GAP / 2
    for name, analyzed in rows.items():
        hits = f"{int((analyzed.kind == 0).sum())} of {len(analyzed.rows)} hits"
        head = f"{name}: {hits}" if name else hits
        panel.add(Label(head, (left + target.size[0], TITLE / 2), TEXT, INK, "end", bold=True))
        panel.paste(_target(analyzed, load(row["target_image_id"]), size), left, TITLE)
        left += target.size[0] + GAP / 2
    panel.add(Label(title, (0.0, TITLE / 2), TEXT - 1 if len(rows) == 1 else TEXT - 2, MUTED))
    return panel


def _query_mark(at: tuple[float, float], number: int, size: float) -> list[Stroke | Label]:
    """A query of several models, whose outcomes differ."""
    disc = Stroke("circle", (at,), size, fill=PAPER, stroke=MARK_INK, width=1.4)
    return [disc, Label(str(number), at, 1.3 * size, MARK_INK, "middle", bold=True)]


def _target(analyzed: Analyzed, image: Image.Image, size: float) -> Drawing:
    """The target of a pair with what one model predicted, from (0, 0)."""
    photo, scale = fitted(image, (0.0, 0.0), _HEIGHT, _WIDEST)
    table = analyzed.rows
    normalizer = read_header(table).protocol.scoring.normalizer
    length = normalisers(boxes_array(table["target_bbox"]), sizes_array(table["target_size"]), normalizer)[0]
    asked = [
        (row["target_points"], row["prediction"], CLASSES[int(kind)])
        for row, kind in zip(table.to_pylist(), analyzed.kind, strict=True)
    ]
    return draw_target(photo, scale, asked, ALPHA * float(length), size)


def draw_target(photo: Photo, scale: float, asked: Sequence[Asked], radius: float, size: float) -> Drawing:
    """The target of a pair, from (0, 0): valid targets, and what was predicted for each query.

    Args:
        photo: as `fitted` gives it.
        scale: what pixels of the image are multiplied by.
        asked: a query each; one without an outcome has no prediction, and its targets have its number.
        radius: of a hit, pixels of the image.
        size: of the marks.
    """
    panel = Drawing(*photo.size)
    panel.add(photo)
    for point in {tuple(point) for targets, _, _ in asked for point in targets}:
        panel.add(*target_mark((point[0] * scale, point[1] * scale), radius * scale, photo.size))
    marks: list[Item] = []
    for number, (targets, prediction, outcome) in enumerate(asked, start=1):
        if not outcome:
            for a, b in targets:
                marks.append(Label(str(number), (a * scale + 6, b * scale - 8), 12, INK, bold=True, halo=PAPER))
            continue
        x, y = map(float, np.clip(np.array(prediction) * scale, 0, np.array(photo.size)))
        if outcome != "hit":
            near = min(targets, key=lambda t: (t[0] * scale - x) ** 2 + (t[1] * scale - y) ** 2)
            line = ((near[0] * scale, near[1] * scale), (x, y))
            panel.add(Stroke("path", line, stroke=MARK_INK, width=3.2, dashed=True))
            panel.add(Stroke("path", line, stroke=OUTCOME_COLORS.get(outcome, MISS_COLOR), width=2.0, dashed=True))
        marks += outcome_mark(outcome, (x, y), number, size)
    panel.add(*marks)
    return panel


def draw_row(row: Mapping[str, Any], asked: Sequence[Asked], radius: float) -> Drawing:
    """A row of a pair config with any predictions, as `draw_pair` draws a pair; it has the images themselves.

    Args:
        row: with images, their ids where known, and query points.
        asked, radius: as of `draw_target`.
    """
    size = 8.5 if len(asked) <= _SMALL else 5.0
    photo, scale = fitted(row["source_image"].convert("RGB"), (0.0, TITLE), _HEIGHT, _WIDEST)
    other, target_scale = fitted(row["target_image"].convert("RGB"), (0.0, 0.0), _HEIGHT, _WIDEST)
    target = draw_target(other, target_scale, asked, radius, size)
    title = " to ".join(str(row.get(f"{side}_image_id", side)) for side in ("source", "target"))
    outcomes = [outcome for _, _, outcome in asked if outcome]
    hits = f"{outcomes.count('hit')} of {len(outcomes)} hits" if outcomes else ""
    left = photo.size[0] + GAP / 2
    panel = Drawing(max(left + target.width, text_width(title, TEXT) + 130), TITLE + max(photo.size[1], target.height))
    panel.add(photo)
    for number, ((x, y), (_, _, outcome)) in enumerate(zip(row["source_points"], asked, strict=True), start=1):
        at = (x * scale, TITLE + y * scale)
        panel.add(*(outcome_mark(outcome, at, number, size) if outcome else _query_mark(at, number, size)))
    panel.paste(target, left, TITLE)
    panel.add(Label(title, (0.0, TITLE / 2), TEXT - 1, MUTED))
    panel.add(Label(hits, (left + target.width, TITLE / 2), TEXT, INK, "end", bold=True))
    return panel


def outcomes_shown(tables: Mapping[str, pa.Table], task: str) -> list[str]:
    """The outcomes that these predictions can have: CC has no swaps, and without annotations a miss is a miss."""
    kinds = {int(kind) for table in tables.values() for kind in np.unique(analyze(table, task).kind)}
    return [CLASSES[kind] for kind in sorted(kinds)]


def pairs_to_show(predictions: pa.Table, task: str, number: int = 6) -> list[str]:
    """Pairs of a task for a first look: one per category in turn, those with most queries first."""
    rows = predictions.filter(pc.field("task") == task)
    grouped = rows.group_by(["pair_id", "pair_group"]).aggregate([("keypoint", "count")])
    by_category: dict[str, list[tuple[int, str]]] = {}
    for row in grouped.to_pylist():
        by_category.setdefault(row["pair_group"], []).append((-row["keypoint_count"], row["pair_id"]))
    queues = [sorted(pairs) for _, pairs in sorted(by_category.items())]
    chosen: list[str] = []
    while len(chosen) < number and any(queues):
        for queue in queues:
            if queue and len(chosen) < number:
                chosen.append(queue.pop(0)[1])
    return chosen


def _analyzed(predictions: pa.Table, task: str, pair_id: str) -> Analyzed:
    """The rows of one pair, in the order of their keypoints, with what became of each."""
    rows = predictions.filter((pc.field("task") == task) & (pc.field("pair_id") == pair_id))
    if not rows.num_rows:
        raise UsageError(f"The predictions hold no queries of the pair {pair_id!r} in the task {task!r}.")
    return analyze(rows, task)


def pair_sides(
    tables: Mapping[str, pa.Table], task: str, pair_id: str, load: ImageLoader
) -> list[tuple[str, str, Drawing]]:
    """One pair in pieces, for a page that places them: the source, then the target under each model.

    Args:
        tables, task, pair_id, load: as of `draw_models`.

    Returns:
        (name as given, "" for the source; hits in words; the drawing) of each.

    Raises:
        UsageError: predictions without such a pair.
    """
    rows = {name: _analyzed(table, task, pair_id) for name, table in tables.items()}
    first = next(iter(rows.values())).rows.to_pylist()
    size = 8.5 if len(first) <= _SMALL else 5.0
    photo, scale = fitted(load(first[0]["source_image_id"]), (0.0, 0.0), _HEIGHT, _WIDEST)
    source = Drawing(*photo.size)
    source.add(photo)
    for number, row in enumerate(first, start=1):
        x, y = row["source_point"]
        source.add(*_query_mark((x * scale, y * scale), number, size))
    sides = [("", "", source)]
    for name, analyzed in rows.items():
        hits = f"{int((analyzed.kind == 0).sum())} of {len(analyzed.rows)} hits"
        sides.append((name, hits, _target(analyzed, load(first[0]["target_image_id"]), size)))
    return sides


def annotated_sides(row: Mapping[str, Any], load: ImageLoader) -> list[tuple[str, str, Drawing]]:
    """The same for a row of a pair config without any predictions: query points and valid targets with their numbers.

    Args:
        row: with the ids of both images, points and valid targets.
        load: image_id -> RGB image.
    """
    queries = len(row["source_points"])
    size = 8.5 if queries <= _SMALL else 5.0
    sides = []
    for side in ("source", "target"):
        photo, scale = fitted(load(row[f"{side}_image_id"]), (0.0, 0.0), _HEIGHT, _WIDEST)
        drawing = Drawing(*photo.size)
        drawing.add(photo)
        for number in range(queries):
            points = [row["source_points"][number]] if side == "source" else row["target_points"][number]
            for x, y in points:
                at = (x * scale, y * scale)
                mark = (
                    _query_mark(at, number + 1, size) if side == "source" else outcome_mark("hit", at, number + 1, size)
                )
                drawing.add(*mark)
        sides.append(("" if side == "source" else "valid targets", "", drawing))
    return sides
