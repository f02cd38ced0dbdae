"""Which coordinate frame a model uses, found from pictures of a single drawn dot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..data.questions.prompts import PromptTemplate
from .point_answers import FRAMES, RELEASED_LIMITS, ResizeLimits, frame_of, point_in_pixels
from .prompted import PromptedQuestions

if TYPE_CHECKING:
    from PIL import Image

NEAR = 0.1  # of the longest side: a dot that is pointed to
SIZES = ((640, 480), (480, 640), (500, 375), (300, 400))  # several, so that frames give different pixels
SETTING = "calibration"


def calibration_questions(number: int, frame: str, dataset: str) -> PromptedQuestions:
    """`number` pictures with a red dot on gray, each in a place of its own, deterministic."""
    request = frame_of(frame).request
    rows: list[dict[str, Any]] = []
    for place in range(number):
        rows.append(
            {
                "index": str(place), "g_index": str(place), "question_id": f"dot/{place:03d}", "ordering": 0,
                "setting": SETTING, "category": "dot", "supercategory": None, "source_image_id": None,
                "target_image_id": f"dot/{place:03d}", "options": list("ABCD"), "answer": "A",
                "question": f"Point to the center of the red dot. {request}",
            }
        )  # fmt: skip
    return PromptedQuestions(
        SETTING,
        dataset,
        rows,
        lambda place: {"target_image": dot_picture(place)},
        PromptTemplate("point", "{question}"),
    )


def dot_place(place: int) -> tuple[float, float]:
    """Pixels of the dot in picture `place`: a spread sequence that keeps off the edges and the diagonal."""
    width, height = SIZES[place % len(SIZES)]
    x, y = (place * 0.754877666 + 0.21) % 1, (place * 0.569840291 + 0.67) % 1
    return (0.1 + 0.8 * x) * width, (0.1 + 0.8 * y) * height


def dot_picture(place: int) -> Image.Image:
    """The picture: gray, with a red dot."""
    from PIL import Image, ImageDraw

    size = SIZES[place % len(SIZES)]
    picture = Image.new("RGB", size, (150, 150, 150))
    x, y = dot_place(place)
    radius = 0.02 * max(size)
    ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill=(220, 20, 30))
    return picture


def calibrate(
    answers: Sequence[str | None],
    declared: str,
    sent: Callable[[tuple[int, int]], tuple[int, int]],
    limits: ResizeLimits = RELEASED_LIMITS,
) -> Mapping[str, Any]:
    """How well each frame explains the answers.

    Args:
        answers: to `calibration_questions`, in their order; None = no answer.
        declared: the frame that is declared for the model.
        sent: [width, height] of a stored picture -> that of the picture as it was sent.
        limits: of the frame "resized".

    Returns:
        JSON values: `declared`, `best` (the frame with the most dots hit, the declared one among equals), `dots`,
        `unread` (answers without a point), `hits` and `median_error` (share of the longest side; None where no answer
        has a point) per frame, and `agrees`: whether the declared frame hits as many dots as the best one, and at least
        half.
    """
    hits: dict[str, int] = {}
    medians: dict[str, float | None] = {}
    unread = 0
    for frame in FRAMES:
        errors = []
        for place, text in enumerate(answers):
            size = SIZES[place % len(SIZES)]
            point = point_in_pixels(text, frame, sent(size), size, limits)
            if point is not None:
                errors.append(math.dist(point, dot_place(place)) / max(SIZES[place % len(SIZES)]))
        hits[frame] = sum(error < NEAR for error in errors)
        medians[frame] = sorted(errors)[len(errors) // 2] if errors else None
        unread = len(answers) - len(errors)
    best = max(FRAMES, key=lambda frame: (hits[frame], frame == declared))
    agrees = hits[declared] == hits[best] and 2 * hits[declared] >= len(answers)
    return {
        "declared": declared, "best": best, "dots": len(answers), "unread": unread, "hits": hits,
        "median_error": medians, "agrees": agrees,
    }  # fmt: skip
