"""The annotator's API: who am I, the next image, a step, undo, finish, pictures."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from .assignment import next_assignment
from .database import Assignment, ImageRow, Person
from .invitations import authenticate
from .refusals import RefusedError
from .request_fields import bearer, number, picture_response
from .turk_sessions import turk_person
from .work import Workbench, step_from

Routes = dict[tuple[str, str], Any]


def annotate_routes(bench: Workbench) -> Routes:
    """(method, path) -> handler."""
    api = _AnnotateApi(bench)
    return {
        ("GET", "/api/me"): api.me,
        ("POST", "/api/next"): api.next,
        ("POST", "/api/tasks/{id}/place"): api.place,
        ("POST", "/api/tasks/{id}/undo"): api.undo,
        ("POST", "/api/tasks/{id}/finish"): api.finish,
        ("GET", "/api/tasks/{id}/image"): api.image,
        ("GET", "/api/tasks/{id}/card/{index}"): api.card,
    }


class _AnnotateApi:
    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    def person(self, request: Request) -> tuple[Person, tuple[str, str] | None]:
        """The person, and of Mechanical Turk the assignment that the token is for."""
        token = bearer(request)
        with self.bench.database.reading() as session:
            turk = turk_person(session, token)
            if turk is not None:
                return turk
            return authenticate(session, token, "annotator"), None

    def me(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        person, _ = self.person(request)
        with self.bench.database.reading() as session:
            query = select(func.count()).select_from(Assignment)
            done = session.scalar(query.where(Assignment.person_id == person.id, Assignment.status == "done"))
        project = self.bench.project
        return {
            "name": person.name,
            "status": person.status,
            "done": done,
            "title": project.title,
            "instructions": project.instructions,
        }

    def next(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        person, turk = self.person(request)
        assignment = next_assignment(self.bench.database, self.bench.project, person, turk)
        if assignment is None:
            return {"task": None, "message": "There are no more images for you. Thank you!"}
        with self.bench.database.reading() as session:
            return {"task": self.bench.task(session, assignment)}

    def place(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        person, turk = self.person(request)
        self.check_turk(turk, number(request, "id"))
        return self.bench.place(person, number(request, "id"), step_from(body))

    def undo(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        person, turk = self.person(request)
        self.check_turk(turk, number(request, "id"))
        return self.bench.undo(person, number(request, "id"), step_from(body))

    def finish(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        person, turk = self.person(request)
        self.check_turk(turk, number(request, "id"))
        seconds = body.get("seconds", 0.0)
        is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if not is_number or not math.isfinite(seconds) or not 0 <= seconds < 1e7:
            raise RefusedError(422, "bad_field", "seconds must be a positive number.")
        return self.bench.finish(person, number(request, "id"), float(seconds))

    def image(self, request: Request, body: dict[str, Any]) -> Response:
        with self.bench.database.reading() as session:
            return picture_response(self.bench.project.folder, self.own_image(request, session).file)

    def card(self, request: Request, body: dict[str, Any]) -> Response:
        with self.bench.database.reading() as session:
            image = self.own_image(request, session)
        keypoints = self.bench.project.category(image.category).keypoints
        index = number(request, "index")
        card = keypoints[index].card if index < len(keypoints) else None
        if card is None:
            raise RefusedError(404, "no_card", "This keypoint has no reference card.")
        return picture_response(self.bench.project.folder, card.image)

    def own_image(self, request: Request, session: Session) -> ImageRow:
        person, turk = self.person(request)
        self.check_turk(turk, number(request, "id"))
        assignment = session.get(Assignment, number(request, "id"))
        if assignment is None or assignment.person_id != person.id or person.status in ("paused", "failed"):
            raise RefusedError(404, "not_yours", "There is no such image among yours.")
        return session.get_one(ImageRow, assignment.image_id)

    def check_turk(self, turk: tuple[str, str] | None, assignment_id: int) -> None:
        """A worker's token opens the image of its own assignment only."""
        if turk is None:
            return
        with self.bench.database.reading() as session:
            assignment = session.get(Assignment, assignment_id)
            if assignment is None or assignment.turk_assignment != turk[0]:
                raise RefusedError(404, "not_yours", "There is no such image among yours.")
