"""Whether the Hub answers, found out in seconds: its client tries six times and logs each of them."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator

from .hub_errors import RepoType
from .terminal import Verbosity, verbosity

_TRIES = 2
_SECONDS = 5.0  # for one answer
_PAUSE = 1.0
_CLIENT_LOG = "huggingface_hub.utils._http"


def check_reachable(repo: str, name: str, revision: str | None = None, repo_type: RepoType = "model") -> None:
    """Ask the Hub for a file that may be fetched next, at most twice; nothing is asked where the file is cached.

    Raises:
        huggingface_hub.errors.LocalEntryNotFoundError: the Hub does not answer, or only with an error of its own.
        huggingface_hub.errors.HfHubHTTPError: it refuses: no such repository, revision or file, or it is gated.
    """
    import httpx2
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    cached = try_to_load_from_cache(repo, name, revision=revision, repo_type=repo_type)
    if constants.HF_HUB_OFFLINE or isinstance(cached, str):
        return
    url = hf_hub_url(repo, name, revision=revision, repo_type=repo_type)
    for left in reversed(range(_TRIES)):
        try:
            get_hf_file_metadata(url, timeout=_SECONDS)
            return
        except (httpx2.TransportError, HfHubHTTPError) as error:
            status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
            if status is not None and status < 500:
                raise
            if left == 0:
                reason = "no answer" if status is None else f"status {status}"
                raise LocalEntryNotFoundError(reason) from error
            time.sleep(_PAUSE)


@contextlib.contextmanager
def one_retry_note() -> Iterator[None]:
    """Have the Hub's client report its retries in one line; in all of its own with `--verbose`."""
    logger, rule = logging.getLogger(_CLIENT_LOG), _OnceNoted()
    logger.addFilter(rule)
    try:
        yield
    finally:
        logger.removeFilter(rule)


class _OnceNoted(logging.Filter):
    """Keeps the retries of the client out of the log; the first is reported."""

    def __init__(self) -> None:
        super().__init__()
        self._noted = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line of the log is written."""
        if verbosity() is Verbosity.VERBOSE or record.levelno > logging.WARNING:
            return True
        text = record.getMessage()
        if not self._noted and "Retry " in text and verbosity() is not Verbosity.QUIET:
            self._noted = True
            print("Hub not responding; retrying for up to half a minute", file=sys.stderr)
        return not ("Retry " in text or "thrown while requesting" in text)
