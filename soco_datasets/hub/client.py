"""Talking to the Hub: who we are, and trying again where that makes sense."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..errors import UsageError
from .errors import LOGIN, HubError, RepoType, explained, no_token

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")

_TRIES = 3
_FIRST_WAIT = 1.0  # seconds; doubles with every try
_LONGEST_WAIT = 60.0
_PASSING = (408, 425, 429, 500, 502, 503, 504)


def check_repo_name(repo: str, option: str = "--repo") -> str:
    """`repo` if it has the form ORG/NAME; raises `UsageError` otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repo) or repo.endswith(".git") or len(repo) > 96:
        raise UsageError(f"{option} {repo!r} is not the name of a Hub repository: give ORG/NAME, such as my-lab/soco.")
    return repo


def connect(*, write: bool = True) -> tuple[HfApi, str]:
    """A client and the account's name.

    Raises:
        UsageError: no token; with `write`, one that can only read.
        HubError: the Hub does not accept it or cannot be reached.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.utils import disable_progress_bars

    if not get_token():
        raise no_token()
    if not sys.stderr.isatty():
        disable_progress_bars()
    api = HfApi(library_name="soco-datasets", library_version=_version())
    me = retrying("ask the Hub who you are", api.whoami)
    name = str(me["name"])
    role = ((me.get("auth") or {}).get("accessToken") or {}).get("role")
    if write and role == "read":
        raise UsageError(f"The token of {name} can only read. {LOGIN} ({ENDPOINT}/settings/tokens).")
    return api, name


def retrying(action: str, step: Callable[[], T], repo: str = "", repo_type: RepoType = "dataset") -> T:
    """Run one step; where the Hub has trouble or the connection drops, wait and try again, three times in all.

    `step` must be one that may run twice. Errors come as `explained` makes them.
    """
    wait = _FIRST_WAIT
    for left in reversed(range(_TRIES)):
        try:
            with explained(action, repo, repo_type):
                return step()
        except HubError as error:
            if left == 0 or not is_passing(error):
                raise
            pause = min(max(wait, _asked_wait(error)), _LONGEST_WAIT)
            print(f"The Hub has trouble ({error.status or 'no answer'}); again in {pause:.0f} s", file=sys.stderr)
            time.sleep(pause)
            wait *= 2
    raise AssertionError("not reached")


def is_passing(error: HubError) -> bool:
    """Whether trying again can help: a dropped connection, too many requests, trouble on the Hub's side."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    if error.status is None:
        return not isinstance(error.__cause__, OfflineModeIsEnabled | LocalEntryNotFoundError)
    return error.status in _PASSING


def _asked_wait(error: HubError) -> float:
    """Seconds that the answer's Retry-After asks for, 0 without one."""
    headers = getattr(getattr(error.__cause__, "response", None), "headers", {})
    asked = str(headers.get("Retry-After", ""))
    return float(asked) if asked.isdigit() else 0.0


def _version() -> str:
    from .. import __version__

    return __version__
