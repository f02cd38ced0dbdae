"""The reviewer's API."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .database import Person
from .invitations import authenticate
from .refusals import RefusedError
from .request_fields import bearer, number, picture_response
from .review import ReviewVerdict, correction_statistics, image_row, judge, next_review
from .server_annotate import Routes
from .work import Workbench

_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")


def review_routes(bench: Workbench) -> Routes:
    """(method, path) -> handler."""
    api = _ReviewApi(bench)
    return {
        ("POST", "/api/review/next"): api.next,
        ("POST", "/api/review/{id}/judge"): api.judge,
        ("GET", "/api/review/{id}/image"): api.image,
        ("GET", "/api/review/{id}/card/{index}"): api.card,
    }


class _ReviewApi:
    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    def person(self, request: Request) -> Person:
        with self.bench.database.reading() as session:
            person = authenticate(session, bearer(request), "reviewer", "owner")
        if person.status != "active":
            raise RefusedError(403, "paused", "Your work is paused by the owner.")
        return person

    def next(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        self.person(request)
        with self.bench.database.reading() as session:
            task = next_review(self.bench, session)
            if task is None:
                message = "Everything that is annotated so far is reviewed."
                return {"task": None, "message": message, "statistics": correction_statistics(self.bench, session)}
        return {"task": task}

    def judge(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        person = self.person(request)
        texts = [body.get(name) for name in ("key", "keypoint", "verdict")]
        key, keypoint, verdict = texts
        if not (
            isinstance(key, str) and isinstance(keypoint, str) and isinstance(verdict, str) and _KEY.fullmatch(key)
        ):
            raise RefusedError(422, "bad_field", "key, keypoint and verdict must be text.")
        seen, other = body.get("seen", 0), body.get("other")
        if not isinstance(seen, int) or isinstance(seen, bool) or not (other is None or isinstance(other, str)):
            raise RefusedError(422, "bad_field", "seen must be a number, other a keypoint.")
        given = ReviewVerdict(key, seen, keypoint, verdict, other, body.get("x"), body.get("y"))
        return {"task": judge(self.bench, person, number(request, "id"), given)}

    def image(self, request: Request, body: dict[str, Any]) -> Response:
        self.person(request)
        with self.bench.database.reading() as session:
            return picture_response(self.bench.project.folder, image_row(session, number(request, "id")).file)

    def card(self, request: Request, body: dict[str, Any]) -> Response:
        self.person(request)
        with self.bench.database.reading() as session:
            category = self.bench.project.category(image_row(session, number(request, "id")).category)
        index = number(request, "index")
        card = category.keypoints[index].card if index < len(category.keypoints) else None
        if card is None:
            raise RefusedError(404, "no_card", "This keypoint has no reference card.")
        return picture_response(self.bench.project.folder, card.image)
