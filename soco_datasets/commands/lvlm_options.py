"""The options of a vision-language model: which questions it is asked, how, and how a local model is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from typer import Option

from .common import names
from .completion import complete_data

if TYPE_CHECKING:
    from ..data.folder import DatasetFolder
    from ..data.questions.prompts import PromptTemplate
    from ..lvlm.ask_options import AskOptions
    from ..lvlm.model_choice import ModelOptions
    from ..lvlm.prompted import PromptedQuestions
    from ..lvlm.subsets import SubsetOptions

_MODEL = (
    "folder or Hub id of an image-text-to-text model, PROVIDER/NAME (openai/gpt-4o, vllm/...), or the endpoint's "
    "name of it with --base-url"
)
_THINKING = "the model reasons first: reasoning is stored apart, and --max-tokens is 16384 by default"
MARKERS, COLORS = "arrow, circle, cross or square", "red, blue, yellow, purple or green"

LvlmModel = Annotated[str, Option("--model", metavar="MODEL", help=_MODEL, rich_help_panel="Model")]
PartialFlag = Annotated[bool, Option("--partial", help="leave out questions that are not answered yet")]


@dataclass(frozen=True, kw_only=True)
class QuestionOptions:
    """Which questions are asked, and with which pictures."""

    PANEL: ClassVar[str] = "Questions"

    data: Annotated[
        str | None,
        Option(
            metavar="DIR",
            help="a built folder, or mini",
            show_default="where load_dataset looks",
            autocompletion=complete_data,
        ),
    ] = None
    setting: Annotated[
        str | None,
        Option(metavar="NAME,NAME", help="vis, vis_desc, desc, comma-separated", show_default="all that the data has"),
    ] = None
    protocol: Annotated[
        Literal["paper"] | None,
        Option(metavar="NAME", help="paper: the prompt and settings of the released code, per model family"),
    ] = None
    template: Annotated[Path | None, Option(metavar="FILE", help="TOML file with another wording")] = None
    limit: Annotated[int | None, Option(help="only the first N questions of a setting, in four orderings each")] = None
    category: Annotated[
        str | None, Option(metavar="NAME,NAME", help="only questions of these categories, comma-separated")
    ] = None
    per_category: Annotated[int | None, Option(help="a balanced subset: N questions of each category")] = None
    seed: Annotated[int | None, Option(help="random seed of the subset and of sampling", show_default="0")] = None
    no_images: Annotated[bool, Option(help="ask without pictures: what the text alone gives away")] = False
    image_format: Annotated[
        Literal["auto", "png", "jpeg"] | None,
        Option(metavar="NAME", help="auto, png or jpeg", show_default="png for local models, jpeg for remote ones"),
    ] = None
    image_size: Annotated[int | None, Option(help="shrink pictures to this many pixels on their longer side")] = None
    image_detail: Annotated[
        Literal["auto", "low", "high"] | None,
        Option(metavar="DETAIL", help="auto, low or high, for OpenAI", show_default="high"),
    ] = None

    def settings(self) -> list[str]:
        """The names in `--setting`, none where it was not given."""
        return names(self.setting)

    def subset(self) -> SubsetOptions:
        """The part of the questions that is asked."""
        from ..lvlm.subsets import SubsetOptions

        return SubsetOptions.from_texts(self.category, self.per_category, self.seed, self.limit)


@dataclass(frozen=True, kw_only=True)
class AskingOptions:
    """How a model is asked, and how a local one is loaded."""

    PANEL: ClassVar[str] = "Asking"

    base_url: Annotated[str | None, Option(metavar="URL", help="address of an OpenAI-compatible endpoint")] = None
    api_key_env: Annotated[
        str | None,
        Option(metavar="VARIABLE", help="environment variable that holds its key", show_default="no key is sent"),
    ] = None
    max_tokens: Annotated[int | None, Option(help="most tokens of an answer", show_default="512")] = None
    temperature: Annotated[float | None, Option(help="sampling temperature, 0 = greedy", show_default="0")] = None
    top_p: Annotated[float | None, Option(help="sample from the most probable tokens that have this share")] = None
    top_k: Annotated[int | None, Option(help="sample from the N most probable tokens")] = None
    repetition_penalty: Annotated[float | None, Option(help="repetition penalty of sampling (local models, vLLM)")] = (
        None
    )
    presence_penalty: Annotated[
        float | None, Option(help="-2 to 2, for endpoints: above 0 makes tokens that were given before less probable")
    ] = None
    thinking: Annotated[bool, Option(help=_THINKING)] = False
    batch: Annotated[
        int | None,
        Option(help="use the batch mode of OpenAI, Anthropic, Google, Grok or Together, N requests per batch"),
    ] = None
    max_connections: Annotated[int | None, Option(help="requests at a time", show_default="10, or two batches")] = None
    max_retries: Annotated[int | None, Option(help="retries per question", show_default="5")] = None
    progress_interval: Annotated[
        float | None,
        Option(metavar="SECONDS", help="seconds between progress lines without a terminal", show_default="30"),
    ] = None
    timeout: Annotated[int | None, Option(metavar="SECONDS", help="longest time of an attempt")] = None
    device: Annotated[
        str, Option(metavar="NAME", help="torch device; auto: a GPU where there is one", rich_help_panel="Local models")
    ] = "auto"
    dtype: Annotated[
        str,
        Option(
            metavar="NAME", help="float32, float16, bfloat16; auto: bfloat16 on a GPU", rich_help_panel="Local models"
        ),
    ] = "auto"
    batch_size: Annotated[int, Option(help="questions in one forward", rich_help_panel="Local models")] = 8
    min_pixels: Annotated[
        int | None, Option(help="smaller pictures are enlarged to this many pixels", rich_help_panel="Local models")
    ] = None
    max_pixels: Annotated[
        int | None, Option(help="larger pictures are shrunk to this many pixels", rich_help_panel="Local models")
    ] = None
    revision: Annotated[
        str | None, Option(metavar="REV", help="Hub commit, branch or tag", rich_help_panel="Local models")
    ] = None


@dataclass(frozen=True, kw_only=True)
class MarkerOptions:
    """How the query point is marked."""

    PANEL: ClassVar[str] = "Questions"

    marker: Annotated[str, Option(metavar="SHAPE", help=MARKERS)] = "arrow"
    marker_color: Annotated[str, Option(metavar="COLOR", help=COLORS)] = "red"


def asking_options(model: str, *groups: QuestionOptions | AskingOptions) -> tuple[ModelOptions, AskOptions]:
    """The model and how it is asked, from what was given of the options."""
    from ..lvlm.ask_options import AskOptions
    from ..lvlm.model_choice import ModelOptions

    given = {"model": model, **dict(_given(groups))}
    loading = {name: given[name] for name in ModelOptions.__dataclass_fields__ if name in given}
    asking = {name: given[name] for name in AskOptions.__dataclass_fields__ if name in given and name != "protocol"}
    return ModelOptions(**loading), AskOptions(**asking)


def _given(groups: tuple[QuestionOptions | AskingOptions, ...]) -> Iterator[tuple[str, Any]]:
    for group in groups:
        values = ((field.name, getattr(group, field.name)) for field in fields(group))
        yield from ((name, value) for name, value in values if value is not None and value is not False)  # 0 was given


def prepare_questions(
    folder: DatasetFolder, model: str, questions: QuestionOptions, asking: AskingOptions, marker: MarkerOptions
) -> tuple[list[PromptedQuestions], ModelOptions, AskOptions]:
    """The questions, the model and how it is asked, as the command line says; the model is not loaded.

    Raises:
        UsageError: options that exclude one another, or out of range.
    """
    from ..data.questions.generation import SETTINGS
    from ..data.questions.markers import MarkerStyle
    from ..errors import UsageError
    from ..lvlm.open_questions import open_asked
    from ..lvlm.protocols import apply_protocol
    from ..lvlm.question_rows import stored_settings
    from ..lvlm.subsets import question_subset

    style = MarkerStyle(marker.marker, marker.marker_color)
    folder.check_intact(images=True)
    settings = list(dict.fromkeys(questions.settings() or stored_settings(folder) or SETTINGS))
    chosen, options = asking_options(model, questions, asking)
    template: Path | PromptTemplate | None = questions.template
    if questions.protocol is not None:
        if template is not None:
            raise UsageError("--protocol gives the prompt; leave out --template.")
        given = [name for name, _ in _given((questions, asking))]
        applied = apply_protocol(questions.protocol, chosen, options, given)
        chosen, options, template = applied.model, applied.options, applied.template
    asked = [
        question_subset(open_asked(name, folder, template=template, style=style), questions.subset())
        for name in settings
    ]
    return asked, chosen, options
