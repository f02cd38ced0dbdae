"""One table of all results: the Hub's entries, local results, and the models of the paper."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import unknown_name
from ..records.base import Record
from ..records.ranking import OVERALL, PERCENT, RANKED_SUBSETS
from ..records.registry import ranked_tasks, ranked_types, record_type_of_task
from ..utils.text import clean

VERIFIED, UNVERIFIED, PROPOSED, MISMATCH, PRINTED = "verified", "not verified", "proposed", "mismatch", "printed"
SOURCES = ("hub", "local", "paper")


@dataclass(frozen=True)
class Entry:
    """One result of one model.

    Attributes:
        model: its name or repository.
        source: "hub", "local" or "paper".
        status: "verified" (the Hub says so, or it was computed again here), "not verified", "proposed"
            (an open pull request), "mismatch" (computed again and found different) or "printed" (in the paper).
        scores: (task, "overall" or supercategory) -> percent.
        date, url, notes: as stated, "" where nothing is.
    """

    model: str
    source: str
    status: str
    scores: dict[tuple[str, str], float] = field(default_factory=dict)
    date: str = ""
    url: str = ""
    notes: str = ""


@dataclass(frozen=True)
class Standing:
    """One number of the leaderboard, ranked among those of its task and supercategory; equal values share a rank.

    `value` is in `unit`, the unit of its task.
    """

    task: str
    supercategory: str
    rank: int
    entry: Entry
    value: float
    unit: str = PERCENT


@dataclass(frozen=True)
class Collected:
    """Entries of all sources, and what was left out, in words."""

    entries: tuple[Entry, ...]
    remarks: tuple[str, ...] = ()


def paper_entries(kinds: Iterable[type[Record]] | None = None) -> list[Entry]:
    """The paper's models, one row per model and kind; None = all kinds."""
    return [
        Entry(model.model, "paper", PRINTED, dict(model.scores), notes=model.notes)
        for kind in (ranked_types() if kinds is None else kinds)
        for model in kind.published()
    ]


def standings(entries: Iterable[Entry], task: str, supercategory: str = OVERALL) -> list[Standing]:
    """The numbers of one task, best first. Entries without that number are left out.

    Raises:
        UsageError: an unknown task or supercategory.
    """
    check_choice(task, supercategory)
    there = [entry for entry in entries if (task, supercategory) in entry.scores]
    ranked = ranked_tasks()[task]
    sign = -1 if ranked.higher_is_better else 1
    there.sort(key=lambda entry: (sign * entry.scores[task, supercategory], entry.model, entry.source))
    made: list[Standing] = []
    for place, entry in enumerate(there, start=1):
        value = entry.scores[task, supercategory]
        rank = made[-1].rank if made and made[-1].value == value else place
        made.append(Standing(task, supercategory, rank, entry, value, ranked.unit))
    return made


def all_standings(entries: Sequence[Entry]) -> list[Standing]:
    """The numbers of every task and supercategory that there are, in the benchmark's order."""
    there = {key for entry in entries for key in entry.scores}
    keys = [(task, subset) for task in ranked_tasks() for subset in RANKED_SUBSETS if (task, subset) in there]
    return [standing for key in keys for standing in standings(entries, *key)]


def check_choice(task: str, supercategory: str) -> None:
    """Raise `UsageError` for an unknown task or supercategory."""
    if task not in ranked_tasks():
        raise unknown_name("task", task, ranked_tasks())
    if supercategory not in RANKED_SUBSETS:
        raise unknown_name("supercategory", supercategory, RANKED_SUBSETS)


def tasks_in(entries: Iterable[Entry]) -> list[str]:
    """The tasks that any entry has an overall number for, in the benchmark's order."""
    there = {task for entry in entries for task, subset in entry.scores if subset == OVERALL}
    return [task for task in ranked_tasks() if task in there]


def with_status(entry: Entry, status: str) -> Entry:
    """The entry with another status."""
    return replace(entry, status=status)


HEAD = ("rank", "model")
TAIL = ("status", "source", "date")


def table_rows(
    entries: Sequence[Entry], tasks: Sequence[str], *, sort: str, supercategory: str = OVERALL
) -> list[list[str]]:
    """Rows of text, a heading first: rank by `sort`, model, a number for each task, status, source, date.

    Entries without a number for `sort` come last and have no rank; those that have none of its kind are left out.
    """
    alike = [task for task in record_type_of_task(sort).tasks if task in tasks]
    ranked = standings(entries, sort, supercategory)
    placed: list[tuple[str, Entry]] = [(str(standing.rank), standing.entry) for standing in ranked]
    have = {id(entry) for _, entry in placed}
    rest = [e for e in entries if id(e) not in have and any((task, supercategory) in e.scores for task in alike)]
    placed += [("-", entry) for entry in sorted(rest, key=lambda e: (e.model, e.source))]
    titles = ranked_tasks()
    rows = [[*HEAD, *(titles[task].title for task in tasks), *TAIL]]
    for rank, entry in placed:
        numbers = [entry.scores.get((task, supercategory)) for task in tasks]
        cells = ["-" if number is None else f"{number:.2f}" for number in numbers]
        rows.append([rank, clean(entry.model), *cells, entry.status, entry.source, clean(entry.date[:10])])
    return rows


FIELDS = ("task", "supercategory", "rank", "model", "percent", "status", "source", "date", "url", "notes")


def to_records(shown: Iterable[Standing]) -> list[dict[str, Any]]:
    """One mapping per number, keys `FIELDS`; a number that is not in percent has "value" and "unit" in its place."""
    return [
        {
            "task": s.task,
            "supercategory": s.supercategory,
            "rank": s.rank,
            "model": s.entry.model,
            **({"percent": s.value} if s.unit == PERCENT else {"value": s.value, "unit": s.unit}),
            "status": s.entry.status,
            "source": s.entry.source,
            "date": s.entry.date,
            "url": s.entry.url,
            "notes": s.entry.notes,
        }
        for s in shown
    ]


def to_json(shown: Iterable[Standing]) -> str:
    """The same as JSON."""
    return json.dumps(to_records(shown), indent=2)


def leaderboard_csv(shown: Iterable[Standing]) -> str:
    """The same as CSV with a header. A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    buffer = io.StringIO()
    records = to_records(shown)
    further = [name for name in ("value", "unit") if any(name in record for record in records)]
    writer = csv.DictWriter(buffer, [*FIELDS, *further], lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({name: _inert(value) if isinstance(value, str) else value for name, value in record.items()})
    return buffer.getvalue()


def _inert(text: str) -> str:
    cleaned = clean(text)
    return f"'{cleaned}" if cleaned.startswith(("=", "+", "-", "@")) else cleaned
