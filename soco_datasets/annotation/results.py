"""From the log to results: votes, consensus, final points after review; also as of an earlier time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from .agreement import ImageResult
from .consensus import Consensus, Vote, aggregate_image
from .database import Assignment, ImageRow, Person, Placement, Review
from .project import BOX_POINTS, Project
from .qualification import gold_of
from .state import PointAnswer, replay


@dataclass(frozen=True)
class FinalImage:
    """An image with what is released of it.

    Attributes:
        row: its row.
        result: the consensus.
        points: keypoint -> (x, y) of the visible ones, after review.
        box: left, top, right, bottom; from the source, the annotators or the extent of the points; None without any.
        box_source: "source", "annotators" or "extent of the points".
    """

    row: ImageRow
    result: ImageResult
    points: Mapping[str, tuple[float, float]]
    box: tuple[float, float, float, float] | None
    box_source: str | None = None
    reviews: tuple[Review, ...] = field(default=())


def votes_of(
    session: Session, at: datetime | None = None, image_id: int | None = None
) -> dict[int, dict[str, list[Vote]]]:
    """Image id -> keypoint -> votes, of the finished assignments (at a time: of what was done by then)."""
    query = (
        select(Assignment.image_id, Person.name, Placement)
        .join(Person, Person.id == Assignment.person_id)
        .join(Placement, Placement.assignment_id == Assignment.id)
        .where(Assignment.status == "done", Assignment.purpose != "qualification")
        .order_by(Placement.id)
    )
    if at is not None:
        query = query.where(Assignment.finished <= at, Placement.created <= at)
    if image_id is not None:
        query = query.where(Assignment.image_id == image_id)
    steps: dict[tuple[int, str], list[Placement]] = {}
    for image_id, name, placement in session.execute(query):
        steps.setdefault((image_id, name), []).append(placement)
    found: dict[int, dict[str, list[Vote]]] = {}
    for (image_id, name), own in sorted(steps.items()):
        for keypoint, answer in replay(own).items():
            where = (answer.x, answer.y) if answer.state == "visible" else (None, None)
            found.setdefault(image_id, {}).setdefault(keypoint, []).append(Vote(name, answer.state, *where))
    return found


def image_name(row: ImageRow) -> str:
    """ "category/file" for people."""
    return row.file.removeprefix("images/")


def consensus_of(
    session: Session, project: Project, at: datetime | None = None, image_id: int | None = None
) -> list[tuple[ImageRow, ImageResult]]:
    """The consensus of every image (or one) that somebody finished or whose answer is known (gold), in order."""
    votes = votes_of(session, at, image_id)
    found = []
    query = select(ImageRow).order_by(ImageRow.category, ImageRow.id)
    for row in session.scalars(query if image_id is None else query.where(ImageRow.id == image_id)):
        if row.category not in project.by_name:
            continue
        category = project.category(row.category)
        known = gold_of(session, row.id) if row.role != "work" else {}
        longest = float(max(row.width, row.height))
        if row.id in votes or known:
            order = [*category.by_name, *BOX_POINTS]
            own = {name: votes.get(row.id, {}).get(name, []) for name in order if name in votes.get(row.id, {})}
            points = aggregate_image(own, category.mirrors, longest, project.settings.dispute)
            for name, answer in known.items():
                points[name] = Consensus(answer.state, answer.x, answer.y, points[name].votes if name in points else ())
            result = ImageResult(image_name(row), row.category, longest, category.mirrors, points)
            found.append((row, result))
    return found


def reviews_of(session: Session, at: datetime | None = None) -> dict[int, list[Review]]:
    """Image id -> verdicts in their order."""
    query = select(Review).order_by(Review.id)
    if at is not None:
        query = query.where(Review.created <= at)
    found: dict[int, list[Review]] = {}
    for review in session.scalars(query):
        found.setdefault(review.image_id, []).append(review)
    return found


def present_answers(result: ImageResult, reviews: Iterable[Review]) -> dict[str, PointAnswer]:
    """Keypoint -> what stands now: the consensus, over it the last verdict."""
    found = {name: PointAnswer(point.state, point.x, point.y, "consensus") for name, point in result.points.items()}
    for review in reviews:
        found[review.keypoint] = PointAnswer(review.state, review.x, review.y, "review")
    return found


def final_images(session: Session, project: Project, at: datetime | None = None) -> list[FinalImage]:
    """Every image with its final points and box."""
    reviews = reviews_of(session, at)
    found = []
    for row, result in consensus_of(session, project, at):
        own = tuple(reviews.get(row.id, ()))
        answers = present_answers(result, own)
        visible = {
            name: (answer.x, answer.y)
            for name, answer in answers.items()
            if answer.state == "visible" and answer.x is not None and answer.y is not None
        }
        corners = [visible.pop(name) for name in BOX_POINTS if name in visible]
        ordered = {name: visible[name] for name in project.category(row.category).by_name if name in visible}
        box, source = _box(row, corners, ordered)
        found.append(FinalImage(row, result, ordered, box, source, own))
    return found


def _box(
    row: ImageRow, corners: list[tuple[float, float]], points: Mapping[str, tuple[float, float]]
) -> tuple[tuple[float, float, float, float] | None, str | None]:
    if row.box is not None:
        return row.box, "source"
    sides = ((corners, "annotators"), (list(points.values()), "extent of the points"))
    for places, source in sides:
        if len(places) > 1:
            xs, ys = [x for x, _ in places], [y for _, y in places]
            if max(xs) > min(xs) and max(ys) > min(ys):
                return (min(xs), min(ys), max(xs), max(ys)), source
    return None, None
