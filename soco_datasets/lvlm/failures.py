"""What a failed request means: which outcome it is, and whether asking on is of any use."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import SocoError

_NO_IMAGES = re.compile(
    r"(image|vision|multi-?modal)[^.]{0,80}(not support|unsupported|not allowed|cannot|does not|doesn't|invalid)"
    r"|missing data required for image"
    r"|image_url[^.]{0,40}only supported|unknown variant .{0,3}image_url|at most \d+ image"
    r"|(not support|unsupported|no endpoints|does not accept|doesn't accept|not a)[^.]{0,80}(image|vision|multi-?mod)",
    re.IGNORECASE,
)
_CONTEXT = re.compile(
    r"context[ _](length|window|size|limit)|maximum (context|model length)|max_model_len|too many tokens"
    r"|prompt is too long|exceeds the maximum number of (input )?tokens",
    re.IGNORECASE,
)
_GIVE_UP = 20  # failures in a row, with no answer between them, after which asking on is pointless


@dataclass(frozen=True)
class Failure:
    """One question that got no reply.

    Attributes:
        outcome: one of `answer_store.FAILED`, or "no_context" (final: the question does not fit the model).
        reason: the provider's own words, one line.
        advice: what to do when every question would fail so; None where another question may succeed.
    """

    outcome: str
    reason: str
    advice: str | None = None


def failure_of(error: BaseException) -> Failure:
    """What an exception of a provider means."""
    error = _innermost(error)
    reason = _one_line(error)
    status = getattr(error, "status_code", None)
    names = {kind.__name__ for kind in type(error).__mro__}
    if status == 429 or "Throttling" in reason or any("RateLimit" in name for name in names):
        return Failure("rate_limit", reason)  # before the context: "too many tokens" may mean a minute's
    if _CONTEXT.search(reason):
        return Failure("no_context", reason)
    if status in (400, 404, 415, 422, 500, 501) and _NO_IMAGES.search(reason):
        return Failure("no_images", reason, "This model or endpoint takes no images. Take one that does.")
    if status in (401, 402, 403):
        return Failure("refused_access", reason, "Check the API key of this provider, and what is left on its account.")
    if status == 404:
        return Failure("refused_access", reason, "Check the name of the model and the address of the endpoint.")
    if isinstance(error, SocoError):
        return Failure("failed", reason, "See above.")
    if status in (408, 504) or isinstance(error, TimeoutError) or any("Timeout" in name for name in names):
        return Failure("timeout", reason)
    return Failure("failed", reason)


class Gate:
    """Lets questions through until asking on is of no use.

    Attributes:
        stop: why the run stopped, None while it goes on.
    """

    def __init__(self, give_up: int = _GIVE_UP) -> None:
        self.stop: SocoError | None = None
        self._give_up = give_up
        self._in_a_row = 0

    def check(self) -> None:
        """Raise what stopped the run, if anything did."""
        if self.stop is not None:
            raise self.stop

    def succeeded(self) -> None:
        self._in_a_row = 0

    def failed(self, failure: Failure) -> None:
        """Count a failure; raises `SocoError` when it ends the run."""
        self._in_a_row += 1
        if self.stop is not None:
            pass  # questions that were under way when the run ended
        elif failure.advice is not None:
            self.stop = SocoError(f"The model cannot be asked: {failure.reason} {failure.advice}")
        elif self._in_a_row >= self._give_up:
            self.stop = SocoError(
                f"{self._in_a_row} questions in a row got no answer, the last one for: {failure.reason} "
                "Answers so far are kept; run the same command again when the endpoint is well."
            )
        self.check()


def _innermost(error: BaseException) -> BaseException:
    """The provider's own exception, out of what retrying and logging wrap around it."""
    attempt = getattr(error, "last_attempt", None)  # tenacity's RetryError
    inner = attempt.exception() if attempt is not None else None
    if inner is None and isinstance(error, RuntimeError):
        inner = error.__cause__
    return error if inner is None else _innermost(inner)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    text = text if len(text) <= 500 else text[:497] + "..."
    return text if text.endswith((".", "!", "?", "...")) else text + "."
