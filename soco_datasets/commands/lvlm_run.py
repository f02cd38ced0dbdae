"""`soco lvlm run`: ask a vision-language model the questions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..lvlm.prompted import IMAGE_FORMATS
from ..lvlm.protocols import PROTOCOLS
from ..utils.paths import local_path
from .common import Commands, command

if TYPE_CHECKING:
    from ..lvlm.ask_options import AskOptions
    from ..lvlm.model_choice import ModelOptions
    from ..lvlm.prompted import PromptedQuestions


def add(commands: Commands) -> None:
    """Add the command to the parser of `soco lvlm`."""
    example = "soco lvlm run --model Qwen/Qwen2.5-VL-7B-Instruct --data DIR --setting vis,vis_desc,desc --out answers/"
    parser = command(commands, "run", "ask a vision-language model the questions; resumes where it stopped", example)
    add_run_options(parser)
    parser.add_argument("--marker", default="arrow", help="arrow, circle, cross or square (default arrow)")
    parser.add_argument("--marker-color", default="red", help="red, blue, yellow, purple or green (default red)")
    parser.add_argument("--json", action="store_true", help="print the records as JSON")
    parser.set_defaults(run=run)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add which model is asked which questions, and how, to a parser."""
    parser.add_argument(
        "--model",
        required=True,
        help="folder or Hub id of an image-text-to-text model, PROVIDER/NAME (openai/gpt-4o, vllm/...), or the "
        "endpoint's name of it with --base-url",
    )
    parser.add_argument("--setting", help="vis, vis_desc, desc, separated by commas (default: all that the data has)")
    parser.add_argument("--data", help="dataset folder or 'mini' (default: as load_dataset('soco') finds it)")
    parser.add_argument("--out", type=local_path, required=True, help="folder of answers, records, logs")
    parser.add_argument(
        "--protocol", choices=PROTOCOLS, help="paper: the prompt and settings of the released code, per model family"
    )
    parser.add_argument("--template", type=local_path, help="TOML file with another wording")
    parser.add_argument(
        "--limit", type=int, help="only the first so many questions of a setting, in four orderings each"
    )
    parser.add_argument("--category", help="only questions of these categories, separated by commas")
    parser.add_argument("--per-category", type=int, help="a balanced subset: so many questions of each category")
    parser.add_argument("--seed", type=int, help="of the subset and of sampling (default 0)")
    parser.add_argument("--no-images", action="store_true", help="ask without pictures: what the text alone gives away")
    pictures = parser.add_argument_group("pictures")
    pictures.add_argument(
        "--image-format",
        choices=("auto", *IMAGE_FORMATS),
        help="default: png for local models, jpeg for remote ones",
    )
    pictures.add_argument("--image-size", type=int, help="shrink pictures to this many pixels on their longer side")
    pictures.add_argument("--image-detail", choices=("auto", "low", "high"), help="for OpenAI (default high)")
    add_asking_options(parser)


def add_asking_options(parser: argparse.ArgumentParser) -> None:
    """Add how a model is asked, and how a local one is loaded, to a parser."""
    from ..lvlm.ask_options import MAX_TOKENS, THINKING_MAX_TOKENS, AskOptions

    asking = parser.add_argument_group("asking")
    asking.add_argument("--base-url", help="address of an OpenAI-compatible endpoint")
    asking.add_argument("--api-key-env", help="environment variable that holds its key (default: no key is sent)")
    asking.add_argument("--max-tokens", type=int, help=f"of an answer (default {MAX_TOKENS})")
    asking.add_argument("--temperature", type=float, help="0 (default) = greedy")
    asking.add_argument("--top-p", type=float, help="sample from the most probable tokens of this share")
    asking.add_argument("--top-k", type=int, help="sample from so many most probable tokens")
    asking.add_argument("--repetition-penalty", type=float, help="of sampling (local models, vLLM)")
    asking.add_argument(
        "--thinking",
        action="store_true",
        help=f"the model reasons first: reasoning is stored apart, --max-tokens is {THINKING_MAX_TOKENS} by default",
    )
    asking.add_argument("--batch", type=int, help="use the provider's batch mode, so many requests per batch")
    asking.add_argument("--max-connections", type=int, help="requests at a time (default 10, or two batches)")
    asking.add_argument("--max-retries", type=int, help=f"of a question (default {AskOptions.max_retries})")
    asking.add_argument(
        "--progress-interval",
        type=float,
        help="seconds between progress lines without a terminal (default 30)",
    )
    asking.add_argument("--timeout", type=int, help="seconds an attempt may take")
    local = parser.add_argument_group("local models")
    local.add_argument("--device", default="auto", help="torch device (default: a GPU where there is one)")
    local.add_argument("--dtype", default="auto", help="float32, float16, bfloat16 (default: bfloat16 on a GPU)")
    local.add_argument("--batch-size", type=int, default=8, help="questions in one forward (default 8)")
    local.add_argument("--min-pixels", type=int, help="smaller pictures are enlarged to this many pixels")
    local.add_argument("--max-pixels", type=int, help="larger pictures are shrunk to this many pixels")
    local.add_argument("--revision", help="Hub commit, branch or tag")


def asking_options(arguments: argparse.Namespace) -> tuple[ModelOptions, AskOptions]:
    """The model and how it is asked, from the options of `add_asking_options` and `--model`."""
    from ..lvlm.ask_options import AskOptions
    from ..lvlm.model_choice import ModelOptions

    given = {name: value for name, value in vars(arguments).items() if value not in (None, False)}
    model = {name: given[name] for name in ModelOptions.__dataclass_fields__ if name in given}
    asking = {name: given[name] for name in AskOptions.__dataclass_fields__ if name in given and name != "protocol"}
    return ModelOptions(**model), AskOptions(**asking)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    import json

    from ..errors import SocoError
    from ..lvlm.run import run_questions

    asked, model, options = prepare_run(arguments)
    results = run_questions(asked, model, arguments.out, options)
    if arguments.json:
        print(json.dumps([result.record for result in results], indent=2, ensure_ascii=False))
    else:
        print("".join(run_line(result.record, result.answers) for result in results), end="")
    if unanswered := sum(result.record["counts"]["unanswered"] for result in results):
        raise SocoError(
            f"{unanswered} questions got no answer (see the counts above). Run the same command again to ask them."
        )


def prepare_run(arguments: argparse.Namespace) -> tuple[list[PromptedQuestions], ModelOptions, AskOptions]:
    """The questions, the model and how it is asked, as the command line says; the model is not loaded.

    Raises:
        UsageError: options that exclude one another, or out of range.
    """
    from ..benchmarks.resolve import resolve_data
    from ..data.folder import open_folder
    from ..data.questions.generation import SETTINGS
    from ..data.questions.markers import MarkerStyle
    from ..errors import UsageError
    from ..lvlm.open_questions import open_asked
    from ..lvlm.protocols import apply_protocol
    from ..lvlm.question_rows import stored_settings
    from ..lvlm.subsets import SubsetOptions, question_subset

    style = MarkerStyle(arguments.marker, arguments.marker_color)
    folder = open_folder(resolve_data(arguments.data))
    folder.check_intact(images=True)
    named = [part.strip() for part in (arguments.setting or "").split(",") if part.strip()]
    settings = list(dict.fromkeys(named or stored_settings(folder) or SETTINGS))
    model, options = asking_options(arguments)
    template = arguments.template
    if arguments.protocol is not None:
        if template is not None:
            raise UsageError("--protocol gives the prompt; leave out --template.")
        given = [name for name, value in vars(arguments).items() if value not in (None, False)]
        applied = apply_protocol(arguments.protocol, model, options, given)
        model, options, template = applied.model, applied.options, applied.template
    subset = SubsetOptions.from_texts(arguments.category, arguments.per_category, arguments.seed, arguments.limit)
    asked = [question_subset(open_asked(name, folder, template=template, style=style), subset) for name in settings]
    return asked, model, options


def run_line(record: dict[str, Any], answers: Path) -> str:
    """How the questions of a setting ended, with the most frequent reasons and a hint at answers that were cut."""
    from ..lvlm.run_record import format_reasons

    counts = record["counts"]
    shown = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items() if number)
    text = f"{record['setting']}: {shown}: {answers}\n" + format_reasons(record["reasons"])
    if cut := record["cut_at_limit"]:
        limit = record["asked"]["max_tokens"]
        text += f"  {cut} answers were cut at {limit} tokens; give a larger --max-tokens (and another --out)\n"
    return text
