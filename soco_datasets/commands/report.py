"""`soco report`: a page and tables from result records."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..utils.paths import local_path
from .common import Commands, command


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco report results/dinov2_b14.json results/dino_b16.json --data soco-data --out report"
    parser = command(commands, "report", "write one HTML page of results, and its tables", example)
    parser.add_argument("records", nargs="+", type=local_path, help="result records that `soco evaluate` wrote")
    parser.add_argument("--out", type=local_path, default=Path("report"), help="folder for report.html and tables/")
    parser.add_argument("--data", help="the dataset folder, for pictures of matches (default: found by content hash)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..reporting.write_report import write_report

    page, *tables = write_report(arguments.records, arguments.out, arguments.data)
    print(f"page    {page}\ntables  {tables[0].parent} ({len(tables)} files)")
