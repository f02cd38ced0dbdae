"""What a failed request means: which outcome it is, whether it is retried, and whether the run should end."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
_EMPTY_ACCOUNT = re.compile(
    r"insufficient[_ ]quota|credit balance|billing[_ ]hard[_ ]limit|exceeded your current quota"
    r"|insufficient (balance|funds)|payment required",
    re.IGNORECASE,
)
_BLOCKED = re.compile(r"content_filter|content_policy_violation|content management policy", re.IGNORECASE)
_GIVE_UP = 20  # failures in a row, with no answer between them, after which the run ends
_SAME_REFUSALS = 5  # equal answers of status 400 to the first questions, after which the run ends
_CHANGING = re.compile(r"\b(?=\w*\d)[\w-]+\b")  # ids and numbers, which differ between equal refusals


@dataclass(frozen=True)
class Failure:
    """One question that got no reply.

    Attributes:
        outcome: one of `answer_store.FAILED`, or a final one: "no_context" (the question does not fit the model) or
            "refused" (a content filter).
        reason: the provider's own words, one line.
        advice: what to do when every question would fail so; None where another question may succeed.
        status: HTTP status, None where there was none.
    """

    outcome: str
    reason: str
    advice: str | None = None
    status: int | None = None


def failure_of(error: BaseException) -> Failure:
    """What an exception of a provider means."""
    error = _innermost(error)
    reason = _one_line(error)
    status = getattr(error, "status_code", None)
    names = {kind.__name__ for kind in type(error).__mro__}
    if is_empty_account(error):
        return Failure("refused_access", reason, "The account of this provider is empty: add credit to it.", status)
    if status == 429 or "Throttling" in reason or any("RateLimit" in name for name in names):
        return Failure("rate_limit", reason, status=status)  # before the context: "too many tokens" may mean a minute's
    if status == 400 and _BLOCKED.search(reason):
        return Failure("refused", reason, status=status)  # providers' clients see that, except in a batch
    if _CONTEXT.search(reason):
        return Failure("no_context", reason, status=status)
    if status in (400, 404, 415, 422, 500, 501) and _NO_IMAGES.search(reason):
        return Failure("no_images", reason, "This model or endpoint takes no images. Take one that does.", status)
    if status in (401, 402, 403):
        advice = "Check the API key of this provider, and what is left on its account."
        return Failure("refused_access", reason, advice, status)
    if status == 404:
        advice = "Check the name of the model and the address of the endpoint."
        return Failure("refused_access", reason, advice, status)
    if isinstance(error, SocoError):
        return Failure("failed", reason, "See above.", status)
    if broken := broken_reply(error):
        return Failure("failed", broken, status=status)
    if status in (408, 504) or isinstance(error, TimeoutError) or any("Timeout" in name for name in names):
        return Failure("timeout", reason, status=status)
    return Failure("failed", reason, status=status)


def is_empty_account(error: BaseException) -> bool:
    """Whether a provider refuses because nothing is left on the account: waiting does not help."""
    said = [str(error), getattr(error, "code", None), getattr(error, "type", None), getattr(error, "body", None)]
    return getattr(error, "status_code", None) in (400, 402, 403, 429) and bool(
        _EMPTY_ACCOUNT.search(" ".join(str(part) for part in said))
    )


def broken_reply(error: BaseException) -> str | None:
    """What is wrong with a reply whose body is not the JSON of an answer, None for other errors."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, json.JSONDecodeError):
        body = error.doc.strip()
        if not body:
            return "The endpoint sent an empty body."
        return f"The endpoint sent a body that is not JSON ({error.msg} at character {error.pos}): {body[:80]!r}."
    if {"APIResponseValidationError", "ValidationError"} & names or "non-ChatCompletion" in str(error):
        return f"The endpoint sent JSON that is not an answer: {_one_line(error)}"
    if isinstance(error, UnicodeDecodeError):
        return f"The endpoint sent a body that is not UTF-8 (byte 0x{error.object[error.start]:02x} at {error.start})."
    if isinstance(error, RecursionError):
        return "The endpoint sent JSON that is nested too deeply."
    if isinstance(error, AttributeError | TypeError | KeyError | IndexError) and _of_client(error):
        return f"The endpoint sent JSON that is not an answer ({_one_line(error)})"
    return None


def _of_client(error: BaseException) -> bool:
    """Whether an error was raised where a provider's client or inspect-ai reads a reply."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    library = [name for name in frames if name.partition(".")[0] not in ("re", "json", "pydantic")]
    return bool(library) and library[-1].startswith(("openai", "inspect_ai.model", "anthropic", "google", "mistralai"))


def retries(own: Callable[[Exception], Any]) -> Callable[[Exception], Any]:
    """A provider's `should_retry`, which also retries broken replies and never an empty account."""

    def should_retry(error: Exception) -> Any:
        if is_empty_account(error):
            return False
        return own(error) or broken_reply(error) is not None

    return should_retry


class Gate:
    """Lets questions through until asking further ones is of no use.

    Attributes:
        stop: why the run stopped, None while it continues.
    """

    def __init__(self, give_up: int = _GIVE_UP) -> None:
        self.stop: SocoError | None = None
        self._give_up = give_up
        self._in_a_row = 0
        self._answered = False
        self._refusals: list[str] = []

    def check(self) -> None:
        """Raise what stopped the run, if anything did."""
        if self.stop is not None:
            raise self.stop

    def succeeded(self) -> None:
        """Note an answer."""
        self._in_a_row = 0
        self._answered = True

    def failed(self, failure: Failure) -> None:
        """Count a failure; raises `SocoError` when it ends the run."""
        self._in_a_row += 1
        if self.stop is not None:
            pass  # questions that were in flight when the run ended
        elif failure.advice is not None:
            self.stop = SocoError(f"The model cannot be queried: {failure.reason} {failure.advice}")
        elif self._refused_alike(failure):
            self.stop = SocoError(
                f"The endpoint refuses every question: {failure.reason} The first {_SAME_REFUSALS} got this answer "
                "(status 400). Check the options of the request, such as --max-tokens and --image-format."
            )
        elif self._in_a_row >= self._give_up:
            self.stop = SocoError(
                f"{self._in_a_row} questions in a row got no answer, the last one for: {failure.reason} "
                "Answers so far are kept; run the same command again when the endpoint works."
            )
        self.check()

    def _refused_alike(self, failure: Failure) -> bool:
        """Whether the first questions all got the same status 400."""
        if self._answered or failure.status != 400:
            self._answered = True  # not only refusals: another question may succeed
            return False
        self._refusals.append(_CHANGING.sub("#", failure.reason))
        return len(self._refusals) >= _SAME_REFUSALS and len(set(self._refusals)) == 1


def _innermost(error: BaseException) -> BaseException:
    """The provider's own exception, out of what retrying and logging wrap around it."""
    attempt = getattr(error, "last_attempt", None)  # tenacity's RetryError
    inner = attempt.exception() if attempt is not None else None
    if inner is None and isinstance(error, RuntimeError):
        inner = error.__cause__
    return error if inner is None else _innermost(inner)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if text == "Connection error." and error.__cause__ is not None:  # the words of the openai package
        text = f"Connection error: {' '.join(str(error.__cause__).split()) or type(error.__cause__).__name__}"
    text = text if len(text) <= 500 else text[:497] + "..."
    return text if text.endswith((".", "!", "?", "...")) else text + "."
