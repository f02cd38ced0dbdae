"""The scores of one task over all pairs, of which a few numbers are kept, those of one category at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Protocol
from ..data.folder import DatasetFolder
from ..data.query_blocks import BlockQueries, PointTable
from ..metrics.aggregation import aggregate_counts, join_categories, sums_of
from ..metrics.candidate_choice import random_hits
from ..metrics.pck import hits, keypoint_errors, normalisers
from ..records.azimuth import CurveSums, azimuth_difference
from ..records.intervals import (
    RESAMPLES,
    PairSample,
    ResampledScores,
    category_scores,
    intervals_of,
    multiplicities,
    supercategory_members,
)
from ..records.validation import boxes_array
from .all_plan import Pairs, QueryUsage
from .evaluate import supercategories_of
from .plan import rows_of

BOOTSTRAP_SEED = 0  # of the resamples


class ImageFacts:
    """What scoring needs of each image, in the order of a `PointTable`.

    Attributes:
        side: (I,) longer side, pixels.
        scale: (I,) what errors in it are divided by, pixels.
        azimuth: (I,) degrees, NaN where unknown.
        supercategories: category -> supercategory, None where it has none.
    """

    def __init__(self, folder: DatasetFolder, table: PointTable, normaliser: str) -> None:
        columns = ["image_id", "width", "height", "bbox", "azimuth"]
        images = folder.table("images", "test", columns=columns)
        rows = rows_of(table.ids, images["image_id"].combine_chunks())
        images = images.take(rows)
        sizes = np.column_stack([images["width"].to_numpy(), images["height"].to_numpy()]).astype(np.float64)
        self.side: NDArray[np.float64] = sizes.max(axis=1, initial=0)
        self.scale = normalisers(boxes_array(images["bbox"]), sizes, normaliser)
        self.azimuth: NDArray[np.float64] = images["azimuth"].to_numpy().astype(np.float64)
        self.supercategories = supercategories_of(folder)


class Resamples:
    """The resamples of the images that a task's pairs use; tasks that use the same images share them."""

    def __init__(self, table: PointTable) -> None:
        self._table = table
        self._drawn: dict[tuple[tuple[str, int], ...], NDArray[np.uint16]] = {}

    def of(self, used: NDArray[np.bool_]) -> tuple[tuple[tuple[str, int], ...], NDArray[np.int64], NDArray[np.uint16]]:
        """(strata, (I,) number of each image in them, (images, B) multiplicities), see `bootstrap`."""
        ids, categories = self._table.image_ids, self._table.categories
        ordered = sorted(np.flatnonzero(used).tolist(), key=lambda image: (categories[image], ids[image]))
        number = np.full(len(ids), -1, dtype=np.int64)
        number[ordered] = np.arange(len(ordered))
        strata: dict[str, int] = {}
        for image in ordered:
            strata[categories[image]] = strata.get(categories[image], 0) + 1
        key = tuple(strata.items())
        if key not in self._drawn:
            self._drawn[key] = multiplicities(key, RESAMPLES, BOOTSTRAP_SEED)
        return key, number, self._drawn[key]


class TaskScores:
    """What `score.score` and `bootstrap.bootstrap_intervals` give for one task, from its pairs in blocks.

    For each category: `begin`, `add` for each block of its pairs, `end`. Of each pair of the category the numbers of
    queries and hits are held; of a category that has ended only its scores.

    Args:
        asked: what the task's queries use.
        images: of the dataset.
        table: its annotated points.
        resamples: of its images.
        protocol: of the evaluation.
        choosing: whether queries choose among candidates, so that chance is scored too.
    """

    def __init__(
        self,
        asked: QueryUsage,
        images: ImageFacts,
        table: PointTable,
        resamples: Resamples,
        protocol: Protocol,
        choosing: bool,
    ) -> None:
        self._images, self._table, self._protocol, self._choosing = images, table, protocol, choosing
        self._strata, self._number, self._multiplicities = resamples.of(asked.images)
        self._kind = np.min_scalar_type(int(table.shown.max(initial=0)))
        self._curve = CurveSums(protocol.scoring.alphas)
        self.begin(0)
        self._parts = [self._metrics("", np.zeros(0, dtype=np.int32), {})]
        self._scores: list[ResampledScores] = []
        self._scored: dict[str, int] = {}  # category -> pairs with a query
        self._evaluated: dict[str, int] = {}  # category -> pairs

    def begin(self, pairs: int) -> None:
        """Make room for the pairs of a category."""
        alphas = len(self._protocol.scoring.alphas)
        self._queries = np.zeros(pairs, dtype=self._kind)
        self._hits = np.zeros((alphas, pairs), dtype=self._kind)
        chance = {"random_pck": np.zeros((alphas, pairs)), "random_choice": np.zeros((1, pairs))}
        self._beside = chance if self._choosing else {}

    def add(
        self, block: slice, targets: NDArray[np.int32], queries: BlockQueries, predictions: NDArray[np.float64]
    ) -> None:
        """Score the Q predictions of some pairs.

        Args:
            block: which pairs of the category.
            targets: the target image of each.
            queries: of these pairs.
            predictions: (Q, 2) pixels of the target images.
        """
        protocol, pairs = self._protocol, block.stop - block.start
        image = targets[queries.pair]
        errors = keypoint_errors(
            predictions,
            self._table.points[queries.targets.values],
            queries.targets.offsets,
            self._images.side[image],
            self._images.scale[image],
            convention=protocol.scoring.convention,
            size=protocol.features.size,
        )
        self._queries[block] = np.bincount(queries.pair, minlength=pairs)
        for row, hit in zip(self._hits, hits(errors, protocol.scoring.alphas), strict=True):
            row[block] = np.bincount(queries.pair[hit], minlength=pairs)
        if self._choosing:
            for name, rows in self._chance(queries).items():
                for sums, row in zip(self._beside[name], rows, strict=True):
                    sums[block] = sums_of(row, queries.pair, pairs)

    def end(self, category: str, pairs: Pairs) -> None:
        """Score the category whose pairs these are, and drop what is held of them."""
        sources, targets = (self._number[side] for side in pairs)
        self._evaluated[category] = len(targets)
        self._parts.append(self._metrics(category, targets, {category: len(targets)}))
        scored = np.flatnonzero(self._queries)
        order = scored[np.argsort(targets[scored], kind="stable")]
        if len(order):
            queries, found = self._queries[order].astype(np.int64), self._hits[:, order].astype(np.int64)
            apart = azimuth_difference(*(self._images.azimuth[side[order]] for side in pairs))
            self._curve.add(queries, found, apart)
            sample = PairSample(
                strata=self._strata,
                categories=(category,),
                bounds=np.array([0, len(order)]),
                source=sources[order],
                target=targets[order],
                queries=queries,
                hits=found,
            )
            self._scored[category] = len(order)
            self._scores.append(category_scores(sample, self._multiplicities, self._protocol.scoring.reductions))
        self.begin(0)

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """See `aggregation.aggregate`."""
        return join_categories(self._parts, self._images.supercategories)

    @property
    def intervals(self) -> dict[str, Any]:
        """See `bootstrap.bootstrap_intervals`: those of one task."""
        protocol = self._protocol
        empty = np.zeros((len(protocol.scoring.alphas), 0, RESAMPLES))
        scores = {
            name: np.concatenate([empty, *(part[name] for part in self._scores)], axis=1)
            for name in protocol.scoring.reductions
        }
        pairs = list(self._scored.values())

        def enough(categories: Sequence[int]) -> bool:
            return sum(pairs[category] for category in categories) > 1  # no two are of the same images

        parts = supercategory_members(tuple(self._scored), self._images.supercategories, self._evaluated)
        return intervals_of(scores, protocol.scoring.alphas, parts, enough)

    @property
    def curve(self) -> dict[str, Any] | None:
        """See `azimuth.azimuth_curve`; None where no pair has two known poses."""
        return self._curve.curve()

    def _metrics(self, category: str, targets: NDArray[Any], total: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        protocol = self._protocol
        return aggregate_counts(
            self._queries.astype(np.int64),
            list(self._hits),
            [category] * len(targets),
            alphas=protocol.scoring.alphas,
            reductions=protocol.scoring.reductions,
            target_images=targets.astype(np.str_).tolist() if "image" in protocol.scoring.reductions else None,
            total_pairs=total,
            beside={name: list(np.broadcast_to(sums, self._hits.shape)) for name, sums in self._beside.items()},
        )

    def _chance(self, queries: BlockQueries) -> dict[str, NDArray[np.float64]]:
        """See `candidates.random_baseline`; (A or 1, Q). It is the same for all queries of a target point."""
        assert queries.candidates is not None
        table, protocol = self._table, self._protocol
        point, first, inverse = np.unique(queries.targets.values, return_index=True, return_inverse=True)
        candidates, image = queries.candidates.take(first), table.image[point]
        chance = random_hits(
            table.points[candidates.values],
            candidates.counts,
            table.points[point],
            self._images.side[image],
            self._images.scale[image],
            alphas=protocol.scoring.alphas,
            convention=protocol.scoring.convention,
            size=protocol.features.size,
            grid=protocol.features.grid,
        )
        return {"random_pck": chance[:, inverse], "random_choice": (1 / candidates.counts)[None, inverse]}
