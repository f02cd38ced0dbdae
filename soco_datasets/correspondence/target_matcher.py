"""The descriptors of a plan's points, and its matches, one feature map at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..config import Protocol
from ..geometry import keypoints_to_unit
from .matchers.matcher import CandidateQueries, TargetScores, matcher_class
from .plan import MatchResult, Plan
from .similarity import (
    sample_descriptors,
    similarities,
    similarities_of_many,
)

if TYPE_CHECKING:
    import torch

QUERY_BLOCK = 2048  # queries in one matrix product: bounds the memory of the scores of a target with many queries
TARGETS_PER_BATCH = (
    16  # targets in one product on a GPU, where starting a product may take longer than one target's; not measured
)


class DescriptorSampler:
    """The descriptors of a plan's points, taken from the map of each source image.

    Attributes:
        descriptors: (D, C) float32, in the order of `Plan.points`; unset for images that were not sampled.
    """

    def __init__(self, plan: Plan, protocol: Protocol, *, size: int, channels: int, device: str) -> None:
        import torch

        self._plan, self._convention, self._size = plan, protocol.point_convention, size
        self._points = np.searchsorted(plan.point_image, np.arange(len(plan.images) + 1))
        self.descriptors = torch.empty((len(plan.points), channels), dtype=torch.float32, device=device)

    def sample(self, image: int, feature_map: torch.Tensor) -> None:
        """Take the descriptors of an image's points from its (C, h, w) map."""
        block = slice(self._points[image], self._points[image + 1])
        if block.start == block.stop:
            return
        unit = keypoints_to_unit(self._plan.points[block], self._plan.square_sides[image], self._size, self._convention)
        self.descriptors[block] = sample_descriptors(feature_map.to(self.descriptors.device), unit, self._convention)


class TargetMatcher:
    """The matches of a plan, from one target map after another.

    Args:
        plan, protocol: of the evaluation.
        descriptors: (D, C) float32 of `Plan.points`, from a `DescriptorSampler`.
    """

    def __init__(self, plan: Plan, protocol: Protocol, descriptors: torch.Tensor) -> None:
        import torch

        self._plan, self._protocol, self._descriptors = plan, protocol, descriptors
        device = descriptors.device
        self._matches = np.searchsorted(plan.match_target, np.arange(len(plan.images) + 1))
        self._candidate_match = plan.candidate_match
        self._point = torch.from_numpy(plan.match_point).to(device)
        self._candidate_row = torch.from_numpy(self._candidate_match).to(device)
        self._candidates = torch.from_numpy(plan.candidates).to(device)
        self._matchers = {name: matcher_class(name)(protocol.scoring) for name in plan.matchers}
        self._positions, self._similarity = {}, {}
        for name, matcher in self._matchers.items():
            rows = len(self._candidate_match) if matcher.needs_candidates else len(plan.match_point)
            dtype = torch.float32 if matcher.is_subcell else torch.int64
            self._positions[name] = torch.zeros((rows, 2), dtype=dtype, device=device)
            self._similarity[name] = torch.zeros(rows, device=device)

    def groups(self, most: int) -> list[range]:
        """The targets of the plan, in runs of consecutive images, each for one `match`.

        Args:
            most: images in a run; the queries of more than one are `QUERY_BLOCK` at most, and 1 with a valid area,
                which differs between images.
        """
        counts, found = np.diff(self._matches), list[range]()
        most = 1 if self._protocol.scoring.valid_area else most
        for image in np.flatnonzero(counts).tolist():
            run = range(found[-1].start, image + 1) if found and found[-1].stop == image else range(0)
            if run and len(run) <= most and len(run) * counts[run.start : run.stop].max() <= QUERY_BLOCK:
                found[-1] = run
            else:
                found.append(range(image, image + 1))
        return found

    def match(self, images: range, feature_maps: torch.Tensor) -> None:
        """Match all queries of these targets; the descriptors must have been sampled.

        Args:
            images: of `groups`, or one.
            feature_maps: (T, C, h, w) of each.
        """
        targets = feature_maps.to(self._descriptors.device)
        first, last = int(self._matches[images.start]), int(self._matches[images.stop])
        for start in range(first, last, QUERY_BLOCK):
            self._match_block(images, targets, slice(start, min(start + QUERY_BLOCK, last)))

    def _match_block(self, images: range, targets: torch.Tensor, block: slice) -> None:
        protocol = self._protocol
        queries = self._descriptors[self._point[block]]
        if len(images) == 1:
            scores = similarities(queries, targets[0])
        else:
            counts = np.diff(self._matches[images.start : images.stop + 1])
            scores = similarities_of_many(queries, counts.tolist(), targets)
        valid = _content(self._plan.valid_extent[images.start], scores) if protocol.scoring.valid_area else None
        target_scores = TargetScores(scores, valid)
        chosen = slice(*np.searchsorted(self._candidate_match, [block.start, block.stop]).tolist())
        candidates = CandidateQueries(self._candidate_row[chosen] - block.start, self._candidates[chosen])
        for name, matcher in self._matchers.items():
            rows = chosen if matcher.needs_candidates else block
            if rows.start < rows.stop:
                found = matcher.match(target_scores, candidates if matcher.needs_candidates else None)
                self._positions[name][rows], self._similarity[name][rows] = found

    def found(self) -> MatchResult:
        """What was found, on the host."""
        return MatchResult(
            {name: positions.cpu().numpy() for name, positions in self._positions.items()},
            {name: similarity.cpu().numpy() for name, similarity in self._similarity.items()},
        )


def _content(cells: NDArray[np.int64], scores: torch.Tensor) -> torch.Tensor:
    """(h, w) bool: the cells that hold any of the image; `cells` is [columns, rows]."""
    import torch

    valid = torch.zeros(scores.shape[1:], dtype=torch.bool, device=scores.device)
    valid[: int(cells[1]), : int(cells[0])] = True
    return valid
