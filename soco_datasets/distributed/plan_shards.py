"""A plan cut into shards, each some images with their points and the matches they are targets of, and merged again.

Points are ordered by image, matches and candidate queries by target, so each part of a shard is one range. A shard goes
through the same calls as in one process, image by image, and gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..correspondence.matchers.matcher import matcher_class
from ..correspondence.plan import MatchResult, Plan

SHARDS_PER_WORKER = 16  # bounds the imbalance between workers: at most one shard
MIN_IMAGES_PER_SHARD = 32  # fills a GPU's batches; fewer if a worker would otherwise have none


@dataclass(frozen=True)
class ShardRanges:
    """What belongs to a shard, as ranges of the plan's arrays."""

    images: slice
    points: slice
    matches: slice
    candidates: slice


def cut_images(images: int, workers: int) -> list[slice]:
    """Ranges of images for dynamic assignment to some workers, in order, of equal size except the last.

    >>> cut_images(100, 2)
    [slice(0, 32, None), slice(32, 64, None), slice(64, 96, None), slice(96, 100, None)]
    """
    size = max(-(-images // (workers * SHARDS_PER_WORKER)), min(MIN_IMAGES_PER_SHARD, -(-images // workers)), 1)
    return [slice(start, min(start + size, images)) for start in range(0, images, size)]


def shard_ranges(plan: Plan, images: slice) -> ShardRanges:
    """The ranges of a shard of a plan."""
    points = np.searchsorted(plan.point_image, [images.start, images.stop])
    matches = np.searchsorted(plan.match_target, [images.start, images.stop])
    candidates = np.searchsorted(plan.candidate_match, matches)
    return ShardRanges(images, *(slice(*bounds.tolist()) for bounds in (points, matches, candidates)))


def sampling_shard(plan: Plan, spans: ShardRanges) -> Plan:
    """The images of a shard and their points; no matches."""
    nothing = np.zeros(0, dtype=np.int64)
    return replace(
        plan,
        **_images(plan, spans),
        point_image=plan.point_image[spans.points] - spans.images.start,
        points=plan.points[spans.points],
        match_point=nothing,
        match_target=nothing,
        query_match=nothing,
        candidate_query=nothing,
        candidates=plan.candidates[:0],
        task_slices={},
    )


def matching_shard(plan: Plan, spans: ShardRanges) -> Plan:
    """The images of a shard and the matches in them; `match_point` counts in the points of the whole plan."""
    query_match = plan.candidate_match[spans.candidates] - spans.matches.start
    return replace(
        plan,
        **_images(plan, spans),
        point_image=plan.point_image[:0],
        points=plan.points[:0],
        match_point=plan.match_point[spans.matches],
        match_target=plan.match_target[spans.matches] - spans.images.start,
        query_match=query_match,
        candidate_query=np.arange(len(query_match)),
        candidates=plan.candidates[spans.candidates],
        task_slices={},
    )


def _images(plan: Plan, spans: ShardRanges) -> dict[str, Any]:
    return {name: getattr(plan, name)[spans.images] for name in ("images", "square_sides", "valid_extent")}


class MergedMatches:
    """The result of a plan, merged from those of its shards in any order."""

    def __init__(self, plan: Plan) -> None:
        self.found = MatchResult({}, {})
        for name in plan.matchers:
            matcher = matcher_class(name)
            rows = len(plan.candidate_query) if matcher.needs_candidates else len(plan.match_point)
            dtype = np.float32 if matcher.is_subcell else np.int64
            self.found.positions[name] = np.zeros((rows, 2), dtype=dtype)
            self.found.similarity[name] = np.zeros(rows, dtype=np.float32)

    def put(self, spans: ShardRanges, part: MatchResult) -> None:
        """Take in what a shard found."""
        for name in self.found.positions:
            rows = spans.candidates if matcher_class(name).needs_candidates else spans.matches
            self.found.positions[name][rows] = part.positions[name]
            self.found.similarity[name][rows] = part.similarity[name]
