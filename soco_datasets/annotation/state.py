"""The state of an image in one person's hands: the replay of the log. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .refusals import RefusedError

STATES = ("visible", "hidden", "unsure", "empty")


class LoggedStep(Protocol):
    """What of a row of `placements` is replayed."""

    id: int
    keypoint: str
    state: str
    x: float | None
    y: float | None
    source: str
    undoes: int | None


@dataclass(frozen=True)
class PointAnswer:
    """What one person says of one keypoint. `x`, `y` are stored pixels; None where nothing is placed."""

    state: str
    x: float | None = None
    y: float | None = None
    source: str = "hand"

    def to_json(self) -> dict[str, Any]:
        """As the page reads it."""
        return {"state": self.state, "x": self.x, "y": self.y, "source": self.source}


EMPTY = PointAnswer("empty")


def replay(steps: Iterable[LoggedStep]) -> dict[str, PointAnswer]:
    """Keypoint -> its last answer; those that were cleared again are left out."""
    found: dict[str, PointAnswer] = {}
    for step in steps:
        found[step.keypoint] = PointAnswer(step.state, step.x, step.y, step.source)
    return {name: answer for name, answer in found.items() if answer.state != "empty"}


def last_step(steps: Sequence[LoggedStep]) -> int | None:
    """Index of the last step that is neither an undo nor undone; None where there is nothing to take back."""
    undone = {step.undoes for step in steps if step.undoes is not None}
    for index in range(len(steps) - 1, -1, -1):
        if steps[index].undoes is None and steps[index].id not in undone:
            return index
    return None


def undoable(steps: Sequence[LoggedStep]) -> tuple[LoggedStep, PointAnswer] | None:
    """The step that an undo takes back, and the answer that stood before it."""
    index = last_step(steps)
    return None if index is None else (steps[index], replay(steps[:index]).get(steps[index].keypoint, EMPTY))


def checked_answer(state: object, x: object, y: object, size: tuple[int, int]) -> PointAnswer:
    """An answer from a request.

    Raises:
        RefusedError: 422 for an unknown state, a visible point without a position, or one that is not finite or is
            outside the image of `size` (width, height).
    """
    if not isinstance(state, str) or state not in STATES:
        raise RefusedError(422, "bad_state", f"state must be one of {', '.join(STATES)}.")
    if x is None and y is None:
        if state == "visible":
            raise RefusedError(422, "no_position", "A visible point needs x and y.")
        return PointAnswer(state)
    if state in ("hidden", "empty"):
        raise RefusedError(422, "extra_position", f"A point that is {state} has no position.")
    values = []
    for value, side in ((x, size[0]), (y, size[1])):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise RefusedError(422, "bad_position", "x and y must be finite numbers.")
        if not 0 <= value <= side:
            raise RefusedError(422, "outside", f"The point is outside the image of {size[0]} x {size[1]} pixels.")
        values.append(round(float(value), 3))
    return PointAnswer(state, values[0], values[1])
