"""Links for people, and the owner's first one."""

from __future__ import annotations

from sqlalchemy import select

from .database import Person
from .invitations import invite
from .work import Workbench

PAGES = {"annotator": "annotate", "reviewer": "review", "owner": "owner"}
_DAYS = 365.0


def link(base: str, role: str, token: str) -> str:
    """The address that a person opens; the token stands in the fragment, which browsers do not send."""
    return f"{base.rstrip('/')}/{PAGES[role]}#{token}"


def first_owner_link(bench: Workbench, base: str) -> str | None:
    """The link of a new owner where the project has none yet, else None."""
    with bench.database.writing(exclusive=True) as session:
        if session.scalars(select(Person).where(Person.role == "owner")).first() is not None:
            return None
        return link(base, "owner", invite(session, "owner", "owner", _DAYS))
