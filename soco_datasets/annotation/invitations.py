"""Invitation tokens: the link holds the token, the database its sha256 (32 random bytes need no more)."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..errors import UsageError, unknown_name
from .database import Event, Meta, Person, now
from .refusals import RefusedError

ROLES = ("annotator", "reviewer", "owner")
_TOKEN = re.compile(r"soco-([0-9a-f]{12})-([A-Za-z0-9_-]{43})")
_PERSON = re.compile(r"[^\x00-\x1f\x7f<>&\"]{1,80}")


def project_id(session: Session) -> str:
    """The id that tokens of this project carry."""
    row = session.get(Meta, "project_id")
    if row is None:
        raise UsageError("The database has no project id; open it with `soco annotate serve` once.")
    return row.value


def hash_token(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def invite(session: Session, name: str, role: str, days: float, *, qualify: bool = False) -> str:
    """Add a person, or give a known one a new token (the old one ends). Returns the token: it is shown once.

    Raises:
        UsageError: an unusable name, an unknown role, or a known person of another role.
    """
    if role not in ROLES:
        raise unknown_name("role", role, ROLES)
    name = name.strip()
    if not _PERSON.fullmatch(name) or name.startswith("import:"):
        raise UsageError(f"{name!r} is not a usable name: 1 to 80 characters, no control characters or markup.")
    if not 0 < days <= 3650:
        raise UsageError(f"An invitation is valid for some days up to 3650, got {days}.")
    token = f"soco-{project_id(session)}-{secrets.token_urlsafe(32)}"
    person = session.scalars(select(Person).where(Person.name == name)).one_or_none()
    if person is not None and person.role != role:
        raise UsageError(f"{name!r} is invited as {person.role}; choose another name for the role {role}.")
    if person is None:
        person = Person(name=name, role=role, status="qualifying" if qualify else "active")
        session.add(person)
    person.token_hash, person.expires = hash_token(token), now() + timedelta(days=days)
    session.flush()
    session.add(Event(person_id=person.id, kind="invited", detail={"role": role, "days": days}))
    return token


def authenticate(session: Session, token: str | None, *roles: str) -> Person:
    """The person whose token this is.

    Raises:
        RefusedError: 401 for no token, a malformed, unknown or expired one or one of another project; 403 for another
            role.
    """
    if not token:
        raise RefusedError(401, "no_token", "Open the page with the link that you were sent: it holds your key.")
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise RefusedError(401, "bad_token", "This link is damaged. Copy the whole link that you were sent.")
    if match[1] != project_id(session):
        raise RefusedError(401, "other_project", "This link belongs to another project.")
    person = session.scalars(select(Person).where(Person.token_hash == hash_token(token))).one_or_none()
    if person is None:
        raise RefusedError(401, "unknown_token", "This link is not valid any more. Ask the owner for a new one.")
    check_expiry(person.expires)
    if person.role not in roles:
        raise RefusedError(403, "wrong_role", f"This link is for the {person.role}'s page.")
    return person


def check_expiry(expires: datetime | None) -> None:
    """Raise `RefusedError` for a time that is over."""
    if expires is not None and expires <= now():
        raise RefusedError(401, "expired", "This link has expired. Ask the owner for a new one.")
