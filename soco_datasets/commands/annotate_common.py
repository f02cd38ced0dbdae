"""What the parts of `soco annotate` share: the project and its database as arguments, and times."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

if TYPE_CHECKING:
    from ..annotation.work import Workbench

_PACKAGES = ("sqlalchemy", "alembic", "starlette", "uvicorn", "jinja2", "imagehash")
_DATABASE = "PostgreSQL database, postgresql://user@host/name"

Database = Annotated[
    str | None,
    Option(
        "--database",
        metavar="URL",
        help=_DATABASE,
        show_default="SOCO_ANNOTATION_DB, else SQLite in the folder",
        rich_help_panel="Project",
    ),
]
AtOption = Annotated[
    str | None,
    Option("--at", metavar="TIME", help="results as of this time, such as 2026-05-01T12:30 (UTC)", show_default="now"),
]


@dataclass(frozen=True, kw_only=True)
class ProjectOptions:
    """A project folder and its database."""

    project: Annotated[Path, Argument(metavar="DIR", help="the project folder")]
    database: Database = None

    def open(self) -> AbstractContextManager[Workbench]:
        """The project, opened."""
        return open_bench(self.project, self.database)


def open_bench(project: Path, database: str | None) -> AbstractContextManager[Workbench]:
    """A project, opened. Raises `MissingExtraError` where the extra `annotation` is not installed."""
    require_annotation()
    from ..annotation.opened import open_project

    return open_project(project, database)


def require_annotation() -> None:
    """Raise `MissingExtraError` where a package of the extra `annotation` is not installed."""
    from ..errors import missing_extra

    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise missing_extra("soco annotate", "annotation", package)


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
