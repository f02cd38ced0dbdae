"""`soco view`: look at images, pairs, questions or matches."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.paths import local_path
from .common import Commands, command

if TYPE_CHECKING:
    from ..reporting.drawing import Drawing

_CONFIG = "images, lvlm or a pair config (default soc)"
_SPLIT = "default: the first stored one; all: all pairs"
_ROWS = "row numbers, such as 0,17,240 (default: rows spread over the categories)"
_PREDICTIONS = "a predictions file: draw its matches instead"


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco view soco-data --config cross_soc --category bus --out bus.png"
    parser = command(commands, "view", "draw images, pairs, questions or a model's matches to one picture", example)
    parser.add_argument("folder", nargs="?", help="a built folder, or mini (default: where load_dataset looks)")
    parser.add_argument("--config", default="soc", help=_CONFIG)
    parser.add_argument("--split", help=_SPLIT)
    parser.add_argument("--category", help="only of this category (of a pair: the target's)")
    parser.add_argument("--rows", help=_ROWS)
    parser.add_argument("--pair", action="append", help="a pair_id; may be given several times")
    parser.add_argument("--number", type=int, default=6, help="how many, where they are not named (default 6)")
    parser.add_argument("--predictions", type=local_path, help=_PREDICTIONS)
    parser.add_argument("--task", help="with --predictions: which task (default: its first)")
    parser.add_argument("--out", type=local_path, default=Path("view.png"), help="the picture: .png, .jpg, .svg or .pdf (default view.png)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..benchmarks.resolve import resolve_data
    from ..data.folder import open_folder
    from ..reporting.drawing import check_format, save_drawing

    check_format(arguments.out)
    folder = open_folder(resolve_data(arguments.folder))
    sheet: Drawing
    if arguments.predictions is None:
        from ..reporting.view_rows import view_rows

        numbers = None if arguments.rows is None else _whole_numbers(arguments.rows)
        sheet = view_rows(
            folder,
            arguments.config,
            arguments.split,
            category=arguments.category,
            rows=numbers,
            pairs=arguments.pair,
            number=arguments.number,
        )
    else:
        from ..reporting.view_rows import view_matches

        sheet = view_matches(
            folder,
            arguments.predictions,
            arguments.task,
            category=arguments.category,
            pairs=arguments.pair,
            number=arguments.number,
        )
    save_drawing(sheet, arguments.out)
    print(arguments.out)


def _whole_numbers(text: str) -> list[int]:
    from ..errors import UsageError

    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--rows takes row numbers separated by commas, such as 0,17,240; got {text!r}.")
    return [int(part) for part in parts]
