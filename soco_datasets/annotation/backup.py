"""Backups while people work: a consistent copy of the database, with what is needed to read it again."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, insert, select

from ..errors import UsageError
from ..utils.files import atomic_file
from .database import Base, Database
from .migrations import upgrade_schema
from .project import PROJECT_FILE
from .work import Workbench

_ROWS = 1000


def backup(bench: Workbench, out: Path, overwrite: bool = False) -> Path:
    """Write the database as one SQLite file, as of one moment, and `project.yaml` beside it.

    Of SQLite it is the library's own online backup, of PostgreSQL a copy of all rows in one repeatable-read
    transaction. Either can be put into a project folder as `annotations.sqlite`.

    Raises:
        UsageError: `out` exists and is not to be replaced.
    """
    if out.exists() and not overwrite:
        raise UsageError(f"{out} is there already; give another name, or --overwrite.")
    with atomic_file(out) as temporary:
        if bench.database.is_sqlite:
            _copy_sqlite(Path(str(bench.database.engine.url.database)), temporary)
        else:
            _copy_rows(bench.database, temporary)
    shutil.copyfile(bench.project.folder / PROJECT_FILE, out.with_suffix(".project.yaml"))
    return out


def _copy_sqlite(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as reading, sqlite3.connect(target) as writing:
        reading.backup(writing)
    reading.close()
    writing.close()


def _copy_rows(source: Database, target: Path) -> None:
    copy = Database(f"sqlite:///{target}")
    try:
        upgrade_schema(copy)
        snapshot = source.engine.connect().execution_options(isolation_level="REPEATABLE READ")
        with snapshot as reading, reading.begin(), copy.connection() as writing:
            for table in Base.metadata.sorted_tables:
                writing.execute(table.delete())
                _copy_table(table, reading, writing)
    finally:
        copy.close()
    plain = sqlite3.connect(target)  # one file, without the write-ahead log beside it
    plain.execute("PRAGMA journal_mode=DELETE")
    plain.close()


def _copy_table(table: object, reading: Connection, writing: Connection) -> None:
    rows = reading.execute(select(table)).mappings()  # type: ignore[call-overload]
    while part := rows.fetchmany(_ROWS):
        writing.execute(insert(table), [dict(row) for row in part])  # type: ignore[arg-type]
