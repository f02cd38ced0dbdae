"""SQLite and PostgreSQL: one schema, an append-only log, many writers at once, backup and export while running."""

from __future__ import annotations

import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from annotation.helpers import NAMES, Client, Server, add_pictures, cup_project, token_of
from annotation.postgres import postgres_server, programs
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import DBAPIError

from soco_datasets.annotation.backup import backup
from soco_datasets.annotation.database import APPEND_ONLY, Assignment, Base, Database, Event, ImageRow, Placement
from soco_datasets.annotation.migrations import upgrade_schema
from soco_datasets.annotation.opened import open_project
from soco_datasets.annotation.release_export import ExportOptions, export_release
from soco_datasets.annotation.results import votes_of
from soco_datasets.annotation.simulation import Habits, simulate
from soco_datasets.errors import SocoError, UsageError


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    if programs() is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str | None:
    """None = SQLite in the project; else a fresh database of the server."""
    if request.param == "sqlite":
        return None
    server: str = request.getfixturevalue("postgres_url")
    name = f"t{uuid.uuid4().hex[:10]}"
    engine = create_engine(server.replace("postgresql", "postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.rpartition("/")[0] + f"/{name}"


def test_migrations_give_the_schema_of_the_models(tmp_path: Path, url: str | None) -> None:
    database = Database(url or f"sqlite:///{tmp_path / 'a.sqlite'}")
    upgrade_schema(database)
    upgrade_schema(database)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        if url is None:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SocoError, match="another version"):
        upgrade_schema(database)
    database.close()


def test_the_log_cannot_be_changed(tmp_path: Path, url: str | None) -> None:
    with cup_project(tmp_path, images=1, url=url, annotators_per_image=1) as bench:
        simulate(bench, {1: {}}, {"Ada": Habits()})
        for table in APPEND_ONLY:
            if table == "reviews":
                continue
            for statement in (f"UPDATE {table} SET created = created", f"DELETE FROM {table}"):
                with pytest.raises(DBAPIError, match="append-only"), bench.database.writing() as session:
                    session.execute(text(statement))
        with bench.database.reading() as session:
            assert len(votes_of(session)[1]) == len(NAMES)


def test_many_at_once_lose_and_double_nothing(tmp_path: Path, url: str | None) -> None:
    """Twelve people take tasks and save at the same time; each sends every step twice."""
    with cup_project(tmp_path, images=5, url=url, annotators_per_image=2) as bench, Server(bench) as server:
        clients = [Client(server.url, token_of(bench, f"P{n}")) for n in range(12)]
        acknowledged: list[str] = []
        problems: list[object] = []

        def work(client: Client) -> None:
            while (answer := client.post("/api/next"))[1].get("task"):
                task = answer[1]["task"]
                for name in NAMES:
                    step = client.step(name, "visible", 10, 20)
                    for _ in range(2):
                        status, reply = client.post(f"/api/tasks/{task['id']}/place", step)
                        if status != 200:
                            problems.append(reply)
                    acknowledged.append(step["key"])
                if client.post(f"/api/tasks/{task['id']}/finish", {"seconds": 1})[0] != 200:
                    problems.append("finish")

        threads = [threading.Thread(target=work, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        backup(bench, tmp_path / "running.sqlite")
        for thread in threads:
            thread.join()
        assert problems == []
        with bench.database.reading() as session:
            assert sorted(session.scalars(select(Placement.key))) == sorted(acknowledged)
            counts = session.execute(select(Assignment.image_id, func.count()).group_by(Assignment.image_id)).all()
            assert {count for _, count in counts} == {2}
        assert len(acknowledged) == 5 * 2 * len(NAMES)


def test_backup_and_export_while_people_work(tmp_path: Path, url: str | None) -> None:
    truth = {n: {name: (20.0 + 25 * i, 40.0 + 10 * n) for i, name in enumerate(NAMES)} for n in range(1, 4)}
    with cup_project(tmp_path / "p", images=3, url=url, annotators_per_image=1) as bench:
        simulate(bench, truth, {"Ada": Habits(noise=0.002)})
        add_pictures(bench, 1, first=30)
        with Server(bench) as server:
            bob = Client(server.url, token_of(bench, "Bob"))
            task = bob.task()
            assert bob.place(task["id"])[0] == 200
            result = export_release([tmp_path / "p"], tmp_path / "release", ExportOptions(), url)
            path = backup(bench, tmp_path / "copy" / "annotations.sqlite")
            assert bob.place(task["id"], NAMES[1])[0] == 200
        assert result.images == {"cup": 3}
        assert result.pairs["intra"] == 6
        (tmp_path / "copy" / "project.yaml").write_text((tmp_path / "p" / "project.yaml").read_text())
        shutil.copytree(tmp_path / "p" / "cards", tmp_path / "copy" / "cards")
        with open_project(path.parent) as copy, copy.database.reading() as there, bench.database.reading() as here:
            assert votes_of(there) == votes_of(here)
            assert there.scalar(select(func.count()).select_from(Placement)) == 3 * len(NAMES) + 1
            assert {e.kind for e in there.scalars(select(Event))} >= {"invited", "exported"}
            assert [i.sha256 for i in there.scalars(select(ImageRow))] == [
                i.sha256 for i in here.scalars(select(ImageRow))
            ]


def test_urls_that_cannot_be_used(tmp_path: Path) -> None:
    for wrong in ("mysql://a/b", "nonsense"):
        with pytest.raises(UsageError):
            Database(wrong)
    unreachable = Database("postgresql://soco:secret@127.0.0.1:9/none")
    with pytest.raises(SocoError, match="cannot be used") as caught:
        upgrade_schema(unreachable)
    assert "secret" not in str(caught.value)
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"no database at all, whatever its name says" * 100)
    with pytest.raises(SocoError, match="cannot be used"):
        upgrade_schema(Database(f"sqlite:///{broken}"))
