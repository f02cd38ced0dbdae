"""A picture of matches: source and target side by side, each query with its prediction, valid targets and radius."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, ImageDraw

from ..errors import UsageError
from ..metrics.pck import bbox_normaliser
from ..records.scores import row_errors
from .sheet import (
    BAR,
    GAP,
    INK,
    PAPER,
    font,
    sheet_of,
)

HIT, MISS, TARGET = (22, 145, 70), (208, 50, 45), (30, 95, 200)
_PANEL = 300  # pixels of the longer side of each image

ImageLoader = Callable[[str], Image.Image]


def draw_matches(
    predictions: pa.Table, task: str, pair_ids: Sequence[str], load: ImageLoader, alpha: float = 0.1, columns: int = 2
) -> Image.Image:
    """A sheet of pairs of one task.

    In each pair the source is on the left with its query points; on the right stand the valid targets (blue rings of
    radius alpha times the normaliser) and the predictions, joined to their query by a line: green for a hit, red for a
    miss.

    Args:
        predictions: a predictions table (see `records.predictions`).
        task: which task's rows to draw.
        pair_ids: the pairs, in drawing order.
        load: image_id -> RGB image.
        alpha: the threshold that decides hits.
        columns: pairs beside each other.

    Returns:
        An RGB image.

    Raises:
        UsageError: no such pair among the predictions.
    """
    panels = [_draw_pair(_rows_of(predictions, task, pair_id), load, alpha) for pair_id in pair_ids]
    caption = f"{task}: green = hit, red = miss at alpha {alpha:g}; blue = valid target and its radius"
    return sheet_of(panels, caption, columns)


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


def _rows_of(predictions: pa.Table, task: str, pair_id: str) -> pa.Table:
    rows = predictions.filter((pc.field("task") == task) & (pc.field("pair_id") == pair_id))
    if not rows.num_rows:
        raise UsageError(f"The predictions hold no queries of the pair {pair_id!r} in the task {task!r}.")
    return rows


def _draw_pair(table: pa.Table, load: ImageLoader, alpha: float) -> Image.Image:
    rows: list[dict[str, Any]] = table.to_pylist()
    hits = row_errors(table) < alpha
    source, target = load(rows[0]["source_image_id"]), load(rows[0]["target_image_id"])
    scales = [_PANEL / max(image.size) for image in (source, target)]
    small = [
        image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
        for image, scale in zip((source, target), scales, strict=True)
    ]
    left = small[0].width + GAP
    panel = Image.new("RGB", (2 * _PANEL + GAP, max(image.height for image in small) + BAR), PAPER)
    panel.paste(small[0], (0, BAR))
    panel.paste(small[1], (left, BAR))
    pen = ImageDraw.Draw(panel, "RGBA")
    title = f"{rows[0]['source_image_id']}  to  {rows[0]['target_image_id']}   {int(hits.sum())} of {len(rows)}"
    pen.text((0, 4), title, fill=INK, font=font(13))
    radius = alpha * bbox_normaliser(rows[0]["target_bbox"], rows[0]["target_size"]) * scales[1]
    for row in rows:
        for x, y in row["target_points"]:
            _ring(pen, left + x * scales[1], BAR + y * scales[1], radius, TARGET)
    for row, hit in zip(rows, hits, strict=True):
        color = HIT if hit else MISS
        start = (row["source_point"][0] * scales[0], BAR + row["source_point"][1] * scales[0])
        end = (left + row["prediction"][0] * scales[1], BAR + row["prediction"][1] * scales[1])
        pen.line((*start, *end), fill=(*color, 150), width=2)
        _dot(pen, *start, color)
        _dot(pen, *end, color)
    return panel


def _ring(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, color: tuple[int, int, int]) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=(*color, 200), width=1)
    pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(*color, 255))


def _dot(pen: ImageDraw.ImageDraw, x: float, y: float, color: tuple[int, int, int]) -> None:
    pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=(*color, 255), outline=(255, 255, 255, 255), width=1)
