"""`soco lvlm judge`: let a model read the replies that give the strict parser no letter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from .common import DataOption, open_dataset
from .lvlm_options import AskingOptions, asking_options
from .options import command


def add(parts: typer.Typer) -> None:
    """Add the command to `soco lvlm`."""
    example = (
        "soco lvlm judge answers/MODEL/*.answers.jsonl --data soco --model qwen --base-url http://localhost:8000/v1"
    )
    command(parts, run, "judge", "let a model read the replies without a letter, for score --judged", example)


def run(
    answers: Annotated[list[Path], Argument(metavar="FILE...", help="answers files of one model, one per setting")],
    model: Annotated[
        str, Option(metavar="MODEL", help="the judge, as `soco lvlm run --model`; it reads only the text")
    ],
    asking: AskingOptions,
    data: DataOption = None,
    out: Annotated[
        Path | None, Option(metavar="DIR", help="folder for verdicts", show_default="judge/ beside the answers")
    ] = None,
) -> None:
    """Judge the replies."""
    from ..errors import SocoError
    from ..lvlm.answer_files import load_answers
    from ..lvlm.judge import judge_answers
    from ..lvlm.question_rows import read_rows

    folder = open_dataset(data)
    headers, replies = load_answers(answers, folder.content_hash)
    rows = [row for header in headers for row in read_rows(folder, header["setting"])]
    chosen, options = asking_options(model, asking)
    place = out or answers[0].parent / "judge"
    judgment = judge_answers(rows, replies, folder.content_hash, chosen, place, options)
    for setting, counts in judgment.counts.items():
        print(f"{setting}: " + ", ".join(f"{number} {name}" for name, number in counts.items()))
    print(judgment.verdicts)
    if not judgment.complete:
        raise SocoError("The judge did not answer for every reply (see above). Run the same command again to ask it.")
