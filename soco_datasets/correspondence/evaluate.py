"""The one evaluation loop: pairs in blocks -> features (each image once) -> matches (by target) -> scores -> record.

A split is two objects: its pairs, which make the plan to sample and a plan of each block, and the accumulator of their
scores, which takes the answers of each block (`update`) and makes the record (`compute`). The split `test` is one block
whose predictions are kept; the split `all`, every pair of three or more common keypoints, is many of which only numbers
are kept, so its memory grows with the images and not with their pairs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from .. import config
from ..benchmarks.base import SOCO, Task, benchmark_of
from ..benchmarks.resolve import dataset_folder
from ..benchmarks.tasks import get_tasks
from ..config import FeatureConfig, RunConfig, ScoringConfig, check_thresholds
from ..data.folder import DatasetFolder
from ..data.subset import FolderSubset
from ..errors import UsageError
from ..features.cache.shared import SharedMaps
from ..features.extractor import DenseFeatureExtractor
from ..features.given_model import GivenModel, opened_extractor
from ..features.transforms import Anchor
from ..records.evaluation import EvaluationResult, library_versions
from ..utils.details import stage
from ..utils.process_state import freed_memory_returned
from .engines import Extractor, open_engine
from .memory_needs import memory_needs
from .plan import Answers, MatchBlock, Plan, predicted_points
from .plausible import check_grid
from .released_pairs import ReleasedPairs
from .streamed_pairs import StreamedPairs

_log = logging.getLogger(__name__)


class Accumulator(Protocol):
    """Scores of the pairs of a split, from one block after another."""

    def update(self, block: Any, answers: Answers) -> None:
        """Take in the predicted points of a block."""

    def compute(self, provenance: Mapping[str, Any]) -> tuple[EvaluationResult, pa.Table | None]:
        """The record, and the predictions where they were kept.

        Args:
            provenance: fields of the record that say where it comes from, and the supercategories.
        """


class SplitPairs(Protocol):
    """The pairs of a split for some tasks.

    Attributes:
        plan: to sample; of all images and points.
        pairs, queries: how many there are, over all tasks.
        skipped: counts of bad images and of the pairs left out for them; empty if they are not skipped.
    """

    plan: Plan
    pairs: int
    queries: int
    skipped: dict[str, int]

    def blocks(self) -> Iterator[MatchBlock]:
        """The pairs, in blocks."""

    def scores(self) -> Accumulator:
        """A new accumulator of their scores."""


def split_pairs(
    folder: DatasetFolder, tasks: Sequence[Task], protocol: config.Protocol, run: RunConfig, split: str
) -> SplitPairs:
    """The pairs of a stored split, or all possible ones."""
    if split == "all":
        return StreamedPairs(folder, tasks, protocol, run)
    return ReleasedPairs(folder, tasks, protocol, run, split)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gives.

    Attributes:
        result: the record.
        predictions: the table that it is recomputed from; None of the split `all`.
    """

    result: EvaluationResult
    predictions: pa.Table | None

    def __repr__(self) -> str:
        kept = "no predictions" if self.predictions is None else f"{len(self.predictions):,} predictions"
        return f"Evaluation({self.result!r}, {kept})"

    def _repr_html_(self) -> str:
        return self.result._repr_html_()


@freed_memory_returned()
def evaluate_backbone(
    extractor: Extractor | GivenModel,
    folder: DatasetFolder | str | Path,
    tasks: str | Task | Sequence[str | Task],
    *,
    scoring: ScoringConfig = ScoringConfig(),
    run: RunConfig = RunConfig(),
    split: str = "test",
    shared: SharedMaps | None = None,
) -> Evaluation:
    """Evaluate one backbone on the pairs of some tasks, all from one set of features.

    A benchmark's own protocol says whether images are padded on all sides and whether points are truncated (see
    `Benchmark.point_rule`): the extractor and the scoring follow it, unless `scoring.truncated` says otherwise or the
    extractor was made with `anchored`.

    While it runs, Arrow takes memory for the whole process from the system's allocator; the last of several concurrent
    calls puts the former one back.

    Args:
        extractor: gives the dense features; knows its image size and batch size. With a
            `distributed.ray_engine.RayExtractor` the workers of a cluster do the work, with the same numbers. Any other
            model (name, folder, backbone, module, function: see `given_model.opened_extractor`) is used at 800 pixels.
        folder: a built dataset folder, its path, or a name, see `resolve.dataset_folder`.
        tasks: names such as "soc" or "soc,cross_soc", or tasks, see `tasks.get_tasks`.
        scoring: how predictions are made and scored.
        run: where and how the work is done.
        split: "test" or another stored split = the released pairs; "all" = every undirected pair of three or more
            common keypoints. Metrics and intervals of "all" equal those of a table of all its rows to the last digit;
            in the azimuth curves the means over pairs may differ in the last digits, and there is no error analysis.
        shared: maps that other evaluations of this run need too, see `several.evaluate_several`; forwards and reused
            then add up to the number of images.

    Returns:
        The record, and the predictions of the split "test". `counts` in the record holds the number of images, pairs,
        keypoints, forwards and decodes: the last two equal the number of distinct images, twice that at most in two
        passes (cache "none"). With a shared cache, forwards and reused add up to the number; with `run.skip_bad` there
        are also bad_images and skipped_pairs. On a cluster, redone counts the forwards that repeated
        maps lost with a worker.

    Raises:
        DatasetFolderError: the folder lacks a task's config, or an image does not decode.
        ChangedDataError: what is read is not what was built; also with `run.skip_bad`.
        BackboneError: the model gives features that are not finite or of the wrong shape.
        UsageError: an unknown split; the normalizer "mask", since SOCO has no masks; thresholds above 1 or fewer than
            4 x 4 cells; a memory budget that does not suffice even without feature maps; all pairs of a subset;
            something that is no model, folder or task.
    """
    folder = dataset_folder(folder)
    tasks = get_tasks(tasks, benchmark_of(folder))
    if split == "all" and isinstance(folder, FolderSubset):
        raise UsageError("A subset has no split all: it is drawn from the test pairs. Give its folder instead.")
    with opened_extractor(extractor, device=run.device) as opened:
        return _evaluate(opened, folder, tasks, scoring, run, split, shared)


def _evaluate(
    extractor: Extractor,
    folder: DatasetFolder,
    tasks: Sequence[Task],
    scoring: ScoringConfig,
    run: RunConfig,
    split: str,
    shared: SharedMaps | None,
) -> Evaluation:
    """`evaluate_backbone` with everything opened."""
    folder.check_intact()
    extractor, scoring = by_benchmark(extractor, folder, scoring)
    model = extractor.describe()
    protocol = protocol_of(model, scoring)
    check_thresholds(scoring.alphas)
    check_grid(protocol.features.grid, protocol.features.image_size)
    pairs = split_pairs(folder, tasks, protocol, run, split)
    budget = run.cache.memory_budget
    if budget is not None and isinstance(pairs, ReleasedPairs) and isinstance(extractor, DenseFeatureExtractor):
        room = memory_needs(extractor, pairs.plan, pairs.tables, protocol, run.workers).room_for_maps(budget)
        run = replace(run, cache=replace(run.cache, memory_budget=room))
    counts, scores = {"decodes": 0, "forwards": 0, **pairs.skipped}, pairs.scores()
    with open_engine(extractor, folder, protocol, run, counts, shared) as engine:
        with stage(_log, "feature extraction"):
            engine.sample(pairs.plan)
        with stage(_log, "matching"):
            for block in pairs.blocks():
                scores.update(block, predicted_points(block.plan, engine.match(block.plan), protocol))
    _log.info(
        "images: %d, pairs: %d, forwards: %d, maps found in the cache: %d",
        len(pairs.plan.images), pairs.pairs, counts["forwards"], counts.get("reused", 0),
    )  # fmt: skip
    with stage(_log, "scores and intervals"):
        result, predictions = scores.compute(
            {
                "model": model,
                "dataset": dataset_provenance(folder, tasks, split),
                "protocol": protocol,
                "supercategories": supercategories_of(folder),
                "versions": library_versions(),
                "device": model["device"],
                "counts": {
                    "images": len(pairs.plan.images),
                    "pairs": pairs.pairs,
                    "keypoints": pairs.queries,
                    **counts,
                },
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
    return Evaluation(result, predictions)


def protocol_of(model: Mapping[str, Any], scoring: ScoringConfig) -> config.Protocol:
    """The protocol of an extractor's `describe()` and the scoring options.

    Raises:
        UsageError: the normalizer "mask".
    """
    if scoring.normalizer == "mask":
        raise UsageError('SOCO has no masks: use the normalizer "bbox" or "image".')
    return config.Protocol(scoring, FeatureConfig.of_model(model))


def by_benchmark(
    extractor: Extractor, folder: DatasetFolder, scoring: ScoringConfig
) -> tuple[Extractor, ScoringConfig]:
    """The extractor and the scoring as the benchmark of a folder has them, where nothing else was asked for."""
    rule = benchmark_of(folder).point_rule
    anchor: Anchor = "center" if rule.centered else "corner"
    if scoring.truncated is None and not rule.truncated:
        scoring = replace(scoring, truncated=False)
    elif scoring.truncated:
        scoring = replace(scoring, truncated=None)  # as records have it
    follows = extractor.anchor_is_fixed or extractor.anchor == anchor
    return (extractor if follows else extractor.anchored(anchor)), scoring


def dataset_provenance(folder: DatasetFolder, tasks: Sequence[Task] = (), split: str = "test") -> dict[str, Any]:
    """Where the data of a record comes from: id and revision of the source, and the hash of the rows and images.

    For a benchmark other than SOCO also its name, the scored points, the scale, and the hash of each pair list.
    """
    source = folder.manifest["source"]
    found = {"id": source["id"], "revision": source["revision"], "content_hash": folder.content_hash}
    if split not in ("test", "all"):
        found["split"] = split
    if folder.benchmark != SOCO:
        rule, hashes = benchmark_of(folder).point_rule, folder.manifest["pair_lists"]
        lists = dict.fromkeys(f"{task.config}/{split}" for task in tasks)
        found |= {
            "benchmark": folder.benchmark,
            "points": rule.points,
            "scale": rule.scale,
            "pair_lists": {name: hashes[name] for name in lists if name in hashes},
            "pair_origins": {name: origin for name, origin in folder.manifest["pairs"].items() if origin != "released"},
        }
    return found


def supercategories_of(folder: DatasetFolder) -> dict[str, str | None]:
    """Category -> supercategory, None where it has none; sorted."""
    return folder.supercategories
