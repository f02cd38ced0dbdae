"""A plan cut into shares, each some images with their points and the matches they are targets of, and joined again.

Points are ordered by image, matches and choices by target, so that everything of a share is one range. A share goes
through the same calls as in one process, image by image, and gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..correspondence.plan import Plan
from ..correspondence.target_matcher import MatchResult

_SHARES = 16  # of each worker: what it takes more or less than another is at most one of them
_IMAGES = 32  # in a share at least, so that a GPU's batches are full, unless a worker then had none


@dataclass(frozen=True)
class ShardRanges:
    """What belongs to a share, as ranges of the plan's arrays."""

    images: slice
    points: slice
    matches: slice
    choices: slice


def cut_images(images: int, workers: int) -> list[slice]:
    """Ranges of images for dynamic assignment to some workers, in order, of one size but for the last.

    >>> cut_images(100, 2)
    [slice(0, 32, None), slice(32, 64, None), slice(64, 96, None), slice(96, 100, None)]
    """
    size = max(-(-images // (workers * _SHARES)), min(_IMAGES, -(-images // workers)), 1)
    return [slice(start, min(start + size, images)) for start in range(0, images, size)]


def spans_of(plan: Plan, images: slice) -> ShardRanges:
    """The ranges of a share of a plan."""
    points = np.searchsorted(plan.point_image, [images.start, images.stop])
    matches = np.searchsorted(plan.match_target, [images.start, images.stop])
    choices = np.searchsorted(plan.query_match[plan.choice_query], matches)
    return ShardRanges(images, *(slice(*bounds.tolist()) for bounds in (points, matches, choices)))


def sampling_share(plan: Plan, spans: ShardRanges) -> Plan:
    """The images of a share and their points; no matches."""
    nothing = np.zeros(0, dtype=np.int64)
    return Plan(
        images=plan.images[spans.images],
        sides=plan.sides[spans.images],
        content=plan.content[spans.images],
        point_image=plan.point_image[spans.points] - spans.images.start,
        points=plan.points[spans.points],
        match_point=nothing,
        match_target=nothing,
        soft=plan.soft,
        query_match=nothing,
        rows={},
        choice_query=nothing,
        choices=plan.choices[:0],
    )


def matching_share(plan: Plan, spans: ShardRanges) -> Plan:
    """The images of a share and the matches in them; `match_point` counts in the points of the whole plan."""
    choosing = plan.query_match[plan.choice_query[spans.choices]]
    return Plan(
        images=plan.images[spans.images],
        sides=plan.sides[spans.images],
        content=plan.content[spans.images],
        point_image=plan.point_image[:0],
        points=plan.points[:0],
        match_point=plan.match_point[spans.matches],
        match_target=plan.match_target[spans.matches] - spans.images.start,
        soft=plan.soft,
        query_match=choosing - spans.matches.start,
        rows={},
        choice_query=np.arange(len(choosing)),
        choices=plan.choices[spans.choices],
    )


class MergedMatches:
    """The answers to a plan, put together from those of its shares in any order."""

    def __init__(self, plan: Plan) -> None:
        matches, choices = len(plan.match_point), len(plan.choice_query)
        self.found = MatchResult(
            cell=np.zeros(matches, dtype=np.int64),
            similarity=np.zeros(matches, dtype=np.float32),
            soft=np.zeros((matches if plan.soft else 0, 2), dtype=np.float32),
            choice=np.zeros(choices, dtype=np.int64),
            choice_similarity=np.zeros(choices, dtype=np.float32),
        )

    def put(self, spans: ShardRanges, part: MatchResult) -> None:
        """Take in what a share found."""
        whole = self.found
        whole.cell[spans.matches], whole.similarity[spans.matches] = part.cell, part.similarity
        if len(whole.soft):
            whole.soft[spans.matches] = part.soft
        whole.choice[spans.choices], whole.choice_similarity[spans.choices] = part.choice, part.choice_similarity
