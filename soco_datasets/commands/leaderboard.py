"""`soco leaderboard`: everybody's numbers in one table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer
from typer import Option

from ..errors import UsageError, unknown_name
from . import PUBLISH
from .common import open_dataset
from .options import command

if TYPE_CHECKING:
    from ..hub.leaderboard import Entry

_SOURCES = ("hub", "local", "paper")


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco leaderboard --dataset-repo lab/soco --local results --task soc"
    help = "rank Hub entries, local results and the paper's models"
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
    unfit: Annotated[
        bool, Option("--all", help="also show local results that do not fit (another size, other data), unranked")
    ] = False
    check: Annotated[bool, Option(help="recompute results and report how far each was verified")] = False
    data: Annotated[
        str | None,
        Option(metavar="DIR", help="dataset folder for --check and --rerun-queue", show_default="an available one"),
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


@dataclass(frozen=True, kw_only=True)
class QueueOptions:
    """Running the submissions of a leaderboard again."""

    PANEL: ClassVar[str] = "Maintainers"

    rerun_queue: Annotated[
        str | None,
        Option(metavar="ORG/NAME", help="verify the submissions of this leaderboard and propose what was found"),
    ] = None
    rerun: Annotated[str, Option(metavar="N", help="pairs of each submission that are drawn and run again, or all")] = (
        "40"
    )
    journal: Annotated[
        Path | None, Option(metavar="FILE", help="keeps what is done, so that an interrupted queue resumes")
    ] = None
    most: Annotated[int | None, Option(metavar="N", help="verify at most N submissions", show_default="all")] = None
    device: Annotated[str, Option(metavar="NAME", help="cpu, cuda or auto, for the models")] = "cpu"


def run(options: EntryOptions, ranking: RankingOptions, queue: QueueOptions) -> None:
    """Rank them, or run the submissions of a leaderboard again."""
    if queue.rerun_queue is not None:
        _rerun(queue, queue.rerun_queue, options.data)
    else:
        _rank(options, ranking)


def _rerun(queue: QueueOptions, repo: str, data: str | None) -> None:
    from ..hub.client import check_repo_name
    from ..hub.rerun_queue import describe_reruns, rerun_queue, rerun_with
    from ..hub.rerun_request import RerunRequest
    from ..hub.sources import print_notes

    if queue.most is not None and queue.most < 1:
        raise UsageError("--most takes a whole number of at least 1.")
    check_repo_name(repo, "--rerun-queue")
    request = RerunRequest.of_text(queue.rerun, device=queue.device, announce=lambda text: print_notes([text]))
    found = rerun_queue(repo, rerun_with(request, data), journal=queue.journal, most=queue.most)
    print(describe_reruns(found), end="")
    print_notes(found.remarks)


def _rank(options: EntryOptions, ranking: RankingOptions) -> None:
    import os

    from ..errors import SocoError
    from ..hub import leaderboard as board
    from ..hub.hosted_leaderboard import BOARD_VARIABLE, dataset_repo_of
    from ..hub.sources import collect, print_notes
    from ..utils.terminal import print_text

    if ranking.json and ranking.csv:
        raise UsageError("--json and --csv exclude one another.")
    for source in options.source or ():
        if source not in _SOURCES:
            raise unknown_name("source", source, _SOURCES)
    named_task = board.check_choice(ranking.task or "soc", ranking.supercategory)
    ranking = replace(ranking, task=named_task if ranking.task else None)
    if options.data is not None:
        open_dataset(options.data)  # what is wrong with --data is said in its words, before the work
    named = options.dataset_repo or os.environ.get(BOARD_VARIABLE)
    collected = collect(
        local=options.local,
        dataset_repo=dataset_repo_of(named) if named else None,
        paper=options.paper,
        check=options.check,
        data=options.data,
        unranked=options.unfit,
    )
    entries = [e for e in collected.entries if options.source is None or e.source in options.source]
    if not entries:
        print_notes(collected.remarks)
        raise SocoError("There are no entries to show. Give --dataset-repo ORG/NAME, --local DIR or --paper.")
    if ranking.json or ranking.csv:
        print(_listed(entries, ranking), end="" if ranking.csv else "\n")
    else:
        for number, (heading, table) in enumerate(board.text_tables(entries, ranking.task, ranking.supercategory)):
            print_text(("\n" if number else "") + heading)
            table.print()
    print_notes(collected.remarks)  # below the table, where they are seen


def _listed(entries: list[Entry], ranking: RankingOptions) -> str:
    from ..hub import leaderboard as board

    if ranking.task is None and ranking.supercategory == board.OVERALL:
        shown = board.all_standings(entries)
    else:
        tasks = [ranking.task] if ranking.task else board.tasks_in(entries)
        shown = [s for task in tasks for s in board.task_standings(entries, task, ranking.supercategory)]
    return board.to_json(shown) if ranking.json else board.leaderboard_csv(shown)
