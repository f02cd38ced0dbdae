"""An opened project: its file, its database at the newest schema, and both together as a workbench."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from .database import Database
from .migrations import upgrade_schema
from .project import load_project
from .work import Workbench

URL_VARIABLE = "SOCO_ANNOTATION_DB"


@contextlib.contextmanager
def open_project(folder: Path, url: str | None = None) -> Iterator[Workbench]:
    """Open a project.

    Args:
        folder: with `project.yaml`.
        url: of a PostgreSQL database; default: the variable `SOCO_ANNOTATION_DB`, else SQLite in the folder.

    Raises:
        ProjectError: the file has problems.
        SocoError: the database cannot be used.
    """
    project = load_project(folder)
    database = Database(url or os.environ.get(URL_VARIABLE) or project.database_url)
    try:
        upgrade_schema(database)
        yield Workbench(project, database)
    finally:
        database.close()
