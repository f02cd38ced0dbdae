"""`soco lvlm markers`: the marker study in one command."""

from __future__ import annotations

import argparse

from .common import Commands, command
from .lvlm_run import add_run_options


def add(commands: Commands) -> None:
    """Add the command to the parser of `soco lvlm`."""
    example = "soco lvlm markers --model Qwen/Qwen2.5-VL-7B-Instruct --data DIR --per-category 2 --out markers/"
    parser = command(commands, "markers", "ask the same questions with several markers, and compare them", example)
    add_run_options(parser)
    parser.add_argument("--shapes", help="arrow, circle, cross, square, separated by commas (default: all)")
    parser.add_argument("--colors", help="red, blue, yellow, purple, green, separated by commas (default: red)")
    parser.add_argument("--parser", default="paper", help="paper (default) or strict")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (default 1000)")
    parser.add_argument("--json", action="store_true", help="print the study as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    import dataclasses
    import json

    from ..data.questions.markers import MarkerStyle
    from ..errors import unknown_name
    from ..lvlm.answers import PARSERS
    from ..lvlm.marker_study import MarkerStudyOptions, format_marker_study, marker_study
    from ..lvlm.prompted import PromptedQuestions
    from .lvlm_run import prepare_run

    if arguments.parser not in PARSERS:
        raise unknown_name("parser", arguments.parser, PARSERS)
    arguments.setting = arguments.setting or "vis"
    study = MarkerStudyOptions.of(arguments.shapes, arguments.colors, arguments.parser)
    study = dataclasses.replace(study, resamples=arguments.resamples, seed=arguments.seed or 0)

    def questions(style: MarkerStyle) -> list[PromptedQuestions]:
        arguments.marker, arguments.marker_color = style.shape, style.color
        return prepare_run(arguments)[0]

    _, model, options = prepare_run(argparse.Namespace(**{**vars(arguments), "marker": "arrow", "marker_color": "red"}))
    found = marker_study(questions, model, arguments.out, options, study)
    print(json.dumps(found, indent=2, ensure_ascii=False) if arguments.json else format_marker_study(found), end="")
