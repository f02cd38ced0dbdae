"""`soco_hf/FOLDER_OR_HUB_ID`: inspect-ai's interface to a local vision-language model, images included.

inspect-ai's own `hf` provider flattens messages to text and drops their images. This one keeps them and queries the
model in batches. Model arguments (`-M name=value`): device, dtype, batch_size, min_pixels, max_pixels, revision.

inspect-ai builds a provider more than once (to look up facts of a model it does not know, for each model of a list):
building one loads nothing, and providers of equal options share one loaded model.
"""

from __future__ import annotations

import base64
import io
import queue
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, NamedTuple

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

from ..errors import SocoError, UsageError, unknown_name
from .hf_model import Chat, ModelLoading, Reply, Sampling, VisionLanguageModel, load_vision_language_model

if TYPE_CHECKING:
    from PIL import Image

DEFAULT_BATCH_SIZE = 8
DEFAULT_MAX_TOKENS = 512  # of an answer, where the task does not say
_WAIT = 0.05  # seconds a batch that is not full waits for its next question

_loaded: weakref.WeakValueDictionary[tuple[str, ModelLoading], VisionLanguageModel] = weakref.WeakValueDictionary()
_loading = threading.Lock()


def shared_model(name: str, options: ModelLoading) -> VisionLanguageModel:
    """The model, loaded once per process however many providers ask for it; released with the last of them.

    Raises:
        UsageError, BackboneError, MissingExtraError: as `load_vision_language_model`.
    """
    with _loading:
        model = _loaded.get((name, options))
        if model is None:
            model = load_vision_language_model(name, **asdict(options))
            _loaded[name, options] = model
        return model


class SocoHuggingFaceAPI(ModelAPI):
    """A vision-language model of `transformers` on this machine, loaded when it is first needed."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        **model_args: Any,
    ) -> None:
        """Note the options; `load` loads the model.

        Args:
            model_name: folder or Hub id.
            base_url, api_key, config: what inspect-ai gives to every provider; not used.
            model_args: device, dtype, batch_size, min_pixels, max_pixels, revision.

        Raises:
            UsageError: an unknown option, or one out of range.
        """
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        self.batch_size = model_args.pop("batch_size", DEFAULT_BATCH_SIZE)
        if self.batch_size < 1:
            raise UsageError(f"A batch has at least one question; got a batch size of {self.batch_size}.")
        known = [field.name for field in fields(ModelLoading)]
        for name in model_args:
            if name not in known:
                raise unknown_name("model argument", name, ["batch_size", *known])
        self._options = ModelLoading(**model_args)
        self._model: VisionLanguageModel | None = None
        self._batches: Batches | None = None
        self._starting = threading.Lock()
        self._waiting = anyio.CapacityLimiter(2 * self.batch_size)

    def load(self) -> VisionLanguageModel:
        """The model, loaded if it is not yet.

        Raises:
            UsageError, BackboneError, MissingExtraError: as `load_vision_language_model`.
        """
        if self._model is None:
            self._model = shared_model(self.model_name, self._options)
        return self._model

    @property
    def record(self) -> dict[str, Any]:
        """What decides the answers of the model, as JSON; loads the model. Raises as `load`."""
        return {**self.load().record, "batch_size": self.batch_size}

    def max_tokens(self) -> int | None:
        return DEFAULT_MAX_TOKENS

    def max_connections(self) -> int:
        return 2 * self.batch_size  # one batch in the model, one being drawn

    def close(self) -> None:
        """End the thread that answers and release the model."""
        with self._starting:
            if self._batches is not None:
                self._batches.close()
            self._batches = self._model = None

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """Ask one question; it shares a forward pass with the others that are waiting."""
        if tools:
            raise UsageError("soco_hf answers questions about pictures; it has no tools.")
        batches = await anyio.to_thread.run_sync(self._started)
        question = Asking(config.max_tokens or DEFAULT_MAX_TOKENS, sampling_of(config))
        future = batches.submit(chat_of(input), question)
        reply = await anyio.to_thread.run_sync(future.result, abandon_on_cancel=True, limiter=self._waiting)
        return _output(self.model_name, reply)

    def _started(self) -> Batches:
        with self._starting:
            if self._batches is None:
                model = self.load()
                self._batches = Batches(lambda chats, how: model.answer(chats, *how), self.batch_size)
            return self._batches


class Asking(NamedTuple):
    """How a question is answered; only questions of one `Asking` share a forward pass."""

    max_tokens: int
    sampling: Sampling = Sampling()


def sampling_of(config: GenerateConfig) -> Sampling:
    """What of inspect-ai's configuration chooses the tokens of an answer; greedy where it gives no temperature."""
    if not config.temperature:
        return Sampling()
    penalty = (config.extra_body or {}).get("repetition_penalty")
    return Sampling(config.temperature, config.top_p, config.top_k, penalty, config.seed or 0)


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
    """A thread that answers the waiting questions, at most `size` at a time.

    Args:
        answer: (chats, how they are answered) -> replies in the same order.
        size: most questions in one call.
    """

    def __init__(self, answer: Callable[[Sequence[Chat], Asking], list[Reply]], size: int) -> None:
        self._answer = answer
        self._size = size
        self._waiting: queue.SimpleQueue[tuple[Chat, Asking, Future[Reply]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="soco_hf", daemon=True)
        self._thread.start()

    def submit(self, chat: Chat, how: Asking) -> Future[Reply]:
        future: Future[Reply] = Future()
        self._waiting.put((chat, how, future))
        return future

    def close(self) -> None:
        """Answer the questions that are waiting, then end."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        going = True
        while going:
            batch: list[tuple[Chat, Asking, Future[Reply]]] = []
            while len(batch) < self._size:
                try:
                    item = self._waiting.get(timeout=_WAIT if batch else None)
                except queue.Empty:
                    break
                if item is None:
                    going = False
                    break
                batch.append(item)
            for how in dict.fromkeys(own for _, own, _ in batch):
                self._answer_alike([(chat, future) for chat, own, future in batch if own == how], how)

    def _answer_alike(self, batch: list[tuple[Chat, Future[Reply]]], how: Asking) -> None:
        try:
            replies = self._answer([chat for chat, _ in batch], how)
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
