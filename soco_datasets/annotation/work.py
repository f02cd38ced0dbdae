"""One person's work on one image: open, place, undo, finish. Used by the server, imports and simulations alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from .database import Assignment, Database, ImageRow, Person, Placement, Suggestion, now
from .project import Project, asked_points
from .qualification import after_finishing
from .refusals import RefusedError
from .state import PointAnswer, checked_answer, last_step, replay, undoable

_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")
_LONGEST_NOTE = 500


@dataclass(frozen=True)
class AnnotationStep:
    """A step as a request gives it, unchecked but for its types."""

    key: str
    tab: str
    seen: int
    keypoint: str = ""
    state: object = None
    x: object = None
    y: object = None
    source: str = "hand"
    note: str | None = None


def step_from(body: Mapping[str, Any]) -> AnnotationStep:
    """Raises `RefusedError` (422) where a field has the wrong type."""
    texts = {name: body.get(name, "") for name in ("key", "tab", "keypoint")}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise RefusedError(422, "bad_field", f"{name} must be text.")
    if not _KEY.fullmatch(texts["key"]) or not _KEY.fullmatch(texts["tab"]):
        raise RefusedError(422, "bad_key", "key and tab must be 8 to 64 letters and digits.")
    seen = body.get("seen", 0)
    if not isinstance(seen, int) or isinstance(seen, bool) or not 0 <= seen < 2**63:
        raise RefusedError(422, "bad_field", "seen must be the number of the last step that the page knows.")
    note = body.get("note")
    if note is not None and (not isinstance(note, str) or len(note) > _LONGEST_NOTE or "\0" in note):
        raise RefusedError(422, "bad_note", f"A note is text of at most {_LONGEST_NOTE} characters.")
    source = body.get("source", "hand")
    if source not in ("hand", "suggestion"):
        raise RefusedError(422, "bad_field", "source must be hand or suggestion.")
    return AnnotationStep(
        **texts, seen=seen, state=body.get("state"), x=body.get("x"), y=body.get("y"), source=source, note=note
    )


class Workbench:
    """A project with its database."""

    def __init__(self, project: Project, database: Database) -> None:
        self.project, self.database = project, database

    def task(self, session: Session, assignment: Assignment) -> dict[str, Any]:
        """Everything the page needs to show an image. Gold images look like any other."""
        image = session.get_one(ImageRow, assignment.image_id)
        category = self.project.category(image.category)
        steps = _steps(session, assignment.id)
        query = select(Suggestion).where(Suggestion.image_id == image.id).order_by(Suggestion.id)
        shown = session.scalars(query) if image.suggest else ()
        return {
            "id": assignment.id,
            "category": category.name,
            "width": image.width,
            "height": image.height,
            "keypoints": [self._keypoint(image, name) for name in self.asked(image)],
            "points": {name: answer.to_json() for name, answer in replay(steps).items()},
            "suggestions": {s.keypoint: {"x": s.x, "y": s.y} for s in shown},
            "seen": steps[-1].id if steps else 0,
            "can_undo": last_step(steps) is not None,
            "seconds": assignment.seconds or 0.0,
            "status": assignment.status,
        }

    def asked(self, image: ImageRow) -> list[str]:
        """The names that are asked for in an image."""
        category = self.project.category(image.category)
        return asked_points(category, image.box is not None, self.project.settings)

    def _keypoint(self, image: ImageRow, name: str) -> dict[str, Any]:
        from .describe import describe_point

        category = self.project.category(image.category)
        keypoint = category.by_name.get(name)
        card = keypoint.card if keypoint else None
        return {
            "name": name,
            "concept": keypoint.concept if keypoint else None,
            "text": describe_point(category, name),
            "card": None if card is None else {"x": card.point[0], "y": card.point[1]},
        }

    def place(self, person: Person, assignment_id: int, step: AnnotationStep) -> dict[str, Any]:
        """Store one step; the same step again is stored once and answered the same.

        Raises:
            RefusedError: another's task, a finished one, an unknown keypoint, a point outside, a step of another tab.
        """
        with self.database.writing() as session:
            assignment, steps = self._own_open(session, person, assignment_id, step)
            image = session.get_one(ImageRow, assignment.image_id)
            if step.keypoint not in self.asked(image):
                raise RefusedError(422, "unknown_keypoint", f"{step.keypoint[:80]!r} is not a keypoint of this image.")
            answer = checked_answer(step.state, step.x, step.y, (image.width, image.height))
            known = next((old for old in steps if old.key == step.key), None)
            if known is not None:
                told = (known.keypoint, known.state, known.x, known.y)
                if told != (step.keypoint, answer.state, answer.x, answer.y):
                    raise RefusedError(409, "key_reused", "This step was sent before with other content.")
                return _reply(steps)
            _check_open(assignment)
            _check_tab(steps, step)
            new = Placement(
                assignment_id=assignment.id,
                key=step.key,
                keypoint=step.keypoint,
                state=answer.state,
                x=answer.x,
                y=answer.y,
                source=step.source,
                tab=step.tab,
                note=step.note,
            )
            return _add(session, assignment, steps, new)

    def undo(self, person: Person, assignment_id: int, step: AnnotationStep) -> dict[str, Any]:
        """Take back the last step: a new row with what stood before. With nothing to take back, nothing happens."""
        with self.database.writing() as session:
            assignment, steps = self._own_open(session, person, assignment_id, step)
            if any(old.key == step.key for old in steps):
                return _reply(steps)
            _check_open(assignment)
            _check_tab(steps, step)
            last = undoable(steps)
            if last is None:
                return _reply(steps)
            undone, before = last
            new = Placement(
                assignment_id=assignment.id,
                key=step.key,
                keypoint=undone.keypoint,
                state=before.state,
                x=before.x,
                y=before.y,
                source="undo",
                undoes=undone.id,
                tab=step.tab,
            )
            return _add(session, assignment, steps, new)

    def finish(self, person: Person, assignment_id: int, seconds: float) -> dict[str, Any]:
        """Close an image. Repeating it changes nothing.

        Raises:
            RefusedError: 409 with the names of keypoints that have no answer yet.
        """
        with self.database.writing(exclusive=True) as session:
            assignment = _own(session, person, assignment_id)
            if assignment.status == "done":
                return {"status": "done"}
            _check_open(assignment)
            image = session.get_one(ImageRow, assignment.image_id)
            answers = replay(_steps(session, assignment.id))
            missing = [name for name in self.asked(image) if name not in answers]
            if missing:
                shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
                raise RefusedError(409, "unanswered", f"{len(missing)} keypoint(s) have no answer yet: {shown}.")
            assignment.status, assignment.finished, assignment.seconds = "done", now(), seconds
            after_finishing(session, self.project, assignment, image, answers)
            return {"status": "done"}

    def _own_open(
        self, session: Session, person: Person, assignment_id: int, step: AnnotationStep
    ) -> tuple[Assignment, list[Placement]]:
        assignment = _own(session, person, assignment_id, lock=True)
        return assignment, _steps(session, assignment.id)


def assignment_answers(session: Session, assignment_id: int) -> dict[str, PointAnswer]:
    """The present answers of an assignment."""
    return replay(_steps(session, assignment_id))


def _own(session: Session, person: Person, assignment_id: int, lock: bool = False) -> Assignment:
    status = session.scalars(select(Person.status).where(Person.id == person.id)).one()
    if status not in ("active", "qualifying"):
        raise RefusedError(403, status, PAUSED if status == "paused" else FAILED)
    query = select(Assignment).where(Assignment.id == assignment_id)
    assignment = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if assignment is None or assignment.person_id != person.id:  # the same answer: ids of others are not told
        raise RefusedError(404, "not_yours", "There is no such image among yours.")
    return assignment


PAUSED = "Your work is paused. The owner of the project knows and will write to you; nothing you did is lost."
FAILED = "The qualification test was not passed, so no further images are given to you. Thank you for trying."


def _check_open(assignment: Assignment) -> None:
    if assignment.status != "open":
        why = "is finished" if assignment.status == "done" else "was passed on to somebody else"
        raise RefusedError(409, assignment.status, f"This image {why}; your steps so far are kept. Reload the page.")


def _check_tab(steps: list[Placement], step: AnnotationStep) -> None:
    if any(old.id > step.seen and old.tab != step.tab for old in steps):
        raise RefusedError(409, "other_tab", "This image was changed in another tab. Reload the page to see both.")


def _steps(session: Session, assignment_id: int) -> list[Placement]:
    query = select(Placement).where(Placement.assignment_id == assignment_id).order_by(Placement.id)
    return list(session.scalars(query))


def _add(session: Session, assignment: Assignment, steps: list[Placement], new: Placement) -> dict[str, Any]:
    session.add(new)
    assignment.touched = now()
    try:
        session.flush()
    except IntegrityError:
        raise RefusedError(409, "key_reused", "This step is being stored already.") from None
    return _reply([*steps, new])


def _reply(steps: list[Placement]) -> dict[str, Any]:
    return {
        "seen": steps[-1].id if steps else 0,
        "points": {name: answer.to_json() for name, answer in replay(steps).items()},
        "can_undo": last_step(steps) is not None,
    }
