"""`soco submit`: a result for the leaderboard, as a pull request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from . import PUBLISH
from .options import command


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco submit results/my_model.json --model-repo me/my-model --dataset-repo lab/soco --dry-run"
    help = "submit a result to the leaderboard, as a pull request on its model"
    command(app, run, "submit", help, example, PUBLISH)


def run(
    result: Annotated[Path, Argument(metavar="FILE", help="a record, with its predictions or answers beside it")],
    model_repo: Annotated[str, Option(metavar="ORG/MODEL", help="model repository on the Hub")],
    dataset_repo: Annotated[
        str | None, Option(metavar="ORG/NAME", help="the leaderboard's dataset", show_default="SOCO_LEADERBOARD")
    ] = None,
    artifacts: Annotated[
        str | None,
        Option(metavar="ORG/NAME", help="public dataset repository for the files", show_default="YOU/soco-submissions"),
    ] = None,
    create_model_repo: Annotated[
        bool, Option(help="for a model that is not on the Hub: create a repository for it")
    ] = False,
    dry_run: Annotated[bool, Option(help="print exactly what would be sent, and send nothing")] = False,
) -> None:
    """Submit it, or show what would be sent."""
    from ..hub.hosted_leaderboard import dataset_repo_of
    from ..hub.submit import preview_submission, submit, summary
    from ..utils.text_table import TextTable

    leaderboard = dataset_repo_of(dataset_repo)
    if dry_run:
        text, missing = preview_submission(result, model_repo, leaderboard, artifacts)
        print(text, end="")
        if missing is not None:
            raise missing
        return
    submission, submitted = submit(
        result, model_repo, leaderboard, artifacts_repo=artifacts, create_model_repo=create_model_repo
    )
    print(submission.yaml)
    print(TextTable(list(summary(submission, submitted).items()), left=None).text(), end="")
