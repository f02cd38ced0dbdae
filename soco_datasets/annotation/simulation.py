"""Annotators that are not people: known answers with known noise, bias, outliers and left-right mistakes.

To rehearse a project before anybody is invited, and to test what aggregation finds. They work through the same calls
as the server's pages.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from .assignment import next_assignment
from .database import ImageRow, Person
from .interchange import stem
from .invitations import invite
from .project import BOX_POINTS
from .release_views import ReleaseParts
from .state import PointAnswer
from .work import AnnotationStep, Workbench

Truth = Mapping[int, Mapping[str, tuple[float, float]]]  # image id -> keypoint -> pixels of the visible ones


@dataclass(frozen=True)
class Habits:
    """How somebody errs; lengths are shares of the longest image side.

    Attributes:
        noise: standard deviation of each coordinate.
        bias: constant offset (x, y).
        outliers: probability that a visible point is placed far off (0.2 to 0.4).
        swaps: probability that both points of a visible left-right pair are exchanged.
        misses: probability that a visible point is called not visible.
    """

    noise: float = 0.005
    bias: tuple[float, float] = (0.0, 0.0)
    outliers: float = 0.0
    swaps: float = 0.0
    misses: float = 0.0


@dataclass
class Planted:
    """The mistakes that were made on purpose: (annotator, image id, keypoint)."""

    outliers: list[tuple[str, int, str]] = field(default_factory=list)
    swaps: list[tuple[str, int, str]] = field(default_factory=list)
    misses: list[tuple[str, int, str]] = field(default_factory=list)


def simulate(bench: Workbench, truth: Truth, people: Mapping[str, Habits], seed: int = 0) -> Planted:
    """Let annotators answer every image there is for them, in turns; returns the planted mistakes."""
    planted = Planted()
    with bench.database.writing(exclusive=True) as session:
        for name in people:
            invite(session, name, "annotator", 365.0)
        persons = {name: _person(session, name) for name in people}
    active = list(people)
    while active:
        for name in list(active):
            assignment = next_assignment(bench.database, bench.project, persons[name])
            if assignment is None:
                active.remove(name)
                continue
            with bench.database.reading() as session:
                image = session.get_one(ImageRow, assignment.image_id)
                asked = bench.asked(image)
            draw = random.Random(f"{seed}/{name}/{image.file}")
            answers = answers_of_habits(bench, image, truth.get(image.id, {}), (name, people[name]), draw, planted)
            _give(bench, persons[name], assignment.id, {key: answers.get(key, PointAnswer("hidden")) for key in asked})
    return planted


def _person(session: Session, name: str) -> Person:
    return session.scalars(select(Person).where(Person.name == name)).one()


def answers_of_habits(
    bench: Workbench,
    image: ImageRow,
    truth: Mapping[str, tuple[float, float]],
    who: tuple[str, Habits],
    draw: random.Random,
    planted: Planted,
) -> dict[str, PointAnswer]:
    """One annotator's answers for one image; the mistakes are added to `planted`."""
    name, habits = who
    category = bench.project.category(image.category)
    size, longest = (image.width, image.height), max(image.width, image.height)
    places = {key: truth[key] for key in (*category.by_name, *BOX_POINTS) if key in truth}
    for key, partner in category.mirrors.items():
        if key < partner and key in places and partner in places and draw.random() < habits.swaps:
            places[key], places[partner] = places[partner], places[key]
            planted.swaps += [(name, image.id, key), (name, image.id, partner)]
    answers = {}
    for key, (x, y) in places.items():
        if key not in BOX_POINTS and draw.random() < habits.misses:
            planted.misses.append((name, image.id, key))
            answers[key] = PointAnswer("hidden")
            continue
        shift = [longest * (draw.gauss(0.0, habits.noise) + bias) for bias in habits.bias]
        if key not in BOX_POINTS and draw.random() < habits.outliers:
            planted.outliers.append((name, image.id, key))
            shift = _far(draw, (x, y), size, longest)
        answers[key] = PointAnswer("visible", _inside(x + shift[0], size[0]), _inside(y + shift[1], size[1]))
    return answers


def _far(draw: random.Random, place: tuple[float, float], size: tuple[int, int], longest: int) -> list[float]:
    """A shift of 0.2 to 0.4 of the longest side that stays in the image where one of twenty draws does."""
    for _ in range(20):
        x, y = draw.gauss(0, 1), draw.gauss(0, 1)
        length = draw.uniform(0.2, 0.4) * longest / max((x * x + y * y) ** 0.5, 1e-9)
        if 0 <= place[0] + x * length <= size[0] and 0 <= place[1] + y * length <= size[1]:
            break
    return [x * length, y * length]


def _inside(value: float, side: int) -> float:
    return round(min(max(value, 0.0), float(side)), 3)


def _give(bench: Workbench, person: Person, assignment_id: int, answers: Mapping[str, PointAnswer]) -> None:
    tab, seen = secrets.token_hex(8), 0
    for name, answer in answers.items():
        step = AnnotationStep(secrets.token_hex(8), tab, seen, name, answer.state, answer.x, answer.y)
        seen = bench.place(person, assignment_id, step)["seen"]
    bench.finish(person, assignment_id, float(2 * len(answers)))


def truth_with_boxes(images: Sequence[ImageRow], parts: ReleaseParts) -> dict[int, dict[str, tuple[float, float]]]:
    """The true points of a release by image id, found by file name, with the corners of the box as two more points."""
    views = {stem(view.file): view for view in parts.views}
    found = {}
    for image in images:
        view = views.get(stem(image.file)) or views.get(stem(image.origin or ""))
        if view is not None:
            found[image.id] = dict(view.points)
            if view.box is not None:
                left, top, right, bottom = view.box
                found[image.id].update(zip(BOX_POINTS, ((left, top), (right, bottom)), strict=True))
    return found
