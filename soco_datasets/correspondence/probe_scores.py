"""Scores of a probe on some pairs, from raw features that were computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..config import Protocol, alpha_key
from ..data.folder import DatasetFolder
from ..features.cache.memory import MemoryFeatureCache
from ..features.extractor import DenseFeatureExtractor, l2_normalize
from ..features.heads import Head
from ..geometry import cells_to_unit, keypoints_to_unit, unit_to_pixels
from ..metrics.aggregation import PairGroups, aggregate
from ..metrics.pck import hits, keypoint_errors, normalisers
from ..records.predictions import query_rows
from ..records.validation import boxes_array, points_array, sizes_array
from ..utils.progress import progress
from .plan import Plan
from .probe_pairs import (
    CC,
    PROBE_TASKS,
    SOC,
    ProbeSplit,
)
from .released_pairs import make_plan
from .similarity import match, sample_descriptors

if TYPE_CHECKING:
    import torch

Errors = dict[str, NDArray[np.float32]]  # task -> (Q,) normalized errors of its queries, pair after pair


@dataclass(frozen=True, eq=False)
class ProbeFeatures:
    """Raw features of all images that a probe needs, and what is needed to score with them.

    Attributes:
        extractor: what made them.
        store: one raw map per image.
        rows: (I,) dataset row of each map, ascending.
        folder: where the pairs come from.
        protocol: how to score.
        supercategories: category -> supercategory.
    """

    extractor: DenseFeatureExtractor
    store: MemoryFeatureCache
    rows: NDArray[np.int64]
    folder: DatasetFolder
    protocol: Protocol
    supercategories: Mapping[str, str | None]

    def project(self, position: int, head: Head) -> torch.Tensor:
        """The (C, h, w) unit-length map of an image behind a head, as `HeadBackbone` and the runner make it."""
        import torch

        raw = self.store.get(position)[None].to(self.extractor.backbone.device)
        with torch.inference_mode():
            return l2_normalize(head.apply(raw).to(raw.dtype))[0]


class SplitScorer:
    """Scores heads on the pairs of one split; the plan of the work is made once."""

    def __init__(self, split: ProbeSplit, features: ProbeFeatures) -> None:
        self._split = split
        self._features = features
        self._plan = make_plan(PROBE_TASKS, split.tables, features.folder, features.protocol)
        self._positions = np.searchsorted(features.rows, self._plan.images)

    def errors(self, head: Head) -> Errors:
        """The error of every query: each image is projected twice (as source, as target), never forwarded."""
        points = self._predict(head)
        protocol = self._features.protocol
        found = {}
        for task, table in self._split.tables.items():
            rows = query_rows(task, table)
            sizes = sizes_array(rows["target_size"])
            found[task] = keypoint_errors(
                points[self._plan.task_slices[task]],
                points_array(rows["target_points"]),
                _offsets(rows["target_points"]),
                sizes.max(axis=1, initial=0),
                normalisers(boxes_array(rows["target_bbox"]), sizes, protocol.scoring.normalizer),
                convention=protocol.scoring.convention,
                size=protocol.features.size,
            )
        return found

    def metrics(self, errors: Errors) -> dict[str, dict[str, Any]]:
        """PCK of the errors: task -> reduction -> alpha -> see `aggregation.aggregate`; fractions, None for nothing.

        The reduction "pooled" is over all queries of the split, categories mixed: {"pck", "keypoints"}.
        """
        alphas = self._features.protocol.scoring.alphas
        found: dict[str, dict[str, Any]] = {}
        for task, table in self._split.tables.items():
            counts = table["keypoints"].combine_chunks().value_lengths().to_numpy()
            by_category = aggregate(
                errors[task],
                np.repeat(np.arange(len(table)), counts),
                PairGroups(
                    table["pair_group"].to_pylist(),
                    table["target_image_id"].to_pylist(),
                    supercategories=self._features.supercategories,
                ),
                alphas=alphas,
                reductions=self._features.protocol.scoring.reductions,
            )
            pooled = {
                alpha_key(alpha): {"pck": pooled_pck(errors[task], alpha), "keypoints": len(errors[task])}
                for alpha in alphas
            }
            found[task] = {"pooled": pooled, **by_category}
        return found

    def _predict(self, head: Head) -> NDArray[np.float64]:
        """(Q, 2) predicted pixels of every query row of the plan."""
        import torch

        plan, extractor = self._plan, self._features.extractor
        grid, convention = extractor.grid, self._features.protocol.scoring.convention
        device = extractor.backbone.device
        descriptors = torch.empty((len(plan.points), head.out_channels), device=device)
        for image, rows in progress(_groups(plan.point_image, plan), "Sampling keypoints", unit="image"):
            unit = keypoints_to_unit(plan.points[rows], plan.square_sides[image], extractor.size, convention)
            descriptors[rows] = sample_descriptors(self._map(image, head), unit, convention)
        cells = np.zeros((len(plan.match_point), 2), dtype=np.int64)
        for image, rows in progress(_groups(plan.match_target, plan), "Matching", unit="image"):
            points = torch.from_numpy(plan.match_point[rows]).to(device)
            cells[rows] = match(descriptors[points], self._map(image, head)).cells
        unit = cells_to_unit(cells[:, 0], cells[:, 1], grid, convention)
        return unit_to_pixels(unit, plan.square_sides[plan.match_target])[plan.query_match]

    def _map(self, image: int, head: Head) -> torch.Tensor:
        return self._features.project(int(self._positions[image]), head)


def pooled_pck(errors: NDArray[np.float32], alpha: float) -> float | None:
    """Share of the errors below alpha, None without any."""
    return float(hits(errors, [alpha])[0].mean()) if len(errors) else None


def selection_score(errors: Errors, alpha: float) -> float | None:
    """What an epoch is selected by: the mean of the pooled SOC and CC scores, SOC alone where CC has no query.

    The shares are rounded to float32, as the reference rounds them, so that the same epochs tie.
    """
    shares = [pooled_pck(errors[task.name], alpha) for task in (SOC, CC)]
    soc, cc = (None if share is None else float(np.float32(share)) for share in shares)
    return soc if soc is None or cc is None else (soc + cc) / 2


def select(scores: Sequence[float | None]) -> int:
    """Number of the selected epoch, from 1: the first with the highest score; the last where no score is above 0.

    >>> select([0.2, 0.3, 0.3]), select([0.0, None])
    (2, 2)
    """
    best, selected = 0.0, len(scores)
    for number, score in enumerate(scores, 1):
        if score is not None and score > best:
            best, selected = score, number
    return selected


def _groups(owner: NDArray[np.int64], plan: Plan) -> list[tuple[int, slice]]:
    """(image, its slice of `owner`) for the images that own something; `owner` is ascending."""
    bounds = np.searchsorted(owner, np.arange(len(plan.images) + 1))
    return [(image, slice(a, b)) for image, (a, b) in enumerate(pairwise(bounds.tolist())) if a < b]


def _offsets(targets: pa.ChunkedArray) -> NDArray[np.int64]:
    counts = targets.combine_chunks().value_lengths().to_numpy()
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
