"""Gold images: the test before real work, and the images mixed in later that show whether somebody still looks."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from .database import Assignment, Event, GoldPoint, ImageRow, Person
from .project import Project
from .state import PointAnswer


def grade(
    answers: Mapping[str, PointAnswer], gold: Mapping[str, PointAnswer], length: float, tolerance: float
) -> float | None:
    """Share of the gold points that are right, 0..1; None where there is nothing to grade.

    Args:
        answers: keypoint -> what was said. A missing or unsure answer is wrong.
        gold: keypoint -> the known answer, visible or hidden.
        length: the box's longest side in pixels.
        tolerance: a visible point is right within this share of `length`, strictly.
    """
    right = 0
    for name, truth in gold.items():
        said = answers.get(name)
        if said is None or said.state != truth.state:
            continue
        if truth.state == "visible":
            assert None not in (said.x, said.y, truth.x, truth.y)
            distance = math.hypot(said.x - truth.x, said.y - truth.y)  # type: ignore[operator]
            right += distance < tolerance * length
        else:
            right += 1
    return right / len(gold) if gold else None


def gold_of(session: Session, image_id: int) -> dict[str, PointAnswer]:
    """The known answers of an image."""
    rows = session.scalars(select(GoldPoint).where(GoldPoint.image_id == image_id))
    return {row.keypoint: PointAnswer(row.state, row.x, row.y, "gold") for row in rows}


def reference_length(image: ImageRow, gold: Mapping[str, PointAnswer]) -> float:
    """The longest side of the image's box; without one, of the extent of the gold points, else of the image."""
    if image.box is not None:
        left, top, right, bottom = image.box
        return max(right - left, bottom - top)
    xs = [a.x for a in gold.values() if a.x is not None]
    ys = [a.y for a in gold.values() if a.y is not None]
    extent = max(max(xs) - min(xs), max(ys) - min(ys)) if len(xs) > 1 else 0.0
    return extent or float(max(image.width, image.height))


def after_finishing(
    session: Session, project: Project, assignment: Assignment, image: ImageRow, answers: Mapping[str, PointAnswer]
) -> None:
    """Grade a gold or qualification image and draw the conclusion: passed, failed or paused, with an event."""
    if assignment.purpose not in ("gold", "qualification"):
        return
    gold = gold_of(session, image.id)
    assignment.score = grade(answers, gold, reference_length(image, gold), project.settings.tolerance)
    session.flush()
    person = session.get_one(Person, assignment.person_id)
    if assignment.purpose == "qualification" and person.status == "qualifying":
        settle_qualification(session, project, person)
    elif assignment.purpose == "gold" and person.status == "active":
        _watch(session, project, person)


def settle_qualification(session: Session, project: Project, person: Person) -> None:
    """Once every qualification image is done: active from the pass mark on, failed below it."""
    images = session.scalar(select(func.count()).select_from(ImageRow).where(ImageRow.role == "qualification")) or 0
    scores = _scores(session, person, "qualification")
    if len(scores) < images:
        return
    mean = sum(scores) / len(scores) if scores else 1.0
    person.status = "active" if mean >= project.settings.qualification_pass else "failed"
    kind = "qualified" if person.status == "active" else "failed_qualification"
    session.add(Event(person_id=person.id, kind=kind, detail={"score": mean, "images": len(scores)}))


def _watch(session: Session, project: Project, person: Person) -> None:
    """Pause where the mean of the last gold images is below the mark; resuming begins a new window."""
    resumed = session.scalar(
        select(func.max(Event.created)).where(Event.person_id == person.id, Event.kind == "resumed")
    )
    scores = _scores(session, person, "gold", resumed)[-project.settings.gold_window :]
    mean = sum(scores) / len(scores)
    if len(scores) == project.settings.gold_window and mean < project.settings.gold_pass:
        person.status = "paused"
        session.add(Event(person_id=person.id, kind="paused", detail={"gold_score": mean, "images": len(scores)}))


def _scores(session: Session, person: Person, purpose: str, since: object = None) -> list[float]:
    query = select(Assignment.score).where(
        Assignment.person_id == person.id,
        Assignment.purpose == purpose,
        Assignment.status == "done",
        Assignment.score.is_not(None),
    )
    if since is not None:
        query = query.where(Assignment.finished > since)
    return [score for score in session.scalars(query.order_by(Assignment.finished)) if score is not None]
