"""The command line. Parses and calls; progress and errors go to stderr, results to stdout or files.

Exit code 0 only when the work was done, 1 when it was not, 2 for wrong use, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import NoReturn

from . import __version__
from .commands import COMMANDS
from .errors import SocoError
from .utils.terminal import clean_terminals
from .utils.text import clean_lines


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Can be called from any thread; leaves signal handling as it was."""
    with clean_terminals():
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    try:
        with _terminated_politely():
            arguments.run(arguments)
    except SocoError as error:
        print(f"soco {arguments.command}: {clean_lines(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"\nsoco {arguments.command}: Interrupted; no partial files were left.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output went away
        return 0
    return 0


@contextlib.contextmanager
def _terminated_politely() -> Iterator[None]:
    """SIGTERM as an interrupt, so that temporary files are removed; only the main thread can receive signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _interrupt(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="soco", description="SOCO: does this vision model understand object parts?", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"soco-datasets {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f".commands.{name}", __package__).add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
