"""`soco info`: what a dataset folder holds."""

from __future__ import annotations

import argparse

from .common import Commands, command


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = command(commands, "info", "count what a dataset folder holds and compare with SOCO", "soco info soco-data")
    parser.add_argument("folder", nargs="?", help="a built folder, or mini (default: where load_dataset looks)")
    parser.add_argument("--no-all", action="store_true", help="do not count all pairs")
    parser.add_argument("--verify", action="store_true", help="also compare every shard with its sha256")
    parser.add_argument("--findings", action="store_true", help="list what the build found in the release instead")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..benchmarks.info import describe_findings, describe_folder
    from ..benchmarks.resolve import resolve_data
    from ..data.folder import open_folder
    from ..utils.text import clean_lines

    folder = open_folder(resolve_data(arguments.folder))
    if arguments.verify:
        folder.verify()
    text = describe_findings(folder) if arguments.findings else describe_folder(folder, all_pairs=not arguments.no_all)
    print(clean_lines(text))
