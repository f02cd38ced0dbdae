"""The owner's API: progress, agreement, throughput, people, disputed images; inviting, pausing and resuming."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..errors import UsageError
from .assignment import set_status
from .database import Person
from .invitations import authenticate, invite
from .overview import overview
from .refusals import RefusedError
from .request_fields import bearer, number, picture_response
from .review import image_row
from .server_annotate import Routes
from .work import Workbench


def owner_routes(bench: Workbench) -> Routes:
    """(method, path) -> handler."""
    api = _OwnerApi(bench)
    return {
        ("GET", "/api/owner/overview"): api.overview,
        ("POST", "/api/owner/people"): api.invite,
        ("POST", "/api/owner/people/{id}/status"): api.set_status,
        ("GET", "/api/owner/images/{id}"): api.image,
    }


class _OwnerApi:
    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    def owner(self, request: Request) -> Person:
        with self.bench.database.reading() as session:
            return authenticate(session, bearer(request), "owner")

    def overview(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        self.owner(request)
        with self.bench.database.reading() as session:
            return overview(self.bench, session)

    def invite(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        self.owner(request)
        name, role, days = body.get("name"), body.get("role", "annotator"), body.get("days", 30)
        if not isinstance(name, str) or not isinstance(role, str) or isinstance(days, bool):
            raise RefusedError(422, "bad_field", "name and role must be text.")
        if role == "owner" or not isinstance(days, (int, float)):
            raise RefusedError(422, "bad_role", "Owners are invited on the command line only; days must be a number.")
        with self.bench.database.writing(exclusive=True) as session:
            try:
                token = invite(session, name, role, float(days), qualify=role == "annotator")
            except UsageError as error:
                raise RefusedError(422, "bad_invitation", str(error)) from None
        return {"link": f"/{'review' if role == 'reviewer' else 'annotate'}#{token}"}

    def set_status(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        owner = self.owner(request)
        status = body.get("status")
        if not isinstance(status, str):
            raise RefusedError(422, "bad_status", "A person can be set to active or paused.")
        if number(request, "id") == owner.id:
            raise RefusedError(422, "yourself", "You cannot pause yourself.")
        set_status(self.bench.database, number(request, "id"), status, owner.name)
        return {"status": status}

    def image(self, request: Request, body: dict[str, Any]) -> Response:
        self.owner(request)
        with self.bench.database.reading() as session:
            return picture_response(self.bench.project.folder, image_row(session, number(request, "id")).file)
