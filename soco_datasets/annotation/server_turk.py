"""The page as an ExternalQuestion of Mechanical Turk: ids in, a session out; the page posts back to the site itself."""

from __future__ import annotations

import hmac
from typing import Any

from sqlalchemy import select
from starlette.requests import Request

from .database import Event, Person
from .guard import GuardOptions, origin_of
from .refusals import RefusedError
from .server_annotate import Routes
from .turk_sessions import check_holder, check_ids, hit_key, turk_token
from .work import Workbench

PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"


def turk_routes(bench: Workbench, options: GuardOptions) -> Routes:
    """(method, path) -> handler; none where no site of Mechanical Turk is allowed."""

    def session_of(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return open_turk_session(bench, options, body)

    return {("POST", "/api/mturk/session"): session_of} if options.turk_sites else {}


def open_turk_session(bench: Workbench, options: GuardOptions, body: dict[str, Any]) -> dict[str, Any]:
    """A session for the ids in the page's address.

    Returns:
        In preview only title, instructions and the first category's keypoints; else also the token and where to post.

    Raises:
        RefusedError: a wrong key, malformed ids, a site to post to that is not allowed, another worker's assignment.
    """
    key = body.get("key")
    with bench.database.writing() as session:
        if not isinstance(key, str) or not hmac.compare_digest(hit_key(session).encode(), key.encode()):
            raise RefusedError(401, "bad_key", "This HIT's address is not valid.")
        project = bench.project
        told: dict[str, Any] = {"title": project.title, "instructions": project.instructions, "preview": True}
        if body.get("assignmentId") == PREVIEW:
            told["keypoints"] = [keypoint.name for keypoint in project.categories[0].keypoints]
            return told
        worker, assignment, hit = check_ids(body.get("workerId"), body.get("assignmentId"), body.get("hitId"))
        site = body.get("turkSubmitTo")
        if not isinstance(site, str) or origin_of(site) not in options.turk_sites:
            raise RefusedError(403, "bad_site", "turkSubmitTo is not a site that this server was told to post to.")
        query = select(Person).where(Person.external_id == worker)
        person = session.scalars(query).one_or_none()
        if person is None:
            person = Person(name=f"mturk {worker}", role="annotator", status="qualifying", external_id=worker)
            session.add(person)
            session.flush()
            session.add(Event(person_id=person.id, kind="invited", detail={"role": "annotator", "by": "mturk"}))
        check_holder(session, person, assignment)
        token = turk_token(session, person, assignment, hit)
    return {**told, "preview": False, "token": token, "submit": f"{origin_of(site)}/mturk/externalSubmit"}
