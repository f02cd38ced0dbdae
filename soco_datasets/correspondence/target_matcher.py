"""The descriptors of a plan's points, and its matches, one shown map at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..config import Protocol
from ..geometry import keypoints_to_unit
from .candidates import best_candidates
from .plan import Plan
from .similarity import (
    best_cells,
    sample_descriptors,
    similarities,
    similarities_of_many,
)
from .soft_argmax import soft_argmax

if TYPE_CHECKING:
    import torch

QUERY_BLOCK = 2048  # queries in one matrix product: bounds the scores a much asked target takes
TARGETS_PER_BATCH = (
    16  # targets in one product of a GPU, where one target's should take less than its start; not measured
)


@dataclass(frozen=True)
class MatchResult:
    """Where each match and choice of a `Plan` ended up.

    Attributes:
        cell: (M,) int64 raster index of the best cell.
        similarity: (M,) float32 there.
        soft: (M, 2) float32 [column, row] of the soft-argmax; (0, 2) when no task needs it.
        choice: (G,) int64 raster index of the best candidate cell.
        choice_similarity: (G,) float32 there.
    """

    cell: NDArray[np.int64]
    similarity: NDArray[np.float32]
    soft: NDArray[np.float32]
    choice: NDArray[np.int64]
    choice_similarity: NDArray[np.float32]


class DescriptorSampler:
    """The descriptors of a plan's points, taken from the map of each image that asks.

    Attributes:
        descriptors: (D, C) float32, in the order of `Plan.points`; unset where the image was not shown.
    """

    def __init__(self, plan: Plan, protocol: Protocol, *, size: int, channels: int, device: str) -> None:
        import torch

        self._plan, self._convention, self._size = plan, protocol.scoring.convention, size
        self._points = np.searchsorted(plan.point_image, np.arange(len(plan.images) + 1))
        self.descriptors = torch.empty((len(plan.points), channels), dtype=torch.float32, device=device)

    def sample(self, image: int, feature_map: torch.Tensor) -> None:
        """Take the descriptors of an image's points from its (C, h, w) map."""
        asked = slice(self._points[image], self._points[image + 1])
        if asked.start == asked.stop:
            return
        unit = keypoints_to_unit(self._plan.points[asked], self._plan.sides[image], self._size, self._convention)
        self.descriptors[asked] = sample_descriptors(feature_map.to(self.descriptors.device), unit, self._convention)


class TargetMatcher:
    """The matches of each target map of a plan that is shown.

    Args:
        plan, protocol: of the evaluation.
        descriptors: (D, C) float32 of `Plan.points`, from a `DescriptorSampler`.
    """

    def __init__(self, plan: Plan, protocol: Protocol, descriptors: torch.Tensor) -> None:
        import torch

        self._plan, self._protocol, self._descriptors = plan, protocol, descriptors
        device = descriptors.device
        self._matches = np.searchsorted(plan.match_target, np.arange(len(plan.images) + 1))
        self._asked_by = plan.query_match[plan.choice_query]
        self._point = torch.from_numpy(plan.match_point).to(device)
        self._chooser = torch.from_numpy(self._asked_by).to(device)
        self._choices = torch.from_numpy(plan.choices).to(device)
        matches, chosen = len(plan.match_point), len(self._asked_by)
        self._cell, self._choice = (torch.zeros(n, dtype=torch.int64, device=device) for n in (matches, chosen))
        self._top, self._choice_top = (torch.zeros(n, device=device) for n in (matches, chosen))
        self._soft = torch.zeros((matches if plan.soft else 0, 2), device=device)

    def groups(self, most: int) -> list[range]:
        """The targets that are asked for, in runs of neighbouring images, each for one `match`.

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
        """Match everything that asks for these targets; the descriptors must be there.

        Args:
            images: of `groups`, or one.
            feature_maps: (T, C, h, w) of each.
        """
        targets = feature_maps.to(self._descriptors.device)
        first, last = int(self._matches[images.start]), int(self._matches[images.stop])
        for start in range(first, last, QUERY_BLOCK):
            self._match_block(images, targets, slice(start, min(start + QUERY_BLOCK, last)))

    def _match_block(self, images: range, targets: torch.Tensor, asked: slice) -> None:
        protocol = self._protocol
        queries = self._descriptors[self._point[asked]]
        if len(images) == 1:
            scores = similarities(queries, targets[0])
        else:
            counts = np.diff(self._matches[images.start : images.stop + 1])
            scores = similarities_of_many(queries, counts.tolist(), targets)
        valid = _content(self._plan.content[images.start], scores) if protocol.scoring.valid_area else None
        self._cell[asked], self._top[asked] = best_cells(scores, valid)
        if self._plan.soft:
            self._soft[asked] = soft_argmax(
                scores,
                self._cell[asked],
                beta=protocol.scoring.soft_beta,
                window=protocol.scoring.soft_window,
                valid=valid,
            )
        chosen = slice(*np.searchsorted(self._asked_by, [asked.start, asked.stop]).tolist())
        if chosen.start < chosen.stop:
            self._choice[chosen], self._choice_top[chosen] = best_candidates(
                scores, self._chooser[chosen] - asked.start, self._choices[chosen]
            )

    def found(self) -> MatchResult:
        """What was found, on the host."""
        parts = (self._cell, self._top, self._soft, self._choice, self._choice_top)
        return MatchResult(*(part.cpu().numpy() for part in parts))


def _content(cells: NDArray[np.int64], scores: torch.Tensor) -> torch.Tensor:
    """(h, w) bool: the cells that hold any of the image; `cells` is [columns, rows]."""
    import torch

    valid = torch.zeros(scores.shape[1:], dtype=torch.bool, device=scores.device)
    valid[: int(cells[1]), : int(cells[0])] = True
    return valid
