"""What the page shows, as rows, text and pictures. No gradio here."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soco_datasets.benchmarks.resolve import MINI, resolve_data
from soco_datasets.benchmarks.task_pairs import task_pairs
from soco_datasets.benchmarks.tasks import TASKS, get_tasks
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.errors import SocoError
from soco_datasets.hub.drop_chart import DROP_TASKS, plot_entry_drops
from soco_datasets.hub.hosted_leaderboard import BOARD_VARIABLE
from soco_datasets.hub.leaderboard import Collected, standings, table_rows, tasks_in
from soco_datasets.hub.sources import collect
from soco_datasets.records.evaluation import EvaluationResult
from soco_datasets.records.predictions import read_header, read_predictions, task_rows
from soco_datasets.records.ranking import OVERALL
from soco_datasets.records.registry import record_type_of_task
from soco_datasets.reporting.pair_plot import plot_pair
from soco_datasets.utils.text import clean

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image

RESULTS_VARIABLE, DATA_VARIABLE = "SOCO_LEADERBOARD_RESULTS", "SOCO_LEADERBOARD_DATA"
ANNOTATION = "annotation only"
_WIDTH = 11.0  # inches of a drawn pair
_PATIENCE = 60.0  # seconds between two readings of the Hub


def load() -> Collected:
    """The entries of every source that can be reached; what cannot is among the remarks."""
    repo, local = os.environ.get(BOARD_VARIABLE) or None, os.environ.get(RESULTS_VARIABLE) or None
    told: list[str] = []
    for sources in ({"dataset_repo": repo, "local": local}, {"local": local}, {}):
        try:
            found = collect(**sources)
            return Collected(found.entries, (*told, *found.remarks))
        except SocoError as error:
            told.append(str(error))
    raise AssertionError("the paper's models are always there")


class Board:
    """The entries as they were last read."""

    def __init__(self) -> None:
        self.collected = load()
        self._read = time.monotonic()

    def refresh(self) -> None:
        """Read them again, at most once in `_PATIENCE` seconds."""
        if time.monotonic() - self._read > _PATIENCE:
            self.collected, self._read = load(), time.monotonic()


def ranking(
    collected: Collected, task: str, supercategory: str, sources: Sequence[str], search: str
) -> tuple[list[str], list[list[Any]]]:
    """(headings, rows) of the table, with the tasks of the same kind of record as the one it is ranked by.

    Ranks are those among all the sources chosen, not among what is searched for.
    """
    of_sources = [entry for entry in collected.entries if entry.source in sources]
    alike = [name for name in tasks_in(collected.entries) if name in record_type_of_task(task).tasks]
    heading, *rows = table_rows(of_sources, alike, sort=task, supercategory=supercategory)
    kept = [row for row in rows if search.strip().casefold() in row[1].casefold()]
    return heading, [[_number(cell) if place != 1 else cell for place, cell in enumerate(row)] for row in kept]


def as_table(heading: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The value of a gradio table: numbers, so that columns sort by value, each shown with its two decimals."""
    shown = [[f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    return {"headers": list(heading), "data": list(rows), "metadata": {"display_value": shown}}


def details(collected: Collected, model: str) -> str:
    """What is known of the entries of one model, as plain text."""
    found = [entry for entry in collected.entries if clean(entry.model) == model]
    return "\n\n".join(
        f"{clean(entry.model)} ({entry.source}, {entry.status})\n"
        + "\n".join(clean(part) for part in (entry.date, entry.url, entry.notes) if part)
        for entry in found
    )


def chart_choices(collected: Collected) -> list[str]:
    """The models that the chart can show, best in SOC first."""
    able = [entry for entry in collected.entries if sum((task, OVERALL) in entry.scores for task in DROP_TASKS) > 1]
    ranked = [standing.entry for standing in standings(able, "soc")]
    return list(dict.fromkeys(clean(entry.model) for entry in [*ranked, *able]))


def chart(collected: Collected, models: Sequence[str], supercategory: str) -> Image.Image | None:
    """The drop chart of some models, None where there is nothing to draw."""
    entries = [entry for entry in collected.entries if clean(entry.model) in set(models)]
    try:
        return _as_image(plot_entry_drops(entries, supercategory))
    except SocoError:
        return None


class Pairs:
    """The pairs of a dataset folder, with the predictions of the results beside it."""

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

    def draw(self, task: str, category: str, place: float | None, result: str) -> tuple[Image.Image | None, str]:
        """The picture of the pair at a place (None = 1) among those of a category, and what it is."""
        rows = self.numbers(task, category)
        if not rows:
            return None, "no pair of this category"
        number = int(min(max(place or 1, 1), len(rows)))
        row: dict[str, Any] = self.pairs(task).slice(rows[number - 1], 1).to_pylist()[0]
        images = {f"{side}_image": self.folder.images.decode(row[f"{side}_image_id"]) for side in ("source", "target")}
        answers, scoring = self._answers(task, row["pair_id"], result)
        picture = _as_image(plot_pair(row | images, answers, width=_WIDTH, **scoring))
        told = f"pair {number} of {len(rows)}: {clean(row['source_image_id'])} to {clean(row['target_image_id'])}"
        asked = ", ".join(f"{query} {clean(name)}" for query, name in enumerate(row["keypoints"], start=1))
        return picture, f"{told}\n{asked}"

    def _answers(self, task: str, pair_id: str, result: str) -> tuple[Mapping[str, Any] | None, dict[str, Any]]:
        import pyarrow.compute as pc

        path = self.predictions.get(result)
        if path is None:
            return None, {}
        table = _predictions(path)
        if task not in read_header(table).tasks:
            return None, {}
        rows = task_rows(table, task)
        rows = rows.filter(pc.equal(rows["pair_id"], pair_id))
        protocol = read_header(table).protocol
        answers = dict(zip(rows["keypoint"].to_pylist(), rows["prediction"].to_pylist(), strict=True))
        return answers or None, {"convention": protocol.scoring.convention, "size": protocol.features.size}


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


def _number(cell: str) -> float | str:
    """A cell as a number where it is one, so that columns sort by value."""
    try:
        return float(cell) if "." in cell else int(cell)
    except ValueError:
        return cell


def _as_image(figure: Any) -> Image.Image:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    buffer.seek(0)
    return Image.open(buffer).convert("RGB")


def open_pairs() -> Pairs:
    """The pairs of the data and results that the environment names. Raises `SocoError` where there is no such data."""
    results = os.environ.get(RESULTS_VARIABLE)
    folder = open_folder(resolve_data(os.environ.get(DATA_VARIABLE) or MINI))
    return Pairs(folder, Path(results) if results else None)
