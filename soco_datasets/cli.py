"""The command line. Parses and calls; progress and errors go to stderr, results to stdout or files.

Exit code 0 only when the work was done, 1 when it was not, 2 for wrong use, 130 when interrupted.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.main import get_command, get_group

from . import __version__
from .commands import COMMANDS
from .commands.options import Quiet, Verbose, apply_verbosity
from .commands.parsing import COMMAND_PATH, SocoGroup, usage_message
from .errors import SocoError, speaks_options
from .utils.clean_terminal import clean_terminals
from .utils.details import log_on_stderr
from .utils.hub_reach import one_retry_note
from .utils.text import clean, clean_lines

_COMPLETION = "_SOCO_COMPLETE"  # the shell sets it to ask for completions


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Can be called from any thread; leaves signal handling as it was."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    with clean_terminals(), one_retry_note(), log_on_stderr():
        return contextvars.copy_context().run(_main, arguments)  # --quiet and --verbose end with the command


def _main(arguments: list[str]) -> int:
    speaks_options.set(True)
    root: Any = get_command(_app())
    context: Any = None
    try:
        if os.environ.get(_COMPLETION):
            root.main(arguments, prog_name="soco", complete_var=_COMPLETION)
        with _terminated_politely():
            context = root.make_context("soco", arguments)
            with context:
                root.invoke(context)
    except (typer.Exit, SystemExit) as end:  # --help, --version; Typer's completion options exit
        return int((end.exit_code if isinstance(end, typer.Exit) else end.code) or 0)
    except SocoError as error:
        _report(context, error)
        return error.exit_code
    except typer.TyperException as error:
        _report(getattr(error, "ctx", None) or context, clean(usage_message(error)))
        return error.exit_code
    except KeyboardInterrupt:
        _report(context, "Interrupted; no partial files were left.", "\n")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output went away
    return 0


def _report(context: Any, message: object, before: str = "") -> None:
    path = "soco" if context is None else context.meta.get(COMMAND_PATH, "soco")
    print(f"{before}{path}: {clean_lines(message)}", file=sys.stderr)


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


class _Commands(SocoGroup):
    """All commands; the module of one is imported when it is asked for."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module = cmd_name.replace("-", "_")
        if cmd_name not in self.commands and module in COMMANDS:
            added = typer.Typer(callback=_root, rich_markup_mode="rich")
            importlib.import_module(f".commands.{module}", __package__).add(added)
            self.commands.update(get_group(added).commands)
        if cmd_name not in self.commands:
            self.list_commands(ctx)  # among which the message looks for names like it
        return self.commands.get(cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        names = [name.replace("_", "-") for name in COMMANDS]
        for name in names:
            self.get_command(ctx, name)
        return names


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"soco-datasets {__version__}")
        raise typer.Exit


_Version = Annotated[
    bool, typer.Option("--version", help="show the version and exit", callback=_show_version, is_eager=True)
]


def _root(context: typer.Context, version: _Version = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    apply_verbosity(quiet, verbose)
    if context.invoked_subcommand is None:
        print(context.get_help())


def _app() -> typer.Typer:
    app = typer.Typer(
        cls=_Commands,
        invoke_without_command=True,
        help="SOCO: does this vision model understand object parts?",
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode="rich",
    )
    app.callback()(_root)
    return app


if __name__ == "__main__":
    sys.exit(main())
