"""Sessions of Mechanical Turk: a token signed by the server for one worker and one assignment; nothing is stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from .database import Assignment, Meta, Person
from .refusals import RefusedError

_ID = re.compile(r"[A-Za-z0-9]{5,64}")
_SECRET = "turk_secret"
PREFIX = "turk."


def turk_secret(session: Session) -> str:
    """The project's secret, made at its first use; it signs for any worker, so it stays in the database."""
    row = session.get(Meta, _SECRET)
    if row is None:
        row = Meta(key=_SECRET, value=secrets.token_hex(32))
        session.add(row)
        session.flush()
    return row.value


def hit_key(session: Session) -> str:
    """What the HIT's address carries, so that only those who were given a HIT can open it."""
    return _sign(turk_secret(session), "hit")[:32]


def check_ids(worker: object, assignment: object, hit: object) -> tuple[str, str, str]:
    """The three ids of Mechanical Turk. Raises `RefusedError` (422) where one does not look like an id."""
    found = []
    for name, value in (("workerId", worker), ("assignmentId", assignment), ("hitId", hit)):
        if not isinstance(value, str) or not _ID.fullmatch(value):
            raise RefusedError(422, "bad_turk_id", f"{name} is missing or malformed.")
        found.append(value)
    return found[0], found[1], found[2]


def turk_token(session: Session, person: Person, assignment: str, hit: str) -> str:
    """A token for one worker and one assignment."""
    text = json.dumps([person.id, assignment, hit]).encode()
    payload = base64.urlsafe_b64encode(text).decode().rstrip("=")
    return f"{PREFIX}{payload}.{_sign(turk_secret(session), payload)}"


def turk_person(session: Session, token: str | None) -> tuple[Person, tuple[str, str]] | None:
    """(person, (assignment id, HIT id)) of such a token; None for a token of another kind.

    Raises:
        RefusedError: 401 for a token that the server did not sign, 403 where the assignment is another worker's.
    """
    if token is None or not token.startswith(PREFIX):
        return None
    payload, _, signature = token.removeprefix(PREFIX).rpartition(".")
    secret = session.get(Meta, _SECRET)
    if secret is None or not hmac.compare_digest(_sign(secret.value, payload).encode(), signature.encode()):
        raise RefusedError(401, "bad_token", "This session is not valid. Open the HIT again.")
    person_id, assignment, hit = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return session.get_one(Person, person_id), (assignment, hit)


def check_holder(session: Session, person: Person, assignment: str) -> None:
    """Raise `RefusedError` (403) where the assignment is another worker's already."""
    holder = session.scalar(select(Assignment.person_id).where(Assignment.turk_assignment == assignment))
    if holder is not None and holder != person.id:
        raise RefusedError(403, "other_worker", "This assignment belongs to another worker.")


def _sign(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
