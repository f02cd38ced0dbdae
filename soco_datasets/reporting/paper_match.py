"""Which of the paper's numbers a record may stand beside, and whether they mean the same."""

from __future__ import annotations

from collections.abc import Sequence

from ..benchmarks.base import SOCO, find_benchmark
from ..benchmarks.published import PaperScore
from ..benchmarks.soco.paper import paper_scores
from ..benchmarks.tasks import TASKS
from ..records.evaluation import EvaluationResult

_ROUNDED = "2"  # the table with one decimal; the others have two
_PAPER_SIZE = 800  # pixels
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
    normalizer = result.protocol.scoring.normalizer
    found = [
        score
        for score in published_scores(result)
        if (score.model, score.task, score.subset, score.protocol, score.reduction, score.alpha) == wanted
        and (score.normalizer == normalizer or benchmark_name(result) == SOCO)
        and not score.source
    ]
    return min(found, key=lambda score: score.table == _ROUNDED).percent if found else None


def benchmark_name(result: EvaluationResult) -> str:
    """The benchmark a record is of."""
    return str(result.dataset.get("benchmark", SOCO))


def published_scores(result: EvaluationResult) -> Sequence[PaperScore]:
    """The published scores of a record's own benchmark; none where it is not installed."""
    name = benchmark_name(result)
    found = find_benchmark(name)
    return paper_scores() if name == SOCO else () if found is None else found.published()


def paper_probe_percent(result: EvaluationResult, alpha: float) -> float | None:
    """SOC after a linear probe (table r2) as printed for the model of a record, None where the paper has none."""
    model = paper_model(result)
    found = [
        score.percent
        for score in paper_scores()
        if model is not None
        and benchmark_name(result) == SOCO
        and (score.model, score.protocol, score.alpha) == (model, "linear", alpha)
    ]
    return found[0] if found else None


def paper_average(result: EvaluationResult, *, reduction: str, alpha: float) -> float | None:
    """The mean of CC, SOC and Cross-SOC as printed for the model of a record; None where table 2 has none such."""
    in_table_2 = benchmark_name(result) == SOCO and (reduction, alpha) == ("pair", 0.1)
    model = paper_model(result) if in_table_2 else None
    found = [s.percent for s in paper_scores() if model is not None and (s.model, s.task) == (model, "mean")]
    return found[0] if found else None


def is_soco(result: EvaluationResult) -> bool:
    """Whether a record is of the whole SOCO: the release on the Hub, or data of as many categories."""
    return result.is_benchmark(result.dataset["id"], result)


def differences_from_paper(results: Sequence[EvaluationResult]) -> list[str]:
    """What of data and protocol differs from the paper's, in words; empty where numbers mean the same."""
    first = results[0]
    found = []
    if benchmark_name(first) == SOCO and not is_soco(first):
        found.append(f"the data is {first.dataset['id']}, not SOCO")
    found += _other_pairs(first)
    if first.split == "all":
        found.append("every pair was evaluated, not the released ones")
    if first.protocol.scoring.convention != "reference":
        found.append(f"the convention is {first.protocol.scoring.convention}, not reference")
    sizes = sorted({result.protocol.features.image_size for result in results} - {_PAPER_SIZE})
    if sizes:
        found.append(f"images are {' and '.join(f'{size} px' for size in sizes)}, not {_PAPER_SIZE} px")
    if first.protocol.scoring.normalizer != "bbox":
        found.append(f"errors are divided by the {first.protocol.scoring.normalizer}, not by the box")
    return found


def _other_pairs(result: EvaluationResult) -> list[str]:
    """Whether a benchmark with a fixed number of test pairs was scored on another number, in words."""
    benchmark = find_benchmark(benchmark_name(result))
    if benchmark is None or benchmark.name == SOCO:
        return []
    full, here = benchmark.splits.get(f"soc {result.split}"), result.counts.get("pairs")
    if full is None or len(result.metrics) != 1 or here == full:
        return []
    return [f"{here:,} pairs were evaluated, {benchmark.title} has {full:,}"]


def comparability_line(results: Sequence[EvaluationResult]) -> str:
    """One sentence for the top of a table or page where data or protocol is not the paper's; "" where both are.

    Of another benchmark than SOCO it says whose scores they are.
    """
    first = results[0]
    sizes = sorted({result.protocol.features.image_size for result in results})
    facts = f"{first.counts.get('images', 0):,} images, {' and '.join(f'{size} px' for size in sizes)}"
    differ = differences_from_paper(results)
    if differ:
        return f"{facts}: not comparable with the paper ({'; '.join(differ)})."
    if benchmark_name(first) != SOCO:
        benchmark = find_benchmark(benchmark_name(first))
        title = benchmark_name(first) if benchmark is None else benchmark.title
        return f"{facts}: scores on {title} are not SOCO scores."
    return ""
