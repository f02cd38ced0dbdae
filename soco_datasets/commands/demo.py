"""`soco demo`: the full pipeline on the built-in set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from . import DATA
from .common import OverwriteFlag
from .completion import complete_models
from .options import command


def add(app: typer.Typer) -> None:
    """Add the command."""
    command(app, run, "demo", "run the full pipeline on the built-in mini set (no download)", "soco demo", DATA)


def run(
    model: Annotated[
        str, Option(metavar="MODEL", help="what to evaluate", autocompletion=complete_models)
    ] = "dense_sift",
    image_size: Annotated[int, Option(help="requested network size in pixels")] = 320,
    out: Annotated[Path, Option(metavar="DIR", help="folder for everything it writes")] = Path("soco_demo"),
    overwrite: OverwriteFlag = False,
) -> None:
    """Run it."""
    from ..demo import run_demo

    run_demo(out, model, image_size, overwrite=overwrite)
