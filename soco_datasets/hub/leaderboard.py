"""One table of all results: the Hub's entries, local results, and the models of the paper."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..benchmarks.soco.benchmark import BENCHMARK
from ..errors import unknown_name
from ..records.base import Record
from ..records.ranking import OVERALL, PERCENT, RANKED_SUBSETS
from ..records.registry import ranked_tasks, ranked_types, record_type_of_task
from ..records.verification import Verification
from ..utils.text import clean
from ..utils.text_table import BEST, DIM, TextTable, best_in_columns
from .model_details import ModelDetails, listed_details

PAPER_DATE = "2026-05"  # arXiv 2605.31597
VERIFIED_BY_HUB, PROPOSED, MISMATCH, PRINTED = "verified by the Hub", "proposed", "mismatch", "from paper"
SOURCES = ("hub", "local", "paper")
UNRANKED = "unranked"
_CLAIMED, _UNKNOWN = Verification(), ModelDetails()


@dataclass(frozen=True)
class Entry:
    """One result of one model.

    Attributes:
        model: its name or repository.
        source: "hub", "local" or "paper".
        scores: (task, "overall" or supercategory) -> percent.
        status: "proposed" (an open pull request), "mismatch" (computed again and found different), "from paper",
            "verified by the Hub"; "" where `verification` says it all.
        verification: what was verified, by whom and when.
        unranked: why it stands apart from the ranking, "" where it does not.
        details: of the model.
        date, url, notes: of the result, as stated, "" where nothing is.
    """

    model: str
    source: str
    scores: dict[tuple[str, str], float] = field(default_factory=dict)
    status: str = ""
    verification: Verification = _CLAIMED
    unranked: str = ""
    details: ModelDetails = _UNKNOWN
    date: str = ""
    url: str = ""
    notes: str = ""

    @property
    def label(self) -> str:
        """One word or two for a table: whether it is ranked, and how far it was verified where that was looked at."""
        verified = self.status or self.verification.state
        if not self.unranked:
            return verified
        return UNRANKED if not self.status and self.verification == _CLAIMED else f"{UNRANKED}, {verified}"

    @property
    def verified(self) -> str:
        """The same in full: what was verified, by whom, when, on how many images."""
        parts = [self.status or clean(self.verification), *map(clean, self.verification.findings)]
        return "; ".join(parts + ([f"{UNRANKED}: {self.unranked}"] if self.unranked else []))


@dataclass(frozen=True)
class Standing:
    """One number of the leaderboard, ranked among those of its task and supercategory; equal values share a rank.

    `value` is in `unit`, the unit of its task. An unranked entry has no rank.
    """

    task: str
    supercategory: str
    rank: int | None
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
        Entry(
            model.model,
            "paper",
            dict(model.scores),
            PRINTED,
            details=listed_details(model.model),
            date=PAPER_DATE,
            url=BENCHMARK.homepage,
            notes=model.notes,
        )
        for kind in (ranked_types() if kinds is None else kinds)
        for model in kind.published()
    ]


def standings(entries: Iterable[Entry], task: str, supercategory: str = OVERALL) -> list[Standing]:
    """The numbers of one task, best first. Entries without that number and unranked ones are left out.

    Raises:
        UsageError: an unknown task or supercategory.
    """
    check_choice(task, supercategory)
    there = [entry for entry in entries if (task, supercategory) in entry.scores and not entry.unranked]
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
    """The numbers of every task and supercategory that there are, in the benchmark's order; unranked ones last."""
    there = {key for entry in entries for key in entry.scores}
    keys = [(task, subset) for task in ranked_tasks() for subset in RANKED_SUBSETS if (task, subset) in there]
    return [standing for key in keys for standing in task_standings(entries, *key)]


def task_standings(entries: Sequence[Entry], task: str, supercategory: str = OVERALL) -> list[Standing]:
    """The numbers of one task, those of unranked entries too. Errors as `standings`."""
    ranked, key = standings(entries, task, supercategory), (task, supercategory)
    apart = [entry for rank, entry in in_order(entries, *key) if entry.unranked and key in entry.scores]
    return ranked + [Standing(*key, None, e, e.scores[key], ranked_tasks()[task].unit) for e in apart]


def check_choice(task: str, supercategory: str) -> str:
    """The task of this name, or of this title in tables, whatever the case; checks the supercategory too.

    Raises:
        UsageError: an unknown task or supercategory.
    """
    wanted = task.strip().casefold()
    found = [name for name, one in ranked_tasks().items() if wanted in (name, one.title.casefold())]
    if not found:
        raise unknown_name("task", task, ranked_tasks())
    if supercategory not in RANKED_SUBSETS:
        raise unknown_name("supercategory", supercategory, RANKED_SUBSETS)
    return found[0]


def tasks_in(entries: Iterable[Entry]) -> list[str]:
    """The tasks that any entry has an overall number for, in the benchmark's order."""
    there = {task for entry in entries for task, subset in entry.scores if subset == OVERALL}
    return [task for task in ranked_tasks() if task in there]


def in_order(entries: Sequence[Entry], sort: str, supercategory: str = OVERALL) -> list[tuple[int | None, Entry]]:
    """(rank by `sort`, entry), best first; unranked ones stand among the others and have no rank.

    Entries without that number come last, those that have no number of its kind at all are left out.
    """
    alike = record_type_of_task(sort).tasks
    sign = -1 if ranked_tasks()[sort].higher_is_better else 1
    rank_of = {id(standing.entry): standing.rank for standing in standings(entries, sort, supercategory)}
    some = [entry for entry in entries if any((task, supercategory) in entry.scores for task in alike)]

    def place(entry: Entry) -> tuple[float, int, str, str]:
        value = entry.scores.get((sort, supercategory))
        order = math.inf if value is None else sign * value
        return order, rank_of.get(id(entry), len(entries) + 1) or 0, entry.model, entry.source

    return [(rank_of.get(id(entry)), entry) for entry in sorted(some, key=place)]


HEAD = ("rank", "model")
TAIL = ("status", "source", "date")
TEXT_COLUMNS = ("model", *TAIL)  # of `table_rows`, to be aligned to the left


def table_rows(
    entries: Sequence[Entry], tasks: Sequence[str], *, sort: str, supercategory: str = OVERALL
) -> list[list[str]]:
    """Rows of text, a heading first: rank by `sort` ("-" = none), model, a number for each task, status, source, date.

    The order is that of `in_order`.
    """
    titles = ranked_tasks()
    rows = [[*HEAD, *(titles[task].title for task in tasks), *TAIL]]
    for rank, entry in in_order(entries, sort, supercategory):
        numbers = [entry.scores.get((task, supercategory)) for task in tasks]
        cells = ["-" if number is None else f"{number:.2f}" for number in numbers]
        shown = "-" if rank is None else str(rank)
        rows.append([shown, clean(entry.model), *cells, entry.label, entry.source, clean(entry.date[:10])])
    return rows


def text_tables(
    entries: Sequence[Entry], task: str | None = None, supercategory: str = OVERALL
) -> list[tuple[str, TextTable]]:
    """(heading, table) of each kind of record for a terminal: the best numbers bold, unranked entries dim.

    Args:
        entries: to show.
        task: rank by it and show it alone; None = every task, ranked by the main one of its kind.
        supercategory: or "overall".
    """
    available = [task] if task else tasks_in(entries)
    tables = []
    for kind in ranked_types():
        tasks = [name for name in available if name in kind.tasks]
        if not tasks:
            continue
        sort = kind.main_task if kind.main_task in tasks else tasks[0]
        rows = table_rows(entries, tasks, sort=sort, supercategory=supercategory)
        left = {place for place, name in enumerate(rows[0]) if name in TEXT_COLUMNS}
        status = len(rows[0]) - len(TAIL)
        numbers = range(len(HEAD), status)
        unranked = [row for row, cells in enumerate(rows) if cells[status].startswith(UNRANKED)]
        lowest = [place for place, name in zip(numbers, tasks, strict=True) if not kind.tasks[name].higher_is_better]
        ranked = [["-"] * len(cells) if row in unranked else cells for row, cells in enumerate(rows)]
        styles: dict[tuple[int, int | None], str] = dict.fromkeys(best_in_columns(ranked, numbers, lowest), BEST)
        styles |= dict.fromkeys([(row, None) for row in unranked], DIM)
        others = [rows[0][place] for place in reversed(numbers) if tasks[place - len(HEAD)] != sort]
        known = set(tasks_in(entry for entry in entries if not entry.unranked))
        rare = [kind.tasks[name].title for name in tasks if name not in known]  # no ranked entry has them
        hidden = (*rare, "date", "source", "status", *others)
        heading = f"{kind.heading}, {supercategory}, ranked by {kind.tasks[sort].title}"
        tables.append((heading, TextTable(rows, left, hidden, "--csv", styles=styles)))
    return tables


FIELDS = (
    *("task", "supercategory", "rank", "model", "percent", "status", "verification", "source", "date", "url", "notes"),
    *("family", "parameters_million", "patch", "license", "model_url"),
)


def to_records(shown: Iterable[Standing]) -> list[dict[str, Any]]:
    """One mapping per number, keys `FIELDS`; a number that is not in percent has "value" and "unit" in its place."""
    return [
        {
            "task": s.task,
            "supercategory": s.supercategory,
            "rank": s.rank,
            "model": s.entry.model,
            **({"percent": s.value} if s.unit == PERCENT else {"value": s.value, "unit": s.unit}),
            "status": s.entry.label,
            "verification": s.entry.verified,
            "source": s.entry.source,
            "date": s.entry.date,
            "url": s.entry.url,
            "notes": s.entry.notes,
            "family": s.entry.details.family,
            "parameters_million": s.entry.details.parameters,
            "patch": s.entry.details.patch,
            "license": s.entry.details.license,
            "model_url": s.entry.details.url,
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
