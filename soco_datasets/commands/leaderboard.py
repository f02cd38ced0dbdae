"""`soco leaderboard`: everybody's numbers in one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from ..errors import UsageError, unknown_name
from . import PUBLISH
from .options import command

if TYPE_CHECKING:
    from ..hub.leaderboard import Entry

_SOURCES = ("hub", "local", "paper")


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco leaderboard --dataset-repo lab/soco --local results --task soc"
    help = "rank the Hub's entries, results here and the paper's models"
    command(app, run, "leaderboard", help, example, PUBLISH)


@dataclass(frozen=True, kw_only=True)
class EntryOptions:
    """Which entries are ranked."""

    local: Annotated[
        str | None, Option(metavar="DIR", help="folder with records (`soco evaluate`, `soco lvlm score`)")
    ] = None
    dataset_repo: Annotated[
        str | None, Option(metavar="ORG/NAME", help="the leaderboard's dataset", show_default="SOCO_LEADERBOARD")
    ] = None
    source: Annotated[
        list[str] | None, Option(metavar="NAME", help="only hub, local or paper; may be repeated", show_default="all")
    ] = None
    paper: Annotated[
        bool | None, Option("--paper/--no-paper", help="with the paper's models", show_default="where the data is SOCO")
    ] = None
    check: Annotated[bool, Option(help="recompute results and report which ones match")] = False
    data: Annotated[
        str | None, Option(metavar="DIR", help="dataset folder for --check", show_default="an available one")
    ] = None


@dataclass(frozen=True, kw_only=True)
class RankingOptions:
    """What they are ranked by, and how the ranking is printed."""

    task: Annotated[
        str | None, Option(metavar="TASK", help="rank by this task and show it alone", show_default="all")
    ] = None
    supercategory: Annotated[
        str, Option(metavar="NAME", help="overall, transportation, hand_held, furniture or animals")
    ] = "overall"
    json: Annotated[bool, Option(help="print JSON: an object for each number")] = False
    csv: Annotated[bool, Option(help="print CSV: a line for each number")] = False


def run(options: EntryOptions, ranking: RankingOptions) -> None:
    """Rank them."""
    import os

    from ..errors import SocoError
    from ..hub import leaderboard as board
    from ..hub.hosted_leaderboard import BOARD_VARIABLE, dataset_repo_of
    from ..hub.sources import collect, print_notes

    if ranking.json and ranking.csv:
        raise UsageError("--json and --csv exclude one another.")
    for source in options.source or ():
        if source not in _SOURCES:
            raise unknown_name("source", source, _SOURCES)
    board.check_choice(ranking.task or "soc", ranking.supercategory)
    named = options.dataset_repo or os.environ.get(BOARD_VARIABLE)
    collected = collect(
        local=options.local,
        dataset_repo=dataset_repo_of(named) if named else None,
        paper=options.paper,
        check=options.check,
        data=options.data,
    )
    print_notes(collected.remarks)
    entries = [e for e in collected.entries if options.source is None or e.source in options.source]
    if not entries:
        raise SocoError("There are no entries to show. Give --dataset-repo ORG/NAME, --local DIR or --paper.")
    if ranking.json or ranking.csv:
        print(_listed(entries, ranking), end="" if ranking.csv else "\n")
    else:
        print(_tables(entries, ranking), end="")


def _listed(entries: list[Entry], ranking: RankingOptions) -> str:
    from ..hub import leaderboard as board

    if ranking.task is None and ranking.supercategory == board.OVERALL:
        shown = board.all_standings(entries)
    else:
        tasks = [ranking.task] if ranking.task else board.tasks_in(entries)
        shown = [s for task in tasks for s in board.standings(entries, task, ranking.supercategory)]
    return board.to_json(shown) if ranking.json else board.leaderboard_csv(shown)


def _tables(entries: list[Entry], ranking: RankingOptions) -> str:
    from ..hub import leaderboard as board
    from ..records.registry import ranked_types
    from ..reporting.terminal_tables import align

    available = [ranking.task] if ranking.task else board.tasks_in(entries)
    tables = []
    for kind in ranked_types():
        if tasks := [task for task in available if task in kind.tasks]:
            sort = kind.main_task if kind.main_task in tasks else tasks[0]
            rows = board.table_rows(entries, tasks, sort=sort, supercategory=ranking.supercategory)
            tables.append(f"{kind.heading}, {ranking.supercategory}, ranked by {sort}\n{align(rows)}")
    return "\n".join(tables)
