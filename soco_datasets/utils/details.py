"""What `--verbose` shows: the package's log from INFO on, and how long the stages of the work took."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator

from .progress import duration
from .terminal import Verbosity, print_text, verbosity

_PACKAGE = __name__.partition(".")[0]
_PRECISE = 10.0  # seconds, below which tenths are shown
_LEAST = {Verbosity.QUIET: logging.ERROR, Verbosity.NORMAL: logging.WARNING, Verbosity.VERBOSE: logging.INFO}


@contextlib.contextmanager
def log_on_stderr() -> Iterator[None]:
    """Write the package's log to stderr while the body runs: warnings; with `--verbose` details too; with
    `--quiet` only errors.
    """
    logger, handler = logging.getLogger(_PACKAGE), _OnStderr()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextlib.contextmanager
def stage(logger: logging.Logger, what: str) -> Iterator[None]:
    """Log how long the body took, where it ends without an error.

    Args:
        logger: of the module.
        what: the work, such as "matching".
    """
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    logger.info("%s took %s", what, f"{seconds:.1f} s" if seconds < _PRECISE else duration(seconds))


def bytes_text(number: int) -> str:
    """A number of bytes for people.

    >>> bytes_text(346_345_912), bytes_text(2_500)
    ('346.3 MB', '2.5 kB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e3:.1f} kB"


class _OnStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= _LEAST[verbosity()]:
            detail = record.levelno < logging.WARNING
            print_text(record.getMessage(), style="dim" if detail else "", stream=sys.stderr)
