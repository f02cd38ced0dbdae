"""How questions are asked: limits, sampling, pictures, requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import UsageError

MAX_TOKENS = 512  # a letter, or a chain of thought that ends in one
THINKING_MAX_TOKENS = 16_384  # where a model reasons at length before it answers

ImageDetail = Literal["auto", "low", "high"]
_LEAST = {
    "max_tokens": 1, "temperature": 0, "top_p": 0, "top_k": 1, "repetition_penalty": 0, "presence_penalty": -2,
    "seed": 0, "image_size": 1,
    "max_connections": 1, "max_retries": 0, "timeout": 1, "batch": 1, "progress_interval": 0,
}  # fmt: skip
# Decide answers only where they are given; headers of answers files leave out the defaults, as before they existed.
_OPTIONAL = (
    "top_p", "top_k", "repetition_penalty", "presence_penalty", "seed", "image_size", "thinking", "no_images",
    "protocol",
)  # fmt: skip


@dataclass(frozen=True)
class AskOptions:
    """How questions are asked.

    Attributes:
        max_tokens: most new tokens of an answer; None = 512, or 16,384 with `thinking`.
        temperature: 0 = greedy.
        top_p, top_k, repetition_penalty, seed: of sampling; None = the model's or provider's own.
        presence_penalty: -2 to 2, for endpoints: above 0 makes tokens that were given before less probable; None = the
            provider's own. Local models have none.
        image_format: "png", "jpeg", or "auto" = png for a local model, jpeg for a remote one.
        image_detail: "high", "low" or "auto", for providers that take it (OpenAI).
        image_size: pictures with a longer side are shrunk to this many pixels on it; None = as they are.
        max_connections: requests at a time; None = two batches for a local model, 10 for a remote one.
        max_retries: of one question, for rate limits, time-outs, server errors and broken replies.
        timeout: seconds one attempt may take; None = no limit.
        thinking: the model reasons before it answers: its reasoning is stored apart and not scored.
        batch: requests per batch of the provider's batch mode; None = requests are sent one by one.
        no_images: ask without the pictures (an ablation: what the text alone gives away).
        retry_empty: ask again where the reply was empty.
        progress_interval: seconds between progress lines where there is no terminal.
        protocol: the published protocol that the options follow, see `protocols`; None = no protocol.

    Raises:
        UsageError: a number out of range.
    """

    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    image_format: str = "auto"
    image_detail: ImageDetail = "high"
    image_size: int | None = None
    max_connections: int | None = None
    max_retries: int = 5
    timeout: int | None = None
    thinking: bool = False
    batch: int | None = None
    no_images: bool = False
    retry_empty: bool = False
    progress_interval: float = 30.0
    protocol: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise UsageError(f"--{name.replace('_', '-')} is at least {least}; got {value}.")
        if self.presence_penalty is not None and self.presence_penalty > 2:
            raise UsageError(f"--presence-penalty is at most 2; got {self.presence_penalty}.")
        if self.image_detail not in ("auto", "low", "high"):
            raise UsageError(f"--image-detail is auto, low or high; got {self.image_detail!r}.")

    @property
    def answer_tokens(self) -> int:
        """Most new tokens of an answer, the default filled in."""
        return self.max_tokens or (THINKING_MAX_TOKENS if self.thinking else MAX_TOKENS)

    def asking(self, image_format: str) -> dict[str, Any]:
        """What decides answers, as the header of an answers file names it.

        Args:
            image_format: "png" or "jpeg", with "auto" resolved.
        """
        found: dict[str, Any] = {"image_format": image_format, "max_tokens": self.answer_tokens}
        found["temperature"] = float(self.temperature)
        if self.image_detail != "high":
            found["image_detail"] = self.image_detail
        optional = {name: getattr(self, name) for name in _OPTIONAL}
        return found | {name: value for name, value in optional.items() if value not in (None, False)}
