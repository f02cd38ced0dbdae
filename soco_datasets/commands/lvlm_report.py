"""`soco lvlm report`: scores, questions, pictures and answers as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from .common import DataOption, OverwriteFlag, open_dataset
from .options import command


def add(parts: typer.Typer) -> None:
    """Add the command to `soco lvlm`."""
    example = "soco lvlm report answers/MODEL_A answers/MODEL_B --data soco --out report"
    command(parts, run, "report", "write one HTML page of scores, questions, pictures and answers", example)


def run(
    models: Annotated[list[Path], Argument(metavar="DIR...", help="folders of answers, one per model")],
    data: DataOption = None,
    out: Annotated[Path, Option(metavar="DIR", help="folder for lvlm.html")] = Path("report"),
    partial: Annotated[bool, Option(help="leave out questions that are not answered yet")] = False,
    seed: Annotated[int, Option(help="random seed of the questions shown and the bootstrap")] = 0,
    overwrite: OverwriteFlag = False,
) -> None:
    """Write the page."""
    from ..errors import DataNotFoundError
    from ..reporting.lvlm_page import write_lvlm_page

    found = [sorted(folder.glob("*.answers.jsonl")) for folder in models]
    for model, paths in zip(models, found, strict=True):
        if not paths:
            raise DataNotFoundError(f"There are no answers (*.answers.jsonl) in {model}. `soco lvlm run` writes them.")
    print(write_lvlm_page(found, open_dataset(data), out, partial=partial, seed=seed, overwrite=overwrite))
