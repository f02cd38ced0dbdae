"""`soco submit`: a result for the leaderboard, as a pull request."""

from __future__ import annotations

import argparse

from ..utils.paths import local_path
from .common import Commands, command


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco submit results/my_model.json --model-repo me/my-model --dataset-repo lab/soco --dry-run"
    parser = command(commands, "submit", "submit a result to the leaderboard, as a pull request on its model", example)
    parser.add_argument("result", type=local_path, help="a record, with its predictions or answers beside it")
    parser.add_argument("--model-repo", required=True, metavar="ORG/MODEL", help="model repository on the Hub")
    parser.add_argument(
        "--dataset-repo", metavar="ORG/NAME", help="the leaderboard's dataset (default: SOCO_LEADERBOARD)"
    )
    parser.add_argument(
        "--artifacts",
        metavar="ORG/NAME",
        help="public dataset repository for the files (default: YOU/soco-submissions)",
    )
    parser.add_argument(
        "--create-model-repo", action="store_true", help="for a model that is not on the Hub: make a repository for it"
    )
    parser.add_argument("--dry-run", action="store_true", help="print exactly what would be sent, and send nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..hub.hosted_leaderboard import dataset_repo_of
    from ..hub.submit import (
        describe_submission,
        plan,
        submit,
        summary,
    )
    from ..reporting.terminal_tables import align

    dataset_repo = dataset_repo_of(arguments.dataset_repo)
    if arguments.dry_run:
        print(
            describe_submission(plan(arguments.result, arguments.model_repo, dataset_repo, arguments.artifacts)), end=""
        )
        return
    submission, submitted = submit(
        arguments.result,
        arguments.model_repo,
        dataset_repo,
        artifacts_repo=arguments.artifacts,
        create_model_repo=arguments.create_model_repo,
    )
    print(submission.yaml)
    print(align(list(summary(submission, submitted).items()), right=False), end="")
