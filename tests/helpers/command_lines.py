"""Command lines read as `soco` reads them, without running the command."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pty
import re
import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import typer
from typer.main import get_command

from soco_datasets.cli import main
from soco_datasets.commands import COMMANDS
from soco_datasets.commands.options import command

PROGRAM = [sys.executable, "-m", "soco_datasets.cli"]


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


def on_terminal(*arguments: str, columns: int = 80, **variables: str) -> str:
    """What a command shows on a terminal of this width."""
    controller, terminal = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color"}
    environment |= {"COLUMNS": str(columns), **variables}
    process = subprocess.Popen([*PROGRAM, *arguments], stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    shown = b""
    while True:
        try:
            part = os.read(controller, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(controller)
    assert process.wait(60) == 0
    return shown.decode().replace("\r\n", "\n")


def without_codes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
