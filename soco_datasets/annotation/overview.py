"""What the owner sees: how far the work is, how well people agree, how fast, and what is disputed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from .agreement import agreement_report
from .database import Assignment, Event, ImageRow, Person, now
from .results import consensus_of
from .review import correction_statistics
from .work import Workbench

_MOST_DISPUTES = 50
_MOST_EVENTS = 30


def overview(bench: Workbench, session: Session) -> dict[str, Any]:
    """All of it as JSON values."""
    settings = bench.project.settings
    results = consensus_of(session, bench.project)
    agreement = agreement_report([result for _, result in results])
    assignments = list(session.scalars(select(Assignment)))
    work = list(session.scalars(select(ImageRow.id).where(ImageRow.role == "work")))
    done = [a for a in assignments if a.status == "done" and a.purpose in ("work", "import")]
    return {
        "title": bench.project.title,
        "progress": {
            "images": len(work),
            "wanted": len(work) * settings.annotators_per_image,
            "done": sum(a.image_id in set(work) for a in done),
            "open": sum(a.status == "open" for a in assignments),
            "last_hour": sum(a.finished is not None and a.finished > now() - timedelta(hours=1) for a in done),
        },
        "agreement": {k: v for k, v in agreement.items() if k not in ("per_annotator", "per_keypoint")},
        "corrections": correction_statistics(bench, session),
        "people": [_person(p, assignments, agreement) for p in session.scalars(select(Person).order_by(Person.id))],
        "disputed": _disputed(results),
        "events": _events(session),
    }


def _person(person: Person, assignments: Sequence[Assignment], agreement: dict[str, Any]) -> dict[str, Any]:
    own = [a for a in assignments if a.person_id == person.id and a.status == "done"]
    scores = {
        purpose: [a.score for a in own if a.purpose == purpose and a.score is not None]
        for purpose in ("gold", "qualification")
    }
    seconds = [a.seconds for a in own if a.seconds]
    return {
        "id": person.id,
        "name": person.name,
        "role": person.role,
        "status": person.status,
        "done": len(own),
        "seconds_per_image": float(np.median(seconds)) if seconds else None,
        "gold": float(np.mean(scores["gold"])) if scores["gold"] else None,
        "qualification": float(np.mean(scores["qualification"])) if scores["qualification"] else None,
        "statistics": agreement["per_annotator"].get(person.name),
    }


def _disputed(results: Sequence[tuple[ImageRow, Any]]) -> list[dict[str, Any]]:
    found = []
    for row, result in results:
        points = {name: list(point.disputes) for name, point in result.points.items() if point.disputes}
        votes = {
            name: [{"x": v.x, "y": v.y} for v in result.points[name].votes if v.state == "visible"] for name in points
        }
        if points:
            size = {"width": row.width, "height": row.height}
            found.append({"id": row.id, "image": result.image, **size, "points": points, "votes": votes})
    return sorted(found, key=lambda one: -len(one["points"]))[:_MOST_DISPUTES]


def _events(session: Session) -> list[dict[str, Any]]:
    query = select(Event, Person.name).outerjoin(Person, Person.id == Event.person_id).order_by(Event.id.desc())
    return [
        {"kind": event.kind, "person": name, "detail": event.detail, "created": event.created.isoformat()}
        for event, name in session.execute(query.limit(_MOST_EVENTS))
    ]
