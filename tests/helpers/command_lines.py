"""Command lines read as `soco` reads them, without running the command."""

from __future__ import annotations

import contextlib
import functools
import io
import re
from types import ModuleType, SimpleNamespace
from typing import Any

import typer
from typer.main import get_command

from soco_datasets.cli import main
from soco_datasets.commands import COMMANDS
from soco_datasets.commands.options import command


def read_command_line(module: ModuleType, *arguments: str) -> Any:
    """What `run` of a command's module would be called with, as attributes."""
    found = SimpleNamespace()

    @functools.wraps(module.run)
    def take(**values: Any) -> None:
        vars(found).update(values)

    app = typer.Typer(add_completion=False)
    command(app, take, "command", "read options", "")
    read: Any = get_command(app)
    with read.make_context("soco", list(arguments)) as context:
        read.invoke(context)
    return found


def every_help() -> dict[tuple[str, ...], str]:
    """What each command prints for `--help` off a terminal, by its path such as ("lvlm", "run")."""
    found: dict[tuple[str, ...], str] = {}
    pending: list[tuple[str, ...]] = [(name.replace("_", "-"),) for name in COMMANDS]
    while pending:
        path = pending.pop()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert main([*path, "--help"]) == 0
        found[path] = printed.getvalue()
        inner = found[path].partition("\nCommands:\n")[2].partition("\n\n")[0]
        pending += [(*path, name) for name in re.findall(r"^  (\S+)", inner, re.MULTILINE)]
    return found
