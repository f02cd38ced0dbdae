"""Talking to the Hub: who we are, and trying again where that makes sense."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import UsageError
from ..utils.hub_errors import (
    LOGIN,
    HubError,
    RepoType,
    explained,
    no_token,
    redact_logs,
)
from ..utils.process_state import ProcessSetting
from ..utils.terminal import print_note
from ..utils.text import public_url

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_T = TypeVar("_T")

_TRIES = 3
_FIRST_WAIT = 1.0  # seconds; doubles with every try
_LONGEST_WAIT = 310.0  # the Hub counts requests in windows of five minutes
_PASSING = (408, 425, 429, 500, 502, 503, 504)


def check_repo_name(repo: str, option: str = "--repo") -> str:
    """`repo` if it has the form ORG/NAME; raises `UsageError` otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repo) or repo.endswith(".git") or len(repo) > 96:
        raise UsageError(f"{option} {repo!r} is not the name of a Hub repository: give ORG/NAME, such as my-lab/soco.")
    return repo


def _hide_hub_progress() -> Callable[[], None]:
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty() or are_progress_bars_disabled():
        return lambda: None
    disable_progress_bars()
    return enable_progress_bars


hub_progress_on_terminals = ProcessSetting(_hide_hub_progress)
"""The Hub client's progress bars only on a terminal, for the whole process."""


def connect(*, write: bool = True) -> tuple[HfApi, str]:
    """A client and the account's name.

    Raises:
        UsageError: no token; with `write`, one that can only read.
        HubError: the Hub does not accept it or cannot be reached.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.constants import ENDPOINT

    redact_logs()
    if not get_token():
        raise no_token()
    api = HfApi(library_name="soco-datasets", library_version=_version())

    def ask() -> tuple[str, str | None]:
        me = api.whoami()
        return str(me["name"]), ((me.get("auth") or {}).get("accessToken") or {}).get("role")

    name, role = retrying("ask the Hub who you are", ask)
    if write and role == "read":
        raise UsageError(f"The token of {name} can only read. {LOGIN} ({public_url(ENDPOINT)}/settings/tokens).")
    return api, name


def retrying(
    action: str, step: Callable[[], _T], repo: str = "", repo_type: RepoType = "dataset", *, first: bool = False
) -> _T:
    """Run one step; where the Hub has trouble or the connection drops, wait and try again, three times in all.

    Args:
        action, repo, repo_type: see `explained`, which makes the errors.
        step: may run twice.
        first: it is the first request of a command that reads, so a Hub that cannot be reached is reported at once.
    """
    wait = _FIRST_WAIT
    for left in reversed(range(_TRIES)):
        try:
            with explained(action, repo, repo_type):
                return step()
        except HubError as error:
            pause = max(wait, _asked_wait(error))
            if left == 0 or not is_passing(error) or pause > _LONGEST_WAIT or (first and _is_unreachable(error)):
                raise
            print_note(f"Hub not responding ({error.status or 'no answer'}); retrying in {pause:.0f} s")
            time.sleep(pause)
            wait *= 2
    raise AssertionError("not reached")


def make_repo(api: HfApi, repo: str, repo_type: RepoType, **settings: Any) -> None:
    """Make a repository, `settings` as in `HfApi.create_repo`. One that is there is as good: an answer may get lost.

    Raises:
        HubError: the token may not, or the name is taken by something that it cannot see.
    """
    from huggingface_hub.errors import HfHubHTTPError

    def make() -> None:
        try:
            api.create_repo(repo, repo_type=repo_type, **settings)
        except HfHubHTTPError as error:
            if error.response.status_code != 409 or not api.repo_exists(repo, repo_type=repo_type):
                raise

    retrying("create", make, repo, repo_type)


def is_passing(error: HubError) -> bool:
    """Whether trying again can help: a dropped connection, too many requests, trouble on the Hub's side."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    if error.status is None:
        return not isinstance(error.__cause__, OfflineModeIsEnabled | LocalEntryNotFoundError)
    return error.status in _PASSING


def _is_unreachable(error: HubError) -> bool:
    """Whether no connection was made at all: an unknown host, no network, a closed port."""
    import httpx2

    return isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)


def _asked_wait(error: HubError) -> float:
    """Seconds that the answer asks to wait, 0 where it does not: Retry-After, or the Hub's own count of requests."""
    from huggingface_hub.utils import parse_ratelimit_headers

    headers = getattr(getattr(error.__cause__, "response", None), "headers", {})
    counted = parse_ratelimit_headers(headers)
    asked = [float(counted.reset_in_seconds)] if counted is not None and counted.remaining == 0 else []
    stated = str(headers.get("Retry-After", ""))
    if stated.isdigit():
        asked.append(float(stated))
    elif stated:
        with contextlib.suppress(ValueError):
            asked.append(parsedate_to_datetime(stated).timestamp() - time.time())
    return max(asked, default=0.0)


def _version() -> str:
    from .. import __version__

    return __version__
