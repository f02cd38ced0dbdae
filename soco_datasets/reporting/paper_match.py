"""Which of the paper's numbers a record may stand beside, and whether they mean the same."""

from __future__ import annotations

from collections.abc import Sequence

from ..benchmarks.soco.paper import paper_scores
from ..benchmarks.tasks import TASKS
from ..records.evaluation import EvaluationResult

_ROUNDED = "2"  # the table with one decimal; the others have two
_PROTOCOLS = {"argmax": "nearest", "soft": "soft", "candidates": "geo"}  # matcher of a task -> the paper's word


def paper_model(result: EvaluationResult) -> str | None:
    """The model of the paper a record is of: by name, Hub id or the paper's own name. None where there is none."""
    from ..features.model_list import BACKBONES

    name = str(result.model["name"]).casefold()
    aliases = {score.label.casefold(): score.model for score in paper_scores() if score.model}
    aliases.update({score.model.casefold(): score.model for score in paper_scores() if score.model})
    known = set(aliases.values())
    aliases.update({spec.hub_id.casefold(): spec.name for spec in BACKBONES if spec.hub_id and spec.name in known})
    return aliases.get(name)


def paper_percent(
    result: EvaluationResult, task: str, *, reduction: str, alpha: float, subset: str = "overall"
) -> float | None:
    """The number the paper prints for the model of a record, None where it prints none.

    Args:
        result: a record.
        task: a task of the toolkit; "soc_soft" is the paper's SOC with soft evaluation, "soc_geo" its SOC-geo.
        reduction, alpha: which metric.
        subset: "overall" or a supercategory.
    """
    model = paper_model(result)
    known = TASKS.get(task)
    if model is None or known is None or known.min_candidates > 1:
        return None
    wanted = (model, known.config.removesuffix("_geo"), subset, _PROTOCOLS[known.matcher], reduction, alpha)
    found = [
        score
        for score in paper_scores()
        if (score.model, score.task, score.subset, score.protocol, score.reduction, score.alpha) == wanted
    ]
    return min(found, key=lambda score: score.table == _ROUNDED).percent if found else None


def paper_probe_percent(result: EvaluationResult, alpha: float) -> float | None:
    """SOC after a linear probe (table r2) as printed for the model of a record, None where the paper has none."""
    model = paper_model(result)
    found = [
        score.percent
        for score in paper_scores()
        if model is not None and (score.model, score.protocol, score.alpha) == (model, "linear", alpha)
    ]
    return found[0] if found else None


def paper_average(result: EvaluationResult) -> float | None:
    """The mean of CC, SOC and Cross-SOC (table 2) as printed for the model of a record, None where it has none."""
    model = paper_model(result)
    found = [s.percent for s in paper_scores() if model is not None and (s.model, s.task) == (model, "mean")]
    return found[0] if found else None


def is_soco(result: EvaluationResult) -> bool:
    """Whether a record is of the whole SOCO: the release on the Hub, or data of as many categories."""
    return result.is_benchmark(result.dataset["id"], result)


def differences_from_paper(results: Sequence[EvaluationResult]) -> list[str]:
    """What of data and protocol differs from the paper's, in words; empty where numbers mean the same."""
    first = results[0]
    found = []
    if not is_soco(first):
        found.append(f"the data is {first.dataset['id']}, not SOCO")
    if first.split == "all":
        found.append("every pair was evaluated, not the released ones")
    if first.protocol.scoring.convention != "reference":
        found.append(f"the convention is {first.protocol.scoring.convention}, not reference")
    if first.protocol.features.image_size != 800:
        found.append(f"images are {first.protocol.features.image_size} px, not 800 px")
    if first.protocol.scoring.normalizer != "bbox":
        found.append(f"errors are divided by the {first.protocol.scoring.normalizer}, not by the box")
    return found
