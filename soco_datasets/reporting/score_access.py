"""Reading a result record for tables and pictures: one number with its interval and counts, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..config import alpha_key
from ..errors import UsageError, unknown_name
from ..records.evaluation import EvaluationResult
from ..records.summary import FEWEST_IMAGES, FEWEST_PAIRS, ordered_tasks, shown_interval
from ..utils.text import clean

HEADLINE = ("cc", "soc", "cross_cc", "cross_soc")
DROP = ("cc", "soc", "cross_soc")
INTERVAL_NOTE = (
    f"An interval is shown where at least {FEWEST_IMAGES} images are behind a score for certain: "
    f"{FEWEST_PAIRS} pairs or more."
)


@dataclass(frozen=True)
class Score:
    """One PCK: fraction 0..1 or None where there is nothing to score, its interval where known, its counts.

    An interval of fewer than five images is left out: of 12 pairs or fewer, which four images can make.
    """

    pck: float | None
    low: float | None = None
    high: float | None = None
    pairs: int = 0
    keypoints: int = 0


def score_of(
    result: EvaluationResult, task: str, *, reduction: str, alpha: float, part: str = "overall", name: str = ""
) -> Score:
    """A number of the record; a `Score` of None where the record does not have it.

    Args:
        result: a record.
        task, reduction, alpha: which metric.
        part: "overall", "per_supercategory" or "per_category".
        name: of the supercategory or category.
    """
    breakdown = result.metrics.get(task, {}).get(reduction, {}).get(alpha_key(alpha), {})
    value = breakdown.get(part) if part == "overall" else breakdown.get(part, {}).get(name)
    if value is None:
        return Score(None)
    low, high = shown_interval(result, task, reduction, alpha_key(alpha), part, name) or (None, None)
    return Score(value["pck"], low, high, value["pairs"], value["keypoints"])


def main_alpha(results: Sequence[EvaluationResult]) -> float:
    """The threshold of the headline: 0.1 where it was scored, else the largest."""
    return results[0].main_metric()[1]


def main_reduction(results: Sequence[EvaluationResult]) -> str:
    """The reduction of the headline: over pairs, as in the paper, where it was scored."""
    return results[0].main_metric()[0]


def headline_metric(results: Sequence[EvaluationResult]) -> dict[str, Any]:
    """`main_alpha` and `main_reduction` as the arguments "alpha" and "reduction" of `score_of`."""
    return {"alpha": main_alpha(results), "reduction": main_reduction(results)}


def average_percent(result: EvaluationResult, *, reduction: str, alpha: float) -> float | None:
    """The mean of CC, SOC and Cross-SOC in percent, as in table 2; None where one of them is missing."""
    scores = [score_of(result, task, reduction=reduction, alpha=alpha).pck for task in DROP]
    known = [score for score in scores if score is not None]
    return 100 * sum(known) / len(DROP) if len(known) == len(DROP) else None


def chance_percent(result: EvaluationResult, task: str, *, reduction: str, alpha: float) -> float | None:
    """What a random choice among the candidates of a task gets, in percent; None where that is unknown."""
    overall = result.metrics.get(task, {}).get(reduction, {}).get(alpha_key(alpha), {}).get("overall", {})
    return percent(overall.get("random_pck"))


def percent(fraction: float | None) -> float | None:
    """A fraction in percent."""
    return None if fraction is None else 100 * fraction


def tasks_of(results: Sequence[EvaluationResult]) -> list[str]:
    """The tasks that any of the results has, in the order of the benchmark."""
    return list(ordered_tasks(task for result in results for task in result.metrics))


def headline_tasks(results: Sequence[EvaluationResult]) -> list[str]:
    """The tasks of the headline: CC, SOC and both across categories where they were run, else whatever was."""
    found = tasks_of(results)
    return [task for task in HEADLINE if task in found] or found[:4]


def check_task(results: Sequence[EvaluationResult], task: str) -> None:
    """Raise `UsageError` unless there is a result and one of them has the task."""
    if not results:
        raise UsageError("Give at least one result.")
    if task not in tasks_of(results):
        raise unknown_name("task of these results", task, tasks_of(results))


def names_in(results: Sequence[EvaluationResult], task: str, part: str) -> list[str]:
    """The categories ("per_category") or supercategories of a task that any result has a score for, sorted."""
    names = {
        name
        for result in results
        for breakdown in _breakdowns(result, task)
        for name, value in breakdown.get(part, {}).items()
        if value["pck"] is not None
    }
    return sorted(names)


def _breakdowns(result: EvaluationResult, task: str) -> Iterator[dict[str, Any]]:
    for by_alpha in result.metrics.get(task, {}).values():
        yield from by_alpha.values()


def model_names(results: Sequence[EvaluationResult]) -> list[str]:
    """A name for each result; results of one name are told apart by what differs, such as "(layer 9)" or "(285 px)".

    Where nothing that a person chose differs, by the revision of the model, else by a number.
    """
    names = [clean(result.model["name"]) for result in results]
    made: list[str] = []
    for name, result in zip(names, results, strict=True):
        same = [results[other] for other, twin in enumerate(names) if twin == name]
        parts = [text for label, text in _settings(result).items() if len({_settings(r)[label] for r in same}) > 1]
        label = f"{name} ({', '.join(parts)})" if parts else name
        number, candidate = 1, label
        while candidate in made:
            number += 1
            candidate = f"{label} ({number})"
        made.append(candidate)
    return made


def _settings(result: EvaluationResult) -> dict[str, str]:
    """What may tell two results of one model apart, in words, by what it is."""
    features = result.protocol.features
    norm = {None: "norm unknown", True: "final norm", False: "no final norm"}[features.norm]
    return {
        "data": f"on {clean(result.dataset['id'])}",
        "convention": clean(result.protocol.scoring.convention),
        "image size": f"{features.image_size} px",
        "layer": {None: "no layer", -1: "last layer"}.get(features.layer, f"layer {features.layer}"),
        "norm": norm,
        "dtype": clean(features.dtype),
        "recipe": f"recipe {clean(result.model.get('recipe') or 'unknown')}",
        "revision": f"@{clean(result.model.get('revision') or 'unknown')[:7]}",
        "weights": f"weights {clean(result.model.get('weights_hash') or 'unknown')[:7]}",
    }


def what_differs(results: Sequence[EvaluationResult]) -> list[str]:
    """The image sizes of all results, and the layers of those of one model, where they differ: "image size (...)"."""
    found = []
    sizes = sorted({result.protocol.features.image_size for result in results})
    if len(sizes) > 1:
        found.append(f"image size ({', '.join(f'{size} px' for size in sizes)})")
    for label in ("layer", "norm", "dtype", "recipe"):
        by_model: dict[str, dict[str, None]] = {}
        for result in results:
            by_model.setdefault(str(result.model["name"]), {})[_settings(result)[label]] = None
        several = [f"{clean(name)}: {', '.join(values)}" for name, values in by_model.items() if len(values) > 1]
        if several:
            found.append(f"{label} ({'; '.join(several)})")
    return found


def ranking(results: Sequence[EvaluationResult]) -> list[int]:
    """Positions of the results, best first: by SOC, or by the first headline task where SOC was not run."""
    tasks = tasks_of(results)
    task = "soc" if "soc" in tasks else next((name for name in HEADLINE if name in tasks), tasks[0])
    metric = headline_metric(results)
    scores = [score_of(result, task, **metric).pck for result in results]
    return sorted(range(len(results)), key=lambda i: -1.0 if (pck := scores[i]) is None else pck, reverse=True)
