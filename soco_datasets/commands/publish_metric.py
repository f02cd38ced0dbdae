"""`soco publish-metric`: the metric to the Hub."""

from __future__ import annotations

import argparse

from .common import Commands, command
from .publish import print_synced


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = 'soco publish-metric --repo my-lab/soco_pck     # then: evaluate.load("my-lab/soco_pck")'
    parser = command(commands, "publish-metric", "publish the metric as a Space, for evaluate.load", example)
    parser.add_argument("--repo", required=True, metavar="ORG/NAME", help="Space to make or update")
    parser.add_argument("--private", action="store_true", help="make it private when it is made")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request instead of committing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..hub.publish_metric import publish_metric

    url, synced = publish_metric(arguments.repo, private=arguments.private, create_pr=arguments.create_pr)
    print_synced(url, synced)
    if synced.pull_request is None:
        print(f'  evaluate.load("{arguments.repo}")')
