"""The kinds of record that the leaderboard knows, in one table. A further kind is one file and one line here."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import UsageError
from .record_lvlm import LvlmRecordType
from .record_pck import PckRecordType
from .record_type import (
    OVERALL,
    RANKED_SUBSETS,
    RECORD_FILE,
    RecordType,
)

RECORD_TYPES: tuple[RecordType, ...] = (PckRecordType(), LvlmRecordType())
RANKED_TASKS = {task: title for kind in RECORD_TYPES for task, title in kind.tasks.items()}


def kind_of_task(task: str) -> RecordType:
    """The kind whose records have one of `RANKED_TASKS`."""
    return next(kind for kind in RECORD_TYPES if task in kind.tasks)


def kind_of_record(path: Path) -> RecordType:
    """The kind that a record says it is of. The first one where it says nothing: its reader tells what is wrong."""
    try:
        fields = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        fields = None
    return next((kind for kind in RECORD_TYPES if isinstance(fields, dict) and kind.states(fields)), RECORD_TYPES[0])


def find_ranked_task(task_id: str) -> tuple[str, str] | None:
    """(task, "overall" or supercategory) of an id of `eval.yaml`, None for one that this version does not know.

    >>> [find_ranked_task(name) for name in ("cross_soc", "soc_hand_held", "lvlm_vis_desc", "vqa")]
    [('cross_soc', 'overall'), ('soc', 'hand_held'), ('lvlm_vis_desc', 'overall'), None]
    """
    if task_id in RANKED_TASKS:
        return task_id, OVERALL
    for subset in RANKED_SUBSETS[1:]:
        task = task_id.removesuffix(f"_{subset}")
        if task != task_id and task in RANKED_TASKS:
            return task, subset
    return None


def record_beside(name: str) -> str:
    """The record when it or its data are named, see `RecordType.data_beside`.

    >>> record_beside("results/tiny.json"), record_beside("results/tiny.answers.parquet")
    ('results/tiny.json', 'results/tiny.json')
    >>> record_beside("a/predictions.parquet")
    'a/record.json'
    >>> RECORD_TYPES[0].data_beside("results/tiny.json"), RECORD_TYPES[0].data_beside("a/record.json")
    ('results/tiny.predictions.parquet', 'a/predictions.parquet')

    Raises:
        UsageError: neither.
    """
    folder, slash, file = name.rpartition("/")
    if file.endswith(".json"):
        return name
    for kind in RECORD_TYPES:
        if file == kind.data_file:
            return f"{folder}{slash}{RECORD_FILE}"
        if file.endswith(kind.data_suffix):
            return f"{folder}{slash}{file.removesuffix(kind.data_suffix)}.json"
    suffixes = " or ".join(kind.data_suffix for kind in RECORD_TYPES)
    raise UsageError(f"{name} is neither a record (.json) nor its data ({suffixes}).")
