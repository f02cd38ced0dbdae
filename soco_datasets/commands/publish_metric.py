"""`soco publish-metric`: the metric to the Hub."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Option

from . import PUBLISH
from .options import command
from .publish import CreatePrFlag, PrivateFlag, print_synced


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = 'soco publish-metric --repo my-lab/soco_pck     # then: evaluate.load("my-lab/soco_pck")'
    command(app, run, "publish-metric", "publish the metric as a Space, for evaluate.load", example, PUBLISH)


def run(
    repo: Annotated[str, Option(metavar="ORG/NAME", help="Space to make or update")],
    private: PrivateFlag = False,
    create_pr: CreatePrFlag = False,
) -> None:
    """Publish it."""
    from ..hub.publish_metric import publish_metric

    url, synced = publish_metric(repo, private=private, create_pr=create_pr)
    print_synced(url, synced)
    if synced.pull_request is None:
        print(f'  evaluate.load("{repo}")')
