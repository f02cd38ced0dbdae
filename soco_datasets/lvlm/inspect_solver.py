"""How inspect-ai asks a question of SOCO: pictures are drawn when it is its turn, the reply is stored at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anyio
from inspect_ai.dataset import Dataset, MemoryDataset, Sample
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, Content, ContentImage, ContentText, ModelOutput
from inspect_ai.solver import Generate, Solver, TaskState, solver

from .answer_store import AnswerStore
from .failures import Failure, Gate, failure_of
from .prompted import PromptedQuestions, data_uri

_PLACE = ("setting", "question_id", "g_index", "index", "ordering")
_REFUSED_STOP = "content_filter"
_NO_CONTEXT_STOP = "model_length"
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


@solver
def ask(
    asked: PromptedQuestions,
    store: AnswerStore | None = None,
    gate: Gate | None = None,
    image_format: str = "png",
    told: Callable[[], object] | None = None,
) -> Solver:
    """Ask one question with its two pictures.

    With a store, a question that has its answer is not asked again, and one that gets none is stored as failed and
    left for the next run. Without one, failures are inspect-ai's to handle (`inspect eval-retry`).

    Args:
        asked: what `inspect_dataset` made the samples from.
        store: where replies go.
        gate: ends the run when asking on is of no use.
        image_format: see `asked.data_uri`.
        told: called after each question asked.
    """
    gate = gate or Gate()

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        key = state.metadata["key"]
        known = store.get(key) if store else None
        if known is not None:
            return _with_reply(state, known["response"], known["stop"])
        gate.check()
        content = await anyio.to_thread.run_sync(_content, asked, state.metadata["place"], image_format)
        state.messages = [ChatMessageUser(content=content)]
        try:
            state = await generate(state)
        except Exception as error:
            return _failed(state, key, failure_of(error), error, store, gate)
        gate.succeeded()
        line = _line(state)
        if store:
            store.add(key, line)
        if told:
            told()
        # What the provider says in place of an answer is no answer: a parser must not find a letter in it.
        return state if line["response"] else _with_reply(state, "", line["stop"])

    return solve


def _content(asked: PromptedQuestions, place: int, image_format: str) -> list[Content]:
    """The pictures in their order, then the text."""
    images: list[Content] = [
        ContentImage(image=data_uri(image, image_format), detail="high") for image in asked.pictures(place)
    ]
    return [*images, ContentText(text=asked.prompt(place))]


def _failed(
    state: TaskState, key: str, failure: Failure, error: Exception, store: AnswerStore | None, gate: Gate
) -> TaskState:
    if store:
        line = {"response": "", "outcome": failure.outcome, "stop": "unknown", "reason": failure.reason}
        store.add(key, {**_place(state), **line})
    if failure.outcome == "no_context":
        return _with_reply(state, "", _NO_CONTEXT_STOP)  # final: other questions may be shorter
    gate.failed(failure)
    if store is None:
        raise error
    return _with_reply(state, "", "unknown")


def _with_reply(state: TaskState, response: str, stop: str) -> TaskState:
    """The state as if the model had just replied."""
    reason: Any = stop if stop in _OUTPUT_STOPS else "unknown"
    state.output = ModelOutput.from_content(str(state.model), response, stop_reason=reason)
    state.messages.append(ChatMessageAssistant(content=response))
    return state


def _line(state: TaskState) -> dict[str, Any]:
    """The reply as the store keeps it; what a provider says in place of an answer is its `reason`."""
    output = state.output
    text = output.completion
    stop = output.stop_reason if output.choices else "unknown"
    outcome = "answered" if text.strip() else "empty"
    if stop == _NO_CONTEXT_STOP:
        outcome = "no_context"
    elif stop == _REFUSED_STOP or output.error or _is_refusal(output):
        outcome = "refused"
    line = {**_place(state), "response": text if outcome == "answered" else "", "outcome": outcome, "stop": stop}
    if outcome not in ("answered", "empty"):
        line["reason"] = output.error or text
    if output.usage:
        line |= {"input_tokens": output.usage.input_tokens, "output_tokens": output.usage.output_tokens}
    return line


def _is_refusal(output: ModelOutput) -> bool:
    """Whether the provider marked the reply as a refusal (OpenAI's `message.refusal`)."""
    content = output.message.content if output.choices else ""
    return not isinstance(content, str) and any(isinstance(part, ContentText) and part.refusal for part in content)


def _place(state: TaskState) -> dict[str, Any]:
    return {name: state.metadata[name] for name in _PLACE}
