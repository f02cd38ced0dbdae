"""The evaluation of every pair there is, in memory that grows with the images and not with their pairs.

The forwards are those of `runner`: each image once, or twice in two passes. Then the pairs come category by category
(of their target) and in blocks of whole targets, so that each map is loaded once; of a block only numbers of queries
and hits are kept, and of a category that is done only its scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ..benchmarks.tasks import Task
from ..config import Protocol, RunConfig, ScoringConfig
from ..data.folder import DatasetFolder
from ..records.evaluation import EvaluationResult, library_versions
from ..records.intervals import LEVEL, RESAMPLES
from ..utils.files import progress_bar
from .all_plan import AllPairsPlan, AllPairsWork, slices_of
from .all_scores import BOOTSTRAP_SEED, ImageFacts, Resamples, TaskScores
from .engines import Engine, Extractor, open_engine
from .evaluate import dataset_provenance, predicted_points, protocol_of
from .plan import query_key
from .undecodable import bad_images


def evaluate_all_pairs(
    extractor: Extractor,
    folder: DatasetFolder,
    tasks: Sequence[Task],
    *,
    scoring: ScoringConfig = ScoringConfig(),
    run: RunConfig = RunConfig(),
) -> EvaluationResult:
    """Evaluate one backbone on the split `all` of some tasks: every undirected pair of three or more common keypoints.

    Metrics and intervals are equal to the last digit to those of `record_from_predictions` on a table of all the rows,
    which is never made: there are no predictions, and no anatomy of errors. In the azimuth curves the means over pairs
    may differ from those in the last digits.

    Args:
        extractor, folder, tasks, scoring, run: as of `evaluate_backbone`; `run.cache.memory_budget` bounds the feature
            maps in memory, and nothing else.

    Returns:
        The record, with `dataset["split"]` "all" and `counts` as of `evaluate_backbone`. Errors as there.
    """
    model = extractor.describe()
    protocol, block = protocol_of(model, scoring), run.block_points
    work, counts = AllPairsWork(folder, tasks), {"decodes": 0, "forwards": 0}
    if run.skip_bad:
        bad = bad_images(folder, work.paired(), run.workers)
        work = AllPairsWork(folder, tasks, left_out=bad)
        counts |= {"bad_images": len(bad)}
    asked = work.survey(block)
    plan = AllPairsPlan(work, asked, folder, protocol, extractor.grid)
    images, resamples = ImageFacts(folder, work.table, protocol.scoring.normalizer), Resamples(work.table)
    scores = {
        task.name: TaskScores(
            asked[query_key(task)], images, work.table, resamples, protocol, task.matcher == "candidates"
        )
        for task in tasks
    }
    with open_engine(extractor, folder, protocol, run, counts) as engine:
        engine.sample(plan.base)
        _match_all(engine, work, plan, scores, protocol, block)
    pairs = {task.name: asked[query_key(task)].pairs for task in tasks}
    if run.skip_bad:
        counts["skipped_pairs"] = sum(work.total(task) - pairs[task.name] for task in tasks)
    intervals = {task: found.intervals for task, found in scores.items()}
    curves = {task: {"azimuth": found.curve} for task, found in scores.items() if found.curve is not None}
    return EvaluationResult(
        model=model,
        dataset={**dataset_provenance(folder), "split": "all"},
        protocol=protocol,
        versions=library_versions(),
        device=model["device"],
        counts={
            "images": len(plan.base.images),
            "pairs": sum(pairs.values()),
            "keypoints": sum(asked[query_key(task)].queries for task in tasks),
            **counts,
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        metrics={task: found.metrics for task, found in scores.items()},
        intervals={"level": LEVEL, "resamples": RESAMPLES, "seed": BOOTSTRAP_SEED, "tasks": intervals},
        curves=curves or None,
    )


def _match_all(
    engine: Engine,
    work: AllPairsWork,
    plan: AllPairsPlan,
    scores: Mapping[str, TaskScores],
    protocol: Protocol,
    block: int,
) -> None:
    """Match every pair and give it to the scores of its tasks."""
    assert protocol.features.grid is not None  # of an extractor
    totals = {work.kind(task): work.total(task) for task in work.tasks}
    with progress_bar("Evaluating pairs", sum(totals.values()), unit="pair") as advance:
        for category in work.categories():
            here = [task for task in work.tasks if work.kind(task) in category.pairs]
            for task in here:
                scores[task.name].begin(len(category.pairs[work.kind(task)][0]))
            for places in category.blocks(work.table.shown, block):
                some = slices_of(category.pairs, places)
                part, queries = plan.block(some)
                answers = predicted_points(
                    work.tasks, part, engine.match(part), protocol.features.grid, protocol.scoring.convention
                )
                for task in here:
                    kind = work.kind(task)
                    predictions, _ = answers[task.name]
                    scores[task.name].add(places[kind], some[kind][1], queries[query_key(task)], predictions)
                advance(sum(len(targets) for _, targets in some.values()))
            for task in here:
                scores[task.name].end(category.name, category.pairs[work.kind(task)])
