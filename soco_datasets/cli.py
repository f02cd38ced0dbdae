"""The command line. Parses and calls; progress and errors go to stderr, results to stdout or files.

Exit code 0 only when the work was done, 1 when it was not, 2 for wrong use, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import __version__
from .commands import COMMANDS
from .errors import SocoError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    signal.signal(signal.SIGTERM, _interrupt)  # so that temporary folders are removed on a polite kill too
    try:
        arguments.run(arguments)
    except SocoError as error:
        print(f"soco {arguments.command}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"\nsoco {arguments.command}: interrupted; nothing was left half-written.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output went away
        return 0
    return 0


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
