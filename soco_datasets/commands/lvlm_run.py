"""`soco lvlm run`: ask a vision-language model the questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from .common import JsonFlag, RequiredOut, open_dataset
from .lvlm_options import AskingOptions, LvlmModel, MarkerOptions, QuestionOptions, prepare_questions
from .options import command


def add(parts: typer.Typer) -> None:
    """Add the command to `soco lvlm`."""
    example = "soco lvlm run --model Qwen/Qwen2.5-VL-7B-Instruct --data soco --setting vis,vis_desc,desc --out answers"
    command(parts, run, "run", "ask a vision-language model the questions; resumes where it stopped", example)


def run(
    model: LvlmModel,
    out: RequiredOut,
    questions: QuestionOptions,
    asking: AskingOptions,
    marker: MarkerOptions,
    as_json: JsonFlag = False,
) -> None:
    """Ask it."""
    import json

    from ..errors import SocoError
    from ..lvlm.run import run_questions

    asked, chosen, options = prepare_questions(open_dataset(questions.data), model, questions, asking, marker)
    results = run_questions(asked, chosen, out, options)
    if as_json:
        print(json.dumps([result.record for result in results], indent=2, ensure_ascii=False))
    else:
        print("".join(run_line(result.record, result.answers) for result in results), end="")
    if unanswered := sum(result.record["counts"]["unanswered"] for result in results):
        raise SocoError(
            f"{unanswered} questions got no answer (see the counts above). Run the same command again to ask them."
        )


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
