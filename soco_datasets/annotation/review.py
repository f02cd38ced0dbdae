"""Verification: a reviewer accepts, moves, hides or swaps each point; what was corrected, how far and of what kind."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from .database import Assignment, ImageRow, Person, Review
from .describe import describe_point
from .project import BOX_POINTS, ProjectCategory
from .refusals import RefusedError
from .results import FinalImage, consensus_of, final_images, present_answers
from .state import EMPTY, PointAnswer, checked_answer
from .work import Workbench

MINOR = 0.05  # a correction within this share of the box's longest side is minor (PCK 0.05, as in the paper)
PAPER = {"minor": 0.654, "larger": 0.068}  # the paper's shares of corrections
_LOOK_AHEAD = 25  # images among which the most disputed one is chosen
VERDICTS = ("accept", "move", "hide", "swap")


@dataclass(frozen=True)
class ReviewVerdict:
    """A verdict as a request gives it."""

    key: str
    seen: int
    keypoint: str
    verdict: str
    other: str | None = None
    x: object = None
    y: object = None


def next_review(bench: Workbench, session: Session) -> dict[str, Any] | None:
    """The next image that enough people have annotated and that is not completely judged.

    Images nobody has judged come first; among the next few of them the one with the most disputes.
    """
    finished = select(Assignment.image_id).where(Assignment.status == "done", Assignment.purpose != "qualification")
    enough = finished.group_by(Assignment.image_id).having(func.count() >= bench.project.settings.annotators_per_image)
    query = select(ImageRow.id).where(ImageRow.role == "work", ImageRow.id.in_(enough)).order_by(ImageRow.id)
    judged: dict[int, set[str]] = {}
    for image_id, keypoint in session.execute(select(Review.image_id, Review.keypoint)):
        judged.setdefault(image_id, set()).add(keypoint)
    waiting: list[tuple[int, int]] = []
    for image_id in sorted(session.scalars(query), key=lambda one: (one in judged, one)):
        disputes = _open_disputes(bench, session, image_id, judged.get(image_id, set()))
        if disputes is not None:
            waiting.append((-disputes, image_id))
        if len(waiting) == _LOOK_AHEAD or (waiting and image_id in judged):
            break
    return review_task(bench, session, min(waiting)[1]) if waiting else None


def _open_disputes(bench: Workbench, session: Session, image_id: int, judged: set[str]) -> int | None:
    """Number of disputed keypoints of an image; None where nothing of it waits for a verdict."""
    for row, result in consensus_of(session, bench.project, image_id=image_id):
        reviews = list(session.scalars(select(Review).where(Review.image_id == row.id).order_by(Review.id)))
        answers = present_answers(result, reviews)
        if any(answer.state in ("visible", "unknown") and name not in judged for name, answer in answers.items()):
            return sum(bool(point.disputes) for point in result.points.values())
    return None


def review_task(bench: Workbench, session: Session, image_id: int) -> dict[str, Any]:
    """Everything the reviewer's page shows of an image.

    Raises:
        RefusedError: 404 for an unknown image or one without answers.
    """
    found = consensus_of(session, bench.project, image_id=image_id)
    if not found:
        raise RefusedError(404, "not_found", "There is no such image to review.")
    row, result = found[0]
    reviews = list(session.scalars(select(Review).where(Review.image_id == row.id).order_by(Review.id)))
    category = bench.project.category(row.category)
    answers = present_answers(result, reviews)
    judged = {review.keypoint: review.verdict for review in reviews}
    keypoints = []
    for name in bench.asked(row):
        point = result.points.get(name)
        card = category.by_name[name].card if name in category.by_name else None
        keypoints.append(
            {
                "name": name,
                "text": describe_point(category, name),
                "mirror": category.mirrors.get(name),
                "card": None if card is None else {"x": card.point[0], "y": card.point[1]},
                "verdict": judged.get(name),
                "disputes": list(point.disputes) if point else [],
                "votes": [{"state": v.state, "x": v.x, "y": v.y} for v in point.votes] if point else [],
            }
        )
    return {
        "id": row.id,
        "category": row.category,
        "width": row.width,
        "height": row.height,
        "keypoints": keypoints,
        "points": {name: answer.to_json() for name, answer in answers.items()},
        "seen": reviews[-1].id if reviews else 0,
    }


def judge(bench: Workbench, person: Person, image_id: int, verdict: ReviewVerdict) -> dict[str, Any]:
    """Store a verdict (a swap stores one for both keypoints); the same again is stored once.

    Raises:
        RefusedError: an unknown image, keypoint or verdict, a point outside, a verdict somebody else gave meanwhile.
    """
    with bench.database.writing(exclusive=True) as session:
        task = review_task(bench, session, image_id)
        known = session.scalars(select(Review).where(Review.person_id == person.id, Review.key == verdict.key)).first()
        if known is not None:
            if (known.keypoint, known.verdict, known.image_id) != (verdict.keypoint, verdict.verdict, image_id):
                raise RefusedError(409, "key_reused", "This verdict was sent before with other content.")
            return task
        names = {keypoint["name"] for keypoint in task["keypoints"]}
        if verdict.keypoint not in names or (verdict.verdict == "swap" and verdict.other not in names):
            raise RefusedError(422, "unknown_keypoint", "There is no such keypoint in this image.")
        if task["seen"] > verdict.seen:
            raise RefusedError(409, "other_reviewer", "Somebody else judged this image meanwhile. Reload the page.")
        for keypoint, before, after in _changes(task, verdict):
            session.add(
                Review(
                    image_id=image_id,
                    person_id=person.id,
                    key=verdict.key if keypoint == verdict.keypoint else _second_key(verdict.key),
                    keypoint=keypoint,
                    verdict=verdict.verdict,
                    other=verdict.other if keypoint == verdict.keypoint else verdict.keypoint,
                    before_state=before.state,
                    before_x=before.x,
                    before_y=before.y,
                    state=after.state,
                    x=after.x,
                    y=after.y,
                )
            )
        session.flush()
        return review_task(bench, session, image_id)


def _second_key(key: str) -> str:
    return hashlib.sha256(f"{key}/other".encode()).hexdigest()


def _changes(task: Mapping[str, Any], verdict: ReviewVerdict) -> list[tuple[str, PointAnswer, PointAnswer]]:
    """(keypoint, before, after) of a verdict."""

    def present(name: str | None) -> PointAnswer:
        found = task["points"].get(name)
        return PointAnswer(found["state"], found["x"], found["y"]) if found else EMPTY

    before = present(verdict.keypoint)
    if verdict.verdict == "accept":
        if before.state not in ("visible", "hidden"):
            raise RefusedError(422, "nothing_to_accept", "People did not agree here: move the point, or hide it.")
        return [(verdict.keypoint, before, before)]
    if verdict.verdict == "hide":
        return [(verdict.keypoint, before, PointAnswer("hidden"))]
    if verdict.verdict == "move":
        return [
            (verdict.keypoint, before, checked_answer("visible", verdict.x, verdict.y, (task["width"], task["height"])))
        ]
    if verdict.verdict != "swap":
        raise RefusedError(422, "bad_verdict", f"verdict must be one of {', '.join(VERDICTS)}.")
    other = present(verdict.other)
    if verdict.other == verdict.keypoint or "visible" not in (before.state, other.state):
        raise RefusedError(422, "nothing_to_swap", "A swap needs two keypoints, one of them visible.")
    return [(verdict.keypoint, before, other), (str(verdict.other), other, before)]


def correction_statistics(bench: Workbench, session: Session) -> dict[str, Any]:
    """Shares of untouched, minor and larger corrections over all judged points, and the kinds of the larger ones."""
    counts = {"untouched": 0, "minor": 0, "larger": 0}
    kinds: dict[str, int] = {}
    for image in final_images(session, bench.project):
        category = bench.project.category(image.row.category)
        for name in {review.keypoint for review in image.reviews} - set(BOX_POINTS):
            size, kind = classify_correction(image, category, name)
            counts[size] += 1
            if kind:
                kinds[kind] = kinds.get(kind, 0) + 1
    total = sum(counts.values())
    shares = {name: count / total if total else None for name, count in counts.items()}
    return {"judged": total, "counts": counts, "shares": shares, "kinds": dict(sorted(kinds.items())), "paper": PAPER}


def classify_correction(image: FinalImage, category: ProjectCategory, name: str) -> tuple[str, str | None]:
    """("untouched", "minor" or "larger", kind of a larger one) of a keypoint: the consensus against what stands now."""
    point = image.result.points.get(name)
    before = PointAnswer(point.state, point.x, point.y) if point else EMPTY
    after = present_answers(image.result, image.reviews)[name]
    if before.state != after.state:
        last = [review for review in image.reviews if review.keypoint == name][-1]
        return "larger", _partner_kind(category, name, last.other) if last.verdict == "swap" else "visibility"
    if after.state != "visible" or (before.x, before.y) == (after.x, after.y):
        return "untouched", None
    length = _length(image)
    moved = math.dist((before.x or 0.0, before.y or 0.0), (after.x or 0.0, after.y or 0.0))
    if moved < MINOR * length:
        return "minor", None
    return "larger", _partner_kind(
        category, name, _nearest_other(image, name, (before.x or 0.0, before.y or 0.0), length)
    )


def _length(image: FinalImage) -> float:
    if image.box is None:
        return image.result.longest
    left, top, right, bottom = image.box
    return max(right - left, bottom - top)


def _nearest_other(image: FinalImage, name: str, place: tuple[float, float], length: float) -> str | None:
    """The other keypoint whose final place is where this one wrongly was, within PCK 0.05."""
    others: Sequence[tuple[float, str]] = sorted(
        (math.dist(place, point), other) for other, point in image.points.items() if other != name
    )
    return others[0][1] if others and others[0][0] < MINOR * length else None


def _partner_kind(category: ProjectCategory, name: str, other: str | None) -> str:
    if other is None:
        return "misplaced"
    if category.mirrors.get(name) == other:
        return "left for right"
    if category.ends.get(name) == other:
        return "front for rear"
    own, theirs = category.by_name.get(name), category.by_name.get(other)
    if own and theirs and own.concept is not None and own.concept == theirs.concept:
        return "another of its concept"
    return "another concept"


def image_row(session: Session, image_id: int) -> ImageRow:
    """Raises `RefusedError` (404) for an unknown image."""
    row = session.get(ImageRow, image_id)
    if row is None:
        raise RefusedError(404, "not_found", "There is no such image.")
    return row
