"""How inspect-ai asks a question of SOCO: pictures are drawn when needed, and each reply is stored at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Literal

import anyio
from inspect_ai.dataset import Dataset, MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageUser,
    Content,
    ContentImage,
    ContentReasoning,
    ContentText,
    ModelOutput,
)  # fmt: skip
from inspect_ai.solver import Generate, Solver, TaskState, solver

from .answer_store import AnswerStore
from .failures import Failure, Gate, failure_of
from .prompted import PromptedQuestions, data_uri

if TYPE_CHECKING:
    from PIL import Image

_PLACE = ("setting", "question_id", "g_index", "index", "ordering")
_REFUSED_STOP = "content_filter"
_NO_CONTEXT_STOP = "model_length"
_FINAL_STOPS = {"no_context": _NO_CONTEXT_STOP, "refused": _REFUSED_STOP}
_OUTPUT_STOPS = ("stop", "max_tokens", "model_length", "tool_calls", "content_filter", "unknown")


def inspect_dataset(asked: PromptedQuestions) -> Dataset:
    """One sample per row: its text, the letter that is right, and in the metadata what scoring needs. No pictures."""
    return MemoryDataset(list(_samples(asked)), name=f"soco_lvlm_{asked.setting}", location=asked.dataset)


def _samples(asked: PromptedQuestions) -> Iterator[Sample]:
    for place, row in enumerate(asked.rows):
        yield Sample(
            input=asked.prompt(place),
            target=row["answer"],
            id=f"{row['setting']}-{row['index']}",
            metadata={
                "place": place,
                "key": asked.key(place),
                **{name: row[name] for name in (*_PLACE, "category")},
            },
        )


@dataclass(frozen=True)
class SolverOptions:
    """How questions are asked, and where replies go.

    Attributes:
        store: where replies go. With a store, a question that has its answer is not asked again, and one that gets none
            is stored as failed and left for the next run. Without one, failures are inspect-ai's to handle
            (`inspect eval-retry`).
        gate: ends the run when asking further questions is of no use.
        image_format: see `prompted.data_uri`.
        image_detail: "auto", "low" or "high".
        image_size: longest side of a picture, pixels; None = as it is.
        thinking: what stands before </think> is reasoning, not the answer.
        no_images: leave out the pictures.
        on_answer: called after each question asked.
    """

    store: AnswerStore | None = None
    gate: Gate = field(default_factory=Gate)
    image_format: str = "png"
    image_detail: Literal["auto", "low", "high"] = "high"
    image_size: int | None = None
    thinking: bool = False
    no_images: bool = False
    on_answer: Callable[[], object] | None = None


@solver
def ask(asked: PromptedQuestions, options: SolverOptions | None = None) -> Solver:
    """Ask one question with its two pictures.

    Args:
        asked: what `inspect_dataset` made the samples from.
        options: how, and where replies go.
    """
    how = options or SolverOptions()

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        key = state.metadata["key"]
        known = how.store.get(key) if how.store else None
        if known is not None:
            return _with_reply(state, known["response"], known["stop"])
        how.gate.check()
        content = await anyio.to_thread.run_sync(_content, asked, state.metadata["place"], how)
        state.messages = [ChatMessageUser(content=content)]
        try:
            state = await generate(state, tool_calls="none")  # by default inspect-ai asks again after each tool call
        except Exception as error:
            return _failed(state, key, failure_of(error), error, how)
        how.gate.succeeded()
        line = _line(state, how.thinking)
        if how.store:
            how.store.add(key, line)
        if how.on_answer:
            how.on_answer()
        # A message of the provider in place of an answer is not scored: a parser must not find a letter in it.
        same = line["response"] == state.output.completion
        return state if line["response"] and same else _with_reply(state, line["response"], line["stop"])

    return solve


def _content(asked: PromptedQuestions, place: int, how: SolverOptions) -> list[Content]:
    """The pictures in their order, then the text."""
    pictures = [] if how.no_images else [_sized(image, how.image_size) for image in asked.pictures(place)]
    return [
        ContentText(text=part)
        if isinstance(part, str)
        else ContentImage(image=data_uri(part, how.image_format), detail=how.image_detail)
        for part in asked.content(place, pictures)
    ]


def _sized(image: Image.Image, longest: int | None) -> Image.Image:
    """The picture, shrunk to a longest side where it is larger."""
    if longest is None or max(image.size) <= longest:
        return image
    small = image.convert("RGB")
    small.thumbnail((longest, longest))
    return small


def _failed(state: TaskState, key: str, failure: Failure, error: Exception, how: SolverOptions) -> TaskState:
    if how.store:
        line = {"response": "", "outcome": failure.outcome, "stop": "unknown", "reason": failure.reason}
        how.store.add(key, {**_place(state), **line})
    if failure.outcome in _FINAL_STOPS:  # other questions may be shorter, or pass the filter
        return _with_reply(state, "", _FINAL_STOPS[failure.outcome])
    how.gate.failed(failure)
    if how.store is None:
        raise error
    return _with_reply(state, "", "unknown")


def _with_reply(state: TaskState, response: str, stop: str) -> TaskState:
    """The state as if the model had just replied."""
    reason: Any = stop if stop in _OUTPUT_STOPS else "unknown"
    state.output = ModelOutput.from_content(str(state.model), response, stop_reason=reason)
    state.messages.append(ChatMessageAssistant(content=response))
    return state


def _line(state: TaskState, thinking: bool = False) -> dict[str, Any]:
    """The reply as the store keeps it; what a provider says in place of an answer is its `reason`."""
    output = state.output
    text = output.completion
    reasoning = _reasoning(output)
    if thinking:
        inner, text = split_reasoning(text)
        reasoning = "\n".join(part for part in (reasoning, inner) if part)
    stop = output.stop_reason if output.choices else "unknown"
    outcome = "answered" if text.strip() else "empty"
    if stop == _NO_CONTEXT_STOP:
        outcome = "no_context"
    elif stop == _REFUSED_STOP or output.error or _is_refusal(output):
        outcome = "refused"
    line = {**_place(state), "response": text if outcome == "answered" else "", "outcome": outcome, "stop": stop}
    if outcome not in ("answered", "empty"):
        line["reason"] = output.error or text
    if reasoning:
        line["reasoning"] = reasoning
    if usage := output.usage:
        told = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "cost": usage.total_cost,
        }
        line |= {name: value for name, value in told.items() if value is not None and 0 <= value < inf}
    return line


def split_reasoning(text: str) -> tuple[str, str]:
    """(reasoning, answer) of a text with <think> ... </think>; an open <think> has no answer yet.

    >>> split_reasoning("<think>A or B?</think>B"), split_reasoning("B"), split_reasoning("<think>A or")
    (('A or B?', 'B'), ('', 'B'), ('A or', ''))
    """
    before, end, after = text.rpartition("</think>")
    if end:
        return before.replace("<think>", "").strip(), after.strip()
    answer, start, reasoning = text.partition("<think>")
    return (reasoning.strip(), answer.strip()) if start else ("", text)


def _reasoning(output: ModelOutput) -> str:
    """What a provider gives as reasoning, apart from the answer."""
    content = output.message.content if output.choices else ""
    if isinstance(content, str):
        return ""
    return "\n".join(part.reasoning for part in content if isinstance(part, ContentReasoning) and part.reasoning)


def _is_refusal(output: ModelOutput) -> bool:
    """Whether the provider marked the reply as a refusal (OpenAI's `message.refusal`)."""
    content = output.message.content if output.choices else ""
    return not isinstance(content, str) and any(isinstance(part, ContentText) and part.refusal for part in content)


def _place(state: TaskState) -> dict[str, Any]:
    return {name: state.metadata[name] for name in _PLACE}
