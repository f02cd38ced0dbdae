"""`soco leaderboard`: everybody's numbers in one table."""

from __future__ import annotations

import argparse

from .common import Commands, command


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco leaderboard --dataset-repo lab/soco --local results --task soc"
    parser = command(commands, "leaderboard", "rank the Hub's entries, results here and the paper's models", example)
    parser.add_argument("--local", metavar="DIR", help="folder with records (`soco evaluate`, `soco lvlm score`)")
    parser.add_argument(
        "--dataset-repo", metavar="ORG/NAME", help="the leaderboard's dataset (default: SOCO_LEADERBOARD)"
    )
    parser.add_argument("--task", help="rank by this task and show it alone (default: all)")
    parser.add_argument("--supercategory", default="overall", help="transportation, hand_held, furniture or animals")
    parser.add_argument(
        "--source", action="append", choices=("hub", "local", "paper"), help="only these; may be repeated"
    )
    parser.add_argument(
        "--paper",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="with the paper's models (default: where the data is SOCO)",
    )
    parser.add_argument("--check", action="store_true", help="compute results again and say which ones match")
    parser.add_argument("--data", help="dataset folder for --check (default: an available one)")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print JSON: an object for each number")
    shown.add_argument("--csv", action="store_true", help="print CSV: a line for each number")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    import os

    from ..errors import SocoError
    from ..hub import leaderboard as board
    from ..hub.hosted_leaderboard import BOARD_VARIABLE, dataset_repo_of
    from ..hub.sources import collect, print_notes
    from ..records.registry import ranked_types
    from ..reporting.terminal_tables import align

    board.check_choice(arguments.task or "soc", arguments.supercategory)
    named = arguments.dataset_repo or os.environ.get(BOARD_VARIABLE)
    collected = collect(
        local=arguments.local,
        dataset_repo=dataset_repo_of(named) if named else None,
        paper=arguments.paper,
        check=arguments.check,
        data=arguments.data,
    )
    print_notes(collected.remarks)
    entries = [e for e in collected.entries if arguments.source is None or e.source in arguments.source]
    if not entries:
        raise SocoError("There are no entries to show. Give --dataset-repo ORG/NAME, --local DIR or --paper.")
    if arguments.json or arguments.csv:
        chosen = arguments.task is not None or arguments.supercategory != board.OVERALL
        tasks = [arguments.task] if arguments.task else board.tasks_in(entries)
        shown = (
            [s for task in tasks for s in board.standings(entries, task, arguments.supercategory)]
            if chosen
            else board.all_standings(entries)
        )
        print(
            board.to_json(shown) if arguments.json else board.leaderboard_csv(shown), end="" if arguments.csv else "\n"
        )
        return
    there = [arguments.task] if arguments.task else board.tasks_in(entries)
    tables = []
    for kind in ranked_types():
        if tasks := [task for task in there if task in kind.tasks]:
            sort = kind.main_task if kind.main_task in tasks else tasks[0]
            rows = board.table_rows(entries, tasks, sort=sort, supercategory=arguments.supercategory)
            tables.append(f"{kind.heading}, {arguments.supercategory}, ranked by {sort}\n{align(rows)}")
    print("\n".join(tables), end="")
