"""The tables, for SQLite and PostgreSQL. `placements`, `reviews` and `events` are append-only: triggers hold it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Engine, ForeignKey, Index, String, UniqueConstraint, create_engine, event, text
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import TypeDecorator

from ..errors import SocoError, UsageError, missing_extra

APPEND_ONLY = ("placements", "reviews", "events")
_LOCK = 0x50C0A  # PostgreSQL's advisory lock of those who give out work
_WAIT = 20_000  # ms that a writer of SQLite waits for another


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC, with its zone in Python whatever the database keeps."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """The present time in UTC."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """All tables."""

    type_annotation_map = {datetime: UtcTime, dict[str, Any]: JSON}  # noqa: RUF012 (as SQLAlchemy declares it)


class Meta(Base):
    """The project's id and the like."""

    __tablename__ = "meta"
    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str]


class ImageRow(Base):
    """A photograph. Boxes are left, top, right, bottom in stored pixels; angles in degrees; null = unknown."""

    __tablename__ = "images"
    id: Mapped[int] = mapped_column(primary_key=True)
    category: Mapped[str] = mapped_column(String(80), index=True)
    file: Mapped[str] = mapped_column(String(400), unique=True)  # below the project folder
    width: Mapped[int]
    height: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    phash: Mapped[str | None] = mapped_column(String(64))
    left: Mapped[float | None]
    top: Mapped[float | None]
    right: Mapped[float | None]
    bottom: Mapped[float | None]
    azimuth: Mapped[float | None]
    elevation: Mapped[float | None]
    rotation: Mapped[float | None]
    origin: Mapped[str | None]
    license: Mapped[str | None]
    role: Mapped[str] = mapped_column(String(20), default="work")  # work, gold or qualification
    suggest: Mapped[bool] = mapped_column(default=False)  # whether its suggestions are shown
    created: Mapped[datetime] = mapped_column(default=now)

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """Left, top, right, bottom, or None."""
        values = (self.left, self.top, self.right, self.bottom)
        return None if None in values else values  # type: ignore[return-value]


class GoldPoint(Base):
    """The known answer for one keypoint of a gold image."""

    __tablename__ = "gold_points"
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), primary_key=True)
    keypoint: Mapped[str] = mapped_column(String(80), primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    x: Mapped[float | None]
    y: Mapped[float | None]


class Person(Base):
    """Somebody with an invitation. Only the hash of the token is stored."""

    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    role: Mapped[str] = mapped_column(String(20))  # annotator, reviewer or owner
    status: Mapped[str] = mapped_column(String(20))  # qualifying, active, paused or failed
    token_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    expires: Mapped[datetime | None]
    external_id: Mapped[str | None] = mapped_column(String(100), unique=True)  # a worker of Mechanical Turk
    created: Mapped[datetime] = mapped_column(default=now)


class Assignment(Base):
    """One image given to one person, never twice."""

    __tablename__ = "assignments"
    __table_args__ = (UniqueConstraint("image_id", "person_id"), Index("ix_assignments_status", "image_id", "status"))
    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    purpose: Mapped[str] = mapped_column(String(20))  # work, gold, qualification or import
    status: Mapped[str] = mapped_column(String(20))  # open, done or abandoned
    opened: Mapped[datetime] = mapped_column(default=now)
    touched: Mapped[datetime] = mapped_column(default=now)
    finished: Mapped[datetime | None]
    seconds: Mapped[float | None]  # with the page in front, as the page says
    score: Mapped[float | None]  # of a gold image: share of points that are right
    turk_assignment: Mapped[str | None] = mapped_column(String(100), unique=True)
    turk_hit: Mapped[str | None] = mapped_column(String(100))


class Placement(Base):
    """One step of an annotator. Never changed; the state of an image is the replay of its steps."""

    __tablename__ = "placements"
    __table_args__ = (UniqueConstraint("assignment_id", "key"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"), index=True)
    key: Mapped[str] = mapped_column(String(64))  # chosen by the page: a repeated request is stored once
    keypoint: Mapped[str] = mapped_column(String(80))
    state: Mapped[str] = mapped_column(String(10))  # visible, hidden, unsure or empty
    x: Mapped[float | None]
    y: Mapped[float | None]
    source: Mapped[str] = mapped_column(String(12))  # hand, suggestion, undo or import
    undoes: Mapped[int | None]
    tab: Mapped[str] = mapped_column(String(64), default="")
    note: Mapped[str | None] = mapped_column(String(500))
    created: Mapped[datetime] = mapped_column(default=now)


class Suggestion(Base):
    """Where a model would place a keypoint."""

    __tablename__ = "suggestions"
    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)
    keypoint: Mapped[str] = mapped_column(String(80))
    x: Mapped[float]
    y: Mapped[float]
    score: Mapped[float]
    model: Mapped[str] = mapped_column(String(200))
    created: Mapped[datetime] = mapped_column(default=now)


class Review(Base):
    """A reviewer's verdict on one keypoint of an image, with what stood there before. Never changed."""

    __tablename__ = "reviews"
    __table_args__ = (UniqueConstraint("person_id", "key"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    key: Mapped[str] = mapped_column(String(64))
    keypoint: Mapped[str] = mapped_column(String(80))
    verdict: Mapped[str] = mapped_column(String(10))  # accept, move, hide or swap
    other: Mapped[str | None] = mapped_column(String(80))  # of a swap: the other keypoint
    before_state: Mapped[str] = mapped_column(String(10))
    before_x: Mapped[float | None]
    before_y: Mapped[float | None]
    state: Mapped[str] = mapped_column(String(10))
    x: Mapped[float | None]
    y: Mapped[float | None]
    created: Mapped[datetime] = mapped_column(default=now)


class Event(Base):
    """What happened to people and the project: invited, qualified, paused, exported. Never changed."""

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    kind: Mapped[str] = mapped_column(String(40))
    detail: Mapped[dict[str, Any]]
    created: Mapped[datetime] = mapped_column(default=now)


class Database:
    """An opened database; sessions read, `writing` sessions commit as a whole or not at all."""

    def __init__(self, url: str) -> None:
        """Open (and with SQLite create) the database.

        Raises:
            UsageError: not a URL of SQLite or PostgreSQL.
            MissingExtraError: no driver for PostgreSQL.
        """
        self.url = url
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise UsageError(f"{url!r} is not a database URL, such as postgresql://user@host/name.") from None
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if not self.is_sqlite and parsed.get_backend_name() != "postgresql":
            raise UsageError(f"{parsed.get_backend_name()!r} is not supported; give a URL of PostgreSQL, or none.")
        try:
            options: dict[str, Any] = {"pool_size": 8, "max_overflow": 16, "pool_pre_ping": True}
            self.engine: Engine = create_engine(parsed, **({} if self.is_sqlite else options))
        except ImportError:
            raise missing_extra("PostgreSQL", "annotation", "psycopg") from None
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._writer = self.engine.execution_options(soco_writes=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reading."""
        with Session(self.engine) as session:
            yield session

    @contextlib.contextmanager
    def writing(self, exclusive: bool = False) -> Iterator[Session]:
        """A session that commits at its end; `exclusive` ones come one after another, in every process."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            if exclusive and not self.is_sqlite:
                session.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            yield session

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in a transaction, for migrations."""
        try:
            with self._writer.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise SocoError(f"The database {make_url(self.url)!r} cannot be used: {first_line(error)}") from error

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _begin_sqlite(connection: Connection) -> None:
    """Writers queue up at their beginning: SQLite would refuse one that reads first and writes when another has."""
    writes = connection.get_execution_options().get("soco_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver thinks
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_WAIT}"):
        connection.execute(f"PRAGMA {pragma}")
