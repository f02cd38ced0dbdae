"""Suggested points: a model matches each reference card's point in each image; and how far people follow it.

A share of the images stays without suggestions shown (theirs are computed all the same). If people are not pulled,
their points are as far from the suggestions on images with as on images without.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from ..errors import UsageError
from ..utils.progress import progress
from .database import Assignment, Event, ImageRow, Placement, Suggestion
from .project import Card
from .results import consensus_of
from .state import replay
from .work import Workbench

if TYPE_CHECKING:
    from PIL import Image

Map = NDArray[np.float32]


class Extractor(Protocol):
    """What is needed of a feature extractor: `DenseFeatureExtractor` has it."""

    def extract_normalized(self, images: Sequence[Image.Image], names: Sequence[str] | None = None) -> Any:
        """(B, C, grid, grid) features of unit length over C, a torch tensor, of images padded to squares."""
        ...


def add_suggestions(
    bench: Workbench, extractor: Extractor, model: str, hold_out: float = 0.2, seed: int = 0
) -> dict[str, int]:
    """Suggest every keypoint that has a reference card in every image that people work on.

    Args:
        bench: the project.
        extractor: of the model.
        model: its name, for the record.
        hold_out: share of images whose suggestions are not shown.
        seed: of the choice of those.

    Returns:
        Numbers of images, of images held out and of suggestions.

    Raises:
        UsageError: no keypoint has a card, or a share outside 0..1.
    """
    if not 0 <= hold_out <= 1:
        raise UsageError(f"--hold-out is a share from 0 to 1, got {hold_out}.")
    cards = {c.name: {k.name: k.card for k in c.keypoints if k.card is not None} for c in bench.project.categories}
    if not any(cards.values()):
        raise UsageError("No keypoint of project.yaml has a reference card; suggestions are matched from cards.")
    with bench.database.reading() as session:
        images = list(session.scalars(select(ImageRow).where(ImageRow.role == "work").order_by(ImageRow.id)))
    queries = {name: _card_descriptors(bench, extractor, own) for name, own in cards.items() if own}
    counts = {"images": 0, "held_out": 0, "suggestions": 0}
    for image in progress(images, "Suggesting points", unit="image"):
        if image.category not in queries:
            continue
        found = _match(bench, extractor, image, queries[image.category])
        shown = _draw(seed, image.file) >= hold_out
        with bench.database.writing() as session:
            session.get_one(ImageRow, image.id).suggest = shown
            for name, (x, y, score) in found.items():
                session.add(Suggestion(image_id=image.id, keypoint=name, x=x, y=y, score=score, model=model))
        counts["images"] += 1
        counts["held_out"] += not shown
        counts["suggestions"] += len(found)
    with bench.database.writing() as session:
        session.add(Event(person_id=None, kind="suggested", detail={"model": model, "hold_out": hold_out, **counts}))
    return counts


def suggest_once(bench: Workbench, extractor: Extractor, model: str) -> None:
    """As `add_suggestions` with its defaults, unless this model has suggested points for every image already."""
    with bench.database.reading() as session:
        done = select(Suggestion.image_id).where(Suggestion.model == model)
        waiting = session.scalars(select(ImageRow.id).where(ImageRow.role == "work", ImageRow.id.not_in(done))).first()
    if waiting is not None:
        add_suggestions(bench, extractor, model)


def _card_descriptors(bench: Workbench, extractor: Extractor, cards: Mapping[str, Card]) -> dict[str, Map]:
    """Keypoint -> (C,) descriptor at its card's point; each card image is forwarded once."""
    found: dict[str, Map] = {}
    for file in sorted({card.image for card in cards.values()}):
        picture = _open(bench, file)
        features = _features(extractor, picture, file)
        for name, card in cards.items():
            if card.image == file:
                found[name] = sample(features, card.point, max(picture.size))
    return found


def _match(
    bench: Workbench, extractor: Extractor, image: ImageRow, queries: Mapping[str, Map]
) -> dict[str, tuple[float, float, float]]:
    """Keypoint -> (x, y, cosine) of its best cell, within the box where the image has one."""
    picture = _open(bench, image.file)
    features = _features(extractor, picture, image.file)
    grid, side = features.shape[1], float(max(picture.size))
    centers = (np.arange(grid) + 0.5) / grid * side
    left, top, right, bottom = image.box or (0.0, 0.0, float(image.width), float(image.height))
    columns, rows = (centers >= left) & (centers <= right), (centers >= top) & (centers <= bottom)
    allowed = rows[:, None] & columns[None, :]
    if not allowed.any():  # a box smaller than a cell
        allowed[:] = True
    found = {}
    for name, query in queries.items():
        scores = np.where(allowed, np.tensordot(query, features, axes=(0, 0)), -np.inf)
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        x, y = min(float(centers[column]), float(image.width)), min(float(centers[row]), float(image.height))
        found[name] = (round(x, 2), round(y, 2), float(scores[row, column]))
    return found


def sample(features: Map, point: tuple[float, float], side: float) -> Map:
    """Bilinear sample of a (C, grid, grid) map at a pixel of an image padded to a square of `side`; unit length."""
    grid = features.shape[1]
    column, row = (min(max(value / side * grid - 0.5, 0.0), grid - 1.0) for value in point)
    x, y = min(int(column), grid - 2) if grid > 1 else 0, min(int(row), grid - 2) if grid > 1 else 0
    fx, fy = column - x, row - y
    x1, y1 = min(x + 1, grid - 1), min(y + 1, grid - 1)
    upper = (1 - fx) * features[:, y, x] + fx * features[:, y, x1]
    lower = (1 - fx) * features[:, y1, x] + fx * features[:, y1, x1]
    mixed = (1 - fy) * upper + fy * lower
    length = float(np.linalg.norm(mixed))
    result: Map = mixed / length if length > 0 else mixed
    return result


def _features(extractor: Extractor, picture: Image.Image, name: str) -> Map:
    maps = extractor.extract_normalized([picture], [name])
    result: Map = np.asarray(maps[0].cpu().numpy(), dtype=np.float32)
    return result


def _open(bench: Workbench, file: str) -> Image.Image:
    from PIL import Image

    with Image.open(bench.project.folder / file) as image:
        return image.convert("RGB")


def _draw(seed: int, name: str) -> float:
    return int(hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()[:13], 16) / 16**13


def pull_report(bench: Workbench) -> dict[str, Any]:
    """How far suggestions pull people.

    `distance_shown` and `distance_held_out` are the median distances between an annotator's visible point and the
    suggestion, as shares of the longest image side, where the suggestion was shown and where it was not. `pull` is
    1 - shown / held out: 0 = not pulled, 1 = people do what they are told. `confirmed` is the share of answers on
    images with suggestions that took the suggested place as it was, `moved` those that began there and moved it.
    """
    with bench.database.reading() as session:
        suggestions: dict[int, dict[str, Suggestion]] = {}
        for row in session.scalars(select(Suggestion).order_by(Suggestion.id)):
            suggestions.setdefault(row.image_id, {})[row.keypoint] = row
        images = {row.id: row for row in session.scalars(select(ImageRow))}
        steps: dict[tuple[int, int], list[Placement]] = {}
        query = select(Assignment.image_id, Placement).join(Placement, Placement.assignment_id == Assignment.id)
        query = query.where(Assignment.status == "done", Assignment.purpose == "work").order_by(Placement.id)
        for image_id, step in session.execute(query):
            steps.setdefault((image_id, step.assignment_id), []).append(step)
        results = {row.id: result for row, result in consensus_of(session, bench.project)}
    shown: list[float] = []
    held: list[float] = []
    confirmed = moved = answers = 0
    for (image_id, _), own in steps.items():
        image = images[image_id]
        for name, answer in replay(own).items():
            suggestion = suggestions.get(image_id, {}).get(name)
            if suggestion is None or answer.state != "visible" or answer.x is None or answer.y is None:
                continue
            distance = float(np.hypot(answer.x - suggestion.x, answer.y - suggestion.y))
            (shown if image.suggest else held).append(distance / max(image.width, image.height))
            if image.suggest:
                answers += 1
                began = any(step.keypoint == name and step.source == "suggestion" for step in own)
                confirmed += answer.source == "suggestion"
                moved += began and answer.source != "suggestion"
    medians = [float(np.median(values)) if values else None for values in (shown, held)]
    pull = 1 - medians[0] / medians[1] if medians[0] is not None and medians[1] else None
    return {
        "distance_shown": medians[0],
        "distance_held_out": medians[1],
        "points_shown": len(shown),
        "points_held_out": len(held),
        "pull": pull,
        "confirmed": confirmed / answers if answers else None,
        "moved": moved / answers if answers else None,
        "error_shown": _suggestion_error(results, suggestions, images, True),
        "error_held_out": _suggestion_error(results, suggestions, images, False),
    }


def _suggestion_error(
    results: Mapping[int, Any],
    suggestions: Mapping[int, Mapping[str, Suggestion]],
    images: Mapping[int, ImageRow],
    shown: bool,
) -> float | None:
    """Median distance of suggestions to the consensus, as a share of the longest side."""
    found = []
    for image_id, result in results.items():
        if images[image_id].suggest == shown:
            for name, suggestion in suggestions.get(image_id, {}).items():
                point = result.points.get(name)
                if point is not None and point.state == "visible":
                    found.append(float(np.hypot(point.x - suggestion.x, point.y - suggestion.y)) / result.longest)
    return float(np.median(found)) if found else None
