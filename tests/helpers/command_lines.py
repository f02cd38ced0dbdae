"""Command lines read as `soco` reads them, without running the command."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import typer
from typer.main import get_command

from soco_datasets.commands.options import bundled, flattened
from soco_datasets.commands.parsing import SocoCommand


def read_command_line(module: ModuleType, *arguments: str) -> Any:
    """What `run` of a command's module would be called with, as attributes."""
    app = typer.Typer(add_completion=False)
    app.command(cls=SocoCommand)(flattened(module.run))
    command: Any = get_command(app)
    values = command.make_context("soco", list(arguments)).params
    return SimpleNamespace(**bundled(module.run, values))
