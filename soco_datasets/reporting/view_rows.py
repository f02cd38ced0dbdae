"""What `soco view` draws: some rows of a config as they are annotated, or some pairs as a model matched them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ..benchmarks.tasks import TASKS, task_name
from ..data.folder import DatasetFolder
from ..errors import UsageError, unknown_name
from ..loading.splits import ALL, LVLM_CONFIG, load_split, split_names
from ..records.predictions import read_header, read_predictions, task_rows
from ..utils.shapes import Drawing
from .annotated import annotated_image, annotated_pair, asked_question
from .match_picture import draw_matches, pairs_to_show
from .sheet import sheet_of

IMAGES_SHOWN = "images"


def view_rows(
    folder: DatasetFolder,
    config: str = "soc",
    split: str | None = None,
    *,
    category: str | None = None,
    rows: Sequence[int] | None = None,
    pairs: Sequence[str] | None = None,
    number: int = 6,
) -> Drawing:
    """A sheet of rows as they are annotated.

    Args:
        folder: a built folder.
        config: "images", "lvlm" or a pair config.
        split: one of the config's, "all" where it has that; None = its first.
        category: only rows of it (of a pair: the target's).
        rows: their numbers in the split.
        pairs: their `pair_id`s.
        number: how many, where neither says which: in turn of each category, or evenly spread over "all".

    Raises:
        UsageError: an unknown config, split, category or pair, a row that is not there, or nothing to draw.
    """
    drawable = [name for name in folder.configs if name in (IMAGES_SHOWN, LVLM_CONFIG) or folder.specs[name].is_pairs]
    if config not in drawable:
        raise unknown_name("config to view", config, drawable)
    splits = split_names(folder, config)
    if split is not None and split not in splits:
        raise unknown_name("split", split, splits)
    if not splits:
        raise UsageError(f"{folder.path} has no rows of {config}.")
    split = split or splits[0]
    table = _loaded(folder, config, split)
    if rows is None:
        rows = _chosen(folder, config, split, len(table), category, pairs, number)
    beyond = [row for row in rows if row >= len(table)]
    if beyond:
        raise UsageError(f"{config}, split {split}, has {len(table):,} rows, numbered from 0: there is no {beyond[0]}.")
    caption = f"{config}, split {split}: " + ", ".join(f"row {row:,}" for row in rows)
    return sheet_of(
        [_panel(folder, config, table[row]) for row in rows], caption, columns=3 if config == IMAGES_SHOWN else 2
    )


def view_matches(
    folder: DatasetFolder,
    predictions: Path,
    task: str | None = None,
    *,
    category: str | None = None,
    pairs: Sequence[str] | None = None,
    number: int = 6,
) -> Drawing:
    """A sheet of pairs with a model's matches, see `match_picture.draw_matches`.

    Args:
        folder: the dataset of the predictions.
        predictions: the file that `soco evaluate` wrote.
        task: of its tasks; None = the first.
        category, pairs, number: as of `view_rows`.

    Raises:
        PredictionsError: a file that cannot be read.
        UsageError: predictions of another dataset, an unknown task, category or pair.
    """
    table = read_predictions(predictions)
    header = read_header(table)
    if header.dataset["content_hash"] != folder.content_hash:
        raise UsageError(
            f"{predictions} is of the dataset {header.dataset['id']} with content hash "
            f"{header.dataset['content_hash'][:16]}, but {folder.path} has {folder.content_hash[:16]}."
        )
    stored = [TASKS[name] for name in header.tasks if name in TASKS]
    task = next(iter(header.tasks)) if task is None else task if task in header.tasks else task_name(task, stored)
    own = task_rows(table, task)
    if category is not None:
        own = own.filter(pc.equal(own["pair_group"], _known(category, own["pair_group"].unique().to_pylist())))
    chosen = list(pairs) if pairs else pairs_to_show(own, task, number)
    return draw_matches(own, task, chosen, folder.images.decode)


def _loaded(folder: DatasetFolder, config: str, split: str) -> Any:
    """The split as a `datasets.Dataset`, its images decoded when a row is opened; needs no cache to write into."""
    from datasets import DatasetInfo

    return load_split(folder, config, split, cache=None, info=DatasetInfo())


def _chosen(
    folder: DatasetFolder,
    config: str,
    split: str,
    total: int,
    category: str | None,
    pairs: Sequence[str] | None,
    number: int,
) -> list[int]:
    """Numbers of the rows to draw."""
    if number < 1:
        raise UsageError(f"The number of rows to draw must be positive, got {number}.")
    if split == ALL:
        if category is not None or pairs:
            raise UsageError("Of the split all, rows are named by their number: give --rows, not a category or a pair.")
        return np.unique(np.linspace(0, total - 1, min(number, total)).astype(int)).tolist() if total else []
    if pairs:
        if not folder.specs[config].is_pairs:
            raise UsageError(f"{config} has no pairs: give --rows or --category.")
        ids = folder.table(config, split, columns=["pair_id"])["pair_id"].to_pylist()
        place = {pair_id: row for row, pair_id in enumerate(ids)}
        for pair_id in pairs:
            if pair_id not in place:
                raise unknown_name("pair", pair_id, ids)
        return [place[pair_id] for pair_id in pairs]
    column = "pair_group" if folder.specs[config].is_pairs else "category"
    groups = folder.table(config, split, columns=[column])[column].to_pylist()
    wanted = None if category is None else _known(category, sorted(set(groups)))
    queues: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        if wanted in (None, group) and not (config == LVLM_CONFIG and row % 4):  # of a question, its first ordering
            queues.setdefault(group, []).append(row)
    in_turn = [rows[turn] for turn in range(number) for rows in queues.values() if turn < len(rows)]
    return in_turn[:number]


def _known(category: str, categories: Sequence[str]) -> str:
    if category not in categories:
        raise unknown_name("category", category, categories)
    return category


def _panel(folder: DatasetFolder, config: str, row: dict[str, Any]) -> Drawing:
    if config == LVLM_CONFIG:
        return asked_question(row)
    if config != IMAGES_SHOWN:
        return annotated_pair(row)
    keypoints = folder.table("keypoints", "test")
    own = keypoints.filter(pc.equal(keypoints["image_id"], row["image_id"])).to_pylist()
    return annotated_image(row, own[0] if own else None)
