"""`soco info`: what a dataset folder holds."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Option

from . import DATA
from .common import DataArgument, open_dataset
from .options import command


def add(app: typer.Typer) -> None:
    """Add the command."""
    command(app, run, "info", "count what a dataset folder holds and compare with SOCO", "soco info soco", DATA)


def run(
    folder: DataArgument = None,
    no_all: Annotated[bool, Option(help="do not count all pairs")] = False,
    verify: Annotated[bool, Option(help="also compare every shard with its sha256")] = False,
    findings: Annotated[bool, Option(help="list what the build found in the release instead")] = False,
) -> None:
    """Describe the folder."""
    from ..benchmarks.info import describe_findings, describe_folder
    from ..utils.terminal import print_text, terminal_width

    data = open_dataset(folder, option="")
    if verify:
        data.verify()
    print_text(describe_findings(data) if findings else describe_folder(data, not no_all, terminal_width()))
