"""`soco lvlm judge`: let a model read the replies that give the strict parser no letter."""

from __future__ import annotations

import argparse

from ..utils.paths import local_path
from .common import Commands, command
from .lvlm_run import add_asking_options, asking_options


def add(commands: Commands) -> None:
    """Add the command to the parser of `soco lvlm`."""
    example = (
        "soco lvlm judge answers/MODEL/*.answers.jsonl --data DIR --model qwen --base-url http://localhost:8000/v1"
    )
    parser = command(commands, "judge", "let a model read the replies without a letter, for score --judged", example)
    parser.add_argument("answers", nargs="+", type=local_path, help="answers files of one model, one a setting")
    parser.add_argument("--model", required=True, help="the judge: as `soco lvlm run --model`; it gets text alone")
    parser.add_argument("--data", help="dataset folder or 'mini' (default: as load_dataset('soco') finds it)")
    parser.add_argument("--out", type=local_path, help="folder for verdicts (default: judge/ beside the answers)")
    add_asking_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..benchmarks.resolve import resolve_data
    from ..data.folder import open_folder
    from ..errors import SocoError
    from ..lvlm.answer_files import load_answers
    from ..lvlm.judge import judge_answers
    from ..lvlm.question_rows import read_rows

    folder = open_folder(resolve_data(arguments.data))
    headers, answers = load_answers(arguments.answers, folder.content_hash)
    rows = [row for header in headers for row in read_rows(folder, header["setting"])]
    out = arguments.out or arguments.answers[0].parent / "judge"
    model, options = asking_options(arguments)
    judgement = judge_answers(rows, answers, folder.content_hash, model, out, options)
    for setting, counts in judgement.counts.items():
        print(f"{setting}: " + ", ".join(f"{number} {name}" for name, number in counts.items()))
    print(judgement.verdicts)
    if not judgement.complete:
        raise SocoError("The judge did not answer for every reply (see above). Run the same command again to ask it.")
