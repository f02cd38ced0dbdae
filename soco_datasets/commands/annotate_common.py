"""What the parts of `soco annotate` share: the project and its database as arguments, and times."""

from __future__ import annotations

import argparse
import importlib.util
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from .common import Commands, command

if TYPE_CHECKING:
    from ..annotation.work import Workbench

_PACKAGES = ("sqlalchemy", "alembic", "starlette", "uvicorn", "jinja2", "imagehash")


def project_command(parts: Commands, name: str, help: str, example: str) -> argparse.ArgumentParser:
    """Declare a command whose first argument is a project folder."""
    parser = command(parts, name, help, example)
    parser.add_argument("project", type=Path, help="the project folder")
    add_database(parser)
    return parser


def add_database(parser: argparse.ArgumentParser) -> None:
    """The option `--database`."""
    where = "PostgreSQL database, postgresql://user@host/name (default: SOCO_ANNOTATION_DB, else SQLite in the folder)"
    parser.add_argument("--database", help=where)


def require_annotation() -> None:
    """Raise `MissingExtraError` where a package of the extra `annotation` is not installed."""
    from ..errors import missing_extra

    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise missing_extra("soco annotate", "annotation", package)


def opened(arguments: argparse.Namespace) -> AbstractContextManager[Workbench]:
    """The project of the arguments, opened."""
    require_annotation()
    from ..annotation.opened import open_project

    return open_project(arguments.project, arguments.database)


def moment(text: str | None) -> datetime | None:
    """A time such as 2026-05-01 or 2026-05-01T12:30, in UTC where it has no zone. Raises `UsageError`."""
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        from ..errors import UsageError

        raise UsageError(f"--at takes a time such as 2026-05-01T12:30, got {text!r}.") from None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value
