"""The mini set, and small synthetic images with keypoints."""

from __future__ import annotations

from functools import cache

from helpers.shared_builds import built_mini
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.data.questions.generation import AnnotatedImage


@cache
def mini() -> DatasetFolder:
    return open_folder(built_mini())


def images(categories: int = 2, each: int = 8, keypoints: int = 6) -> list[AnnotatedImage]:
    """Images that all show the same keypoints, each at places of its own."""
    return [
        AnnotatedImage(
            f"c{c}/c{c}_{i}",
            f"c{c}",
            (200, 150),
            {f"k{k}": (10.0 + 20 * k + i, 20.0 + 7 * k + c) for k in range(keypoints)},
        )
        for c in range(categories)
        for i in range(each)
    ]
