"""Records of `soco evaluate`: PCK of a vision backbone, computed again from its predictions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..benchmarks.soco.paper import paper_scores
from ..benchmarks.soco.source import HUB_RELEASE
from ..benchmarks.tasks import TASKS, get_tasks
from ..config import alpha_key
from ..errors import PredictionsError, UsageError
from ..records.evaluation import EvaluationResult, record_from_predictions
from ..records.predictions import check_against_dataset, read_header, read_predictions
from ..reporting.paper_match import is_soco
from .record_type import (
    OVERALL,
    RANKED_SUBSETS,
    PublishedScore,
    RecordType,
    bootstrap_of,
    leaves,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from ..data.folder import DatasetFolder

_PAPER_ALPHA, _PAPER_TABLES = 0.1, ("r5", "r1", "2")  # where a number is printed twice, the first of these counts


@dataclass(frozen=True)
class PckRules:
    """The rules. The defaults are SOCO's.

    Attributes:
        tasks: that a submission must have; the other tasks of `eval.yaml` go in where a record has them.
        convention, alpha, reduction, normaliser, matcher, padding, resize, valid_area: of the protocol; alpha and
            reduction are those of the ranked number, a record may have more.
        image_size: requested side of the network input, pixels. Size, grid, layer, norm, statistics and dtype are the
            submitter's.
    """

    tasks: tuple[str, ...] = ("cc", "soc", "cross_soc")
    convention: str = "reference"
    alpha: float = 0.1
    reduction: str = "pair"
    image_size: int = 800
    normaliser: str = "bbox"
    matcher: str = "cosine argmax"
    padding: str = "white, right and bottom"
    resize: str = "bicubic"
    valid_area: bool = False

    def __post_init__(self) -> None:
        if not set(self.tasks) <= set(TASKS):
            raise ValueError("tasks")

    @property
    def measure(self) -> str:
        return f"PCK@{self.alpha:g} in percent"

    @property
    def advice(self) -> str:
        return (
            f"Evaluate again on that dataset with its protocol: soco evaluate --image-size {self.image_size} "
            f"--convention {self.convention} --tasks {','.join(self.tasks)}"
        )

    def violations(self, record: EvaluationResult) -> list[str]:
        """Why a record does not fit, one sentence a reason; empty where it does."""
        scoring, stored, found = record.protocol.scoring, record.protocol.to_dict(), []
        if record.split == "all":
            found.append("it is of all pairs, the leaderboard is of the released ones")
        for name in ("convention", "image_size", "normaliser", "matcher", "padding", "resize", "valid_area"):
            ours, theirs = getattr(self, name), stored[name]
            if ours != theirs:
                found.append(f"the {name.replace('_', ' ')} is {theirs!r}, the leaderboard's is {ours!r}")
        if self.alpha not in scoring.alphas:
            found.append(f"it was not scored at alpha {self.alpha:g}, only at {', '.join(map(str, scoring.alphas))}")
        if self.reduction not in scoring.reductions:
            found.append(f"it lacks the reduction {self.reduction!r}")
        if missing := [task for task in self.tasks if task not in record.metrics]:
            found.append(f"the evaluation is incomplete: it lacks the task(s) {', '.join(missing)}")
        empty = [task for task in self.tasks if task not in missing and self.percent(record, task, OVERALL) is None]
        if empty and not found:
            found.append(f"the evaluation is incomplete: nothing was scored in {', '.join(empty)}")
        return found

    def percent(self, record: EvaluationResult, task: str, subset: str) -> float | None:
        """The ranked number of a task: PCK in percent with four decimals, None where the record has none."""
        breakdown = record.metrics.get(task, {}).get(self.reduction, {}).get(alpha_key(self.alpha), {})
        value = breakdown.get(OVERALL) if subset == OVERALL else breakdown.get("per_supercategory", {}).get(subset)
        pck = value["pck"] if value else None
        return None if pck is None else round(100 * pck, 4)


class PckRecordType(RecordType):
    """See the module."""

    name = "pck"
    tasks: ClassVar = {task.name: task.title for task in TASKS.values()}
    main_task = "soc"
    heading = "PCK@0.1 in percent"
    yaml_file = ".eval_results/soco.yaml"
    data = "predictions"
    title = "SOCO evaluation results"
    rules = PckRules
    optional = ("intervals", "anatomy", "curves", "baselines")
    remake = "soco score {data} --out {record}"
    restore = (
        "evaluate again with `soco evaluate` (with --split all it keeps no predictions, and none can be submitted)"
    )

    def states(self, fields: Mapping[str, Any]) -> bool:
        return "schema_version" in fields

    def read(self, path: Path) -> EvaluationResult:
        try:
            return EvaluationResult.read(path)
        except PredictionsError:
            _refuse_percent(path)
            raise

    def read_data(self, path: Path) -> pa.Table:
        return read_predictions(path)

    def recompute(self, record: EvaluationResult, table: pa.Table) -> EvaluationResult:
        resamples, seed = bootstrap_of(record.intervals or {"resamples": 0, "seed": 0})
        try:
            return record_from_predictions(table, resamples=resamples, seed=seed)
        except UsageError as error:
            raise PredictionsError(f"the record's intervals cannot be computed again: {error}") from error

    def check_references(self, table: pa.Table, folder: DatasetFolder) -> None:
        """Queries, targets, sizes, boxes and annotations."""
        from ..correspondence.plan import task_pairs
        from ..records.annotated_points import image_annotations

        try:
            tasks = get_tasks(read_header(table).tasks)
        except UsageError as error:
            raise PredictionsError(f"the predictions have a task that the benchmark does not: {error}") from error
        pairs = {task.name: task_pairs(folder, task) for task in tasks}
        check_against_dataset(table, pairs, folder.content_hash, image_annotations(folder))

    def notes(self, record: EvaluationResult, rules: PckRules) -> str:
        scoring, features = record.protocol.scoring, record.protocol.features
        inner = "" if features.size is None else f" (network {features.size}, grid {features.grid})"
        layer = "no layer" if features.layer is None else f"layer {features.layer}"
        norm = "" if features.norm is None else ", after the final norm" if features.norm else ", before the final norm"
        return f"{scoring.convention} convention, {features.image_size} px{inner}, {layer}{norm}, {features.dtype}"

    def is_headline(self, leaf: str) -> bool:
        return leaf.startswith("metrics/") and leaf.endswith("/overall/pck")

    def is_soco(self, dataset_id: str, record: EvaluationResult | None = None) -> bool:
        return dataset_id == HUB_RELEASE or (record is not None and is_soco(record))

    def printed(self) -> Iterable[PublishedScore]:
        """The paper's models under SOCO's rules, a row a model. Its other protocols mean something else."""
        found: dict[str, PublishedScore] = {}
        tables = {name: place for place, name in enumerate(_PAPER_TABLES)}
        rows = [score for score in paper_scores() if score.table in tables and score.model and score.task in TASKS]
        for score in sorted(rows, key=lambda score: tables[score.table]):
            is_headline = (score.protocol, score.reduction, score.alpha) == ("nearest", "pair", _PAPER_ALPHA)
            if not is_headline or score.subset not in RANKED_SUBSETS:
                continue
            entry = found.setdefault(score.model, PublishedScore(score.model, f"{score.label}, SOCO paper", {}))
            entry.scores.setdefault((score.task, score.subset), score.percent)
        return found.values()


def _refuse_percent(path: Path) -> None:
    """Say so where the scores of a record are percents."""
    try:
        found = dict(leaves(json.loads(path.read_bytes())["metrics"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    scores = [v for name, v in found.items() if name.endswith("/pck") and isinstance(v, int | float)]
    if scores and 1 < max(scores) <= 100:
        raise PredictionsError(
            f"{path}: the scores are in the wrong unit, they go up to {max(scores):g}: a record holds fractions, 0 "
            "to 1 (percent is only shown). Make it again from its predictions with `soco score`."
        )
