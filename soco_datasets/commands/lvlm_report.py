"""`soco lvlm report`: scores, questions, pictures and answers as one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..utils.paths import local_path
from .common import Commands, command


def add(commands: Commands) -> None:
    """Add the command to the parser of `soco lvlm`."""
    example = "soco lvlm report answers/MODEL_A answers/MODEL_B --data soco-data --out report"
    parser = command(commands, "report", "write one HTML page of scores, questions, pictures and answers", example)
    parser.add_argument("models", nargs="+", type=local_path, help="folders of answers, one a model")
    parser.add_argument("--data", help="dataset folder or 'mini' (default: as load_dataset('soco') finds it)")
    parser.add_argument("--out", type=local_path, default=Path("report"), help="folder for lvlm.html (default report)")
    parser.add_argument("--partial", action="store_true", help="leave out questions that are not answered yet")
    parser.add_argument("--seed", type=int, default=0, help="of the questions shown and the bootstrap (default 0)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..benchmarks.resolve import resolve_data
    from ..data.folder import open_folder
    from ..errors import DataNotFoundError
    from ..reporting.lvlm_page import write_lvlm_page

    found = [sorted(folder.glob("*.answers.jsonl")) for folder in arguments.models]
    for folder, paths in zip(arguments.models, found, strict=True):
        if not paths:
            raise DataNotFoundError(f"There are no answers (*.answers.jsonl) in {folder}. `soco lvlm run` writes them.")
    folder = open_folder(resolve_data(arguments.data))
    print(write_lvlm_page(found, folder, arguments.out, partial=arguments.partial, seed=arguments.seed))
