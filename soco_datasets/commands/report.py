"""`soco report`: a page and tables from result records."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from ..utils.paths import local_path
from .common import Commands, command

_RECORDS = "result records that `soco evaluate` wrote, or folders of them"
_OUT = "folder for report.html, tables/ and figures/"
_DATA = "the data, for pictures of matches and pair attributes; of several benchmarks comma-separated (default: found)"


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco report results/dinov2_b14.json results/dino_b16.json --data soco-data --out report"
    parser = command(commands, "report", "write one HTML page of results, and its tables", example)
    parser.add_argument("records", nargs="+", type=local_path, help=_RECORDS)
    parser.add_argument("--out", type=local_path, default=Path("report"), help=_OUT)
    parser.add_argument("--data", help=_DATA)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..reporting.write_report import write_report

    page, *files = write_report(arguments.records, arguments.out, arguments.data)
    print(f"page     {page}")
    for folder, number in Counter(path.parent for path in files).items():
        print(f"{folder.name:<8} {folder} ({number} files)")
