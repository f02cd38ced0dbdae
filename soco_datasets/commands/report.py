"""`soco report`: a page and tables from result records."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from . import LOOK
from .common import OverwriteFlag, open_dataset
from .options import command

_RECORDS = "result records that `soco evaluate` wrote, or folders of them"
_OUT = "folder for report.html, tables/ and figures/"
_DATA = "the data, for pictures of matches and pair attributes; of several benchmarks comma-separated"


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco report results --data soco --out report"
    command(app, run, "report", "write one HTML page of results, and its tables", example, LOOK)


def run(
    records: Annotated[list[Path], Argument(metavar="FILE_OR_DIR...", help=_RECORDS)],
    data: Annotated[str | None, Option(metavar="DIR", help=_DATA, show_default="found")] = None,
    out: Annotated[Path, Option(metavar="DIR", help=_OUT)] = Path("report"),
    overwrite: OverwriteFlag = False,
) -> None:
    """Write the page."""
    from ..benchmarks.resolve import data_names
    from ..reporting.write_report import write_report

    for name in data_names(data):
        open_dataset(name)  # what is wrong with --data is said in its words, before the work
    page, *files = write_report(records, out, data, overwrite=overwrite)
    print(f"page     {page}")
    for folder, number in Counter(path.parent for path in files).items():
        print(f"{folder.name:<8} {folder} ({number} files)")
