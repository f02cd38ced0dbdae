"""What the page shows, as rows, text and markup. No gradio here.

Texts of submissions are escaped here wherever they become markup, and no path of this machine leaves this module.
"""

from __future__ import annotations

import html
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soco_datasets.downstream.record import DownstreamResult
from soco_datasets.downstream.table import DownstreamTable, downstream_table, find_records, published_r8
from soco_datasets.errors import SocoError
from soco_datasets.features.model_list import BACKBONES
from soco_datasets.hub.board_charts import Spot, plot_entry_sizes, plot_entry_supercategories, plot_spots
from soco_datasets.hub.drop_chart import DROP_TASKS, plot_entry_drops
from soco_datasets.hub.hosted_leaderboard import BOARD_VARIABLE
from soco_datasets.hub.leaderboard import UNRANKED, Collected, Entry, in_order, standings, tasks_in
from soco_datasets.hub.sources import collect
from soco_datasets.records.evaluation import EvaluationResult
from soco_datasets.records.ranking import OVERALL, PERCENT, RANKED_SUBSETS
from soco_datasets.records.registry import ranked_tasks, record_type_of_task
from soco_datasets.reporting.style import WIDE, WIDTH
from soco_datasets.reporting.svg import inline_svg
from soco_datasets.utils.text import clean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS_VARIABLE = "SOCO_LEADERBOARD_RESULTS"
_PATIENCE = 60.0  # seconds between two readings of the Hub
_PATH = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:)?(?:[/\\][^\s/\\:'\",;()]+){2,}")
_LINK = re.compile(r"https?://[^\s<>\"']+")

Row = list[Any]
Cell = tuple[str, str, Callable[[Entry], Any]]


def public(text: object) -> str:
    """A text for visitors: cleaned, and of each path of this machine only the last name.

    >>> public("/srv/space/results/mine.json is left out"), public("see https://example.org/a/b")
    ('mine.json is left out', 'see https://example.org/a/b')
    """
    return _PATH.sub(lambda found: re.split(r"[/\\]", found[0])[-1], clean(text))


def load() -> Collected:
    """The entries of every source that can be reached, own results of any size too; what cannot is in the remarks."""
    repo, local = os.environ.get(BOARD_VARIABLE) or None, os.environ.get(RESULTS_VARIABLE) or None
    told: list[str] = []
    for sources in ({"dataset_repo": repo, "local": local}, {"local": local}, {}):
        try:
            found = collect(**sources, unranked=True)
            return Collected(found.entries, tuple(map(public, (*told, *found.remarks))))
        except SocoError as error:
            told.append(str(error))
    raise AssertionError("the paper's models are always there")


def load_downstream() -> DownstreamTable:
    """Table r8 of the paper, and the downstream records in the folder of results."""
    records, folder = [], os.environ.get(RESULTS_VARIABLE)
    if folder:
        try:
            records = [one for one in find_records([folder]) if isinstance(one, DownstreamResult)]
        except (SocoError, OSError):
            records = []  # none there, or one that cannot be read, which the notes of the ranking say
    table = downstream_table(records)
    names = {name.casefold(): spec.name for spec in BACKBONES for name in spec.paper_names}
    for model, row in published_r8().items():
        table.rows.setdefault(names.get(model.casefold(), model), {}).update(row)
    return table


class Board:
    """The entries as they were last read."""

    def __init__(self) -> None:
        self.collected, self.downstream = load(), load_downstream()
        self._read = time.monotonic()

    def refresh(self) -> None:
        """Read them again, at most once in `_PATIENCE` seconds."""
        if time.monotonic() - self._read > _PATIENCE:
            self.collected, self.downstream, self._read = load(), load_downstream(), time.monotonic()


def _size(entry: Entry) -> int | str:
    return entry.details.parameters or ""


def _links(entry: Entry) -> str:
    """Links to the model and to the submission, as markup; only to web addresses."""
    places = {"model": entry.details.url, "paper" if entry.source == "paper" else "submission": entry.url}
    return " · ".join(
        f'<a href="{html.escape(url, quote=True)}" target="_blank" rel="noopener nofollow">{name}</a>'
        for name, url in places.items()
        if _LINK.fullmatch(url)
    )


DETAILS: dict[str, Cell] = {  # column -> (kind of cell, width, value)
    "family": ("str", "130px", lambda entry: clean(entry.details.family)),
    "size (M)": ("number", "90px", _size),
    "patch": ("number", "80px", lambda entry: entry.details.patch or ""),
    "license": ("str", "150px", lambda entry: clean(entry.details.license)),
    "verified": ("str", "170px", lambda entry: entry.label if entry.unranked else public(entry.verified)),
    "source": ("str", "90px", lambda entry: entry.source),
    "published": ("str", "110px", lambda entry: clean(entry.date[:10])),
    "links": ("html", "160px", _links),
}
SHOWN_AT_FIRST = ("size (M)", "verified", "published", "links")


def ranking(
    collected: Collected,
    task: str,
    supercategory: str,
    sources: Sequence[str],
    search: str,
    columns: Sequence[str] = SHOWN_AT_FIRST,
) -> dict[str, Any]:
    """The table as a gradio value, with the tasks of the same kind of record as the one it is ranked by.

    Ranks are those among all the sources chosen, not among what is searched for. The best of each column is bold,
    unranked results are gray. Titles of tasks among `columns` choose tasks; none chooses all.
    """
    of_sources = [entry for entry in collected.entries if entry.source in sources]
    alike = [name for name in tasks_in(collected.entries) if name in record_type_of_task(task).tasks]
    titles = {name: ranked_tasks()[name].title for name in alike}
    tasks = [name for name in alike if titles[name] in columns or name == task]
    tasks = alike if len(tasks) == 1 and titles[tasks[0]] not in columns else tasks
    details = [name for name in DETAILS if name in columns]
    placed = in_order(of_sources, task, supercategory)
    shown = [(rank, entry) for rank, entry in placed if search.strip().casefold() in clean(entry.model).casefold()]
    rows = [
        ["" if rank is None else rank, clean(entry.model)]
        + [entry.scores.get((name, supercategory), "") for name in tasks]
        + [DETAILS[name][2](entry) for name in details]
        for rank, entry in shown
    ]
    best = [_best([e for r, e in placed if not e.unranked], name, supercategory) for name in tasks]
    styles = [
        _styles(entry, [entry.scores.get((name, supercategory)) for name in tasks], best, len(details))
        for _, entry in shown
    ]
    heading = ["rank", "model", *titles_of(tasks), *details]
    kinds = ["number", "str", *["number"] * len(tasks), *(DETAILS[name][0] for name in details)]
    widths = [
        "58px",
        "clamp(128px, 21vw, 290px)",
        *["104px"] * len(tasks),
        *(DETAILS[name][1] for name in details),
    ]
    return {"table": as_table(heading, rows, styles), "datatype": kinds, "widths": widths}


def titles_of(tasks: Sequence[str]) -> list[str]:
    """Titles of tasks."""
    return [ranked_tasks()[name].title for name in tasks]


def chosen_at_first(collected: Collected) -> list[str]:
    """The columns at first: the tasks that a ranked result has, then a few facts."""
    ranked = [entry for entry in collected.entries if not entry.unranked]
    return [*titles_of(tasks_in(ranked or collected.entries)), *SHOWN_AT_FIRST]


def widths_of(table: dict[str, Any]) -> list[str]:
    """Widths of the columns of a table of models by numbers, by which no word of a heading breaks."""
    longest = [max((len(word) for word in str(title).split()), default=0) for title in table["headers"][1:]]
    return ["150px", *(f"{max(84, 34 + 9 * letters)}px" for letters in longest)]


def column_choices(collected: Collected) -> list[str]:
    """What can be chosen as a column: tasks that somebody has a number for, then facts of the models."""
    return [*titles_of(tasks_in(collected.entries)), *DETAILS]


def _best(entries: Sequence[Entry], task: str, supercategory: str) -> float | None:
    found = standings(entries, task, supercategory)
    return found[0].value if found else None


def _styles(entry: Entry, values: Sequence[float | None], best: Sequence[float | None], details: int) -> list[str]:
    """The style of each cell of a row."""
    row = "color: var(--soco-unranked); font-style: italic; " if entry.unranked else ""
    bold = [
        row + "font-weight: 700" if not entry.unranked and value is not None and value == top else row
        for value, top in zip(values, best, strict=True)
    ]
    return [row, row + "text-align: left", *bold, *[row + "text-align: left"] * details]


def as_table(
    heading: Sequence[str], rows: Sequence[Sequence[Any]], styles: Sequence[Sequence[str]] = ()
) -> dict[str, Any]:
    """The value of a gradio table: numbers, so that columns sort by value, each shown with its two decimals."""
    shown = [[f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    metadata: dict[str, Any] = {"display_value": shown, **({"styling": list(map(list, styles))} if styles else {})}
    return {"headers": list(heading), "data": list(map(list, rows)), "metadata": metadata}


def subsets_table(collected: Collected, task: str) -> dict[str, Any]:
    """The scores of a task by supercategory as a gradio table, best overall first, the best of each column bold."""
    placed = [
        (rank, entry)
        for rank, entry in in_order(collected.entries, task)
        if any((task, subset) in entry.scores for subset in RANKED_SUBSETS[1:])
    ]
    best = [_best([entry for _, entry in placed], task, subset) for subset in RANKED_SUBSETS]
    rows, styles = [], []
    for _, entry in placed:
        values = [entry.scores.get((task, subset)) for subset in RANKED_SUBSETS]
        rows.append([clean(entry.model), *("" if value is None else value for value in values)])
        styles.append(_styles(entry, values, best, 0)[1:])
    return as_table(["model", *(name.replace("_", " ") for name in RANKED_SUBSETS)], rows, styles)


def downstream_rows(table: DownstreamTable) -> dict[str, Any]:
    """Table r8 and own downstream records as a gradio table, the best of each column bold."""
    columns = [column for column in table.columns if any(column.key in row for row in table.rows.values())]
    best = {}
    for column in columns:
        values = [row[column.key] for row in table.rows.values() if column.key in row]
        best[column.key] = max(values) if column.higher_is_better else min(values)
    rows, styles = [], []
    for model, row in sorted(table.rows.items()):
        rows.append([clean(model), *(row.get(column.key, "") for column in columns)])
        bold = ["font-weight: 700" if row.get(c.key) == best[c.key] else "" for c in columns]
        styles.append(["text-align: left", *bold])
    return as_table(["model", *(column.title for column in columns)], rows, styles)


def downstream_choices(table: DownstreamTable) -> list[tuple[str, str]]:
    """(title, key) of the downstream columns that two models or more have."""
    return [
        (column.title, column.key)
        for column in table.columns
        if sum(column.key in row for row in table.rows.values()) > 1
    ]


def downstream_chart(board: Board, key: str, named: Sequence[str]) -> str:
    """SOC against a downstream number, as markup."""
    soc: dict[str, float] = {}
    for entry in board.collected.entries:
        if ("soc", OVERALL) in entry.scores and not entry.unranked:
            soc.setdefault(entry.model, entry.scores["soc", OVERALL])
    rows = board.downstream.rows
    spots = [Spot(name, soc[name], row[key]) for name, row in rows.items() if key in row and name in soc]
    title = next(column.title for column in board.downstream.columns if column.key == key)
    return chart(
        lambda width: plot_spots(spots, set(named), ("SOC, %", title), f"{title} against SOC", width), "downstream"
    )


def details(collected: Collected, model: str) -> str:
    """What is known of the entries of one model, as markup; everything in it is escaped."""
    found = [entry for entry in collected.entries if clean(entry.model) == model]
    blocks = []
    for entry in found:
        facts = entry.details
        lines = {
            "result": f"{entry.source}, {public(entry.verified)}",
            "published": clean(entry.date),
            "family": clean(facts.family),
            "size": f"{facts.parameters:,} million parameters" if facts.parameters else "",
            "patch": f"{facts.patch} px" if facts.patch else "",
            "license": clean(facts.license),
            "weights": clean(facts.hub_id),
            "about the model": clean(facts.notes),
            "address": public(entry.url),
            "about the result": public(entry.notes),
        }
        items = "".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in lines.items() if text)
        links = _links(entry)
        items += f"<dt>links</dt><dd>{links}</dd>" if links else ""
        blocks.append(f"<h4>{html.escape(clean(entry.model))}</h4><dl>{items}</dl>")
    return f'<div class="soco-details">{"".join(blocks)}</div>' if blocks else ""


def _charted(collected: Collected) -> list[Entry]:
    """The entries under the names that charts show: own results are told from the paper's of the same model."""
    marks = {"local": " (own)"}
    return [
        replace(entry, model=clean(entry.model) + (f" ({UNRANKED})" if entry.unranked else marks.get(entry.source, "")))
        for entry in collected.entries
    ]


def chart_choices(collected: Collected) -> list[str]:
    """The models that the charts can show, best in SOC first."""
    able = [entry for entry in _charted(collected) if sum((task, OVERALL) in entry.scores for task in DROP_TASKS) > 1]
    ranked = [standing.entry for standing in standings(able, "soc")]
    return list(dict.fromkeys(entry.model for entry in [*ranked, *able]))


def chart(draw: Callable[[float], Figure], name: str) -> str:
    """A chart as markup whose colors follow the page, wide and for a phone, or the reason why there is none.

    Args:
        draw: width in inches -> figure.
        name: of the chart, unique on the page.
    """
    try:
        drawn = "".join(
            f'<div class="{kind}">{inline_svg(draw(width), f"{name}-{kind}", name)}</div>'
            for kind, width in (("wide", WIDE), ("narrow", WIDTH))
        )
        return f'<div class="soco-chart">{drawn}</div>'
    except SocoError as error:
        return f'<p class="soco-chart">{html.escape(public(error))}</p>'


def drop_chart(collected: Collected, models: Sequence[str], supercategory: str) -> str:
    """The drop from task to task of some models."""
    return chart(lambda width: plot_entry_drops(_named(collected, models), supercategory, width), "drop")


def size_chart(collected: Collected, task: str, supercategory: str, named: Sequence[str]) -> str:
    """Score against parameters of all models, some of them named."""
    entries = _charted(collected)
    return chart(lambda width: plot_entry_sizes(entries, task, supercategory, set(named), width), "size")


def subsets_chart(collected: Collected, task: str, models: Sequence[str]) -> str:
    """Scores by supercategory of some models."""
    return chart(lambda width: plot_entry_supercategories(_named(collected, models), task, width), "supercategories")


def _named(collected: Collected, models: Sequence[str]) -> list[Entry]:
    return [entry for entry in _charted(collected) if entry.model in set(models)]


def subset_choices(collected: Collected) -> list[str]:
    """The models with scores by supercategory, best in SOC first."""
    have = {
        entry.model
        for entry in _charted(collected)
        if any((task, subset) in entry.scores for task in DROP_TASKS for subset in RANKED_SUBSETS[1:])
    }
    return [name for name in chart_choices(collected) if name in have]


def pck_tasks(collected: Collected) -> list[str]:
    """The tasks in percent of PCK that somebody has a number for."""
    tasks = EvaluationResult.tasks
    return [name for name in tasks_in(collected.entries) if name in tasks and tasks[name].unit == PERCENT]


def notes(collected: Collected) -> str:
    """What was left out, one line each."""
    return "\n".join(map(public, collected.remarks)) or "Nothing was left out."


def style_sheet() -> str:
    """The report's colors for charts, in light and in gradio's dark mode, and the look of the page's own parts."""
    report = (files("soco_datasets.reporting") / "templates" / "report.css").read_text(encoding="utf-8")
    light, dark = (block for block in re.findall(r":root\s*\{([^}]*)\}", report)[:2])
    variables = [re.sub(r"color-scheme:[^;]*;", "", block) for block in (light, dark)]
    own = Path(__file__).with_name("leaderboard.css").read_text(encoding="utf-8")
    return f".soco-chart, .soco-pair {{{variables[0]}}}\n.dark .soco-chart, .dark .soco-pair {{{variables[1]}}}\n{own}"
