"""Points that somebody placed elsewhere: into the log as the votes of an annotator, or as the known answers of gold."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..errors import UsageError
from .database import Assignment, GoldPoint, ImageRow, Person, Placement, now
from .project import Project, asked_points
from .refusals import RefusedError
from .state import PointAnswer, checked_answer
from .yaml_lines import ProjectError, parse_yaml

Points = Mapping[str, PointAnswer]


def import_votes(session: Session, project: Project, image: ImageRow, annotator: str, points: Points) -> int:
    """Store answers as a finished assignment of an annotator, once; keypoints that the image does not have are refused.

    Returns:
        Number of points stored; 0 where this annotator has answered the image already.

    Raises:
        UsageError: an unknown keypoint, or a point outside the image.
    """
    category = project.category(image.category)
    asked = asked_points(category, image.box is not None, project.settings)
    checked = {name: _checked(image, name, answer, asked) for name, answer in points.items()}
    person = import_person(session, annotator)
    query = select(Assignment).where(Assignment.image_id == image.id, Assignment.person_id == person.id)
    if session.scalars(query).first() is not None:
        return 0
    assignment = Assignment(image_id=image.id, person_id=person.id, purpose="import", status="done", finished=now())
    session.add(assignment)
    session.flush()
    for name, answer in checked.items():
        step = Placement(
            assignment_id=assignment.id,
            key=secrets.token_hex(16),
            keypoint=name,
            state=answer.state,
            x=answer.x,
            y=answer.y,
            source="import",
        )
        session.add(step)
    return len(checked)


def import_gold(session: Session, project: Project, image: ImageRow, role: str, points: Points) -> int:
    """Make an image a gold or qualification image with these known answers; every keypoint not named is hidden.

    Raises:
        UsageError: an unknown role or keypoint, a point outside, or an image that people work on already.
    """
    if role not in ("gold", "qualification"):
        raise UsageError(f"--as takes gold, qualification or annotator:NAME, got {role!r}.")
    category = project.category(image.category)
    asked = list(category.by_name)
    checked = {name: _checked(image, name, answer, asked) for name, answer in points.items()}
    used = session.scalars(select(Assignment).where(Assignment.image_id == image.id)).first()
    if used is not None and image.role == "work":
        raise UsageError(f"{image.file} is being annotated already; make gold images of fresh ones.")
    image.role = role
    for name in asked:
        answer = checked.get(name, PointAnswer("hidden"))
        if answer.state in ("visible", "hidden"):
            session.merge(GoldPoint(image_id=image.id, keypoint=name, state=answer.state, x=answer.x, y=answer.y))
    return len(checked)


def import_person(session: Session, annotator: str) -> Person:
    """The person that stands for imported answers; has no token, so nobody can work as it."""
    if not re.fullmatch(r"[^\x00-\x1f\x7f<>&\"]{1,70}", annotator):
        raise UsageError(f"{annotator!r} is not a usable name for an annotator.")
    name = f"import:{annotator}"
    person = session.scalars(select(Person).where(Person.name == name)).one_or_none()
    if person is None:
        person = Person(name=name, role="annotator", status="paused")
        session.add(person)
        session.flush()
    return person


def _checked(image: ImageRow, name: str, answer: PointAnswer, asked: list[str]) -> PointAnswer:
    if name not in asked:
        raise UsageError(f"{image.file}: {name!r} is not a keypoint of {image.category!r}; give --keypoint-map FILE.")
    try:
        return checked_answer(answer.state, answer.x, answer.y, (image.width, image.height))
    except RefusedError as error:
        raise UsageError(f"{image.file}, {name}: {error.message}") from None


def read_keypoint_map(path: Path) -> dict[str, dict[str, str]]:
    """A mapping file: `category: {their keypoint: our keypoint}`, with "*" for all categories.

    Raises:
        ProjectError: not such a mapping, with the line.
    """
    parsed = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    value = parsed.value
    if not isinstance(value, dict) or not value:
        raise ProjectError(f"{path}: give categories (or '*'), each with 'their keypoint: our keypoint'.")
    for category, names in value.items():
        if not isinstance(names, dict):
            parsed.report((category,), "must be a mapping 'their keypoint: our keypoint'")
            continue
        for theirs, ours in names.items():
            if not isinstance(ours, str):
                parsed.report((category, theirs), f"must be the name of a keypoint, got {ours!r}")
    if parsed.problems:
        raise ProjectError(f"{path} has {len(parsed.problems)} problem(s):\n  " + "\n  ".join(parsed.problems))
    return value


def mapped(
    points: Mapping[str, PointAnswer], category: str, names: Mapping[str, Mapping[str, str]]
) -> dict[str, PointAnswer]:
    """Answers under our names; keypoints that the mapping does not have are left out. An empty mapping keeps all."""
    if not names:
        return dict(points)
    known = {**names.get("*", {}), **names.get(category, {})}
    return {known[name]: answer for name, answer in points.items() if name in known}
