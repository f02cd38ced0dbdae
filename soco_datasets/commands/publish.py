"""`soco publish`: a dataset folder to the Hub."""

from __future__ import annotations

import argparse

from ..hub.sync import Synced
from ..utils.paths import local_path
from .common import Commands, command


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco publish soco-data --repo my-lab/soco --revision v1.0"
    parser = command(commands, "publish", "publish a dataset folder on the Hub, or update it there", example)
    parser.add_argument("folder", type=local_path, metavar="DIR", help="folder made by `soco build`")
    parser.add_argument("--repo", required=True, metavar="ORG/NAME", help="dataset repository to make or update")
    parser.add_argument("--private", action="store_true", help="make it private when it is made")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request instead of committing")
    parser.add_argument("--revision", metavar="TAG", help="name this release so (a git tag)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..hub.publish import publish_dataset

    done = publish_dataset(
        arguments.folder,
        arguments.repo,
        private=arguments.private,
        create_pr=arguments.create_pr,
        tag=arguments.revision,
    )
    print_synced(done.url, done.synced)
    if done.tag is not None:
        print(f"  tagged {done.tag}")
    if done.synced.pull_request is None:
        print(f'  load_dataset("{done.repo}", "soc", split="test")')


def print_synced(url: str, synced: Synced) -> None:
    """Say what was sent where."""
    print(synced.pull_request or url)
    if not synced.uploaded and not synced.deleted:
        print(f"  nothing to send: all {synced.unchanged} files are there already")
    else:
        print(
            f"  {len(synced.uploaded)} files sent ({synced.bytes:,} bytes), {synced.unchanged} unchanged, "
            f"{len(synced.deleted)} removed; commit {synced.commit[:12]}"
        )
