"""`soco_hf/FOLDER_OR_HUB_ID`: inspect-ai's interface over a local vision-language model, images included.

inspect-ai's own `hf` provider flattens messages to text and drops their images. This one keeps them, asks in batches
and decodes greedily. Model arguments (`-M name=value`): device, dtype, batch_size, max_pixels, revision.
"""

from __future__ import annotations

import base64
import io
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import anyio
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ContentImage,
    ContentText,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from ..errors import SocoError, UsageError
from .hf_model import Chat, Reply, load_vision_language_model

if TYPE_CHECKING:
    from PIL import Image

DEFAULT_MAX_TOKENS = 512  # of an answer, where the task does not say
_WAIT = 0.05  # seconds a batch that is not full waits for its next question


class SocoHuggingFaceAPI(ModelAPI):
    """A vision-language model of `transformers` on this machine. `record` says what decides its answers."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 8,
        max_pixels: int | None = None,
        revision: str | None = None,
    ) -> None:
        """Load the model.

        Raises:
            UsageError, BackboneError, MissingExtraError: as `load_vision_language_model`.
        """
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        if batch_size < 1:
            raise UsageError(f"A batch has at least one question; got a batch size of {batch_size}.")
        loaded = load_vision_language_model(
            model_name, device=device, dtype=dtype, max_pixels=max_pixels, revision=revision
        )
        self.batch_size = batch_size
        self.record: dict[str, Any] = {**loaded.record, "batch_size": batch_size}
        self._batches = Batches(loaded.answer, batch_size)
        self._waiting = anyio.CapacityLimiter(2 * batch_size)

    def max_tokens(self) -> int | None:
        return DEFAULT_MAX_TOKENS

    def max_connections(self) -> int:
        return 2 * self.batch_size  # one batch in the model, one being drawn

    def close(self) -> None:
        self._batches.close()

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """Ask one question; it shares a forward with whatever else is waiting."""
        if tools:
            raise UsageError("soco_hf answers questions about pictures; it has no tools.")
        future = self._batches.submit(chat_of(input), config.max_tokens or DEFAULT_MAX_TOKENS)
        reply = await anyio.to_thread.run_sync(future.result, abandon_on_cancel=True, limiter=self._waiting)
        return _output(self.model_name, reply)


@modelapi(name="soco_hf")
def soco_hf() -> type[ModelAPI]:
    """The provider, as inspect-ai finds it by name."""
    return SocoHuggingFaceAPI


def chat_of(messages: Sequence[ChatMessage]) -> Chat:
    """The one turn of a user that a question is.

    Raises:
        UsageError: messages of another role, or an image that is not inside the message (no link is ever fetched).
    """
    parts: list[str | Image.Image] = []
    for message in messages:
        if message.role != "user":
            raise UsageError(f"soco_hf takes one turn of a user; got a message of the role {message.role!r}.")
        content = [ContentText(text=message.content)] if isinstance(message.content, str) else message.content
        for part in content:
            if isinstance(part, ContentText):
                parts.append(part.text)
            elif isinstance(part, ContentImage):
                parts.append(_image(part.image))
            else:
                raise UsageError(f"soco_hf takes text and images; got {part.type}.")
    return Chat(tuple(parts))


class Batches:
    """A thread that answers what is waiting, `size` questions at a time.

    Args:
        answer: (chats, most new tokens) -> replies in the same order.
        size: most questions in one call.
    """

    def __init__(self, answer: Callable[[Sequence[Chat], int], list[Reply]], size: int) -> None:
        self._answer = answer
        self._size = size
        self._waiting: queue.SimpleQueue[tuple[Chat, int, Future[Reply]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="soco_hf", daemon=True)
        self._thread.start()

    def submit(self, chat: Chat, max_tokens: int) -> Future[Reply]:
        future: Future[Reply] = Future()
        self._waiting.put((chat, max_tokens, future))
        return future

    def close(self) -> None:
        """Answer what is waiting, then end."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        going = True
        while going:
            batch: list[tuple[Chat, int, Future[Reply]]] = []
            while len(batch) < self._size:
                try:
                    item = self._waiting.get(timeout=_WAIT if batch else None)
                except queue.Empty:
                    break
                if item is None:
                    going = False
                    break
                batch.append(item)
            for limit in sorted({max_tokens for _, max_tokens, _ in batch}):
                self._answer_one_limit([(chat, future) for chat, own, future in batch if own == limit], limit)

    def _answer_one_limit(self, batch: list[tuple[Chat, Future[Reply]]], max_tokens: int) -> None:
        try:
            replies = self._answer([chat for chat, _ in batch], max_tokens)
        except Exception as error:  # whatever a model raises belongs to the questions asked, not to this thread
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), reply in zip(batch, replies, strict=True):
            future.set_result(reply)


def _image(reference: str) -> Image.Image:
    from PIL import Image

    header, _, payload = reference.partition(",")
    if not header.startswith("data:image/") or not header.endswith(";base64"):
        raise UsageError(f"soco_hf takes images as data URIs; got {reference[:60]!r}.")
    try:
        image = Image.open(io.BytesIO(base64.b64decode(payload, validate=True)))
        image.load()
    except (ValueError, OSError) as error:
        raise SocoError(f"An image of a question cannot be decoded: {error}.") from error
    return image


def _output(model: str, reply: Reply) -> ModelOutput:
    message = ChatMessageAssistant(content=reply.text, model=model, source="generate")
    return ModelOutput(
        model=model,
        choices=[ChatCompletionChoice(message=message, stop_reason=reply.stop)],
        usage=ModelUsage(
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            total_tokens=reply.input_tokens + reply.output_tokens,
        ),
    )
