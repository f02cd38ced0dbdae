"""Who annotates what: qualification first, then images that lack annotators, gold images mixed in; never one twice."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from .database import Assignment, Database, Event, ImageRow, Person, now
from .project import Project
from .qualification import settle_qualification
from .refusals import RefusedError
from .work import FAILED, PAUSED


def next_assignment(
    database: Database, project: Project, person: Person, turk: tuple[str, str] | None = None
) -> Assignment | None:
    """The image a person works on now: the opened one, else a new one; None when there is nothing left.

    Args:
        database: of the project.
        project: with the settings.
        person: whose work it is.
        turk: of Mechanical Turk, (assignment id, HIT id): that assignment's own image.

    Raises:
        RefusedError: 403 for a person who is paused or has failed the test.
    """
    with database.writing(exclusive=True) as session:
        person = session.get_one(Person, person.id)
        if person.status in ("paused", "failed"):
            raise RefusedError(403, person.status, PAUSED if person.status == "paused" else FAILED)
        if turk is not None:
            given = session.scalars(select(Assignment).where(Assignment.turk_assignment == turk[0])).one_or_none()
            if given is not None:
                return given
        else:
            query = select(Assignment).where(Assignment.person_id == person.id, Assignment.status == "open")
            opened = session.scalars(query.order_by(Assignment.id)).first()
            if opened is not None:
                return opened
        _abandon_stale(session, project)
        chosen = _choose(session, project, person)
        if chosen is None:
            return None
        image, purpose = chosen
        assignment = Assignment(image_id=image.id, person_id=person.id, purpose=purpose, status="open")
        if turk is not None:
            assignment.turk_assignment, assignment.turk_hit = turk
        session.add(assignment)
        session.flush()
        return assignment


def _choose(session: Session, project: Project, person: Person) -> tuple[ImageRow, str] | None:
    if person.status == "qualifying":
        image = _unseen(session, person, "qualification")
        if image is not None:
            return image, "qualification"
        settle_qualification(session, project, person)
        if person.status != "active":
            raise RefusedError(403, "failed", FAILED)
    if _gold_is_due(session, project, person):
        image = _unseen(session, person, "gold")
        if image is not None:
            return image, "gold"
    work = _needed(session, project, person)
    return None if work is None else (work, "work")


def _mine(person: Person) -> object:
    return select(Assignment.image_id).where(Assignment.person_id == person.id)


def _unseen(session: Session, person: Person, role: str) -> ImageRow | None:
    query = select(ImageRow).where(ImageRow.role == role, ImageRow.id.not_in(_mine(person)))  # type: ignore[arg-type]
    images = list(session.scalars(query.order_by(ImageRow.id)))
    return min(images, key=lambda image: _shuffle(person.id, image.id), default=None)


def _gold_is_due(session: Session, project: Project, person: Person) -> bool:
    """About one image in `gold_every`, at places that a person cannot count out."""
    every = project.settings.gold_every
    if every == 0:
        return False
    query = select(Assignment.purpose).where(Assignment.person_id == person.id).order_by(Assignment.id.desc())
    since = 0
    for purpose in session.scalars(query):
        if purpose == "gold":
            break
        since += purpose == "work"
    drawn = int(_shuffle(person.id, since, "gold")[:8], 16) % every
    return since > 0 and (drawn == 0 or since >= 2 * every)


def _needed(session: Session, project: Project, person: Person) -> ImageRow | None:
    """The image that is nearest to being complete; among equals an order of the person's own."""
    taken = (
        select(Assignment.image_id, func.count().label("number"))
        .where(Assignment.status != "abandoned")
        .group_by(Assignment.image_id)
        .subquery()
    )
    number = func.coalesce(taken.c.number, 0)
    query = (
        select(ImageRow, number)
        .outerjoin(taken, taken.c.image_id == ImageRow.id)
        .where(
            ImageRow.role == "work",
            ImageRow.category.in_(list(project.by_name)),
            number < project.settings.annotators_per_image,
            ImageRow.id.not_in(_mine(person)),  # type: ignore[arg-type]
        )
    )
    rows = [(image, count) for image, count in session.execute(query)]
    best = min(rows, key=lambda row: (-row[1], _shuffle(person.id, row[0].id)), default=None)
    return None if best is None else best[0]


def _abandon_stale(session: Session, project: Project) -> None:
    """Images opened and not touched for too long count as free again; the steps in them are kept."""
    before = now() - timedelta(hours=project.settings.task_hours)
    query = select(Assignment).where(Assignment.status == "open", Assignment.touched < before)
    for assignment in session.scalars(query):
        detail = {"assignment": assignment.id, "image": assignment.image_id}
        session.add(Event(person_id=assignment.person_id, kind="abandoned", detail=detail))
        session.execute(update(Assignment).where(Assignment.id == assignment.id).values(status="abandoned"))


def set_status(database: Database, person_id: int, status: str, by: str) -> None:
    """Pause or resume a person, with an event.

    Raises:
        RefusedError: 404 for an unknown person, 422 for another status.
    """
    if status not in ("active", "paused"):
        raise RefusedError(422, "bad_status", "A person can be set to active or paused.")
    with database.writing() as session:
        person = session.get(Person, person_id)
        if person is None:
            raise RefusedError(404, "unknown_person", "There is no such person.")
        person.status = status
        session.add(Event(person_id=person.id, kind="resumed" if status == "active" else "paused", detail={"by": by}))


def _shuffle(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
