"""`soco lvlm markers`: the marker study in one command."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer
from typer import Option

from .common import JsonFlag, OverwriteFlag, RequiredOut, open_dataset
from .lvlm_options import AskingOptions, LvlmModel, MarkerOptions, QuestionOptions, prepare_questions
from .options import command

if TYPE_CHECKING:
    from ..lvlm.marker_study import MarkerStudyOptions


def add(parts: typer.Typer) -> None:
    """Add the command to `soco lvlm`."""
    example = "soco lvlm markers --model Qwen/Qwen2.5-VL-7B-Instruct --data soco --per-category 2 --out markers"
    command(parts, run, "markers", "ask the same questions with several markers, and compare them", example)


@dataclass(frozen=True, kw_only=True)
class MarkerComparison:
    """Which markers are compared, and how."""

    PANEL: ClassVar[str] = "Markers"

    shapes: Annotated[
        str | None, Option(metavar="NAME,NAME", help="arrow, circle, cross, square", show_default="all")
    ] = None
    colors: Annotated[
        str | None, Option(metavar="NAME,NAME", help="red, blue, yellow, purple, green", show_default="red")
    ] = None
    parser: Annotated[str, Option(metavar="NAME", help="paper or strict")] = "paper"
    resamples: Annotated[int, Option(help="bootstrap resamples")] = 1000

    def study(self, seed: int) -> MarkerStudyOptions:
        """The study. Raises `UsageError` for unknown names."""
        from ..errors import unknown_name
        from ..lvlm.answers import PARSERS
        from ..lvlm.marker_study import MarkerStudyOptions

        if self.parser not in PARSERS:
            raise unknown_name("parser", self.parser, PARSERS)
        study = MarkerStudyOptions.of(self.shapes, self.colors, self.parser)
        return dataclasses.replace(study, resamples=self.resamples, seed=seed)


def run(
    model: LvlmModel,
    out: RequiredOut,
    questions: QuestionOptions,
    asking: AskingOptions,
    markers: MarkerComparison,
    overwrite: OverwriteFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Run the study."""
    import json

    from ..data.questions.markers import MarkerStyle
    from ..lvlm.marker_study import format_marker_study, marker_study
    from ..lvlm.prompted import PromptedQuestions

    study = markers.study(questions.seed or 0)
    folder = open_dataset(questions.data)
    chosen = dataclasses.replace(questions, setting=questions.setting or "vis")

    def prepared(style: MarkerStyle) -> list[PromptedQuestions]:
        shown = MarkerOptions(marker=style.shape, marker_color=style.color)
        return prepare_questions(folder, model, chosen, asking, shown)[0]

    _, asked, options = prepare_questions(folder, model, chosen, asking, MarkerOptions())
    found = marker_study(prepared, asked, out, options, study, overwrite=overwrite)
    print(json.dumps(found, indent=2, ensure_ascii=False) if as_json else format_marker_study(found), end="")
