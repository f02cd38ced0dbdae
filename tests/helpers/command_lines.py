"""Command lines read as `soco` reads them, without running the command."""

from __future__ import annotations

import functools
from types import ModuleType, SimpleNamespace
from typing import Any

import typer
from typer.main import get_command

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
