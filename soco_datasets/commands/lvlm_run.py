"""`soco lvlm run`: ask a vision-language model the questions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..lvlm.prompted import IMAGE_FORMATS
from ..utils.paths import local_path
from .common import Commands, command

if TYPE_CHECKING:
    from ..lvlm.model_choice import ModelOptions
    from ..lvlm.run import AskOptions


def add(commands: Commands) -> None:
    """Add the command to the parser of `soco lvlm`."""
    example = "soco lvlm run --model Qwen/Qwen2.5-VL-7B-Instruct --data DIR --setting vis,vis_desc,desc --out answers/"
    parser = command(commands, "run", "ask a vision-language model the questions; goes on where it stopped", example)
    parser.add_argument(
        "--model",
        required=True,
        help="folder or Hub id of an image-text-to-text model, PROVIDER/NAME (openai/gpt-4o, vllm/...), or the "
        "endpoint's name of it with --base-url",
    )
    parser.add_argument("--setting", help="vis, vis_desc, desc, separated by commas (default: all that the data has)")
    parser.add_argument("--data", help="dataset folder or 'mini' (default: as load_dataset('soco') finds it)")
    parser.add_argument(
        "--out", type=local_path, required=True, help="folder for answers, records and logs, one per model"
    )
    parser.add_argument("--template", type=local_path, help="TOML file with another wording")
    parser.add_argument("--marker", default="arrow", help="arrow, circle, cross or square (default arrow)")
    parser.add_argument("--marker-color", default="red", help="red, blue, yellow, purple or green (default red)")
    parser.add_argument(
        "--limit", type=int, help="only the first so many questions of a setting, in four orderings each"
    )
    parser.add_argument(
        "--image-format",
        choices=("auto", *IMAGE_FORMATS),
        default="auto",
        help="default: png for local models, jpeg for remote ones",
    )
    add_asking_options(parser)
    parser.add_argument("--json", action="store_true", help="print the records as JSON")
    parser.set_defaults(run=run)


def add_asking_options(parser: argparse.ArgumentParser) -> None:
    """Add how a model is asked, and how a local one is loaded, to a parser."""
    from ..lvlm.run import AskOptions

    asking = parser.add_argument_group("asking")
    asking.add_argument("--base-url", help="address of an OpenAI-compatible endpoint")
    asking.add_argument("--api-key-env", help="environment variable that holds its key (default: no key is sent)")
    asking.add_argument(
        "--max-tokens", type=int, default=AskOptions.max_tokens, help="of an answer (default %(default)s)"
    )
    asking.add_argument("--temperature", type=float, default=0.0, help="of a remote model (default 0)")
    asking.add_argument("--max-connections", type=int, help="requests at a time (default 10, or two batches)")
    asking.add_argument(
        "--max-retries", type=int, default=AskOptions.max_retries, help="of a question (default %(default)s)"
    )
    asking.add_argument("--timeout", type=int, help="seconds an attempt may take")
    local = parser.add_argument_group("local models")
    local.add_argument("--device", default="auto", help="torch device (default: a GPU where there is one)")
    local.add_argument("--dtype", default="auto", help="float32, float16, bfloat16 (default: bfloat16 on a GPU)")
    local.add_argument("--batch-size", type=int, default=8, help="questions in one forward (default 8)")
    local.add_argument("--max-pixels", type=int, help="larger pictures are shrunk to this many pixels")
    local.add_argument("--revision", help="Hub commit, branch or tag")


def asking_options(arguments: argparse.Namespace) -> tuple[ModelOptions, AskOptions]:
    """The model and how it is asked, from the options of `add_asking_options` and `--model`."""
    from ..lvlm.model_choice import ModelOptions
    from ..lvlm.run import AskOptions

    given = vars(arguments)
    model = {name: given[name] for name in ModelOptions.__dataclass_fields__}
    asking = {name: given[name] for name in AskOptions.__dataclass_fields__ if name in given}
    return ModelOptions(**model), AskOptions(**asking)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    import json

    from ..benchmarks.resolve import resolve_data
    from ..data.folder import open_folder
    from ..data.questions.generation import SETTINGS
    from ..data.questions.markers import MarkerStyle
    from ..errors import SocoError
    from ..lvlm.open_questions import open_asked
    from ..lvlm.question_rows import stored_settings
    from ..lvlm.run import run_questions

    style = MarkerStyle(arguments.marker, arguments.marker_color)
    folder = open_folder(resolve_data(arguments.data))
    named = [part.strip() for part in (arguments.setting or "").split(",") if part.strip()]
    settings = list(dict.fromkeys(named or stored_settings(folder) or SETTINGS))
    asked = [
        open_asked(setting, folder, template=arguments.template, style=style).first(arguments.limit)
        for setting in settings
    ]
    model, options = asking_options(arguments)
    results = run_questions(asked, model, arguments.out, options)
    if arguments.json:
        print(json.dumps([result.record for result in results], indent=2, ensure_ascii=False))
    else:
        print("".join(_line(result.record, result.answers) for result in results), end="")
    if unanswered := sum(result.record["counts"]["unanswered"] for result in results):
        raise SocoError(
            f"{unanswered} questions got no answer (see the counts above). Run the same command again to ask them."
        )


def _line(record: dict[str, object], answers: Path) -> str:
    counts = record["counts"]
    assert isinstance(counts, dict)  # the record is ours
    told = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items() if number)
    return f"{record['setting']}: {told}: {answers}\n"
