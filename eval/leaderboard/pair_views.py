"""Pairs of a dataset folder with the matches of one model or two, as markup. No gradio here."""

from __future__ import annotations

import functools
import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soco_datasets.benchmarks.resolve import MINI, resolve_data
from soco_datasets.benchmarks.task_pairs import task_pairs
from soco_datasets.benchmarks.tasks import TASKS, get_tasks
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.errors import SocoError
from soco_datasets.records.error_analysis import ALPHA
from soco_datasets.records.evaluation import EvaluationResult
from soco_datasets.records.predictions import read_header, read_predictions
from soco_datasets.reporting.drawing import to_svg
from soco_datasets.reporting.match_picture import annotated_sides, outcomes_shown, pair_sides
from soco_datasets.reporting.sheet import outcome_legend
from soco_datasets.utils.shapes import Drawing
from soco_datasets.utils.text import clean

if TYPE_CHECKING:
    import pyarrow as pa

RESULTS_VARIABLE, DATA_VARIABLE = "SOCO_LEADERBOARD_RESULTS", "SOCO_LEADERBOARD_DATA"
ANNOTATION, NOBODY = "annotation only", "none"
_KEY = 24  # pixels of a mark in the legend


class Pairs:
    """The pairs of a dataset folder, with the predictions of the results beside it.

    Attributes:
        predictions: name of a result as shown -> its file.
        tasks: names of the tasks that can be shown.
    """

    def __init__(self, folder: DatasetFolder, results: Path | None) -> None:
        self.folder = folder
        self.predictions = dict(_predictions_of(folder, results))
        self.tasks = [
            name for name, task in TASKS.items() if task.matcher == "argmax" and task.config in folder.configs
        ]

    @functools.lru_cache(maxsize=8)  # noqa: B019  (one object for the life of the page)
    def pairs(self, task: str) -> pa.Table:
        """The rows of a task."""
        return task_pairs(self.folder, get_tasks([task])[0])

    def categories(self, task: str) -> list[str]:
        """The categories that pairs of a task are averaged in."""
        return sorted(set(self.pairs(task)["pair_group"].to_pylist()))

    def numbers(self, task: str, category: str) -> list[int]:
        """The rows of the pairs of a category that ask for something."""
        groups, queries = self.pairs(task)["pair_group"].to_pylist(), self.pairs(task)["keypoints"].to_pylist()
        return [
            row for row, (group, asked) in enumerate(zip(groups, queries, strict=True)) if group == category and asked
        ]

    def step(self, task: str, category: str, place: float | None, by: int) -> int:
        """The number of the next (`by` = 1) or previous pair, the first after the last."""
        number = len(self.numbers(task, category)) or 1
        return (int(place or 1) - 1 + by) % number + 1

    def draw(self, task: str, category: str, place: float | None, results: Sequence[str]) -> tuple[str, str]:
        """(picture as markup, what it is in words) of a pair at a place (None = 1) among those of a category.

        The source stands once, then the target as each of the results matched it, with the legend above. Results
        without this task are left out; without any, the annotation alone is shown.
        """
        rows = self.numbers(task, category)
        if not rows:
            return "", "no pair of this category"
        number = int(min(max(place or 1, 1), len(rows)))
        row: dict[str, Any] = self.pairs(task).slice(rows[number - 1], 1).to_pylist()[0]
        tables = {name: table for name in dict.fromkeys(results) if (table := self._table(name, task)) is not None}
        load = self.folder.images.decode
        try:
            sides = pair_sides(tables, task, row["pair_id"], load) if tables else annotated_sides(row, load)
        except SocoError:  # predictions of a part of the pairs
            tables, sides = {}, annotated_sides(row, load)
        shown = outcomes_shown(tables, task) if tables else ["hit"]
        markup = (
            f'<div class="soco-pair">{_legend(shown, bool(tables))}<div class="sides">{_sides(sides, row)}</div></div>'
        )
        told = f"pair {number} of {len(rows)}: {clean(row['source_image_id'])} to {clean(row['target_image_id'])}"
        asked = ", ".join(f"{query} {clean(name)}" for query, name in enumerate(row["keypoints"], start=1))
        return markup, f"{told}\n{asked}"

    def _table(self, result: str, task: str) -> pa.Table | None:
        path = self.predictions.get(result)
        if path is None:
            return None
        table = _predictions(path)
        return table if task in read_header(table).tasks else None


def _sides(sides: Sequence[tuple[str, str, Drawing]], row: dict[str, Any]) -> str:
    figures = []
    for place, (name, hits, drawing) in enumerate(sides):
        image = row["source_image_id" if place == 0 else "target_image_id"]
        title = "source" if place == 0 else name
        caption = (
            f"<b>{html.escape(clean(title))}</b> {html.escape(hits)}<br><small>{html.escape(clean(image))}</small>"
        )
        described = html.escape(f"{clean(title)} {hits}: {clean(image)}", quote=True)
        svg = to_svg(drawing).replace("<svg ", f'<svg role="img" aria-label="{described}" ', 1)
        style = f"flex: {drawing.width} 1 {round(0.7 * drawing.width)}px"  # the same height for all
        figures.append(f'<figure style="{style}"><figcaption>{caption}</figcaption>{svg}</figure>')
    return "".join(figures)


def _legend(outcomes: Sequence[str], matched: bool) -> str:
    entries = []
    for mark, meaning in outcome_legend(ALPHA, outcomes):
        if not matched and "radius" in meaning:
            continue
        key = Drawing(_KEY, _KEY)
        drawn = Drawing(0, 0)
        drawn.add(*mark)
        key.paste(drawn, _KEY / 2, _KEY / 2)
        svg = to_svg(key).replace('<rect width="24" height="24" fill="#ffffff"/>', "")
        text = meaning if matched else "valid target, with the number of its query"
        entries.append(f"<li>{svg}<span>{html.escape(text)}</span></li>")
    return f'<ul class="key">{"".join(entries)}</ul>'


@functools.lru_cache(maxsize=4)
def _predictions(path: Path) -> pa.Table:
    return read_predictions(path)


def _predictions_of(folder: DatasetFolder, results: Path | None) -> list[tuple[str, Path]]:
    """(model, predictions file) of the results of this very data."""
    found = []
    for record in sorted(results.glob("*.json")) if results else []:
        path = Path(EvaluationResult.data_beside(record.as_posix()))
        try:
            header = read_header(read_predictions(path))
        except SocoError:
            continue
        if header.dataset["content_hash"] == folder.content_hash:
            found.append((f"{clean(header.model['name'])} ({record.name})", path))
    return found


def open_pairs() -> Pairs:
    """The pairs of the data and results that the environment names. Raises `SocoError` where there is no such data."""
    results = os.environ.get(RESULTS_VARIABLE)
    folder = open_folder(resolve_data(os.environ.get(DATA_VARIABLE) or MINI))
    return Pairs(folder, Path(results) if results else None)
