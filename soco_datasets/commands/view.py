"""`soco view`: look at images, pairs, questions or matches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from . import LOOK
from .common import DataArgument, OverwriteFlag, open_dataset
from .options import command

if TYPE_CHECKING:
    from ..data.folder import DatasetFolder
    from ..utils.shapes import Drawing


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco view soco --config cross_soc --category bus --out bus.png"
    command(app, run, "view", "draw images, pairs, questions or a model's matches to one picture", example, LOOK)


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """What is drawn."""

    config: Annotated[str, Option(metavar="NAME", help="images, lvlm or a pair config")] = "soc"
    split: Annotated[str | None, Option(metavar="NAME", help="all: all pairs", show_default="the first stored one")] = (
        None
    )
    category: Annotated[str | None, Option(metavar="NAME", help="only of this category (of a pair: the target's)")] = (
        None
    )
    rows: Annotated[
        str | None,
        Option(metavar="N,N,...", help="row numbers, such as 0,17,240", show_default="rows spread over the categories"),
    ] = None
    pair: Annotated[list[str] | None, Option(metavar="ID", help="a pair_id; may be repeated")] = None
    number: Annotated[int, Option(help="how many, where they are not named")] = 6
    predictions: Annotated[Path | None, Option(metavar="FILE", help="a predictions file: draw its matches instead")] = (
        None
    )
    task: Annotated[
        str | None, Option(metavar="TASK", help="with --predictions: which task", show_default="its first")
    ] = None


def run(
    options: ViewOptions,
    folder: DataArgument = None,
    out: Annotated[Path, Option(metavar="FILE", help="the picture: .png, .jpg, .svg or .pdf")] = Path("view.png"),
    overwrite: OverwriteFlag = False,
) -> None:
    """Draw them."""
    from ..reporting.drawing import picture_format, save_drawing

    picture_format(out)
    data = open_dataset(folder, option="")
    data.check_intact()
    print(save_drawing(_sheet(data, options), out, overwrite=overwrite))


def _sheet(folder: DatasetFolder, options: ViewOptions) -> Drawing:
    from ..reporting.view_rows import view_matches, view_rows

    if options.predictions is not None:
        return view_matches(
            folder,
            options.predictions,
            options.task,
            category=options.category,
            pairs=options.pair,
            number=options.number,
        )
    return view_rows(
        folder,
        options.config,
        options.split,
        category=options.category,
        rows=None if options.rows is None else _whole_numbers(options.rows),
        pairs=options.pair,
        number=options.number,
    )


def _whole_numbers(text: str) -> list[int]:
    from ..errors import UsageError

    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--rows takes row numbers separated by commas, such as 0,17,240; got {text!r}.")
    return [int(part) for part in parts]
