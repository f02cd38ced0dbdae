"""`soco publish`: a dataset folder to the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from . import PUBLISH
from .options import command

if TYPE_CHECKING:
    from ..hub.sync import Synced

PrivateFlag = Annotated[bool, Option("--private", help="create it as private")]
CreatePrFlag = Annotated[bool, Option("--create-pr", help="open a pull request instead of committing")]


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco publish soco --repo my-lab/soco --revision v1.0"
    command(app, run, "publish", "publish a dataset folder on the Hub, or update it there", example, PUBLISH)


def run(
    folder: Annotated[Path, Argument(metavar="DIR", help="folder made by `soco build`")],
    repo: Annotated[str, Option(metavar="ORG/NAME", help="dataset repository to make or update")],
    private: PrivateFlag = False,
    create_pr: CreatePrFlag = False,
    revision: Annotated[str | None, Option(metavar="TAG", help="name of this release (a git tag)")] = None,
) -> None:
    """Publish it."""
    from ..hub.publish import publish_dataset

    done = publish_dataset(folder, repo, private=private, create_pr=create_pr, tag=revision)
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
