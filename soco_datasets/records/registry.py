"""The kinds of record: found by name, by a file, or by a task of the leaderboard.

A class that derives from `base.Record` and has a `kind` registers itself when it is defined. Those of this package are
imported when they are first looked for, those of other packages through the entry-point group `soco_datasets.records`:

    [project.entry-points."soco_datasets.records"]
    toy = "toy_package.toy:ToyResult"
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from ..data.json_values import first_names
from ..errors import UsageError
from ..utils.foreign import ForeignTextError, read_json_file
from ..utils.paths import local_path
from .base import DEFINED, LARGEST_RECORD, Record
from .ranking import OVERALL, RANKED_SUBSETS, RECORD_FILE, RankedTask

ENTRY_POINTS = "soco_datasets.records"
_BUILT_IN = (  # in the order of the leaderboard's tables
    *("records.evaluation", "lvlm.lvlm_record", "records.probe", "downstream.record"),
)
_DEEPEST = 3  # folders below the one that is given: STUDY/downstream/MODEL has two
_MOST_FILES = 20_000  # JSON files below a folder; more are annotations, not records
_log = logging.getLogger(__name__)


def forget_type(kind: str) -> None:
    """Forget a kind of record, such as one that a test defined."""
    DEFINED.pop(kind, None)


def record_types() -> list[type[Record]]:
    """All kinds of record: those of this package, then those of others in alphabetical order.

    An entry point that cannot be imported is skipped with a warning.
    """
    _load()
    own = __package__.partition(".")[0]
    first = [f"{own}.{module}" for module in _BUILT_IN]

    def place(kind: type[Record]) -> tuple[int, str]:
        return (first.index(kind.__module__) if kind.__module__ in first else len(first), kind.kind)

    return sorted(DEFINED.values(), key=place)


@lru_cache(maxsize=1)
def _load() -> None:
    own = __package__.partition(".")[0]
    for module in _BUILT_IN:
        importlib.import_module(f"{own}.{module}")
    for entry in sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            entry.load()
        except Exception as error:  # whatever another package raises when it is imported
            _log.warning("record type %s (%s) cannot be loaded: %s", entry.name, entry.value, error)


def ranked_types() -> list[type[Record]]:
    """The kinds that a leaderboard ranks."""
    return [kind for kind in record_types() if kind.tasks]


def ranked_tasks() -> Mapping[str, RankedTask]:
    """Every task of a leaderboard, kind after kind."""
    return {name: task for kind in ranked_types() for name, task in kind.tasks.items()}


def record_type_of_task(task: str) -> type[Record]:
    """The kind whose records have one of `ranked_tasks`."""
    return next(kind for kind in ranked_types() if task in kind.tasks)


def record_type_of(path: Path) -> type[Record]:
    """The kind that a file says it is of. The first one where it does not say: its reader reports what is wrong."""
    return _stated_type(path) or record_types()[0]


@dataclass(frozen=True)
class FolderRecords:
    """The records of a folder, see `records_in`.

    Attributes:
        folder: that was looked through.
        kinds: file -> its kind; the folder's own files by name, then each folder below.
        others: JSON files directly in the folder that are not records.
    """

    folder: Path
    kinds: Mapping[Path, type[Record]]
    others: tuple[Path, ...]

    @property
    def note(self) -> str:
        """Which folders below records were taken from; "" where none was."""
        below = Counter(str(path.parent.relative_to(self.folder)) for path in self.kinds)
        below.pop(".", None)
        named = ", ".join(f"{name} ({count})" for name, count in sorted(below.items())[:20])
        more = f" and {len(below) - 20} more folders" if len(below) > 20 else ""
        return f"{self.folder}: with the records of folders below: {named}{more}" if below else ""


def records_in(folder: Path, wanted: Collection[type[Record]] | None = None) -> FolderRecords:
    """Every record in a folder and up to three folders below it.

    Hidden files and folders are passed over, and of files with the same content all but the first (a prepared
    submission beside its result).

    Args:
        folder: to look through.
        wanted: only records of these kinds; None = all.

    Raises:
        UsageError: it holds too many JSON files to be a folder of records.
    """
    kinds: dict[Path, type[Record]] = {}
    others: list[Path] = []
    seen: set[bytes] = set()
    looked_at = 0
    for place, folders, names in os.walk(folder):
        here = Path(place)
        depth = len(here.relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if depth < _DEEPEST else []
        for path in sorted(here / name for name in names if name.endswith(".json") and not name.startswith(".")):
            looked_at += 1
            if looked_at > _MOST_FILES:
                raise UsageError(
                    f"{folder} holds more than {_MOST_FILES:,} JSON files, so it is not a folder of records. "
                    "Give the folder that the records were written to."
                )
            kind = _stated_type(path)
            if kind is None:
                others += [path] if depth == 0 else []
            elif wanted is not None and kind not in wanted:
                continue
            elif (content := hashlib.sha256(path.read_bytes()).digest()) not in seen:
                seen.add(content)
                kinds[path] = kind
    return FolderRecords(folder, kinds, tuple(others))


def only_record(path: Path) -> Path:
    """The one record with data of its own in a folder (see `records_in`), where a folder is given; else the path.

    Raises:
        UsageError: the folder holds none, or several.
    """
    path = local_path(path)
    if not path.is_dir():
        return path
    found = [str(one) for one in records_in(path, [kind for kind in ranked_types() if kind.data]).kinds]
    if len(found) != 1:
        listed = first_names(found, 10)
        raise UsageError(
            f"{path} is a folder with {len(found) or 'no'} result records. Give one record: {listed or 'FILE'}."
        )
    return Path(found[0])


def _stated_type(path: Path) -> type[Record] | None:
    """The kind that a file says it is of, None for anything but a record."""
    try:
        fields = read_json_file(path, LARGEST_RECORD)
    except (OSError, ForeignTextError):
        return None
    if not isinstance(fields, dict):
        return None
    return next((kind for kind in record_types() if kind.matches(fields)), None)


def read_record(path: str | Path) -> Record:
    """Read a record of any kind. Raises `PredictionsError`, naming the file, when it is missing or not valid."""
    return record_type_of(local_path(path)).read(path)


def find_ranked_task(task_id: str) -> tuple[str, str] | None:
    """(task, "overall" or supercategory) of an id of `eval.yaml`, None for one that this version does not know.

    >>> find_ranked_task("cross_soc"), find_ranked_task("soc_hand_held"), find_ranked_task("vqa")
    (('cross_soc', 'overall'), ('soc', 'hand_held'), None)
    """
    tasks = ranked_tasks()
    if task_id in tasks:
        return task_id, OVERALL
    for subset in RANKED_SUBSETS[1:]:
        task = task_id.removesuffix(f"_{subset}")
        if task != task_id and task in tasks:
            return task, subset
    return None


def record_beside(name: str) -> str:
    """The record when it or its data are named, see `Record.data_beside`.

    >>> record_beside("results/tiny.json"), record_beside("results/tiny.answers.parquet")
    ('results/tiny.json', 'results/tiny.json')
    >>> record_beside("a/predictions.parquet")
    'a/record.json'

    Raises:
        UsageError: neither.
    """
    folder, slash, file = name.rpartition("/")
    if file.endswith(".json"):
        return name
    names = list(dict.fromkeys(kind.data_file() for kind in ranked_types() if kind.data))
    for data in names:
        if file == data:
            return f"{folder}{slash}{RECORD_FILE}"
        if file.endswith(f".{data}"):
            return f"{folder}{slash}{file.removesuffix(f'.{data}')}.json"
    suffixes = " or ".join(f".{data}" for data in names)
    raise UsageError(f"{name} is neither a record (.json) nor its data ({suffixes}).")
