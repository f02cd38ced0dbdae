"""What the Hub and its clients answer, as `SocoError`s that say what to do next. No token ever gets into a message."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Iterator
from typing import Literal

from ..errors import SocoError, UsageError
from .text import public_url

RepoType = Literal["model", "dataset", "space"]
LOGIN = "Run `hf auth login`, or set HF_TOKEN to a token with write access"
AGAIN = "Run the same command again."
RESUME = "Run the same command again: files already uploaded are skipped, and a partial publication is never visible."
_SENDING = ("publish", "upload", "submit", "propose", "create")  # actions that send files
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9_-]{4,}|(?i:(?<=bearer )|(?<=token=))\S+")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_SIGNED = re.compile(r"(?<=://)([^\s?'\"]+)\?[^\s'\"]+")  # an address with a query, such as that of an upload
_MAX_REASON = 300


class HubError(SocoError):
    """The Hub, or the way to it, did not do what was asked. `status` is the HTTP status, None without an answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@contextlib.contextmanager
def explained(action: str, repo: str = "", repo_type: RepoType = "dataset") -> Iterator[None]:
    """Turn what Hub clients raise into `HubError`; `SocoError`s and everything that is not about the Hub pass.

    Args:
        action: what was being done, to follow "Cannot" ("publish to").
        repo: "ORG/NAME", for the message and its addresses.
        repo_type: what kind of repository it was taken for.
    """
    try:
        yield
    except SocoError:
        raise
    except Exception as error:
        made = _explanation(error, f"Cannot {action} {repo}".rstrip(), repo, repo_type)
        if made is None:
            raise
        if action.startswith(_SENDING) and isinstance(made, HubError):
            made = HubError(str(made).replace(AGAIN, RESUME), made.status)
        raise made from error


def _explanation(error: BaseException, start: str, repo: str, repo_type: RepoType) -> SocoError | None:
    """The error for what a Hub client raised, or for what caused that; None for anything that is not about the Hub."""
    import httpx2
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )

    if isinstance(error, LocalTokenNotFoundError):
        return no_token()
    if isinstance(error, HfHubHTTPError):
        status = getattr(error.response, "status_code", None)
        return HubError(f"{start}: {_of_answer(error, status, repo, repo_type)}", status)
    if isinstance(error, HFValidationError):
        return UsageError(f"{repo!r} is not the name of a Hub repository; give ORG/NAME. ({redact(error)})")
    if isinstance(error, OfflineModeIsEnabled):
        return HubError(f"{start}: offline mode is on. Unset HF_HUB_OFFLINE and run the command again.")
    cause = error.__cause__  # the client wraps some errors once more: an upload's, a refused card's
    if cause is not None and (made := _explanation(cause, start, repo, repo_type)) is not None:
        return made
    if isinstance(error, LocalEntryNotFoundError):
        return HubError(f"{start}: the Hub cannot be reached and no copy is cached. {AGAIN}")
    if isinstance(error, json.JSONDecodeError | KeyError | TypeError):  # a page where the client looked for a value
        return HubError(
            f"{start}: the answer is not one of a Hub. Is there a proxy or a login page in between? {AGAIN}"
        )
    if isinstance(error, httpx2.TransportError | ConnectionError | TimeoutError):
        reason = redact(error) or type(error).__name__
        return HubError(f"{start}: the connection to the Hub failed ({reason}). Check the network. {AGAIN}")
    return None


def no_token() -> UsageError:
    """The error for a command that needs a token and finds none."""
    return UsageError(f"No Hub token. {LOGIN} ({_settings()}).")


def redact(error: object) -> str:
    """The first line of an error's text that says something, without the token or anything that looks like one."""
    from huggingface_hub import get_token

    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = (lines[0] if lines else "").replace(get_token() or "\0", "***")
    return _without_secrets(text)[:_MAX_REASON]


def redact_logs() -> None:
    """Keep tokens and signatures out of what the Hub's client logs, such as where it sends what it tries again."""
    for handler in logging.getLogger("huggingface_hub").handlers:
        handler.addFilter(_clear)


def _clear(record: logging.LogRecord) -> bool:
    record.msg, record.args = _without_secrets(record.getMessage()), ()
    return True


def _without_secrets(text: str) -> str:
    return _CREDENTIALS.sub("", _SIGNED.sub(r"\1", _TOKEN.sub("***", text)))


def repo_url(repo: str, repo_type: RepoType = "dataset") -> str:
    """The page of a repository."""
    from huggingface_hub.constants import ENDPOINT

    return f"{public_url(ENDPOINT)}/{'' if repo_type == 'model' else repo_type + 's/'}{repo}"


def _settings() -> str:
    from huggingface_hub.constants import ENDPOINT

    return f"{public_url(ENDPOINT)}/settings/tokens"


def _of_answer(error: Exception, status: int | None, repo: str, repo_type: RepoType) -> str:
    """The reason and the next step for an HTTP answer."""
    from huggingface_hub.errors import (
        GatedRepoError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    url = repo_url(repo, repo_type) if repo else "the repository's page"
    said = redact(getattr(error, "server_message", None) or "")
    saying = f" The Hub says: {said}" + ("" if said.endswith((".", "!")) else ".") if said else ""
    if isinstance(error, GatedRepoError):
        return f"it is gated. Accept its terms at {url} with the account of your token, then run the command again."
    if isinstance(error, RevisionNotFoundError):
        return f"it has no such revision. {url}/tree/main lists branches and tags.{saying}"
    if isinstance(error, RemoteEntryNotFoundError):
        return f"the file is not there.{saying}"
    if isinstance(error, RepositoryNotFoundError):
        return _not_found(repo, repo_type, status)
    by_status = {
        400: f"the Hub refuses what was sent.{saying} Fix that and run the command again.",
        401: f"the Hub does not accept the token (expired or revoked?). {LOGIN} ({_settings()}).",
        402: f"the account's plan does not allow it.{saying} Free some storage, or publish without --private.",
        403: f"the token may not do this.{saying} It needs write access to {repo or 'the repository'} to send anything "
        f"there, else read access ({_settings()}), and its account must belong to the organization.",
        404: f"not found.{saying} Check the name; {url} should open in a browser.",
        409: f"it conflicts with what is there.{saying} See {url}, and run the command again or choose another name.",
        412: f"it was changed by another commit at the same time.{saying} {AGAIN}",
        413: "a file is too large for the Hub. Build with a smaller --max-shard-size.",
        429: f"too many requests; the Hub asks to wait.{saying} Wait a few minutes. {AGAIN}",
    }
    if status is not None and status in by_status:
        return by_status[status]
    if status is not None and status >= 500:
        return f"the Hub is not responding (status {status}).{saying} Wait a little. {AGAIN}"
    return f"the Hub answered with status {status}.{saying or ' ' + redact(error)} {AGAIN}"


def _not_found(repo: str, repo_type: RepoType, status: int | None) -> str:
    """Missing, private, or of another type: look which one it is, as far as the token can see."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    others: tuple[RepoType, ...] = ("model", "dataset", "space")
    for other in others:
        with contextlib.suppress(HfHubHTTPError, OSError, ValueError):
            if repo and other != repo_type and HfApi().repo_exists(repo, repo_type=other):
                return f"there is no {repo_type} of this name, but a {other}: {repo_url(repo, other)}. Check the name."
    unseen = f"no {repo_type} of this name exists, or it is private and your token may not see it. Check the spelling"
    return f"{unseen}; for a private one: {LOGIN}." if status == 401 else f"{unseen} and the token's account."
