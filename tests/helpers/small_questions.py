"""Questions with random pictures, for runs that need no dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from soco_datasets.lvlm.prompted import PromptedQuestions

LETTERS = "ABCD"


def small_asked(setting: str = "vis", groups: int = 2, size: tuple[int, int] = (60, 45)) -> PromptedQuestions:
    """`groups` questions in four orderings each; the right answers of a group are A, D, C, B."""
    rows = [_row(setting, group, ordering) for group in range(groups) for ordering in range(4)]

    def images(place: int) -> dict[str, Image.Image]:
        random = np.random.default_rng(place)
        pixels = random.integers(0, 256, (2, size[1], size[0], 3), dtype=np.uint8)
        return {"source_image": Image.fromarray(pixels[0]), "target_image": Image.fromarray(pixels[1])}

    return PromptedQuestions(setting, "small", rows, images)


def _row(setting: str, group: int, ordering: int) -> dict[str, Any]:
    return {
        "index": str(4 * group + ordering),
        "g_index": str(group),
        "question_id": f"bus/{group:05d}",
        "ordering": ordering,
        "setting": setting,
        "category": "bus",
        "supercategory": "transportation",
        "source_image_id": None if setting == "desc" else "bus/a",
        "target_image_id": "bus/b",
        "keypoint": "wheel",
        "description": "Center of the wheel of a bus",
        "question": f"Question {group}?",
        "options": [f"Point {letter}" for letter in LETTERS],
        "answer": LETTERS[-ordering % 4],
    }
