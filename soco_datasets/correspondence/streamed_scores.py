"""The scores of the split `all`: a few numbers of each task, and of the pairs of one category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.tasks import Task
from ..config import Protocol
from ..data.folder import DatasetFolder
from ..data.query_blocks import BlockQueries, PointTable
from ..data.schema import CONFIGS
from ..metrics.aggregation import PairGroups, aggregate_counts, join_categories, sums_of
from ..metrics.candidate_choice import CandidateGrid, random_hits
from ..metrics.pck import hits, keypoint_errors, normalisers
from ..records.azimuth import CurveSums, azimuth_difference
from ..records.evaluation import EvaluationResult
from ..records.intervals import (
    LEVEL,
    RESAMPLES,
    PairSample,
    ResampledScores,
    category_scores,
    intervals_of,
    multiplicities,
    supercategory_members,
)
from ..records.validation import boxes_array
from .pair_stream import CategoryPairs, PlannedBlock
from .plan import Answers, needs_candidates, query_key, rows_of

BOOTSTRAP_SEED = 0  # of the resamples
Strata = tuple[tuple[str, int], ...]  # category and its number of images, of each
Supercategories = Mapping[str, str | None]


class StreamedScores:
    """See `evaluate.Accumulator`: the metrics, intervals and curves of all tasks, without predictions.

    Args:
        folder: a built dataset folder.
        table: its annotated points.
        protocol: of the evaluation.
        used: task -> (I,) whether an image is in a pair with a query of the task.
    """

    def __init__(
        self, folder: DatasetFolder, table: PointTable, protocol: Protocol, used: Mapping[Task, NDArray[np.bool_]]
    ) -> None:
        images = ImageFacts(folder, table, protocol.scoring.normalizer)
        drawn: dict[Strata, NDArray[np.uint16]] = {}
        self._tasks: dict[Task, TaskScores] = {}
        for task, shown in used.items():
            strata, number = strata_of(table, shown)
            if strata not in drawn:  # tasks that use the same images share the resamples
                drawn[strata] = multiplicities(strata, RESAMPLES, BOOTSTRAP_SEED)
            sample = Resamples(strata, number, drawn[strata])
            self._tasks[task] = TaskScores(task, images, table, sample, protocol)

    def update(self, block: PlannedBlock, answers: Answers) -> None:
        """Score the predictions of a block; blocks of a category follow one another."""
        for task, scores in self._tasks.items():
            scores.update(block, answers[task.name][0])

    def compute(self, provenance: Mapping[str, Any]) -> tuple[EvaluationResult, None]:
        """The record of all blocks."""
        fields = dict(provenance)
        parents = fields.pop("supercategories")
        scores = {task.name: found.compute(parents) for task, found in self._tasks.items()}
        intervals = {task: found["intervals"] for task, found in scores.items()}
        curves = {task: {"azimuth": found["curve"]} for task, found in scores.items() if found["curve"] is not None}
        fields["dataset"] = {**fields["dataset"], "split": "all"}
        result = EvaluationResult(
            **fields,
            metrics={task: found["metrics"] for task, found in scores.items()},
            intervals={"level": LEVEL, "resamples": RESAMPLES, "seed": BOOTSTRAP_SEED, "tasks": intervals},
            curves=curves or None,
        )
        return result, None


class ImageFacts:
    """What scoring needs of each image, in the order of a `PointTable`.

    Attributes:
        side: (I,) longer side, pixels.
        scale: (I,) what errors in it are divided by, pixels.
        azimuth: (I,) degrees, NaN where unknown.
    """

    def __init__(self, folder: DatasetFolder, table: PointTable, normalizer: str) -> None:
        columns = ["image_id", "width", "height", "bbox", "azimuth"]
        images = folder.table("images", "test", columns=columns)
        images = images.take(rows_of(table.ids, images["image_id"].combine_chunks()))
        sizes = np.column_stack([images["width"].to_numpy(), images["height"].to_numpy()]).astype(np.float64)
        self.side: NDArray[np.float64] = sizes.max(axis=1, initial=0)
        self.scale = normalisers(boxes_array(images["bbox"]), sizes, normalizer)
        self.azimuth: NDArray[np.float64] = images["azimuth"].to_numpy().astype(np.float64)


@dataclass(frozen=True, eq=False)
class Resamples:
    """The bootstrap resamples of the images that a task's pairs use, see `records.intervals`.

    Attributes:
        strata: of the images.
        number: (I,) number of each image in the strata, -1 for one that is not used.
        multiplicities: (images, B).
    """

    strata: Strata
    number: NDArray[np.int64]
    multiplicities: NDArray[np.uint16]


def strata_of(table: PointTable, used: NDArray[np.bool_]) -> tuple[Strata, NDArray[np.int64]]:
    """(the strata of the images that are used, (I,) the number of each in them, else -1)."""
    ids, categories = table.image_ids, table.categories
    ordered = sorted(np.flatnonzero(used).tolist(), key=lambda image: (categories[image], ids[image]))
    number = np.full(len(ids), -1, dtype=np.int64)
    number[ordered] = np.arange(len(ordered))
    return tuple(Counter(categories[image] for image in ordered).items()), number


class TaskScores:
    """What `scores.score` and `intervals.bootstrap_intervals` give for one task, from its pairs in blocks.

    Of each pair of the category of the last block the numbers of queries and hits are held; of a category that has
    ended only its scores.

    Args:
        task: whose scores these are.
        images: of the dataset.
        table: its annotated points.
        resamples: of its images.
        protocol: of the evaluation.
    """

    def __init__(
        self, task: Task, images: ImageFacts, table: PointTable, resamples: Resamples, protocol: Protocol
    ) -> None:
        self._images, self._table, self._protocol, self._resamples = images, table, protocol, resamples
        self._key, self._kind = query_key(task), CONFIGS[task.config].pairs
        self._has_chance = needs_candidates(task)
        self._count_type = np.min_scalar_type(int(table.shown.max(initial=0)))
        self._curve = CurveSums(protocol.scoring.alphas)
        self._category: CategoryPairs | None = None
        self._hold(0)
        self._parts = [self._metrics("", np.zeros(0, dtype=np.int32), {})]
        self._scores: list[ResampledScores] = []
        self._scored: dict[str, int] = {}  # category -> pairs with a query
        self._evaluated: dict[str, int] = {}  # category -> pairs

    def update(self, block: PlannedBlock, predictions: NDArray[np.float64]) -> None:
        """Score the predictions of some pairs.

        Args:
            block: the pairs and their Q queries.
            predictions: (Q, 2) pixels of the target images.
        """
        part = block.part
        if self._kind not in part.category.pairs:
            return
        if self._category is not part.category:
            self._end_category()
            self._category = part.category
            self._hold(len(part.category.pairs[self._kind][0]))
        self._add(part.ranges[self._kind], part.pairs(self._kind)[1], part.queries[self._key], predictions)

    def compute(self, supercategories: Supercategories) -> dict[str, Any]:
        """`metrics`, see `aggregation.aggregate`; `intervals`, see `intervals.bootstrap_intervals`; `curve`, see
        `azimuth.azimuth_curve`, None where no pair has two known poses."""
        self._end_category()
        return {
            "metrics": join_categories(self._parts, supercategories),
            "intervals": self._intervals(supercategories),
            "curve": self._curve.curve(),
        }

    def _hold(self, pairs: int) -> None:
        """Make room for the numbers of the pairs of a category."""
        alphas = len(self._protocol.scoring.alphas)
        self._queries = np.zeros(pairs, dtype=self._count_type)
        self._hits = np.zeros((alphas, pairs), dtype=self._count_type)
        chance = {"random_pck": np.zeros((alphas, pairs)), "random_choice": np.zeros((1, pairs))}
        self._beside = chance if self._has_chance else {}

    def _add(
        self, block: slice, targets: NDArray[np.int32], queries: BlockQueries, predictions: NDArray[np.float64]
    ) -> None:
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
        if self._has_chance:
            for name, rows in self._chance(queries).items():
                for sums, row in zip(self._beside[name], rows, strict=True):
                    sums[block] = sums_of(row, queries.pair, pairs)

    def _end_category(self) -> None:
        """Score the category whose blocks have been added, and drop what is held of its pairs."""
        if self._category is None:
            return
        category, pairs = self._category.name, self._category.pairs[self._kind]
        sources, targets = (self._resamples.number[side] for side in pairs)
        self._evaluated[category] = len(targets)
        self._parts.append(self._metrics(category, targets, {category: len(targets)}))
        scored = np.flatnonzero(self._queries)
        order = scored[np.argsort(targets[scored], kind="stable")]
        if len(order):
            queries, found = self._queries[order].astype(np.int64), self._hits[:, order].astype(np.int64)
            angle = azimuth_difference(*(self._images.azimuth[side[order]] for side in pairs))
            self._curve.add(queries, found, angle)
            sample = PairSample(
                strata=self._resamples.strata,
                categories=(category,),
                bounds=np.array([0, len(order)]),
                source=sources[order],
                target=targets[order],
                queries=queries,
                hits=found,
            )
            self._scored[category] = len(order)
            self._scores.append(
                category_scores(sample, self._resamples.multiplicities, self._protocol.scoring.reductions)
            )
        self._category = None
        self._hold(0)

    def _intervals(self, supercategories: Supercategories) -> dict[str, Any]:
        protocol = self._protocol
        empty = np.zeros((len(protocol.scoring.alphas), 0, RESAMPLES))
        scores = {
            name: np.concatenate([empty, *(part[name] for part in self._scores)], axis=1)
            for name in protocol.scoring.reductions
        }
        pairs = list(self._scored.values())

        def enough(categories: Sequence[int]) -> bool:
            return sum(pairs[category] for category in categories) > 1  # no two are of the same images

        parts = supercategory_members(tuple(self._scored), supercategories, self._evaluated)
        return intervals_of(scores, protocol.scoring.alphas, parts, enough)

    def _metrics(self, category: str, targets: NDArray[Any], total: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        protocol = self._protocol
        images = targets.astype(np.str_).tolist() if "image" in protocol.scoring.reductions else None
        return aggregate_counts(
            self._queries.astype(np.int64),
            list(self._hits),
            PairGroups([category] * len(targets), images, total),
            alphas=protocol.scoring.alphas,
            reductions=protocol.scoring.reductions,
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
            where=CandidateGrid(protocol.features.grid, protocol.features.size, protocol.scoring.convention),
        )
        return {"random_pck": chance[:, inverse], "random_choice": (1 / candidates.counts)[None, inverse]}
